"""The constants of the calibrated mode, read once."""

from __future__ import annotations

from functools import cache

from costcalc.catalog.load import load_spec
from costcalc.catalog.paths import packaged_root
from costcalc.specs.serving import ServingEfficiency


@cache
def serving_efficiency() -> ServingEfficiency:
    """The efficiency of serving engines: hardware_profiles/efficiency/serving.yaml."""
    path = packaged_root() / "hardware_profiles" / "efficiency" / "serving.yaml"
    return load_spec(ServingEfficiency, path, "efficiency")
