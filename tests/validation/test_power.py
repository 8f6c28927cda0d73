"""Published watts and joules of serving agree with each other and with the data sheet."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import costcalc

FILE = Path(__file__).parents[2] / "measurements/power.csv"
ROWS = list(csv.DictReader(line for line in FILE.read_text().splitlines() if not line.startswith("#")))


def test_watts_are_joules_per_token_times_tokens_and_no_more_than_a_card_may_draw() -> None:
    assert len(ROWS) == 31
    for row in ROWS:
        watts = float(row["avg_power_w_per_gpu"])
        assert watts < costcalc.load_gpu(row["gpu"]).power
        if row["disagg"] == "0":  # pools count the tokens of one and the watts of both, not always alike
            for rate, joules in (("output_tok_s_gpu", "j_per_output_token"), ("tok_s_gpu", "j_per_token")):
                assert watts == pytest.approx(float(row[rate]) * float(row[joules]), rel=1e-5)
