"""Reads published.yaml: figures of papers, datasheets and measurements, each with its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_DATA = yaml.safe_load(Path(__file__).with_name("published.yaml").read_text(encoding="utf-8"))

SOURCES: dict[str, dict[str, str]] = _DATA["sources"]
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in _DATA["cases"]}

BF16 = 2
HOUR = 3600.0


def ids(*kinds: str) -> list[str]:
    """Ids of the cases of some kinds."""
    return [name for name, case in CASES.items() if case["kind"] in kinds]
