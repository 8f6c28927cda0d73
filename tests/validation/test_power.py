"""Published watts and joules of serving: they agree with each other, and what is predicted agrees with them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.engine.energy import Use, share_of_limit
from costcalc.validation.files import shipped_measurements
from costcalc.validation.score import summary
from costcalc.validation.serving.energy import energy_yaml, fit_energy, score_energy

FILE = Path(__file__).parents[2] / "measurements/power.csv"
ROWS = list(csv.DictReader(line for line in FILE.read_text().splitlines() if not line.startswith("#")))
SHIPPED = Path(__file__).parents[2] / "hardware_profiles/efficiency/energy.yaml"


def test_watts_are_joules_per_token_times_tokens_and_no_more_than_a_card_may_draw() -> None:
    assert len(ROWS) == 31
    for row in ROWS:
        watts = float(row["avg_power_w_per_gpu"])
        assert watts < costcalc.load_gpu(row["gpu"]).power
        if row["disagg"] == "0":  # pools count the tokens of one and the watts of both, not always alike
            for rate, joules in (("output_tok_s_gpu", "j_per_output_token"), ("tok_s_gpu", "j_per_token")):
                assert watts == pytest.approx(float(row[rate]) * float(row[joules]), rel=1e-5)


def test_joules_per_token_are_within_a_fifth_of_those_published_with_every_engine_left_out() -> None:
    catalog = Catalog()
    found = fit_energy(shipped_measurements("power").rows, catalog, date="2026-06-11")
    assert energy_yaml(found) == SHIPPED.read_text(encoding="utf-8")
    assert found.errors["watts_engine_left_out"].median_ape < 0.07
    assert found.errors["joules_engine_left_out"].median_ape < 0.20
    errors = summary(score_energy(shipped_measurements("power").rows, catalog))
    assert errors["n"] == 30 and errors["median_ape"] < 0.20 and errors["coverage"] > 0.8
    assert list(errors["excluded"].values()) == [1]  # 25 tokens/s of a GPU at 512 requests at once: it hardly ran


def test_a_gpu_draws_its_static_share_at_rest_and_never_more_than_its_limit() -> None:
    at_rest, streaming, both = (share_of_limit(Use(m, c), 0.2, 0.5, 3.0) for m, c in ((0, 0), (1, 0), (1, 1)))
    assert (at_rest, streaming, both) == (0.2, 0.7, 1.0)


@pytest.mark.parametrize("options", [{"batch": 8}, {"batch": 64, "drafts": 1}, {"batch": 64, "disaggregated": True}])
def test_energy_adds_up(options: dict[str, float]) -> None:
    found = costcalc.estimate("r1", "mi355x", gpus=8, tensor_parallel=8, pue=1.3, grid_co2=400, **options)
    energy, load = found.energy, found.workload
    watts, joules = energy.watts_per_gpu, energy.joules_per_output_token
    assert watts and joules and energy.joules_per_token and energy.kwh_per_month and found.serving.output_tokens_per_s
    assert 0.2 * 1400 < watts < 1400
    assert joules == pytest.approx(watts * found.gpus_paid / found.serving.output_tokens_per_s)
    assert energy.joules_per_token == pytest.approx(
        joules * load.output_tokens / (load.input_tokens + load.output_tokens)
    )
    meter = 1.82 * 1.3  # host and network, then the site
    assert energy.kwh_per_month == pytest.approx(watts * found.gpus_paid * meter * 730 / 1e3)
    assert energy.kg_co2_per_month == pytest.approx(energy.kwh_per_month * 0.4)
    assert energy.g_co2_per_million_output_tokens == pytest.approx(joules / 3.6 * meter * 400)
    assert energy.watts_per_gpu_range and energy.watts_per_gpu_range[1] <= 1400


def test_a_month_is_that_of_the_demand_and_idle_hours_draw_less() -> None:
    asked = {"gpus": 1, "batch": 32}
    full = costcalc.estimate("llama-3.1-8b", "h100", **asked).energy
    half = costcalc.estimate("llama-3.1-8b", "h100", utilization=0.5, **asked).energy
    assert full.kwh_per_month and half.kwh_per_month and full.watts_per_gpu
    idle = 0.15 * 700  # of owning.yaml
    assert half.kwh_per_month / full.kwh_per_month == pytest.approx(
        (full.watts_per_gpu + idle) / 2 / full.watts_per_gpu
    )
    demand = costcalc.estimate("llama-3.1-8b", "h100", demand="1 requests/s", **asked)
    assert demand.demand and demand.energy.kwh_per_month
    drawn = demand.demand.load * full.watts_per_gpu + (1 - demand.demand.load) * idle
    assert demand.energy.kwh_per_month == pytest.approx(demand.demand.gpus * drawn * 1.82 * 1.54 * 730 / 1e3)


def test_no_limit_no_watts_and_a_sweep_has_those_of_its_cells() -> None:
    assert costcalc.estimate("llama-3.1-8b", "inferentia2", gpus=1, batch=1).energy.watts_per_gpu is None
    cells = costcalc.sweep("llama-3.1-8b", "h100", batch=[1, 64], gpus=1)
    for at, batch in enumerate((1, 64)):
        one = costcalc.estimate("llama-3.1-8b", "h100", batch=batch, gpus=1).energy
        assert cells["energy.watts_per_gpu"][at] == one.watts_per_gpu
        assert cells["joules_per_output_token"][at] == one.joules_per_output_token
    assert np.all(np.diff(cells["joules_per_output_token"]) < 0)  # a batch shares the weights that are read
