"""What all tests share: repeatable property tests, no catalog but the packaged one, and no defaults of the user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Slow machines and shared ones are no reason to fail, and a red run must be red again.
settings.register_profile(
    "costcalc",
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# 10^5 cases of tests/test_properties.py, other ones every night: `pytest --hypothesis-profile=nightly`.
settings.register_profile("nightly", settings.get_profile("costcalc"), derandomize=False, max_examples=4000)
settings.load_profile("costcalc")


@pytest.fixture(autouse=True)
def packaged_catalog_only(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the folders of whoever runs the tests out of the results."""
    empty: Path = tmp_path_factory.getbasetemp() / "no-config"
    for name in [each for each in os.environ if each.startswith("COSTCALC_")]:
        monkeypatch.delenv(name)
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.setenv(name, str(empty))
