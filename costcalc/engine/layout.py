"""How a model is spread over GPUs: the degrees of parallelism, scalars or arrays."""

from __future__ import annotations

from dataclasses import dataclass

from costcalc.arrays import Number


@dataclass(frozen=True, slots=True)
class Layout:
    """One replica: `tensor` x `data` GPUs in each of `pipeline` stages; experts spread over a stage.

    tensor t: divides matrices and heads. data g: attention data parallel, sequences are divided and
    attention weights repeated. expert e: whole experts on e groups of the stage's t·g GPUs, each expert
    cut over the (t·g)/e GPUs of its group. pipeline p: layers are divided.
    """

    tensor: Number = 1
    data: Number = 1
    expert: Number = 1
    pipeline: Number = 1

    @property
    def stage(self) -> Number:
        """GPUs of one pipeline stage, t·g."""
        return self.tensor * self.data

    @property
    def gpus(self) -> Number:
        """GPUs of the replica, t·g·p."""
        return self.stage * self.pipeline
