"""How the times and rates that users see come about, as formulas with the numbers put in."""

from __future__ import annotations

from costcalc.explore.plan import Plan
from costcalc.explore.question import Question
from costcalc.explore.result import Estimate, Formula
from costcalc.readable import format_seconds


def serving_formulas(q: Question, chosen: Plan, r: Estimate) -> list[Formula]:
    """Return the formulas of times and rates under load; none where only terms of the bill were counted.

    q: the question. chosen: the deployment. r: its estimate.
    """
    s, d = r.serving, r.decode
    if s.time_per_output_token_s is None or r.prefill.time_s is None or d.step_time_s is None:
        return []
    w = r.workload
    formula, numbers = "step / tokens per step", f"{format_seconds(d.step_time_s)} / {w.tokens_per_step:.4g}"
    source = "pools of their own: decode waits for no prefill"
    if not w.disaggregated:
        joined = (s.time_per_output_token_s - d.step_time_s / w.tokens_per_step) * w.output_tokens
        each = joined / (w.batch - 1) if w.batch > 1 else 0.0
        formula += " + (batch - 1) / output × what a prompt takes from the running ones"
        numbers += f" + {w.batch - 1} / {w.output_tokens:,.10g} × {format_seconds(each)}"
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
    return [*_rates(r), pace, _first_token(q, chosen, r)]


def _rates(r: Estimate) -> list[Formula]:
    """Output tokens that are served, of a GPU and of a user."""
    s, d, w, machine = r.serving, r.decode, r.workload, r.deployment
    assert s.output_tokens_per_s_per_gpu is not None and s.tokens_per_s_per_user is not None
    assert s.prefill_share is not None and d.tokens_per_s is not None
    decoding = w.output_tokens * machine.replicas / d.tokens_per_s
    joining = decoding * s.prefill_share / (1 - s.prefill_share)
    return [
        Formula(
            "serving.output_tokens_per_s_per_gpu",
            "Output tokens of a GPU, the prefills of their prompts included",
            "replicas × output tokens / (time of a replica for a prompt + for its output tokens) / GPUs",
            f"{machine.replicas} × {w.output_tokens:,.10g} / ({format_seconds(joining)} + {format_seconds(decoding)})"
            f" / {machine.gpus}",
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


def _first_token(q: Question, chosen: Plan, r: Estimate) -> Formula:
    s, p, d = r.serving, r.prefill, r.decode
    assert s.time_to_first_token_s is not None and p.time_s is not None and d.step_time_s is not None
    engine = q.constants.engine(q.backend) if q.backend else None
    startup = float(engine.startup) if engine else 0.0
    steps = 0.0
    if not q.options.disaggregated:
        balance = engine.balance_steps if engine and int(chosen.spread.layout.data) > 1 else 0.0
        steps = engine.admission_steps + balance if engine else 0.5
    queue = max(0.0, s.time_to_first_token_s - startup - steps * d.step_time_s - p.time_s)
    return Formula(
        "serving.time_to_first_token_s",
        "Time to first token",
        "start-up of a request + steps until it is admitted × step + its prefill + wait for the prefills ahead",
        f"{format_seconds(startup, 3)} + {steps:.4g} × {format_seconds(d.step_time_s)} + {format_seconds(p.time_s)} + "
        f"{format_seconds(queue if queue > 1e-9 else 0.0)}",
        s.time_to_first_token_s,
        "s",
        "a queue with one server in a closed loop: Reiser and Lavenberg 1980 (docs/method.md)",
    )
