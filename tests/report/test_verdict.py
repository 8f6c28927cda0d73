"""The one sentence of an estimate: its words, its numbers, and what is left out where it is not known."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

import costcalc
from costcalc.predict.results import CostResult, Estimate, LimitsResult
from costcalc.report.estimate import estimate_page
from costcalc.report.page import plain_page
from costcalc.report.verdict import machines, margin_told, verdict


def asked(**options: Any) -> Estimate:
    return costcalc.estimate("v3", "h100", **options)


def test_it_says_who_is_served_how_fast_for_how_much_and_what_binds() -> None:
    found = asked()
    says = (
        r"16 H100s serve (?P<users>\d+) users at (?P<speed>[\d.]+) tok/s each for \$(?P<cost>[\d.]+) "
        r"\[(?P<low>[\d.]+)–(?P<high>[\d.]+)\] per million tokens; memory binds; "
        r"list price \$(?P<price>[\d.]+) \((?P<seller>[\w ]+)\): a loss of (?P<loss>\d+)% of the cost"
    )
    told = re.fullmatch(says, verdict(found))
    assert told is not None
    assert int(told["users"]) == found.workload.batch * found.deployment.replicas
    # A user gets one over the time per output token; a request's dollars are spread over all of its tokens.
    assert float(told["speed"]) == pytest.approx(1 / (found.serving.time_per_output_token_s or 0.0), rel=0.01)
    tokens = found.workload.input_tokens + found.workload.output_tokens
    assert float(told["cost"]) == pytest.approx((found.cost.usd_per_request or 0.0) / tokens * 1e6, rel=0.01)
    assert float(told["low"]) < float(told["cost"]) < float(told["high"])
    lowest = min(found.market, key=lambda each: each.blended_usd_per_million)
    assert float(told["price"]) == pytest.approx(lowest.blended_usd_per_million, rel=0.01)
    assert int(told["loss"]) == pytest.approx(100 * (1 - (lowest.price_over_cost or 0.0)), rel=0.03)


def test_it_is_the_first_line_of_the_page() -> None:
    found = asked()
    assert plain_page(estimate_page(found)).splitlines()[0] == verdict(found)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch": 16}, "16 H100s serve 16 users at "),
        ({"demand": "50 requests/s"}, r"\d+ H100s serve 50 requests/s at .* a month, \$[\d.]+ per million tokens; "),
        ({"demand": "300 users"}, r"\d+ H100s serve 300 users at .* for \$[\d,]+ a month, "),
        ({"disaggregated": True}, r"16 H100s, with [\d.]+ more for prefill, serve "),
        ({"tpot": "1ms"}, "Not within 1 ms per token: 16 H100s serve "),
        ({"ttft": "1ms"}, "Not within 1 ms to the first: 16 H100s serve "),
        (
            {"terms": "kv"},
            r"A term of the bill alone: \$[\d.]+ \[.*\] per million output tokens on 1 H100; memory binds",
        ),
        ({"efficiency": "ideal"}, r"16 H100s serve .* for \$[\d.]+ per million tokens; "),
    ],
)
def test_it_says_what_was_asked(options: dict[str, Any], says: str) -> None:
    assert re.match(says, verdict(asked(**options)))


def test_what_is_not_known_is_left_out() -> None:
    home = costcalc.estimate("gpt-oss-120b", "m4-max", batch=1)
    assert re.match(r"1 Apple M4 Max serves 1 user at [\d.]+ tok/s; no price is known; memory binds", verdict(home))
    assert "a loss" not in verdict(home) and "a margin" not in verdict(home)
    unlisted = replace(asked(), market=())
    assert verdict(unlisted).endswith("; memory binds")
    free = replace(asked(), cost=CostResult(None, None, None), limits=LimitsResult(1.0, None, True))
    assert "no price is known" in verdict(free)


def test_margins_are_shares_of_the_price_and_losses_of_the_cost() -> None:
    # $1.40 sold at $2.80 leaves half of that; sold at $1.10, it gets back all but 21%.
    assert [margin_told(1 - 1.40 / price) for price in (2.80, 1.10)] == ["a margin of 50%", "a loss of 21% of the cost"]
    found = costcalc.breakeven("llama-3.1-8b", "h100", sell="0.5/0.5")
    sold = replace(found.estimate, market=(found.sale,))
    assert f"asked of users): {margin_told(found.sale.margin)}" in verdict(sold)


@pytest.mark.parametrize(
    ("count", "name", "says"),
    [
        (16, "NVIDIA H100 SXM5 80GB", "16 H100s"),
        (1, "NVIDIA GeForce RTX 4090", "1 RTX 4090"),
        (2, "NVIDIA GeForce RTX 3060 Ti", "2 × RTX 3060 Ti"),
        (1024, "AMD Instinct MI300X", "1,024 MI300Xs"),
        (8, "NVIDIA GB200 NVL72 (per GPU)", "8 GB200 NVL72s"),
        (2, "Mine", "2 × Mine"),
    ],
)
def test_gpus_have_short_names(count: int, name: str, says: str) -> None:
    assert machines(count, name) == says
