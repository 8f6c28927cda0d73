"""Times and rates as formulas: what users see, a decode step and a pass of prefill, down to each op of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import ceil, log10

import numpy as np

from costcalc.engine.latency.op_times import OpTime
from costcalc.engine.parallelism import Chosen
from costcalc.engine.roofline import Addition, Term
from costcalc.engine.step import Step
from costcalc.predict.breakdown import breakdown_of
from costcalc.predict.predict import Prediction
from costcalc.predict.results import Estimate, Formula, OpResult
from costcalc.predict.scenario import Scenario
from costcalc.units import format_count, format_rate, format_seconds


def serving_formulas(r: Estimate, at: Prediction) -> list[Formula]:
    """Return the formulas of times and rates under load; none where only terms of the bill were counted.

    r: the estimate. at: the engine's own numbers for it.
    """
    s, d = r.serving, r.decode
    if s.time_per_output_token_s is None or r.prefill.time_s is None or d.step_time_s is None:
        return []
    w = r.workload
    formula, numbers = "step / tokens per step", f"{format_seconds(d.step_time_s)} / {w.tokens_per_step:.4g}"
    source = "pools of their own: decode waits for no prefill"
    if at.static:
        source = "a batch that begins together waits for no prefill"
    elif not w.disaggregated:
        taken = format_seconds(plain(at.interference))
        formula += " + (batch - 1) / output × what a prompt takes from the running ones"
        numbers += f" + {w.batch - 1:.10g} / {w.output_tokens:.10g} × {taken}"
        source = "closed loop: every finished request is followed by another (docs/method.md)"
    pace = Formula(
        "serving.time_per_output_token_s",
        "Time between a user's tokens while others' prompts are prefilled",
        formula,
        numbers,
        s.time_per_output_token_s,
        "s",
        source,
    )
    return [*_rates(r, at), pace, _first_token(r, at)]


def _rates(r: Estimate, at: Prediction) -> list[Formula]:
    """Output tokens that are served, of a GPU and of a user."""
    s, w, machine = r.serving, r.workload, r.deployment
    assert s.output_tokens_per_s_per_gpu is not None and s.tokens_per_s_per_user is not None
    prompt, decoding = plain(at.interference), w.output_tokens / plain(at.decode_tokens_per_s())
    formula = "replicas × output tokens / (time of a replica for a prompt + for its output tokens) / GPUs"
    tokens = f"{w.output_tokens:.10g}"
    if at.static:
        formula = "replicas × batch × output tokens / (prefill of the batch + time of its output tokens) / GPUs"
        tokens = f"{w.batch:.10g} × {tokens}"
        prompt, decoding = plain(at.prefill.seconds), w.output_tokens / plain(at.user_tokens_per_s())
    numbers = (
        f"{machine.replicas} × {tokens} / ({format_seconds(prompt)} + {format_seconds(decoding)}) / {machine.gpus}"
    )
    if s.prefill_gpus is not None and s.output_tokens_per_s is not None:
        formula = "output tokens of both pools, as many as the slower one allows, / GPUs of both"
        numbers = (
            f"{format_rate(s.output_tokens_per_s, 'tokens/s')} / ({machine.gpus} + {format_count(s.prefill_gpus)})"
        )
    return [
        Formula(
            "serving.output_tokens_per_s_per_gpu",
            "Output tokens of a GPU, the prefills of their prompts included",
            formula,
            numbers,
            s.output_tokens_per_s_per_gpu,
            "tokens/s",
            "every request brings its prompt; of both pools where they are apart (docs/method.md)",
        ),
        Formula(
            "serving.tokens_per_s_per_user",
            "Output tokens of one user",
            "1 / time per output token",
            f"1 / {format_seconds(s.time_per_output_token_s)}",
            s.tokens_per_s_per_user,
            "tokens/s",
            "definition",
        ),
    ]


def _first_token(r: Estimate, at: Prediction) -> Formula:
    s, p = r.serving, r.prefill
    assert s.time_to_first_token_s is not None and p.time_s is not None
    formula = "start-up + steps until it is admitted, prompts in them × their time + its prefill + wait for others"
    steps, step = format_count(plain(at.admission_steps)), plain(at.time_per_output_token * at.accepted)
    numbers = f"{format_seconds(plain(at.startup))} + {steps} × {format_seconds(step)} + "
    numbers += f"{format_seconds(plain(at.joining))} + {format_seconds(plain(at.wait))}"
    if at.static:
        formula, numbers = "prefill of the whole batch", format_seconds(p.time_s)
    return Formula(
        "serving.time_to_first_token_s",
        "Time to first token",
        formula,
        numbers,
        s.time_to_first_token_s,
        "s",
        "a queue with one server in a closed loop: Reiser and Lavenberg 1980 (docs/method.md)",
    )


def decode_formulas(q: Scenario, r: Estimate, at: Prediction) -> list[Formula]:
    assert r.decode.bound_by is not None
    bound = Formula(
        "decode.bound_by",
        "What most of a step's time is spent on",
        "the largest sum over ops: of those that wait for memory, arithmetic, links, or the engine",
        _by_bound(r),
        r.decode.bound_by,
        "by time",
        "roofline: Williams et al. 2009",
    )
    return [_step(q, r, at), bound, *_decode_rates(r)]


def _step(q: Scenario, r: Estimate, at: Prediction) -> Formula:
    assert r.decode.step_time_s is not None
    constants = q.constants.provenance.source if q.calibrated else "all efficiencies 1"
    return Formula(
        "decode.step_time_s",
        "One decode step",
        "sum over ops of layers × [bytes / (share × bandwidth) and FLOPs × padding / (share × peak), joined] "
        "+ links + overheads",
        _sum_of_ops(r.breakdown),
        r.decode.step_time_s,
        "s",
        f"roofline: Williams et al. 2009; constants: {constants}",
        parts=_parts_of(at.step, "decode.step_time_s"),
    )


def _sum_of_ops(ops: Sequence[OpResult]) -> str:
    return " + ".join(f"{op.op} {format_seconds(op.time_s)}" for op in ops)


def _decode_rates(r: Estimate) -> list[Formula]:
    """Output tokens while decoding, of all GPUs, of one and of a user."""
    d, w = r.decode, r.workload
    assert d.tokens_per_s is not None and d.tokens_per_s_per_gpu is not None and d.tokens_per_s_per_user is not None
    step, passed = format_seconds(d.step_time_s), f"{w.tokens_per_step:.4g}"
    return [
        Formula(
            "decode.tokens_per_s",
            "Output tokens of all GPUs while decoding",
            "replicas × batch × tokens per step / step time",
            f"{r.deployment.replicas} × {w.batch:.10g} × {passed} / {step}",
            d.tokens_per_s,
            "tokens/s",
            "definition",
        ),
        Formula(
            "decode.tokens_per_s_per_gpu",
            "Output tokens of a GPU while decoding",
            "output tokens of all GPUs / GPUs",
            f"{format_rate(d.tokens_per_s, 'tokens/s')} / {r.deployment.gpus}",
            d.tokens_per_s_per_gpu,
            "tokens/s",
            "definition",
        ),
        Formula(
            "decode.tokens_per_s_per_user",
            "Output tokens of one user while decoding",
            "tokens per step / step time",
            f"{passed} / {step}",
            d.tokens_per_s_per_user,
            "tokens/s",
            "definition",
        ),
    ]


def _by_bound(r: Estimate) -> str:
    totals: dict[str, float] = {}
    for op in r.breakdown:
        totals[op.bound_by] = totals.get(op.bound_by, 0.0) + op.time_s
    ranked = sorted(totals.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} {format_seconds(seconds, 3)}" for name, seconds in ranked)


def prefill_formulas(chosen: Chosen, r: Estimate, at: Prediction) -> list[Formula]:
    p, w = r.prefill, r.workload
    if p.time_s is None:
        return []
    cached = w.input_tokens * w.cached_share
    behind = f" behind {cached:,.10g} cached" if cached else ""
    return [
        Formula(
            "prefill.time_s",
            "A pass of prefill with a prompt on every rank",
            f"the same sum over ops, for all T = {w.input_tokens - cached:,.10g} tokens of each of "
            f"{format_count(plain(at.prefill_prompts))} prompts at once{behind}: "
            f"2·P_active·T + causal attention FLOPs, P_active = {format_count(r.model.parameters.active)}",
            _sum_of_ops(breakdown_of(at.prefill, chosen.deployment.layout)),
            p.time_s,
            "s",
            "Pope et al. 2022 (2211.05102)",
            parts=_parts_of(at.prefill, "prefill.time_s"),
        )
    ]


# Where the time of a pass comes from, op by op: the terms and additions that the engine timed it by.


ROOFLINE = "Williams et al. 2009; efficiencies: docs/method.md"
_WORDS = {
    "memory": ("bytes", "bandwidth"),
    "compute": ("FLOPs", "peak"),
    "link": ("bytes over the link", "its bandwidth"),
    "network": ("bytes over the network", "its bandwidth"),
    "exponentials": ("exponentials", "their rate"),
}
"""What a term is made of, by its name: the amount and the peak."""


def _parts_of(step: Step, path: str) -> tuple[Formula, ...]:
    """Return the time of every op of a pass, longest first, and of what no op explains.

    step: the pass, timed. path: what stands before the names of the ops, as in 'decode.step_time_s'.
    """
    timed = sorted((op for op in step.ops if float(op.seconds) > 0), key=lambda op: -float(op.seconds))
    return (*(_op(op, path, ROOFLINE) for op in timed), *_besides(step, path))


def _op(op: OpTime, path: str, source: str) -> Formula:
    """The time of one op: calls × (terms, joined, + additions)."""
    terms = [term for term in op.terms if _some(term.seconds)]
    added = [each for each in op.additions if _some(each.seconds)]
    formula = [
        _joined([_words(term) for term in terms], plain(op.norm)),
        *(_words(each) if isinstance(each, Term) else each.name for each in added),
    ]
    numbers = [_joined([_numbers(term) for term in terms], plain(op.norm)), *map(_added, added)]
    calls = format_count(plain(op.calls))
    return Formula(
        f"{path}.{op.op}", op.op, _times("" if calls == "1" else "calls", formula),
        _times("" if calls == "1" else calls, numbers), float(op.seconds), "s", source,
    )  # fmt: skip


def _times(calls: str, summands: Sequence[str]) -> str:
    """So many times a sum, in parentheses where it needs them."""
    told = " + ".join(filter(None, summands))
    if not calls:
        return told
    return f"{calls} × ({told})" if " + " in told or " / " in told else f"{calls} × {told}"


def _words(term: Term) -> str:
    if term.name == "latency":
        return "latencies"
    amount, peak = _WORDS[term.name]
    more = "" if _shown_factor(term) is None else " × factor"
    return f"{amount}{more} / (share × {peak})" if plain(term.share) != 1 else f"{amount}{more} / {peak}"


def _numbers(term: Term) -> str:
    factor = _shown_factor(term)
    if term.name == "latency":
        return f"{format_count(plain(term.amount))} × {format_seconds(1 / plain(term.peak))}"
    amount = format_rate(plain(term.amount), term.unit) + ("" if factor is None else f" × {factor}")
    peak, share = format_rate(plain(term.peak), f"{term.unit}/s"), plain(term.share)
    return f"{amount} / {peak}" if share == 1 else f"{amount} / ({format_count(share)} × {peak})"


def _shown_factor(term: Term) -> str | None:
    """The factor, unless it makes no difference."""
    factor = format_count(plain(term.factor))
    return None if factor == "1" else factor


def _added(addition: Addition | Term) -> str:
    if isinstance(addition, Term):
        return _numbers(addition)
    count, each = format_count(plain(addition.count)), format_seconds(plain(addition.seconds_each))
    return f"{addition.name} {each}" if count == "1" else f"{count} {addition.name} × {each}"


def _joined(terms: Sequence[str], norm: float) -> str:
    """Terms that overlap perfectly, not at all, or in between."""
    if len(terms) < 2:
        return "".join(terms)
    if np.isinf(norm):
        return f"max({', '.join(terms)})"
    if norm == 1:
        return " + ".join(terms)
    return f"[{' + '.join(f'({term})^{norm:g}' for term in terms)}]^(1/{norm:g})"


def _besides(step: Step, path: str) -> Iterator[Formula]:
    """What engines add to a pass, and what hides behind its ops."""
    if step.drafting:
        drafting = _op(step.drafting, path, "docs/method.md")
        formula = "drafts × (prediction layers × (a step without drafts - LM head) / layers + LM head + sampling)"
        yield replace(drafting, formula=formula)
    overhead = plain(step.overhead_seconds)
    if overhead > 0:
        formula = "layers × what an engine adds to each, and to each sequence"
        numbers = " + ".join(_added(each) for each in step.overhead if _some(each.seconds))
        yield Formula(f"{path}.engine overhead", "engine overhead", formula, numbers, overhead, "s", "docs/method.md")
    hidden = step.hidden
    if _some(hidden.seconds):
        sent, busy = format_seconds(plain(hidden.sent)), format_seconds(plain(hidden.busy))
        share = "" if plain(hidden.share) == 1 else f"{format_count(plain(hidden.share))} × "
        yield Formula(
            f"{path}.hidden", "all-to-all that hides behind the others",
            "- min(all-to-all, share × computing time): two halves of the batch take turns",
            f"-min({sent}, {share}{busy})", -plain(hidden.seconds), "s", "DeepSeek-V3, 2412.19437, 3.2.3",
        )  # fmt: skip
    if _some(step.waiting_seconds):
        host, waiting = plain(step.host), plain(step.waiting_seconds)
        digits = digits_of_a_rest(host, waiting)
        yield Formula(
            f"{path}.waiting for the host", "waiting for the host",
            "what the server's process takes for the sequences of a rank, beyond what the GPUs take",
            f"{format_seconds(host, digits)} - {format_seconds(plain(step.gpu_seconds), digits)}",
            waiting, "s", "docs/method.md",
        )  # fmt: skip
    if _some(step.ageing_seconds):
        yield Formula(
            f"{path}.older engine", "older engine", "what an engine of that month takes more of a step × the step",
            f"{format_count(plain(step.slower) - 1)} × {format_seconds(plain(step.current_seconds))}",
            plain(step.ageing_seconds), "s", "docs/accuracy.md",
        )  # fmt: skip


MOST_DIGITS = 15


def digits_of_a_rest(whole: float, rest: float) -> int:
    """Digits that make the difference of terms as large as `whole` right to four."""
    return min(4 + max(0, ceil(log10(whole / rest))), MOST_DIGITS) if 0 < rest < whole else 4


def plain(number: object) -> float:
    """One number of the engine, which has arrays, as Python's own."""
    return float(np.asarray(number).item())


def _some(number: object) -> bool:
    return plain(number) > 0
