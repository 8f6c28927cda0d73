"""Bytes and time on the links, against counting the messages of the algorithms and DeepSeek's own bound."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from steps import decode_step

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.engine.latency.collectives import (
    all_reduce_bytes,
    all_reduce_seconds,
    all_to_all_seconds,
    transfer_bandwidth,
)
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.op_times import IDEAL, op_time
from costcalc.engine.ops import Op
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.roofline import Machine, machine_of
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.validation.files import shipped_measurements
from costcalc.validation.score import score


def links(domain: int = 8, inside: float = 1.0, network: float = 1.0) -> Machine:
    h100 = machine_of(costcalc.load_gpu("h100"))
    return replace(h100, architecture="ampere", domain=domain, link_bandwidth=inside, network_bandwidth=network)


def ring_all_reduce(ranks: int) -> tuple[np.ndarray, float]:
    """Run the algorithm on one element a chunk: the sums that every rank ends with, and messages per link."""
    data = np.arange(ranks * ranks, dtype=float).reshape(ranks, ranks)
    expected = data.sum(axis=0)
    sent = np.zeros(ranks)
    for phase in (0, 1):  # reduce-scatter, all-gather
        for step in range(ranks - 1):
            before = data.copy()
            for rank in range(ranks):
                chunk, to = (rank + phase - step) % ranks, (rank + 1) % ranks
                data[to, chunk] = before[rank, chunk] + (0 if phase else before[to, chunk])
                sent[rank] += 1 / ranks
    assert np.all(data == expected)
    return data, float(sent.max())


@pytest.mark.parametrize("ranks", [2, 3, 8, 13])
def test_ring_all_reduce_moves_what_the_algorithm_sends(ranks: int) -> None:
    _, sent = ring_all_reduce(ranks)
    assert all_reduce_bytes(1.0, ranks) == pytest.approx(sent)


def test_all_reduce_over_nodes_reduces_inside_them_first() -> None:
    # 16 GPUs in two nodes: a ring of 8 over NVLink, then pairs over the network on an eighth of the message.
    machine = links(domain=8, inside=450e9, network=50e9)
    expected = 2 * 7 / 8 * 1e9 / 450e9 + 2 * 1 / 2 * (1e9 / 8) / 50e9
    assert all_reduce_seconds(1e9, 16, machine) == pytest.approx(expected)
    assert all_reduce_seconds(1e9, 1, machine) == 0


@pytest.mark.parametrize(("ranks", "domain"), [(8, 8), (8, 1), (16, 8), (12, 4)])
def test_all_to_all_by_counting_destinations(ranks: int, domain: int) -> None:
    near = sum(1 for to in range(1, ranks) if to < domain)
    far = sum(1 for to in range(1, ranks) if to >= domain)
    quick = 1e12
    assert all_to_all_seconds(1.0, ranks, links(domain, inside=quick)) == pytest.approx(max(far, near / quick) / ranks)
    assert all_to_all_seconds(1.0, ranks, links(domain, network=quick)) == pytest.approx(max(near, far / quick) / ranks)


@pytest.mark.parametrize(("domains", "copies"), [(2, 8), (3, 4), (4, 4), (4, 1), (1, 8)])
def test_a_token_crosses_the_network_once_to_every_domain(domains: int, copies: int) -> None:
    # Experts of a token fall on any domain; the own one, number 0, needs no network.
    reached = [len(set(choice) - {0}) for choice in product(range(domains), repeat=copies)]
    expected = sum(reached) / len(reached) / copies
    machine = links(domain=8, inside=1e12)
    assert all_to_all_seconds(1.0, 8 * domains, machine, copies) == pytest.approx(expected, abs=1e-11)


def test_a_stage_hands_over_to_the_next() -> None:
    machine = links(inside=450e9, network=50e9)
    assert transfer_bandwidth(np.array([False, True]), machine) == pytest.approx([450e9, 50e9])


@pytest.mark.parametrize(("bandwidth", "milliseconds"), [(50e9, 14.76), (900e9, 0.82)])
def test_deepseeks_bound_on_the_time_per_token(bandwidth: float, milliseconds: float) -> None:
    """Zhao et al. 2025 (arXiv 2505.09343), 2.3.2: one expert a device, 32 tokens each, dispatch and combine.

    They send to 9 experts (the shared one too), take the hidden size as 7,000, count all 61 layers and
    let no token stay at home; two micro-batches take turns.
    """
    model, ranks = costcalc.load_model("v3"), 256
    machine = links(domain=1, network=bandwidth)
    layout = Parallelism(tp=1, attention_dp=ranks, ep=ranks)
    formats = resolve_formats(model.precision, machine.peak_flops)
    step = decode_step(model, machine, layout, formats, IDEAL, batch=32 * ranks, context=4096)
    sent = sum(float(op.seconds) for op in step.ops if op.kind == "all_to_all")
    ours_over_theirs = 8 / 9 * 7168 / 7000 * 58 / 61 * (ranks - 1) / ranks
    assert 2 * 1e3 * sent / ours_over_theirs == pytest.approx(milliseconds, rel=0.002)


def test_switches_that_reduce_halve_the_traffic_of_an_all_reduce() -> None:
    # NCCL's all-reduce on 8 H100 was measured at 445 GB/s of bus bandwidth (2(n - 1)/n of the message over time;
    # measurements/comm.csv), which is 99% of NVLink's 450 GB/s: no ring of eight can come so close.
    h100 = machine_of(costcalc.load_gpu("h100"))
    message = 4e9
    bus_bandwidth = all_reduce_bytes(message, 8) / float(all_reduce_seconds(message, 8, h100))
    assert 445e9 < bus_bandwidth < 1.6 * 445e9
    assert all_reduce_bytes(message, 4) / float(all_reduce_seconds(message, 4, h100)) == pytest.approx(450e9)


def reduced(gpu: str, message: float, ranks: int) -> float:
    machine = machine_of(costcalc.load_gpu(gpu))
    efficiency = calibrated_efficiency(Catalog().serving_efficiency(), machine, "vllm", tuned=True)
    return float(op_time(Op("all-reduce", "all_reduce", 1, 0.0, message, ranks=ranks), machine, efficiency).seconds)


def test_cards_that_share_pcie_reach_a_fraction_of_it() -> None:
    # Measured (measurements/comm.csv): two L40S all-reduce 32 MiB over PCIe 4.0 x16 in 1.69 ms, by 19.9 of 32 GB/s.
    # More cards than two share the host's PCIe, and reach less, on the same links.
    machine = machine_of(costcalc.load_gpu("l40s"))
    shared = Catalog().serving_efficiency().kernels.collective.multipliers["fabric"]["shared-pcie"]["link"]
    assert shared < 1
    two, eight = (all_reduce_bytes(2**25, n) / reduced("l40s", 2**25, n) / machine.link_bandwidth for n in (2, 8))
    assert reduced("l40s", 2**25, 2) == pytest.approx(1.69e-3, rel=0.25)
    assert eight == pytest.approx(shared * two, rel=0.25)
    assert eight < two < 1


def alone() -> ServingEfficiency:
    """Constants of engines that run kernels as they run alone."""
    found = Catalog().serving_efficiency()
    return replace(found, speed=dict.fromkeys(found.speed, 1.0), untuned={"other": 1.0})


def test_an_estimate_times_all_reduces_as_their_rows_are_predicted() -> None:
    rows = [row for row in shipped_measurements("comm").rows if row["op"] == "all_reduce" and row["bytes"] > 1e7]
    scored = [row for row in score("comm", rows) if not row["warning"] and "nccl" in row["impl"] and not row["fabric"]]
    assert {row["n_gpus"] for row in scored} >= {2, 4, 8}  # eight of Hopper and later reduce in their switches
    for row in scored:
        machine = machine_of(costcalc.load_gpu(row["gpu"]))
        op = Op("all-reduce", "all_reduce", 1, 0.0, row["bytes"], ranks=row["n_gpus"])
        found = op_time(op, machine, calibrated_efficiency(alone(), machine, "vllm")).seconds
        assert float(found) == pytest.approx(row["predicted"] * 1e-3, rel=1e-6), (row["gpu"], row["n_gpus"])


@pytest.mark.parametrize("gpu", ["h100", "l40s"])
def test_ranks_of_many_rows_are_timed_each_by_its_own(gpu: str) -> None:
    machine = machine_of(costcalc.load_gpu(gpu))
    efficiency = calibrated_efficiency(alone(), machine, "vllm")
    op = Op("all-reduce", "all_reduce", 1, 0.0, 1e8, ranks=np.array([2.0, 4.0, 8.0]))
    each = [float(op_time(op._replace(ranks=ranks), machine, efficiency).seconds) for ranks in (2.0, 4.0, 8.0)]
    assert list(op_time(op, machine, efficiency).seconds) == pytest.approx(each)


@pytest.mark.parametrize("gpu", ["h100", "a100", "l40s", "mi300x"])
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_no_all_reduce_is_faster_than_its_bytes(gpu: str, ranks: int) -> None:
    machine = machine_of(costcalc.load_gpu(gpu))
    messages = np.geomspace(1e3, 1e10, 15)
    seconds = np.array([reduced(gpu, float(each), ranks) for each in messages])
    assert np.all(seconds > [float(all_reduce_seconds(each, ranks, machine)) for each in messages])
    assert np.all(np.diff(seconds) > 0)


def test_stages_on_two_nodes_hand_their_activations_over_the_network() -> None:
    # 64 tokens of 5,120 numbers of 16 bits, cut over tensor ranks, pass one boundary: at 50 GB/s between nodes.
    model, h100 = costcalc.load_model("llama-2-13b"), machine_of(costcalc.load_gpu("h100"))
    formats = resolve_formats(model.precision, h100.peak_flops)

    def passed(layout: Parallelism) -> float:
        step = decode_step(model, h100, layout, formats, IDEAL, 64 * layout.pp, 1000)
        [transfer] = [op for op in step.ops if op.kind == "pipeline"]
        return float(transfer.seconds)

    assert passed(Parallelism(tp=8, pp=2)) == pytest.approx(64 * 5120 * 2 / 8 / 50e9)
    assert passed(Parallelism(tp=4, pp=2)) == pytest.approx(64 * 5120 * 2 / 4 / 450e9)


def test_one_sender_has_the_whole_of_its_pcie() -> None:
    # Where eight cards reduce together they share the host's PCIe; a stage that hands its activations on does not.
    gpu = costcalc.load_gpu("l40s")
    constants = Catalog().serving_efficiency()
    efficiency = calibrated_efficiency(constants, machine_of(gpu), "vllm")
    model = costcalc.load_model("llama-3.1-8b")
    formats = resolve_formats(model.precision, machine_of(gpu).peak_flops)
    step = decode_step(model, machine_of(gpu), Parallelism(tp=2, pp=4), formats, efficiency, 64, 1000)
    [transfer] = [op for op in step.ops if op.kind == "pipeline"]
    sent = 3 * 16 * model.hidden_size * 2 / 2  # bytes over three boundaries, of 16 sequences, by each of two ranks
    assert float(transfer.seconds) == pytest.approx(sent / (machine_of(gpu).link_bandwidth * efficiency.link))
    fitted = constants.kernels.collective
    share = fitted.parameters.link * fitted.multipliers["collective"]["all_reduce"]["link"]
    share *= fitted.multipliers["family"]["ada"]["link"] * constants.speed["all_reduce"]
    assert efficiency.link == pytest.approx(share)


def test_twelve_ranks_are_two_domains_of_six() -> None:
    machine = links(domain=8, inside=450e9, network=50e9)
    assert all_reduce_seconds(1e9, 12, machine) == pytest.approx(2 * 5 / 6 * 1e9 / 450e9 + (1e9 / 6) / 50e9)
