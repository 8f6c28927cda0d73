"""Weight matrices: what attention and feed-forward layers are counted in."""

from __future__ import annotations

from typing import Literal, NamedTuple

Split = Literal["tensor", "kv", "none"]


class Linear(NamedTuple):
    """A weight matrix: `inputs` x `outputs`, and how tensor parallelism divides it.

    `tensor` divides by the degree, `kv` by the degree up to the number of KV heads (replicated above it),
    `none` keeps a whole copy on every rank.
    """

    name: str
    inputs: float
    outputs: float
    split: Split = "tensor"

    @property
    def parameters(self) -> float:
        return self.inputs * self.outputs
