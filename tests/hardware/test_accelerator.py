"""The accelerator spec: capacity, stand-in precisions, links and prices by words."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from costcalc.catalog.check import validate
from costcalc.errors import CostcalcError
from costcalc.hardware.accelerator import FALLBACKS, Accelerator

SOURCE = {"source": "a shop", "date": "2026-01-01"}


def gpu(**changes: Any) -> Accelerator:
    """A GPU with the rates of an A100 80GB SXM (NVIDIA A100 data sheet, June 2021)."""
    fields: dict[str, Any] = {
        "name": "Test GPU",
        "vendor": "nvidia",
        "architecture": "ampere",
        "memory": "80 GB",
        "memory_type": "HBM2e",
        "memory_bandwidth": "2039 GB/s",
        "peak_flops": {"fp32": "19.5 TFLOP/s", "bf16": "312 TFLOP/s", "int8": "624 TOP/s"},
        "scale_up": {"technology": "NVLink 3", "bandwidth": "300 GB/s", "domain": 8},
        "scale_out": {"bandwidth": "200 Gb/s"},
        "node_size": 8,
    }
    return validate(Accelerator, {**fields, **changes})


def test_typed_quantities_become_si() -> None:
    a100 = gpu()
    assert (a100.memory, a100.memory_bandwidth) == (80e9, 2.039e12)
    assert a100.peak_flops.int8 == 624e12
    assert a100.scale_out is not None and a100.scale_out.bandwidth == 25e9  # 200 Gb/s are 25 GB/s


def test_usable_memory_is_what_the_driver_reports() -> None:
    # An H100 sold as 80 GB reports 81559 MiB: 85,520,809,984 bytes (modal-labs/modal-client pull 2797).
    assert gpu(memory_reported="81559 MiB").usable_memory == 85_520_809_984
    assert gpu().usable_memory == 80e9


def test_a_domain_is_one_device_without_a_fabric() -> None:
    assert gpu().domain == 8
    assert gpu(scale_up=None).domain == 1


@pytest.mark.parametrize(
    ("rates", "asked", "used"),
    [
        ({"bf16": 312e12, "int8": 624e12}, "fp8", "bf16"),  # A100: no fp8
        ({"fp16": 125e12, "fp32": 15.7e12}, "bf16", "fp16"),  # V100: no bf16
        ({"fp16": 125e12, "fp32": 15.7e12}, "fp8", "fp16"),
        ({"bf16": 989e12, "fp8": 1979e12}, "fp4", "fp8"),  # Hopper: no fp4
        ({"bf16": 312e12, "int8": 624e12}, "fp4", "bf16"),
        ({"bf16": 432e12, "fp8": 865e12}, "int8", "bf16"),  # Gaudi 2: no int8
        ({"bf16": 275e12, "int8": 275e12}, "int4", "int8"),
        ({"fp32": 28e12}, "bf16", "fp32"),
        ({"fp32": 28e12, "tf32": 156e12}, "tf32", "tf32"),
    ],
)
def test_missing_precisions_run_in_a_wider_one(rates: dict[str, float], asked: str, used: str) -> None:
    machine = gpu(peak_flops=rates)
    assert machine.peak(asked) == (rates[used], used)
    assert machine.supports(asked) == (asked == used)


def test_less_precision_never_stands_in_for_more() -> None:
    bits = {
        "fp64": 64,
        "fp32": 32,
        "tf32": 19,
        "bf16": 16,
        "fp16": 16,
        "fp8": 8,
        "int8": 8,
        "fp4": 4,
        "int4": 4,
    }
    for asked, stand_ins in FALLBACKS.items():
        assert all(bits[key] >= bits[asked] for key in stand_ins), asked


@pytest.mark.parametrize(
    ("asked", "message"),
    [("fp64", "has no known fp64 rate; it has fp32, bf16, int8"), ("bf61", "did you mean 'bf16'")],
)
def test_a_rate_that_is_not_known_is_an_error(asked: str, message: str) -> None:
    with pytest.raises(CostcalcError, match=message):
        gpu().peak(asked)


def test_ridge_point() -> None:
    # NVIDIA A100 data sheet: 312 TFLOP/s over 2,039 GB/s.
    assert gpu().ridge_point("bf16") == pytest.approx(153.0, abs=0.05)


def test_links_broadcast_over_group_sizes() -> None:
    rate = gpu().link_bandwidth(np.array([[1, 2], [8, 9]]))
    np.testing.assert_array_equal(rate, [[np.inf, 300e9], [300e9, 25e9]])
    assert gpu().link_bandwidth(4) == 300e9
    assert isinstance(gpu().link_bandwidth(4), float)


@pytest.mark.parametrize(
    ("changes", "devices", "message"),
    [
        ({"scale_out": None}, 16, "no known link beyond 8 devices"),
        ({"scale_up": None, "scale_out": None}, 2, "no known link between devices"),
        (
            {"scale_up": {"technology": "chip-to-chip", "domain": 576}},
            2,
            "scale-up bandwidth .* is not known",
        ),
    ],
)
def test_unknown_links_are_errors(changes: dict[str, Any], devices: int, message: str) -> None:
    machine = gpu(**changes)
    assert machine.link_bandwidth(1) == np.inf
    with pytest.raises(CostcalcError, match=message):
        machine.link_bandwidth(devices)


PRICES = [
    {
        "provider": "Lambda",
        "kind": "on-demand",
        "usd_per_gpu_hour": 4.29,
        "source": "x",
        "date": "2026-09-16",
    },
    {"provider": "Lambda", "kind": "reserved", "usd_per_gpu_hour": 2.76, "source": "x", "date": "2026-03-28"},
    {"provider": "Nebius", "kind": "spot", "usd_per_gpu_hour": 1.25, "source": "x", "date": "2026"},
    {"provider": "Verda", "kind": "spot", "usd_per_gpu_hour": 0.80, "source": "x", "date": "2026"},
    {"provider": "Old Cloud", "kind": "spot", "usd_per_gpu_hour": 0.10, "source": "x", "date": "2025-12-31"},
    {
        "provider": "Vast.ai",
        "kind": "marketplace",
        "usd_per_gpu_hour": 1.87,
        "source": "x",
        "date": "2026-01",
    },
    {
        "provider": "RunPod secure cloud",
        "kind": "on-demand",
        "usd_per_gpu_hour": 3.49,
        "source": "x",
        "date": "2026",
    },
]
PRICED = {
    "price": {"usd_per_gpu_hour": "$2/h", "kind": "on-demand", "source": "an article", "date": "2025-01-17"},
    "prices": PRICES,
}


@pytest.mark.parametrize(
    ("words", "usd"),
    [
        (None, 2.00),
        ("default", 2.00),
        ("2.50", 2.50),
        ("$1.99/h", 1.99),
        ("0", 0.0),
        ("lambda", 4.29),  # the newest date wins
        ("LAMBDA reserved", 2.76),
        ("reserved, lambda", 2.76),
        ("spot", 1.025),  # the median of the newest year: (1.25 + 0.80) / 2; an older one is not current
        ("nebius spot", 1.25),
        ("preemptible", 1.025),
        ("on demand", 3.89),  # (4.29 + 3.49) / 2
        ("market median", 3.89),
        ("verda spot", 0.80),
        ("ondemand secure", 3.49),
        ("vast", 1.87),
        ("vast.ai", 1.87),
        ("runpod", 3.49),
    ],
)
def test_prices_by_words(words: str | None, usd: float) -> None:
    choice = gpu(**PRICED).price_for(words)
    assert choice is not None
    assert choice.usd_per_gpu_hour == usd


def test_a_choice_tells_where_it_is_from() -> None:
    choice = gpu(**PRICED).price_for("spot")
    assert choice is not None
    assert (choice.provider, choice.kind, choice.date, choice.matches) == ("median of 2 providers", "spot", "2026", 2)
    assert choice.source == "Verda $0.80, Nebius $1.25"
    assert choice.offer == "spot, median of 2 providers, 2026"
    for words in ("2.00", 2, 2.0):
        typed = gpu(**PRICED).price_for(words)
        assert typed is not None
        assert (typed.usd_per_gpu_hour, typed.provider, typed.source, typed.kind) == (2.0, None, None, None)


def test_no_price_is_no_price() -> None:
    assert gpu().price_for() is None
    with pytest.raises(CostcalcError, match=r"no price of Test GPU fits 'spot': none is known; type a number"):
        gpu().price_for("spot")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("lamda", "did you mean 'lambda'"),
        ("sopt", "did you mean 'spot'"),
        (
            "azure",
            "one of: default, on-demand, reserved, spot, marketplace, lambda, nebius, verda, old, vast",
        ),
        ("lambda spot", "one of: default, on-demand"),
        ("", "one of: default"),
        ("-2", "negative"),
        ("2 bananas", "bananas"),
        ("nan", "one of"),
        ("verda", "Verda lists Test GPU as spot only; type 'verda spot'"),
        ("market", "may mean two things; on-demand is the median of the market, marketplace what private hosts ask"),
        ("spot reserved", "one of: default, on-demand"),
    ],
)
def test_words_without_a_price_name_those_with_one(words: str, hint: str) -> None:
    with pytest.raises(CostcalcError, match=hint) as caught:
        gpu(**PRICED).price_for(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memmory": "80 GB"}, "memmory: unknown key; did you mean 'memory'"),
        ({"memory": "80"}, "unit is missing"),
        ({"memory_bandwidth": "3.35 TB"}, "bandwidth"),
        ({"peak_flops": {}}, "peak_flops: peak_flops needs at least one precision"),
        ({"peak_flops": {"bf17": 1e12}}, "peak_flops.bf17: unknown key; did you mean"),
        ({"node_size": 0}, "greater than 0"),
        ({"released": "last year"}, "pattern"),
        ({"vendor": "NVIDIA Corp."}, "pattern"),
        ({"status": "rumoured"}, "announced"),
        (
            {"sources": [{**SOURCE, "fields": ["memory_bandwith"], "provenance": "seen"}]},
            "^sources: .*memory_bandwidth",
        ),
        ({"sources": [{**SOURCE, "fields": [], "provenance": "seen"}]}, "at least 1"),
        ({"sources": [{**SOURCE, "fields": ["memory"], "provenance": "guessed"}]}, "seen"),
        ({"capex": {**SOURCE, "usd": "$25k", "date": "26-01"}}, "pattern"),
    ],
)
def test_bad_profiles_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError, match=message):
        gpu(**changes)


def test_a_profile_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError, match="memory"):
        gpu().memory = 1.0  # type: ignore[misc]
