"""Fitted constants come from the first catalog folder that has them; measured machines from all of them."""

from __future__ import annotations

import shutil

import pytest

from costcalc.catalog.catalog import KERNELS, MACHINES, SERVING, Catalog
from costcalc.catalog.files import packaged_root
from costcalc.errors import CostcalcError
from costcalc.explore.estimate import estimate

ERROR, RANGE = "{median_ape: 0.1, mape: 0.1, bias: 0}", "{low: 0.8, high: 1.2}"
FIT = (
    f"{{points: 3, gpus: [g], source: own, date: '2026', in_sample: {ERROR}, gpu_left_out: {ERROR}, "
    f"shape_left_out: {ERROR}, ranges: {{known: {RANGE}, unseen: {RANGE}}}}}"
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / MACHINES.parent).mkdir(parents=True)
    return tmp_path


def machines(folder, **launches):
    text = "\n".join(f"  {gpu}: {{gemm: {{factors: {{launch: {at}}}, fit: {FIT}}}}}" for gpu, at in launches.items())
    (folder / MACHINES).write_text(f"machines:\n{text}\n")


def launch_of(efficiency, gpu):
    return efficiency.gemm.machines[gpu].factors["launch"]


def test_a_folder_of_ones_own_shadows_the_shipped_constants(folder):
    text = (packaged_root() / KERNELS).read_text(encoding="utf-8")
    (folder / KERNELS).write_text(text.replace("launch: 12.2 us", "launch: 99 us"))
    assert Catalog(folder).kernel_efficiency().decode_grouped.parameters.launch == pytest.approx(99e-6)
    assert Catalog().kernel_efficiency().decode_grouped.parameters.launch < 20e-6


def test_machines_of_every_folder_count_and_the_first_wins(folder, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other")
    (other / MACHINES.parent).mkdir(parents=True)
    machines(folder, a=2.0, b=3.0)
    machines(other, b=4.0, c=5.0)
    monkeypatch.setenv("COSTCALC_CATALOG", str(other))
    found = Catalog(folder).kernel_efficiency()
    assert [launch_of(found, gpu) for gpu in "abc"] == [2.0, 3.0, 5.0]
    assert found.gemm.parameters == Catalog().kernel_efficiency().gemm.parameters
    assert found.prefill.machines == {}


def test_serving_constants_follow_the_same_folders(folder):
    text = (packaged_root() / SERVING).read_text(encoding="utf-8")
    shutil.copy(packaged_root() / SERVING, folder / SERVING)
    shipped = Catalog().serving_efficiency()
    assert Catalog(folder).serving_efficiency() == shipped
    (folder / SERVING).write_text(text.replace("default_backend: vllm", "default_backend: sglang"))
    assert Catalog(folder).serving_efficiency().default_backend == "sglang"
    assert Catalog().serving_efficiency().default_backend == shipped.default_backend


def test_a_catalog_is_its_own(folder):
    shipped = Catalog()
    assert Catalog(folder).roots == [folder, *shipped.roots]
    assert Catalog(folder).gpu("h100") is not shipped.gpu("h100")
    assert shipped.gpu("h100") is shipped.gpu("h100")
    with pytest.raises(CostcalcError, match="no such folder"):
        Catalog(folder / "none")


def test_estimates_follow_a_folder_too(folder):
    text = (packaged_root() / SERVING).read_text(encoding="utf-8")
    (folder / SERVING).write_text(text.replace("default_backend: vllm", "default_backend: sglang"))
    found = [estimate("llama-3.1-8b", "h100", catalog=each).deployment.backend for each in (None, str(folder))]
    assert found == [Catalog().serving_efficiency().default_backend, "sglang"]
