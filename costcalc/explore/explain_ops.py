"""Where the time of a pass comes from, op by op: bytes, FLOPs, efficiencies, and what they amount to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from costcalc.arrays import Number
from costcalc.attention import LatentAttention
from costcalc.engine.imbalance import hottest_rank
from costcalc.engine.step import Step, prediction_layers
from costcalc.engine.timing import OpTime, flop_share, padding
from costcalc.engine.work import COMMUNICATION, Batch, Work, step_work
from costcalc.explore.plan import Plan
from costcalc.explore.question import Question
from costcalc.explore.result import Formula
from costcalc.readable import format_bytes, format_rate, format_seconds

ROOFLINE = "Williams et al. 2009; efficiencies: docs/method.md"


def op_formulas(question: Question, chosen: Plan, batch: Batch, step: Step, path: str) -> tuple[Formula, ...]:
    """Return the time of every op of a pass, longest first, and of what no op explains.

    chosen: the deployment. batch: what passes through the layers. step: the pass, timed.
    path: what stands before the names of the ops, as in 'decode.step_time_s'.
    """
    q = question
    works = step_work(q.model, chosen.spread.layout, q.formats, batch)
    if len(works) != len(step.ops):  # a term of the bill keeps some of them
        return ()
    timed = [(work, op) for work, op in zip(works, step.ops, strict=True) if float(op.seconds) > 0]
    timed.sort(key=lambda pair: -float(pair[1].seconds))
    found = [_op(q, work, op, path) for work, op in timed]
    return (*found, *_besides(q, batch, step, path))


def _op(q: Question, work: Work, op: OpTime, path: str) -> Formula:
    calls = _calls(work.layers)
    if work.kind in COMMUNICATION:
        formula = "calls × (bytes over the links / (share × their bandwidth) + latency)"
        each = format_seconds(float(op.seconds / work.layers), 3)
        numbers = f"{calls}{each} for {format_bytes(float(work.bytes), 3)} of {_gpus(work)}"
        numbers += f", at {q.efficiency.link:.3g} of the links' bandwidth"
    else:
        formula, numbers = _roofline(q, work)
        numbers = f"{calls}({numbers})" if calls else numbers
    return Formula(f"{path}.{work.op}", work.op, formula, numbers, float(op.seconds), "s", ROOFLINE)


def _roofline(q: Question, work: Work) -> tuple[str, str]:
    """The formula of an op that computes, and the numbers put in, both for one layer."""
    e, machine = q.efficiency, q.machine
    touched = pairs = 1.0
    if work.kind == "experts" and e.hottest_rank:
        pairs, touched = map(float, hottest_rank(work.routed, work.held, work.ranks, e.hottest_rank))
    passes = e.elementwise_passes if work.kind == "elementwise" and q.calibrated else 1.0
    memory = _term(
        format_bytes(float(work.bytes) * passes, 3), touched, e.share(e.bandwidth, work.kind),
        format_rate(float(machine.memory_bandwidth), "B/s", 3),
    )  # fmt: skip
    compute = _term(
        format_rate(float(work.flops), "FLOP", 3), pairs * float(np.asarray(padding(work, e))), flop_share(work, e),
        format_rate(float(machine.peak(work.precision)), "FLOP/s", 3),
    )  # fmt: skip
    norm = e.norms.get(work.kind, np.inf)
    parts, terms = [memory], ["bytes / (e_b × bandwidth)"]
    if float(np.max(work.flops)) > 0:
        parts, terms = [memory, compute], [*terms, "FLOPs / (e_f × peak)"]
    added = float(np.asarray(work.routed)) * e.routed_seconds
    added += e.quantize_seconds.get(work.weights, 0.0) if work.kind == "gemm" else 0.0
    if added:
        extra = "permuting" if work.kind == "experts" else "quantizing"
        return f"{_joined(terms, norm)} + {extra}", f"{_joined(parts, norm)} + {format_seconds(added, 3)}"
    return _joined(terms, norm), _joined(parts, norm)


def _term(amount: str, times: float, share: float, peak: str) -> str:
    more = "" if f"{times:.3g}" == "1" else f" × {times:.3g}"
    return f"{amount}{more} / {peak}" if share == 1 else f"{amount}{more} / ({share:.3g} × {peak})"


def _joined(terms: Sequence[str], norm: float) -> str:
    """Terms that overlap perfectly, not at all, or in between."""
    if len(terms) == 1:
        return terms[0]
    if np.isinf(norm):
        return f"max({', '.join(terms)})"
    if norm == 1:
        return " + ".join(terms)
    return f"[{' + '.join(f'({term})^{norm:g}' for term in terms)}]^(1/{norm:g})"


def _calls(layers: object) -> str:
    count = float(np.asarray(layers))
    return "" if count == 1 else f"{count:g} × "


def _gpus(work: Work) -> str:
    ranks = int(np.asarray(work.ranks))
    return f"each of {ranks:,} GPUs"


def _besides(q: Question, batch: Batch, step: Step, path: str) -> Iterator[Formula]:
    """What engines add to a pass, and what hides behind its ops."""
    overhead, hidden = float(np.asarray(step.overhead_seconds)), float(np.asarray(step.hidden_seconds))
    if step.drafting:
        formula = "drafts × (prediction layers / layers × (a step without drafts - LM head) + LM head + host)"
        share = f"{prediction_layers(q.model)} / {q.model.num_layers}"
        numbers = f"{q.drafts} × ({share} × a step of one token per sequence + LM head"
        numbers += f" + {format_seconds(q.efficiency.draft_seconds, 3)})"
        seconds = float(np.asarray(step.drafting.seconds))
        yield Formula(f"{path}.drafting", "drafting", formula, numbers, seconds, "s", "docs/method.md")
    if overhead > 0:
        numbers = " + ".join(_overheads(q, batch))
        formula = "layers × what an engine adds to each, and to each sequence"
        yield Formula(f"{path}.engine overhead", "engine overhead", formula, numbers, overhead, "s", "docs/method.md")
    if hidden > 0:
        formula = "- min(all-to-all, share × computing time): two halves of the batch take turns"
        yield Formula(
            f"{path}.hidden", "all-to-all that hides behind the others", formula,
            f"share {q.efficiency.overlap:.3g}", -hidden, "s", "DeepSeek-V3, 2412.19437, 3.2.3",
        )  # fmt: skip


def _overheads(q: Question, batch: Batch) -> Iterator[str]:
    e, model = q.efficiency, q.model
    experts = sum(n for n, layer in model.feedforward_layers() if layer.routed(model.hidden_size))
    latent = sum(n for n, layer in model.attention_layers() if isinstance(layer, LatentAttention))
    counted: list[tuple[float, str, Number]] = [
        (model.num_layers, "layers", e.layer_seconds),
        (experts, "expert layers", e.expert_layer_seconds),
        (latent, "MLA layers", e.latent_layer_seconds),
    ]
    if batch.prefill:
        counted += [
            (model.num_layers, "layers of prefill", e.prefill_layer_seconds),
            (experts, "expert layers of prefill", e.prefill_expert_layer_seconds),
        ]
    else:
        counted.append((float(np.asarray(batch.sequences)), "sequences", e.sequence_seconds))
    for count, what, each in counted:
        if count and float(np.asarray(each)):
            yield f"{count:g} {what} × {format_seconds(float(np.asarray(each)), 3)}"
