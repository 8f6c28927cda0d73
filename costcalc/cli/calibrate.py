"""`costcalc calibrate`: fit the kernels on measurements of one's own, or measure the GPU of this machine."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from costcalc.cli import parse
from costcalc.cli.bundle import with_options
from costcalc.cli.catalogued import CatalogFolder
from costcalc.cli.output import FORMATS
from costcalc.errors import CostcalcError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from costcalc.measured.load import Measurements
    from costcalc.measured.own import OwnFit
    from costcalc.show.files import NewFile
    from costcalc.specs.efficiency import KernelEfficiency

FOLDER = "calibrated"
"""Where the measurements of this machine go unless --output says otherwise."""
HINT = "to keep it, name a catalog folder: --output calibrated"

From = Annotated[
    list[str] | None,
    Option("--from", metavar="FILE.csv",
           help="Measurements in the columns of measurements/; repeatable. Without it: measure this machine's GPU."),
]  # fmt: skip
Kind = Annotated[
    str | None,
    Option("--kind", "-k", metavar="KIND",
           help="What --from holds: decode_attention, prefill_attention, gemm, moe or comm; default: by its columns."),
]  # fmt: skip
Target = Annotated[
    str | None,
    Option("--output", "-o", metavar="DIR",
           help="The catalog folder to write to, made if need be; with --from, a .yaml file may be named instead. "
                "What it holds of other kernels and machines is kept."),
]  # fmt: skip
Format = Annotated[str | None, Option("--format", "-f", metavar="|".join(FORMATS), help="The form of the report.")]
Gpu = Annotated[
    str | None,
    Option(
        "--gpu", "-g", metavar="NAME", help="The catalog's name of this machine's GPU; default: as its driver says."
    ),
]


@with_options
def calibrate(
    files: From = None,
    kind: Kind = None,
    output: Target = None,
    format: Format = None,
    gpu: Gpu = None,
    catalog: CatalogFolder = None,  # noqa: ARG001 - with_options makes all inside look there first
) -> None:
    """Fit the kernels on measurements of your own, or measure the GPU of this machine.

    What is found goes into a catalog folder, which costcalc then reads with --catalog DIR.
    """
    form = parse.choice(format, "--format", FORMATS) or "table"
    if output is not None and not output.strip():
        raise CostcalcError("the folder's name is empty", where="--output")
    if files:
        if gpu is not None:
            raise CostcalcError("the files name their GPUs", where="--gpu", hint="leave it out")
        _from_files(files, kind, output, form)
    else:
        if kind is not None:
            raise CostcalcError("there is no file", where="--kind", hint="add --from FILE.csv")
        _from_this_machine(gpu, Path(output or FOLDER), form)


def _from_files(files: list[str], kind: str | None, output: str | None, form: str) -> None:
    from costcalc.catalog.efficiency import load_kernel_efficiency
    from costcalc.measured.load import load_measurements
    from costcalc.measured.own import fit_files, shipped_alone
    from costcalc.show.calibration import calibration_page, calibration_rows
    from costcalc.show.files import new_file
    from costcalc.show.present import present_list

    wanted = _known_kind(kind)
    measurements = [load_measurements(each, wanted) for each in files]
    efficiency = shipped_alone(load_kernel_efficiency())
    fits = fit_files(measurements, efficiency, date=_today())
    if not fits:
        raise CostcalcError(_no_points(measurements, efficiency), where=files[0])
    path = None if output is None else _machines_path(output)
    if path is not None:
        _make_folder(path.parent)
    with new_file(None if path is None else str(path), "--output") as file:
        _write_machines(file, fits)
    note = f"Nothing was written; {HINT}" if path is None else f"Written to {path}."
    present_list(calibration_rows(fits), calibration_page(fits, [note]), form)


def _from_this_machine(gpu: str | None, folder: Path, form: str) -> None:
    from costcalc.catalog.efficiency import load_kernel_efficiency
    from costcalc.catalog.find import find_path
    from costcalc.catalog.load import load_gpu
    from costcalc.measured.gpu_bench import cases, measure
    from costcalc.measured.gpu_bench.cuda import find_device
    from costcalc.measured.gpu_bench.profile import machine_efficiency, with_efficiency
    from costcalc.measured.gpu_bench.tables import as_measurements, measurements_csv
    from costcalc.measured.gpus import find_gpu
    from costcalc.measured.own import fit_files, shipped_alone
    from costcalc.show.calibration import calibration_page, calibration_rows, reached_lines
    from costcalc.show.files import new_file
    from costcalc.show.present import present_list

    device = find_device()
    name = find_path("hardware_profiles", gpu).stem if gpu is not None else find_gpu(device.name)[0]
    profile = find_path("hardware_profiles", name)
    machines = _machines_path(str(folder))
    paths = [machines, folder / "hardware_profiles" / f"{name}.yaml"]
    paths += [folder / "measurements" / f"{kind}.csv" for kind in ("gemm", "decode_attention")]
    for path in paths:
        _make_folder(path.parent)
    with ExitStack() as stack:
        # Opened before the minutes of measuring, so that a folder that takes no files is told at once.
        files = [stack.enter_context(new_file(str(path), "--output")) for path in paths]
        wanted = cases(device.free_bytes, device.precisions)
        measured = measure(device, name, wanted, date=_today(), tell=_progress)
        efficiency = shipped_alone(load_kernel_efficiency())
        tables = as_measurements(measured)
        fits = fit_files(tables, efficiency, date=_today())
        reached = machine_efficiency(measured, load_gpu(profile), efficiency, date=_today())
        _write_machines(files[0], fits)
        texts = [with_efficiency(profile.read_text(encoding="utf-8"), reached), *map(measurements_csv, tables)]
        for file, text in zip(files[1:], texts, strict=True):
            if file is not None:
                file.write_text(text)
    notes = [*reached_lines(reached), f"Written to {folder}; use it with --catalog {folder}."]
    if measured.skipped:
        notes.insert(0, f"{measured.skipped} cases did not fit the memory that is free.")
    present_list(calibration_rows(fits), calibration_page(fits, notes), form)


def _write_machines(file: "NewFile | None", fits: "Sequence[OwnFit]") -> None:
    """Write what was found, with what the file held of other kernels and machines."""
    if file is None:
        return
    from costcalc.catalog.efficiency import load_machines
    from costcalc.measured.record import machines_yaml

    found = load_machines(file.path) if file.path.exists() else {}
    for each in fits:
        found[each.gpu] = {**found.get(each.gpu, {}), each.op: each.fit}
    file.write_text(machines_yaml(found))


def _machines_path(output: str) -> Path:
    path = Path(output).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    if path.suffix and not path.is_dir():
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="name a folder")
    from costcalc.catalog.efficiency import MACHINES

    return path / MACHINES


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CostcalcError(f"cannot make the folder {shown(str(folder))}: {reason}", where="--output") from None


def _known_kind(kind: str | None) -> str | None:
    from costcalc.measured.kinds import KERNEL_KINDS

    return parse.choice(kind, "--kind", KERNEL_KINDS)


def _no_points(measurements: "list[Measurements]", efficiency: "KernelEfficiency") -> str:
    """Why no row can be fitted: the reasons, most frequent first."""
    from collections import Counter

    from costcalc.measured.scoring import score

    rows = [row for each in measurements for row in score(each.kind, each.rows, efficiency)]
    reasons = Counter(str(row["excluded"]) for row in rows).most_common(3)
    texts = [f"{count} {'row' if count == 1 else 'rows'}: {reason}" for reason, count in reasons]
    return f"no row can be used: {'; '.join(texts)}"


def _progress(done: int, every: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rmeasuring {done + 1} of {every} " + "\n" * (done + 1 == every))
        sys.stderr.flush()


def _today() -> str:
    from datetime import date

    return date.today().isoformat()
