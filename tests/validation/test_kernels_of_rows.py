"""What rows of kernel files mean: collectives and fabrics as sources write them, windows, and query tiles."""

from __future__ import annotations

import pytest

from costcalc.catalog.catalog import load_gpu
from costcalc.engine.latency.kernel_choice import query_tile_rows
from costcalc.errors import CostcalcError
from costcalc.validation.files import load_measurements
from costcalc.validation.kernels.collectives import collective_name
from costcalc.validation.score import score

DECODE = "gpu,kind,framework,kernel,kv_dtype,batch,context,q_heads,kv_heads,head_dim,ms,window_size,q_dtype\n"
COMM = "gpu,op,impl,n_gpus,bytes,fabric,ms\n"


def scored(tmp_path, kind, header, *lines):
    path = tmp_path / "rows.csv"
    path.write_text(header + "\n".join(lines) + "\n")
    return score(kind, load_measurements(path, kind).rows)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("allreduce", "all_reduce"),
        ("AllReduce", "all_reduce"),
        ("all-reduce", "all_reduce"),
        ("ncclAllReduce", "all_reduce"),
        ("all_to_all", "alltoall"),
        ("AllToAll", "alltoall"),
        ("allgather", "all_gather"),
        ("reduce-scatter", "reduce_scatter"),
        ("Broadcast", "broadcast"),
        ("sendrecv", "send_recv"),
        ("moe_a2a_dispatch_LL", "moe_a2a_dispatch_ll"),
    ],
)
def test_collectives_as_sources_write_them(written, meant):
    assert collective_name(written) == meant


def test_an_unknown_collective_names_the_nearest():
    with pytest.raises(CostcalcError, match="did you mean 'all_gather'"):
        collective_name("all_gathr")


def test_spellings_predict_the_same(tmp_path):
    one, other = scored(tmp_path, "comm", COMM, *(f"h100,{op},nccl,8,1e6,,1" for op in ("all_reduce", "AllReduce")))
    assert one["predicted"] == other["predicted"] and one["warning"] == ""


def test_a_broadcast_brings_the_whole_message_over_one_link(tmp_path):
    # doc/PERFORMANCE.md of NVIDIA/nccl-tests: t = S/B for a broadcast, S (n - 1)/(n B) for an all-gather.
    broadcast, gather = scored(tmp_path, "comm", COMM, *(f"h100,{op},nccl,8,8e9,,1" for op in ("bcast", "allgather")))
    assert broadcast["ideal"] == pytest.approx(8e9 / 450e9 * 1e3)
    assert gather["ideal"] == pytest.approx(7 / 8 * broadcast["ideal"])
    assert "broadcast was not measured" in broadcast["warning"] and gather["warning"] == ""
    assert broadcast["high"] / broadcast["predicted"] > gather["high"] / gather["predicted"]


@pytest.mark.parametrize("fabric", ["2 nodes", "InfiniBand"])
def test_between_nodes_the_network_decides(tmp_path, fabric):
    within, beyond = scored(
        tmp_path, "comm", COMM, f"h100,all_reduce,nccl,16,1e9,{fabric},1", "h100,all_reduce,,8,1e9,,1"
    )
    within, beyond = beyond, within
    assert beyond["predicted"] > 1.2 * within["predicted"] and "network" in beyond["warning"]
    network = load_gpu("h100").scale_out.bandwidth
    ranks, domains = (8, 2) if fabric == "2 nodes" else (1, 16)
    # Rings between nodes carry what is left after reducing inside of them, for each of the GPUs of a node.
    assert beyond["ideal"] >= 2 * (domains - 1) / domains * 1e9 / ranks / network * 1e3 * 0.5


def test_a_fabric_that_is_not_understood_is_told(tmp_path):
    odd, own, node, pcie = scored(
        tmp_path,
        "comm",
        COMM,
        *(f"h100,all_reduce,nccl,4,1e7,{name},1" for name in ("wet string", "NVSwitch", "1 nodes", "PCIe")),
    )
    assert odd["warning"] == "ignored: fabric=wet string" and odd["predicted"] == own["predicted"] == node["predicted"]
    assert own["warning"] == node["warning"] == "" and pcie["predicted"] > 3 * own["predicted"]


def test_a_window_limits_the_cache_that_is_read(tmp_path):
    row = "h100,GQA,vllm,,bf16,32,{},64,8,128,1,{},"
    whole, short, windowed, open_ended = scored(
        tmp_path, "decode_attention", DECODE, row.format(65536, ""), row.format(4096, ""), row.format(65536, 4096),
        row.format(65536, 0),
    )  # fmt: skip
    assert windowed["predicted"] == short["predicted"] < whole["predicted"] / 8
    assert open_ended["predicted"] == whole["predicted"]


def test_a_window_limits_the_pairs_of_a_prefill(tmp_path):
    header = "gpu,kind,batch,seq,q_heads,kv_heads,qk_head_dim,v_head_dim,ms,window\n"
    row = "h100,GQA,1,{},32,8,128,128,1,{}"
    whole, windowed = scored(tmp_path, "prefill_attention", header, row.format(65536, ""), row.format(65536, 1024))
    # A causal band of w keys has s w - w^2 / 2 pairs, the whole half square s^2 / 2.
    assert windowed["ideal"] / whole["ideal"] == pytest.approx((65536 * 1024 - 1024**2 / 2) / (65536**2 / 2))


def test_kinds_of_attention_that_are_not_known_are_refused_row_by_row(tmp_path):
    row = "h100,{},vllm,,auto,32,4096,64,8,128,1,{},"
    linear, sliding, known = scored(
        tmp_path, "decode_attention", DECODE, row.format("linear", ""), row.format("SWA", ""), row.format("gqa", "")
    )
    assert "unknown kind of attention 'linear'" in linear["excluded"] and "window_size is empty" in sliding["excluded"]
    assert known["excluded"] == ""


def test_what_a_row_states_and_nothing_looks_at_is_told(tmp_path):
    row = "h100,GQA,vllm,,fp8,32,4096,64,8,128,1,,{}"
    wide, narrow = scored(tmp_path, "decode_attention", DECODE, row.format("bf16"), row.format("fp8"))
    assert wide["warning"] == "" and narrow["warning"] == "ignored: q_dtype=fp8"


def test_columns_of_other_tools_that_change_the_time_are_told(tmp_path):
    header = "gpu,kind,batch,seq,q_heads,kv_heads,qk_head_dim,v_head_dim,ms,prefix,colour\n"
    row = "h100,GQA,1,4096,32,8,128,128,1,{},red"
    fresh, continued = scored(tmp_path, "prefill_attention", header, row.format(0), row.format(2048))
    assert fresh["warning"] == "" and continued["warning"] == "ignored: prefix=2048"
    header = "gpu,dtype,moe_dtype,tokens,hidden,inter,topk,experts,moe_tp,moe_ep,ms\n"
    row = "h100,{},{},64,4096,1536,8,128,1,1,1"
    same, other = scored(tmp_path, "moe", header, row.format("fp8", "fp8"), row.format("fp8", "nvfp4"))
    assert same["warning"] == "" and other["warning"] == "ignored: moe_dtype=nvfp4"


def test_where_flops_are_few_the_query_tile_decides(tmp_path):
    # One layer of Qwen3-235B on 8 H20 decoding 32 sequences of 3,500 tokens: FlashAttention 3 took 98 us and
    # FlashInfer 35 us (sgl-project/sglang pull request 6151); QwQ-32B made 2.2 times the tokens (issue 5630).
    row = "h20,GQA,sglang,{},bf16,32,3512,8,1,128,{},,"
    tiles, rows = scored(
        tmp_path, "decode_attention", DECODE, row.format("fa3", 0.098), row.format("flashinfer", 0.035)
    )
    for each in (tiles, rows):
        assert each["ape"] < 0.15 and each["low"] <= each["ms"] <= each["high"]
        assert "37 FLOP/B, fewer than any measured GPU" in each["warning"]
    known = scored(tmp_path, "decode_attention", DECODE, row.format("fa3", 0.098).replace("h20", "h200"))[0]
    assert known["warning"] == "" and known["high"] / known["predicted"] < tiles["high"] / tiles["predicted"]


def test_rows_of_a_query_tile():
    # FA2DetermineCtaTileQ of flashinfer-ai/flashinfer: 16 rows up to 16 packed heads, else 64.
    assert [query_tile_rows("flashinfer", group, "hopper") for group in (1, 8, 16, 17)] == [16, 16, 16, 64]
    assert query_tile_rows("fa3", 1, "hopper") == query_tile_rows("", 1, "hopper") == 64
    assert query_tile_rows("", 8, "ada") == 16
