"""Times of steps as tables: one call of `predict` for decode and one for prompts, interpolated while requests replay.

A decode step is tabulated over batch and mean context, and is linear between contexts, so that many steps of one batch
are summed in closed form; what a prompt takes is tabulated over its fresh tokens, the tokens cached before them and the
batch that it joins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

from costcalc.engine.parallelism import Parallelism
from costcalc.fields import Array
from costcalc.predict.predict import predict
from costcalc.predict.scenario import Scenario

DENSE = 32
"""Batches up to which every one is tabulated: the tiles of small products make steps uneven there."""
FINER, COARSER = 1.1, 1.25
"""Ratios of neighbouring batches, and of neighbouring lengths: linear between them, a quadratic term is off by less
than (1.25 - 1)² / 4 = 1.6%."""
SHORTEST = 16.0
"""Tokens: the first length after one, a block of vLLM's."""


def ladder(low: float, high: float, ratio: float, also: Sequence[float] = ()) -> list[float]:
    """Values from `low` to at least `high`, each `ratio` times the one before, and others that are met often."""
    count = max(int(np.ceil(np.log(max(high / low, 1.0)) / np.log(ratio))), 1)
    return sorted({float(each) for each in (*(low * ratio ** np.arange(count + 1)), *also)})


class DecodeRow:
    """Decode steps of one batch: piecewise linear in the mean context."""

    __slots__ = ("at", "seconds", "slopes", "total")

    def __init__(self, at: list[float], seconds: list[float]) -> None:
        self.at, self.seconds = at, seconds
        gaps = [high - low for low, high in pairwise(at)]
        pairs = list(pairwise(seconds))
        self.slopes = [(high - low) / gap for (low, high), gap in zip(pairs, gaps, strict=True)]
        areas = ((low + high) / 2 * gap for (low, high), gap in zip(pairs, gaps, strict=True))
        self.total = list(accumulate(areas, initial=0.0))

    def step(self, context: float) -> float:
        """Time of a step at a mean context [tokens] [s]."""
        index = min(max(bisect_right(self.at, context) - 1, 0), len(self.slopes) - 1)
        return self.seconds[index] + self.slopes[index] * (context - self.at[index])

    def _until(self, context: float) -> float:
        """The integral of the step's time over contexts [s·tokens]."""
        index = min(max(bisect_right(self.at, context) - 1, 0), len(self.slopes) - 1)
        beyond = context - self.at[index]
        return self.total[index] + beyond * (self.seconds[index] + self.slopes[index] * beyond / 2)

    def steps(self, context: float, count: int, grows: float = 1.0) -> float:
        """Time of `count` steps, the first at `context`, each `grows` [tokens] further [s].

        The sum of a linear function over c, c + g, ... is its integral from c - g/2 on over g.
        """
        low = context - grows / 2
        return (self._until(low + count * grows) - self._until(low)) / grows

    def steps_in(self, context: float, most: int, seconds: float, grows: float = 1.0) -> int:
        """The fewest steps that take at least `seconds`, from 1 to `most`."""
        if seconds <= 0 or most <= 1:
            return 1
        count = min(max(int(seconds / self.step(context)), 1), most)
        count += int((seconds - self.steps(context, count, grows)) / self.step(context + count * grows))
        count = min(max(count, 1), most)
        while count < most and self.steps(context, count, grows) < seconds:
            count += 1
        while count > 1 and self.steps(context, count - 1, grows) >= seconds:
            count -= 1
        return count


class PromptRow:
    """What prompts take beside one batch: bilinear in fresh and cached tokens."""

    __slots__ = ("cached", "fresh", "joining", "riding")

    def __init__(
        self, fresh: list[float], cached: list[float], joining: list[list[float]], riding: list[list[float]]
    ) -> None:
        self.fresh, self.cached, self.joining, self.riding = fresh, cached, joining, riding

    def own_pass(self, fresh: float, cached: float) -> float:
        """Time of a pass that a prompt is in [s]."""
        return self._at(self.joining, fresh, cached)

    def added(self, fresh: float, cached: float) -> float:
        """Time that it takes from the running requests [s]."""
        return self._at(self.riding, fresh, cached)

    def _at(self, table: list[list[float]], fresh: float, cached: float) -> float:
        index, share = _place(self.fresh, fresh)
        if len(self.cached) == 1:
            [column] = table
            return column[index] + share * (column[index + 1] - column[index])
        row, of_row = _place(self.cached, cached)
        low, high = table[row], table[row + 1]
        below = low[index] + share * (low[index + 1] - low[index])
        above = high[index] + share * (high[index + 1] - high[index])
        return below + of_row * (above - below)


def _place(knots: list[float], value: float) -> tuple[int, float]:
    """The knot below a value, and the share of the way to the next one; beyond the last two, their line goes on."""
    index = min(max(bisect_right(knots, value) - 1, 0), len(knots) - 2)
    return index, (value - knots[index]) / (knots[index + 1] - knots[index])


class StepTimes:
    """Tables of one replica, a row for each batch, made when it is first met."""

    def __init__(
        self, batches: Any, contexts: Sequence[float], decode: Any,
        joined: Any, fresh: Sequence[float], cached: Sequence[float], joining: Any, riding: Any,
    ) -> None:  # fmt: skip
        """batches, contexts: of `decode` [s]. joined, cached, fresh: of `joining` and `riding` [s], in this order."""
        self._batches, self._contexts, self._decode = np.asarray(batches), list(contexts), np.asarray(decode)
        self._joined, self._fresh, self._cached = np.asarray(joined), list(fresh), list(cached)
        self._joining, self._riding = np.asarray(joining), np.asarray(riding)
        self._rows: dict[int, DecodeRow] = {}
        self._prompts: dict[int, PromptRow] = {}

    def decode(self, batch: int) -> DecodeRow:
        """Decode steps of a batch [sequences]."""
        found = self._rows.get(batch)
        if found is None:
            found = self._rows[batch] = DecodeRow(self._contexts, _between(self._batches, self._decode, batch))
        return found

    def prompts(self, batch: int) -> PromptRow:
        """Prompts beside a batch [sequences]."""
        found = self._prompts.get(batch)
        if found is None:
            tables = (_between(self._joined, table, batch) for table in (self._joining, self._riding))
            found = self._prompts[batch] = PromptRow(self._fresh, self._cached, *tables)
        return found


def _between(knots: Array, table: Array, batch: int) -> list[Any]:
    """The table at a batch, linear between the two beside it, as lists."""
    high = int(np.clip(np.searchsorted(knots, batch), 1, len(knots) - 1)) if len(knots) > 1 else 0
    if not high:
        return list(table[0].tolist())
    share = np.clip((batch - knots[high - 1]) / (knots[high] - knots[high - 1]), 0.0, 1.0)
    return list((table[high - 1] + share * (table[high] - table[high - 1])).tolist())


@np.errstate(all="ignore")
def step_times(
    scenario: Scenario,
    layout: Parallelism,
    sequences: int,
    longest: float,
    lengths: Sequence[float] = (),
    reuse: bool = False,
) -> StepTimes:
    """Tabulate one replica: what `predict` says of its steps and prompts.

    sequences: that it runs at most. longest: request, input and output together [tokens]. lengths: of prompts that are
    met often [tokens]. reuse: whether prompts begin with cached tokens that differ from one to the next; otherwise the
    scenario's share of each is cached.
    """
    q = scenario
    few = list(range(1, min(sequences, DENSE) + 1))
    batches = np.array([*few, *ladder(DENSE, sequences, FINER)[1:]] if sequences > DENSE else few, dtype=float)
    batches = np.unique(np.minimum(np.ceil(batches), max(sequences, 1)))
    contexts = [1.0, *ladder(SHORTEST, max(longest, 2 * SHORTEST), COARSER)]
    grid = predict(replace(q, context=np.array(contexts)[None, :]), layout, batches[:, None], full=False)
    decode = np.broadcast_to(grid.step.seconds, (len(batches), len(contexts)))

    joined = np.array(ladder(1, max(sequences, 2), 2.0))
    fresh = [1.0, *ladder(SHORTEST, max(longest, 2 * SHORTEST), COARSER, lengths)]
    cached = [0.0, *ladder(512.0, max(longest, 1024.0), 2.0)] if reuse else [0.0]
    here = np.array(cached)[None, :, None]
    new = np.array(fresh)[None, None, :]
    prompt = (new + here) if reuse else new / (1 - q.cached)
    asked = replace(q, context=q.decode_context, input_tokens=prompt, cached=here / prompt if reuse else q.cached)
    at = predict(asked, layout, joined[:, None, None], full=False)
    shape = (len(joined), len(cached), len(fresh))
    joining, riding = (np.broadcast_to(each, shape) for each in (at.joining, at.interference))
    return StepTimes(batches, contexts, decode, joined, fresh, cached, joining, riding)
