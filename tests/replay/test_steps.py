"""Tables of times are what `predict` says, between their entries too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from costcalc.explore.search import choose_deployment
from costcalc.predict.predict import predict
from costcalc.predict.scenario import asked
from costcalc.replay.steps import step_times

MACHINES = [
    ("llama-3.1-70b", "4xh100", {}),
    ("gpt-oss-120b", "1xh200", {}),
    ("v3", "16xh200", {"backend": "sglang"}),
    ("gemma-3-27b", "1xa100-80gb-sxm", {}),
    ("qwen3-next-80b-a3b", "4xh100", {}),
]


@pytest.mark.parametrize(("model", "gpu", "options"), MACHINES)
def test_steps_between_entries_are_predicted_within_a_few_percent(
    model: str, gpu: str, options: dict[str, str]
) -> None:
    q = asked(model, gpu, options)
    layout = choose_deployment(q).deployment.layout
    times = step_times(q, layout, 512, 40_000.0)
    rng = np.random.default_rng(0)
    batches, contexts = rng.integers(1, 512, 60), rng.uniform(50, 40_000, 60)
    for batch, context in zip(batches.tolist(), contexts.tolist(), strict=True):
        exact = float(predict(replace(q, context=context), layout, batch).step.seconds)
        assert times.decode(batch).step(context) == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize(("model", "gpu", "options"), MACHINES)
@pytest.mark.parametrize("reuse", [False, True])
def test_prompts_between_entries_are_predicted_within_a_few_percent(
    model: str, gpu: str, options: dict[str, str], reuse: bool
) -> None:
    q = asked(model, gpu, options)
    layout = choose_deployment(q).deployment.layout
    times = step_times(q, layout, 512, 40_000.0, (1234.0,), reuse)
    rng = np.random.default_rng(1)
    errors = []
    for batch in (1, 7, 48, 300):
        for fresh in (100.0, 1234.0, *rng.uniform(300, 30_000, 8)):
            cached = float(rng.uniform(0, 20_000)) if reuse else 0.0
            here = replace(q, input_tokens=fresh + cached, cached=cached / (fresh + cached), context=q.decode_context)
            exact = predict(here, layout, batch, full=False)
            row = times.prompts(batch)
            told = row.own_pass(fresh, cached), row.added(fresh, cached)
            for ours, meant in zip(told, (exact.joining, exact.interference), strict=True):
                errors.append(abs(ours / float(meant) - 1))
    # The worst are short prompts beside few sequences, where tiles of experts fill by steps.
    assert np.median(errors) < 0.01 and max(errors) < 0.10
