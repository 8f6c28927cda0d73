"""The layout of a measured deployment: as recorded, mended where it cannot be, and what was mended."""

from __future__ import annotations

from dataclasses import replace

from costcalc.engine.layout import Layout
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.engine.precision import Formats
from costcalc.measured.load import Row
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec

_FITS = 0.9  # of the memory that the driver reports
_WIDEST = 64


def layout_of(row: Row, model: ModelSpec, machine: Accelerator, formats: Formats) -> tuple[Layout, tuple[str, ...]]:
    """The layout of one replica, and a note on each degree that was mended.

    Heads that do not divide are attention data parallelism, weights that are too large are spread further, and a
    tensor-parallel degree that is not recorded takes the GPUs that other degrees leave.
    """
    data, pipeline = float(row.get("dp_attn") or 1), float(row.get("pp") or 1)
    tensor, expert, notes = row.get("tp"), max(float(row.get("ep") or 1), 1.0), []
    if not tensor:
        tensor = 1.0 if row.get("disagg") else max(row["n_gpus"] // (data * pipeline), 1.0)
        if tensor > 1:
            notes.append(f"tp is not recorded: taken as {tensor:g}")
    if _query_heads(model) % tensor:
        notes.append(f"tp {tensor:g} does not divide the {_query_heads(model)} heads: taken as attention data parallel")
        tensor, data, expert = 1.0, tensor * data, tensor * data
    if expert > tensor * data:
        data = expert / tensor
    layout = Layout(tensor, data, expert if model.has_experts else 1.0, pipeline)
    room = _FITS * float(machine.usable_memory)
    while float(weights_bytes_per_gpu(model, layout, formats)) > room and layout.tensor < _WIDEST:
        layout = replace(layout, tensor=layout.tensor * 2)
    if layout.tensor > tensor:
        notes.append(f"the weights do not fit at tp {tensor:g}: taken as {layout.tensor:g}")
    return layout, tuple(notes)


def _query_heads(model: ModelSpec) -> int:
    layers = [layer for _, layer in model.attention_layers()]
    heads = max((layer.kv_heads for layer in layers), default=1)
    return max((getattr(layer, "num_attention_heads", heads) for layer in layers), default=heads)
