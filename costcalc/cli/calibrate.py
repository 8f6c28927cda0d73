"""`costcalc calibrate`: fit the kernels on measurements of one's own, or measure the GPU of this machine."""

import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from costcalc.cli import parse
from costcalc.cli.bundle import with_options
from costcalc.cli.catalogued import CatalogFolder
from costcalc.cli.output import FORMATS
from costcalc.errors import CostcalcError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
           help="What --from holds: decode_attention, prefill_attention, gemm, moe, comm or e2e; "
                "default: what its columns say."),
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
    """Fit the constants on measurements of your own, or measure the GPU of this machine.

    Kernels are fitted machine by machine, serving as a whole; what few points do not tell stays as shipped.
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
    from costcalc.catalog.efficiency import MACHINES, load_kernel_efficiency
    from costcalc.catalog.serving import SERVING, serving_efficiency
    from costcalc.measured.load import load_measurements
    from costcalc.measured.own import fit_files, shipped_alone
    from costcalc.measured.own_serving import fit_serving_files
    from costcalc.measured.serving_record import serving_yaml
    from costcalc.show.calibration import calibration_page, calibration_rows
    from costcalc.show.present import present_list

    wanted = _known_kind(kind)
    measurements = [load_measurements(each, wanted) for each in files]
    serving = [each for each in measurements if each.kind == "e2e"]
    kernels = [each for each in measurements if each.kind != "e2e"]
    efficiency = shipped_alone(load_kernel_efficiency())
    paths = [_path(output, MACHINES) if kernels else None, _path(output, SERVING) if serving else None]
    if output is not None and paths[0] == paths[1]:
        raise CostcalcError("kernels and serving are two files", where="--output", hint="name a folder")
    with _new_files(paths) as (machines_file, serving_file):
        fits = fit_files(kernels, efficiency, date=_today()) if kernels else []
        if kernels and not fits:
            raise CostcalcError(_no_points(kernels, efficiency), where=files[0])
        if serving:
            own = fit_serving_files(serving, serving_efficiency(), date=_today())
            fits += own.fits
            if serving_file is not None:
                serving_file.write_text(serving_yaml(own.constants))
        _write_machines(machines_file, [each for each in fits if each.op != "serving"])
    written = ", ".join(str(each) for each in paths if each is not None)
    note = f"Written to {written}." if written else f"Nothing was written; {HINT}"
    present_list(calibration_rows(fits), calibration_page(fits, [note]), form)


def _from_this_machine(gpu: str | None, folder: Path, form: str) -> None:
    from costcalc.catalog.efficiency import MACHINES, load_kernel_efficiency
    from costcalc.catalog.find import find_path
    from costcalc.catalog.load import load_gpu
    from costcalc.measured.gpu_bench import cases, measure
    from costcalc.measured.gpu_bench.cuda import find_device
    from costcalc.measured.gpu_bench.profile import machine_efficiency, with_efficiency
    from costcalc.measured.gpu_bench.tables import as_measurements, measurements_csv
    from costcalc.measured.gpus import find_gpu
    from costcalc.measured.own import fit_files, shipped_alone
    from costcalc.show.calibration import calibration_page, calibration_rows, reached_lines
    from costcalc.show.present import present_list

    device = find_device()
    name = find_path("hardware_profiles", gpu).stem if gpu is not None else find_gpu(device.name)[0]
    profile = find_path("hardware_profiles", name)
    paths = [folder / MACHINES, folder / "hardware_profiles" / f"{name}.yaml"]
    paths += [folder / "measurements" / f"{kind}.csv" for kind in ("gemm", "decode_attention")]
    # Opened before the minutes of measuring, so that a folder that takes no files is told at once.
    with _new_files(paths) as files:
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


@contextmanager
def _new_files(paths: "Sequence[Path | None]") -> "Iterator[list[NewFile | None]]":
    """Open files in folders made for them; none appears unless all of the work inside succeeds."""
    from costcalc.show.files import new_file

    with ExitStack() as stack:
        for path in paths:
            if path is not None:
                _make_folder(path.parent)
        yield [stack.enter_context(new_file(None if path is None else str(path), "--output")) for path in paths]


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


def _path(output: str | None, place: Path) -> Path | None:
    """The file to write: `place` in a catalog folder, unless a YAML file is named itself."""
    if output is None:
        return None
    path = Path(output).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    if path.suffix and not path.is_dir():
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="name a folder")
    return path / place


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CostcalcError(f"cannot make the folder {shown(str(folder))}: {reason}", where="--output") from None


def _known_kind(kind: str | None) -> str | None:
    from costcalc.measured.columns import KINDS

    return parse.choice(kind, "--kind", KINDS)


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
