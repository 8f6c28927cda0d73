"""Every exact or derived figure of published.yaml that costcalc can express comes out of it."""

from __future__ import annotations

import numpy as np
import pytest
from expressed import EXPRESSED, NOT_EXPRESSED
from published import CASES, SOURCES, ids


@pytest.mark.parametrize("name", EXPRESSED)
def test_published_figure(name: str) -> None:
    case = CASES[name]
    found = EXPRESSED[name](case["inputs"])
    assert np.ndim(found) == 0
    assert float(found) == pytest.approx(case["expected"], rel=case["tolerance"]["rel"]), case["source"]


def test_every_exact_and_derived_case_is_run_or_listed() -> None:
    assert set(ids("exact", "derived")) == EXPRESSED.keys() | NOT_EXPRESSED.keys()
    assert not EXPRESSED.keys() & NOT_EXPRESSED.keys()


def test_every_case_names_a_known_source() -> None:
    for case in CASES.values():
        assert case["source"]["of"] in SOURCES, case["id"]
        assert case["source"]["provenance"] in ("seen", "recalled"), case["id"]
