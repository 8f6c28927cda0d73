"""What benchmarks wrote, read by its content and priced: real files, and the bill by hand."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import costcalc
from costcalc.errors import CostcalcError
from costcalc.report.export.files import as_csv, csv_rows
from costcalc.report.export.schema import schema_of
from costcalc.report.money.price import price_page
from costcalc.report.page import plain_page
from costcalc.validation.benchmarks import load_benchmarks
from costcalc.validation.price import dollars, price

FILES = Path(__file__).parent / "benchmarks"


def run(name, **options):
    return price(FILES / name, **options).rows[0]


def written(tmp_path, content, name="results.txt"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# Each form by what is in the file itself, never by its name.


@pytest.mark.parametrize(
    ("name", "tool", "model", "requests_per_s", "input_per_s", "output_per_s", "ttft_ms", "tpot_ms", "users"),
    [
        # request_throughput, total_token_throughput less output_throughput, output_throughput, medians
        ("vllm.json", "vllm", "openai/gpt-oss-120b", 8.172149, 8368.280, 8368.280, 168.495312, 14.892716, 128),
        ("aiperf.json", "aiperf", "qwen3.6-nvfp4", 5.232059, 1921.637, 1040.144, 120.509483, 13.248111, 16),
        ("genai-perf.json", "genai-perf", "ensemble", 17.222548, 3459.149, 44190.560, 172.809398, 2.178721, 100),
        ("guidellm.json", "guidellm", "openai/gpt-oss-20b", 0.032634, 3.025847, 33.417379, 47.660589, 29.910244, 1),
        ("inferencex.json", "inferencex", "moonshotai/Kimi-K2.5", 0.152748, 1116.409, 140.5646, 1816.828, 230.3172, 32),
    ],
)  # fmt: skip
def test_what_a_benchmark_says(
    tmp_path, name, tool, model, requests_per_s, input_per_s, output_per_s, ttft_ms, tpot_ms, users
):
    [found] = load_benchmarks([written(tmp_path, (FILES / name).read_text(encoding="utf-8"))]).read
    assert (found.tool, found.models[0]) == (tool, model)
    assert found.requests / found.seconds == pytest.approx(requests_per_s, rel=1e-5)
    assert found.input_tokens / found.seconds == pytest.approx(input_per_s, rel=1e-5)
    assert found.output_tokens / found.seconds == pytest.approx(output_per_s, rel=1e-5)
    assert (found.row["ttft_ms"], found.row["tpot_ms"]) == pytest.approx((ttft_ms, tpot_ms), rel=1e-6)
    assert found.row["concurrency"] == pytest.approx(users, rel=1e-4)


def test_requests_that_came_at_a_rate_are_in_flight_by_littles_law():
    first, second = load_benchmarks([FILES / "sglang.jsonl"]).read
    assert first.row["concurrency"] == pytest.approx(300 / 298.3675805 * 7.840616213)
    assert second.row["concurrency"] == pytest.approx(1200 / 296.856675425 * 12.896330808)
    # Without a time per output token: what is behind the first token, over the tokens behind it.
    assert first.row["tpot_ms"] == pytest.approx((7840.616213 - 85.745147) / (160347 / 300 - 1))


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("llama-bench.csv", [7285.676949, 119.915244]),
        ("llama-bench.json", [7100.002165]),
        ("llama-bench.md", [7340.20, 120.60, 6425.91, 116.71]),
    ],
)
def test_llama_bench_in_its_three_forms(name, rates):
    runs = load_benchmarks([FILES / name]).read
    assert [(each.input_tokens + each.output_tokens) / each.seconds for each in runs] == pytest.approx(rates)
    assert {each.row["dtype"] for each in runs} == {"q4_k_m"}
    assert all((each.row.get("gpu") == "NVIDIA GeForce RTX 4080") == (name != "llama-bench.md") for each in runs)


def test_a_prompt_behind_a_filled_cache_is_cached_by_its_depth():
    _, _, prompt, answer = load_benchmarks([FILES / "llama-bench.md"]).read
    assert (prompt.row["isl"], prompt.row["cached"]) == (1024, 0.5)
    assert (answer.row["isl"], answer.row["osl"]) == (512, 128)


def test_a_csv_of_ones_own(tmp_path):
    path = written(
        tmp_path, "gpu,n_gpus,model,isl,osl,concurrency,out_tok_s_gpu\nh100,8,llama-3.1-70b,1000,500,64,250\n"
    )
    found = price(path, price=2).rows[0]
    assert found.tokens_per_s_per_gpu == pytest.approx(250)
    # $2 an hour buys 250 tokens out and 500 in a second.
    assert found.usd_per_million_blended_tokens == pytest.approx(2 / 3600 / 750 * 1e6)
    assert found.usd_per_request == pytest.approx(2 / 3600 * 2)


# The bill.


@pytest.mark.parametrize(
    ("name", "options", "gpus", "seconds_per_request"),
    [
        ("vllm.json", {"gpu": "16xmi300x", "price": 3}, 16, 156.629553565057 / 1280),
        ("sglang.jsonl", {"gpu": "8xh200", "model": "llama-3.3-70b", "price": 3}, 8, 298.3675805060193 / 300),
        ("sglang.jsonl", {"gpu": "8xh200", "model": "llama-3.3-70b", "price": 3, "cached": 0.3}, 8, 298.3675805 / 300),
        ("guidellm.json", {"gpu": "4xh100", "price": 3}, 4, 1024 / 33.417378943280085),
        ("inferencex.json", {"price": 3}, 8, 209.495685253392 / 32),
        ("aiperf.json", {"gpu": "1xrtx-5090", "price": 3}, 1, 1 / 5.232059072013586),
        ("llama-bench.csv", {"price": 3}, 1, 512 / 7285.676949),
    ],
)  # fmt: skip
def test_parts_add_up_to_the_bill(name, options, gpus, seconds_per_request):
    found = run(name, **options)
    bill = gpus * seconds_per_request / 3600 * 3
    into, out = (
        (tokens or 0) * (usd or 0) / 1e6
        for tokens, usd in (
            (found.input_tokens, found.usd_per_million_input_tokens),
            (found.output_tokens, found.usd_per_million_output_tokens),
        )
    )
    assert into + out == pytest.approx(bill, rel=1e-9)
    assert found.usd_per_request == pytest.approx(bill, rel=1e-9)
    both = found.input_tokens + found.output_tokens
    assert found.usd_per_million_blended_tokens * both / 1e6 == pytest.approx(bill, rel=1e-9)


@given(
    bill=st.floats(1e-6, 1e3),
    tokens=st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)),
    share=st.floats(0, 1),
    cached=st.floats(0.01, 0.99),
    held=st.floats(0, 1),
)
def test_a_bill_is_the_sum_of_its_parts(bill, tokens, share, cached, held):
    into, of_cache, out, blended, request = dollars(bill, *tokens, share, cached, held)
    assert tokens[0] * into + tokens[1] * out == pytest.approx(bill * 1e6, rel=1e-9)
    fresh = bill * share * (1 - held) / (tokens[0] * (1 - cached)) * 1e6
    assert cached * of_cache + (1 - cached) * fresh == pytest.approx(into, rel=1e-9, abs=1e-12)
    assert (blended * sum(tokens), request) == pytest.approx((bill * 1e6, bill))


def test_the_split_is_that_of_the_estimate():
    found = run("sglang.jsonl", gpu="8xh200", model="llama-3.3-70b")
    p = found.predicted
    assert found.split == "predicted"
    assert found.usd_per_million_input_tokens / found.usd_per_million_output_tokens == pytest.approx(
        p.usd_per_million_input_tokens / p.usd_per_million_output_tokens, rel=1e-4
    )


def test_cached_tokens_are_dearer_than_nothing_and_cheaper_than_fresh_ones():
    found = run("sglang.jsonl", gpu="8xh200", model="llama-3.3-70b", cached=0.5)
    assert 0 < found.usd_per_million_cached_input_tokens < 0.2 * found.usd_per_million_input_tokens


def test_every_kind_of_price_is_the_same_gpu_hours():
    found = run("sglang.jsonl", gpu="8xh200", model="llama-3.3-70b")
    assert len(found.prices) > 2
    hours = {each.kind: each.usd_per_request / each.usd_per_gpu_hour for each in found.prices}
    assert list(hours.values()) == pytest.approx([found.gpu_hours_per_request] * len(hours))
    [spot] = run("sglang.jsonl", gpu="8xh200", model="llama-3.3-70b", price="spot").prices
    assert spot.usd_per_request == next(each.usd_per_request for each in found.prices if each.kind == "spot")


# Beside the prediction.


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sglang.jsonl", {"gpu": "8xh200", "model": "llama-3.3-70b"}),
        ("inferencex.json", {}),
        ("aiperf.json", {"gpu": "1xrtx-5090"}),
        ("vllm.json", {"gpu": "16xmi300x", "tensor_parallel": 8}),
        ("llama-bench.csv", {"price": 0.4}),
    ],
)
def test_the_command_gives_the_prediction(name, options, capsys):
    from costcalc.cli import main

    for found in price(FILES / name, **options).rows:
        words = found.predicted.command.replace("'25 ms'", "25ms").split()[1:]
        assert main([*words, "--format", "json"]) == 0
        tree = json.loads(capsys.readouterr().out)
        if found.predicted.time_to_first_token_s:
            assert found.predicted.time_to_first_token_s == pytest.approx(tree["serving"]["time_to_first_token_s"])
            low_high = tree["serving"]["output_tokens_per_s_per_gpu_range"]
            assert found.predicted.tokens_per_s_per_gpu_range == pytest.approx(low_high)
            blended = tree["cost"]["usd_per_million_blended_tokens"]
            assert found.predicted.usd_per_million_blended_tokens == pytest.approx(blended)
        elif found.input_tokens:
            assert found.predicted.prefill_time_s == pytest.approx(tree["prefill"]["time_s"])


def test_runs_of_one_deployment_are_predicted_as_each_alone(tmp_path):
    told = json.loads((FILES / "vllm.json").read_text(encoding="utf-8"))
    runs = [{**told, "max_concurrency": users, "total_input_tokens": 1280 * 50 * users} for users in (1, 7, 64, 300)]
    options = {"gpu": "8xh200", "model": "gpt-oss-120b"}
    together = price(written(tmp_path, runs), **options).rows
    for number, each in enumerate(runs):
        [alone] = price(written(tmp_path, each, f"{number}.json"), **options).rows
        assert together[number].predicted.command == alone.predicted.command
        for name in ("time_to_first_token_s", "tokens_per_s_per_gpu", "usd_per_million_input_tokens"):
            assert getattr(together[number].predicted, name) == pytest.approx(getattr(alone.predicted, name), rel=1e-9)


def test_dollars_without_a_known_model():
    found = run("genai-perf.json", gpus=2, price=2)
    assert found.predicted is None
    assert found.usd_per_million_input_tokens is None
    assert found.usd_per_million_blended_tokens == pytest.approx(2 * 2 / 3600 / (44190.56 + 3459.149) * 1e6, rel=1e-6)


def test_the_tree_is_as_its_schema_says():
    validator = Draft202012Validator(schema_of("price"))
    for result in (
        price([FILES / "sglang.jsonl", FILES / "guidellm.json"], gpu="8xh200", model="gpt-oss-20b"),
        price(FILES / "genai-perf.json", gpus=2, price=2),
        price(FILES / "llama-bench.csv"),
    ):
        validator.validate(json.loads(json.dumps(result.to_dict())))
        assert len(as_csv(csv_rows(result)).splitlines()) == len(result.rows) + 1


def test_it_is_public():
    assert costcalc.price is price


# What cannot be priced is one line.


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("{}", "of no known benchmark"),
        ("[]", "holds no run"),
        ("[1, 2]", "of no known benchmark"),
        ("[" * 100_000, "nested too deeply"),
        ('{"completed": 5, "total_output_tokens": ' + "9" * 5000 + "}", "too many digits"),
        ('{"completed": 0, "total_output_tokens": 5}', "results.txt: completed is 0; no run"),
        ('{"completed": 5, "total_output_tokens": NaN, "total_input_tokens": 3}', "total_output_tokens is nan"),
        ('{"completed": true, "total_output_tokens": 5}', "completed is true"),
        ('{"completed": 5, "total_output_tokens": 1e300, "total_input_tokens": 3}', "total_output_tokens is 1e"),
        ('{"completed": 5,\n "total_output', "results.txt:2:2"),
        ("isl,osl\n1,2\n", "of no known benchmark"),
        ("isl,osl,out_tok_s_gpu\n1000,x,5\n", "line 2: osl is not a number"),
        ("isl,osl,out_tok_s_gpu\n1000,10,\n", "none of out_tok_s_gpu"),
        ("| model | test | t/s |\n| - | - | - |\n| a | pp | 5 |\n", "neither a prompt nor an answer"),
        ('{"conc": 1, "tput_per_gpu": 5}', "tp is missing"),
        ('{"benchmarks": [{"metrics": {}}]}', "output_token_count is missing"),
        ('{"output_token_throughput": {"avg": 5}}', "request_throughput is missing"),
    ],
)
def test_what_is_no_benchmark_is_told(tmp_path, content, message):
    with pytest.raises(CostcalcError) as error:
        price(written(tmp_path, content), gpu="1xh100", model="llama-3.1-8b")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu": "h200"}, "does not say how many GPUs"),
        ({"gpus": 8}, "does not say which GPU"),
        ({"gpu": "8xh200", "batch": 4}, "this was measured"),
        ({"gpu": "8xh200", "model": "nonsense"}, "unknown model"),
        ({"gpu": "8xh200", "price": "nowhere"}, "no price of"),
    ],
)
def test_what_a_file_does_not_say_is_asked_for(options, message):
    with pytest.raises(CostcalcError) as error:
        run("sglang.jsonl", **options)
    assert message in str(error.value)


def spots(tree, path=()):
    """The path of every value of a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from spots(value, (*path, key))


@pytest.mark.parametrize("name", ["aiperf.json", "genai-perf.json", "guidellm.json", "inferencex.json", "vllm.json"])
@pytest.mark.parametrize("wrong", [5, -1, "x", True, None, [], [5], {}, {"x": 5}], ids=repr)
def test_any_value_of_another_type_is_read_or_told(tmp_path, name, wrong):
    # A profile whose "phases" was a number ended in a TypeError.
    base = json.loads((FILES / name).read_text())
    base = base if isinstance(base, dict) else base[0]
    for path in [*spots(base), *((name,) for name in ("config", "input_config", "records", "phases"))]:
        changed = json.loads(json.dumps(base))
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = wrong
        try:
            assert load_benchmarks([written(tmp_path, changed)]).read
        except CostcalcError as error:
            assert error.message


def test_a_run_that_cannot_be_read_is_left_out_and_told(tmp_path):
    good = json.loads((FILES / "vllm.json").read_text(encoding="utf-8"))
    found = price(written(tmp_path, [good, {**good, "completed": 0}]), gpu="8xh200")
    assert len(found.rows) == 1
    assert found.notes == ("1 run left out: results.txt, run 2: completed is 0.",)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.yaml", "~/model.yaml", ".", "models/v3.yaml"])
def test_a_name_in_a_file_opens_no_file(tmp_path, name):
    told = {**json.loads((FILES / "vllm.json").read_text(encoding="utf-8")), "model_id": name, "tokenizer_id": ""}
    [found] = load_benchmarks([written(tmp_path, told)]).read
    assert not any("/" in each or each.endswith(".yaml") for each in found.models)


def test_the_whole_of_a_run_is_told_where_its_file_counts_it(tmp_path):
    # Its file says 1,280 requests in 156.63 s, on eight GPUs.
    data = json.loads((FILES / "vllm.json").read_text())
    [row] = price(FILES / "vllm.json", gpu="8xh200", price=2.0).rows
    assert (row.total.requests, row.total.duration_s) == pytest.approx((data["completed"], data["duration"]))
    assert row.total.output_tokens == pytest.approx(data["total_output_tokens"])
    assert row.total.gpu_hours == pytest.approx(8 * data["duration"] / 3600)
    assert row.total.usd == pytest.approx(2.0 * 8 * data["duration"] / 3600)
    # Repetitions of a test, each timed; its table does not have them, nor InferenceX its requests.
    test = {"avg_ts": 100.0, "n_gen": 200, "n_prompt": 0, "model_type": "llama 8B Q4_0", "samples_ns": [2e9] * 5}
    (tmp_path / "five.json").write_text(json.dumps([test]))
    [five] = price(tmp_path / "five.json", gpu="1xh200", price=3.6).rows
    assert (five.total.requests, five.total.duration_s, five.total.usd) == pytest.approx((5, 10.0, 0.01))
    for name in ("llama-bench.md", "inferencex.json"):
        for each in price(FILES / name, gpu="8xh200", price=2.0).rows:
            assert set(each.to_dict()["total"].values()) == {None}
    page = plain_page(price_page(price([FILES / "vllm.json", FILES / "sglang.jsonl"], gpu="8xh200")))
    assert re.search(r"1,280 +2\.61 min +0\.348 ", page) and "1.67 GPU-hours and $7.59 of 3 runs together" in page
