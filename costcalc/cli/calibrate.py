"""`costcalc calibrate`: what measurements change, or measure the GPU of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from costcalc.cli import parse
from costcalc.cli.output import FORMATS
from costcalc.cli.parameters import CatalogFolder
from costcalc.errors import CostcalcError, shown
from costcalc.units import counted

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog
    from costcalc.hardware.accelerator import MeasuredEfficiency
    from costcalc.hardware.efficiency import KernelEfficiency
    from costcalc.report.files import NewFile
    from costcalc.validation.calibrate import UserFit
    from costcalc.validation.files import Measurements
    from costcalc.validation.score import Validation


# What `costcalc calibrate --from` fits and writes: kernels, serving, and hardware profiles with what was reached.


PROFILES = Path("hardware_profiles")
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Target:
    """Where a calibration goes: a catalog folder, the one file that was named, or nowhere."""

    folder: Path | None = None
    file: Path | None = None

    def of(self, place: Path) -> Path | None:
        """The file for a place in a catalog."""
        return self.folder / place if self.folder is not None else self.file


def from_files(files: list[str], kind: str | None, output: str | None, form: str, catalog: Catalog) -> None:
    """Fit on files of measurements, write what was found, and show it.

    files: as named. kind: what they hold, or None for what their columns say. output: as typed.
    """
    from costcalc.catalog.catalog import MACHINES, SERVING
    from costcalc.report.accuracy import calibration_page, calibration_rows
    from costcalc.report.files import present_list
    from costcalc.validation.calibrate import fit_files, fit_serving_files, shipped_alone
    from costcalc.validation.files import load_measurements
    from costcalc.validation.score import validate
    from costcalc.validation.serving_fit import serving_yaml

    target, measurements = _target(output), [load_measurements(each, kind) for each in files]
    efficiency = shipped_alone(catalog.kernel_efficiency())
    scored = validate(measurements, efficiency, catalog=catalog)
    if not scored.counted():
        raise CostcalcError(_no_points(scored), where=files[0])
    serving = [each for each in measurements if each.kind == "e2e" and scored.counted("e2e")]
    kernels = [each for each in measurements if each.kind in KERNEL_KINDS and scored.counted(each.kind)]
    if target.file is not None and serving and kernels:
        raise CostcalcError("kernels and serving are two files", where="--output", hint="name a folder")
    reached = {} if _has_runs(target, serving) else _reached(kernels, efficiency, catalog)
    profiles = {PROFILES / f"{name}.yaml": found for name, found in reached.items()} if target.folder else {}
    wanted = [*([MACHINES] if kernels else []), *([SERVING] if serving else []), *profiles]
    places = [place for place in wanted if target.of(place) is not None]
    paths = [path for place in places if (path := target.of(place)) is not None]
    fits: list[UserFit] = []
    with new_files(paths) as opened:
        files_of = dict(zip(places, opened, strict=True))
        if kernels:
            fits += fit_files(kernels, efficiency, catalog, date=today())
            write_machines(files_of.get(MACHINES), fits)
        if serving:
            own = fit_serving_files(serving, catalog.serving_efficiency(), catalog, date=today())
            fits += own.fits
            if (file := files_of.get(SERVING)) is not None:
                file.write_text(serving_yaml(own.constants))
        for place, found in profiles.items():
            files_of[place].write_text(_profile(files_of[place].path, place.stem, found, catalog))
    notes = [*_notes(target, paths, bool(kernels), bool(serving), bool(profiles))]
    if form in ("json", "csv") and (lost := sum(len(each.unusable) for each in measurements)):
        sys.stderr.write(f"note: {counted(lost, 'row')} could not be read; the table says why\n")
    present_list(calibration_rows(fits), calibration_page(fits, notes, reached, scored), form)


@contextmanager
def new_files(paths: Sequence[Path]) -> Iterator[list[NewFile]]:
    """Open files in folders made for them; none appears unless all of the work inside succeeds."""
    from costcalc.report.files import new_file

    with ExitStack() as stack:
        for path in paths:
            _make_folder(path.parent)
        opened = [stack.enter_context(new_file(str(path), "--output")) for path in paths]
        yield [file for file in opened if file is not None]


def write_machines(file: NewFile | None, fits: Sequence[UserFit]) -> None:
    """Write what was found of kernels, with what the file held of other kernels and machines.

    file: the file, or None to write nothing. fits: what was found.
    """
    from costcalc.catalog.catalog import load_machines
    from costcalc.validation.kernel_fit import machines_yaml

    if file is None:
        return
    found = load_machines(file.path) if file.path.exists() else {}
    for each in fits:
        found[each.gpu] = {**found.get(each.gpu, {}), each.op: each.fit}
    file.write_text(machines_yaml(found))


def today() -> str:
    """Return the date of today, '2026-11-23'."""
    from datetime import date

    return date.today().isoformat()


def _target(output: str | None) -> Target:
    if output is None:
        return Target()
    path = Path(output).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return Target(file=path)
    if path.suffix[1:].isalpha() and not path.is_dir():  # as 'out.json' has, and 'h100-v1.2' has not
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="name a folder")
    return Target(folder=path)


def _has_runs(target: Target, serving: Sequence[Measurements]) -> bool:
    """Whether whole runs tell, or told, how fast the machine is: kernels would count twice beside them."""
    from costcalc.catalog.catalog import SERVING

    return bool(serving) or (target.folder is not None and (target.folder / SERVING).is_file())


def _reached(
    kernels: Sequence[Measurements], efficiency: KernelEfficiency, catalog: Catalog
) -> Mapping[str, MeasuredEfficiency]:
    from costcalc.validation.calibrate import machine_speeds

    return machine_speeds(kernels, efficiency, catalog, date=today())


def _profile(path: Path, name: str, found: MeasuredEfficiency, catalog: Catalog) -> str:
    """The text of a hardware profile with what was reached: of the folder's own, else of the catalog's."""
    from costcalc.validation.calibrate import merged, with_efficiency

    profile = path if path.exists() else catalog.find("hardware_profiles", name)
    return with_efficiency(profile.read_text(encoding="utf-8"), merged(found, catalog.gpu(profile).efficiency))


def _notes(target: Target, paths: Sequence[Path], kernels: bool, serving: bool, profiles: bool) -> Iterator[str]:
    """What became of the calibration, and how it is used."""
    if not paths:
        yield "Nothing was written; to keep it, name a catalog folder: --output calibrated"
        return
    yield f"Written to {', '.join(map(str, paths))}."
    if target.folder is None:
        if kernels:
            yield "Estimates follow hardware profiles, which a folder takes: --output calibrated"
        return
    yield f"Estimates follow with --catalog {target.folder}."
    if kernels and not profiles:
        yield (
            "Whole runs are calibrated here, which have the speed of kernels in them: "
            "hardware profiles were left alone."
        )
    if serving and (scaled := _scaled_profiles(target.folder)):
        yield (
            f"{', '.join(scaled)} in this folder scale estimates as well, and the runs have that in them: "
            "remove their efficiency."
        )


def _scaled_profiles(folder: Path) -> list[str]:
    """Hardware profiles of a folder that say what the machine reached."""
    profiles = sorted((folder / PROFILES).glob("*.yaml"))
    return [path.name for path in profiles if "\nefficiency:" in path.read_text(encoding="utf-8")]


def _no_points(scored: Validation) -> str:
    """Why no row can be fitted: the reasons, most frequent first."""
    reasons = sorted(scored.excluded().items(), key=lambda each: -len(each[1]))[:_MOST_REASONS]
    texts = [f"{counted(len(points), 'row')}: {reason}" for reason, points in reasons]
    return f"no row can be used: {'; '.join(texts)}"


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CostcalcError(f"cannot make the folder {shown(str(folder))}: {reason}", where="--output") from None


FOLDER = "calibrated"
"""Where the measurements of this machine go unless --output says otherwise."""
KERNEL_KINDS = ("decode_attention", "prefill_attention", "gemm", "moe", "comm")
KINDS = (*KERNEL_KINDS, "e2e")

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
OutputOption = Annotated[
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


def calibrate(
    *,
    files: From = None,
    kind: Kind = None,
    output: OutputOption = None,
    format: Format = None,
    gpu: Gpu = None,
    folder: CatalogFolder,
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
        from_files(files, parse.choice(kind, "--kind", KINDS), output, form, folder.opened())
    else:
        if kind is not None:
            raise CostcalcError("there is no file", where="--kind", hint="add --from FILE.csv")
        _from_this_machine(gpu, Path(output or FOLDER), form, folder.opened())


def _from_this_machine(gpu: str | None, folder: Path, form: str, catalog: Catalog) -> None:
    from costcalc.catalog.catalog import MACHINES
    from costcalc.microbench.bench import as_measurements, cases, measure, measurements_csv
    from costcalc.microbench.cuda import find_device
    from costcalc.report.accuracy import calibration_page, calibration_rows, machine_speed_lines
    from costcalc.report.files import present_list
    from costcalc.validation.calibrate import fit_files, machine_efficiency, merged, shipped_alone, with_efficiency
    from costcalc.validation.files import find_gpu

    device = find_device()
    name = catalog.find("hardware_profiles", gpu).stem if gpu is not None else find_gpu(device.name, catalog)[0]
    profile = catalog.find("hardware_profiles", name)
    paths = [folder / MACHINES, folder / "hardware_profiles" / f"{name}.yaml"]
    paths += [folder / "measurements" / f"{kind}.csv" for kind in ("gemm", "decode_attention")]
    # Opened before the minutes of measuring, so that a folder that takes no files is told at once.
    with new_files(paths) as files:
        wanted = cases(device.free_bytes, device.precisions)
        measured = measure(device, name, wanted, date=today(), tell=_progress)
        efficiency = shipped_alone(catalog.kernel_efficiency())
        tables = as_measurements(measured)
        fits = fit_files(tables, efficiency, catalog, date=today())
        rows = {table.kind: table.rows for table in tables}
        found = machine_efficiency(
            rows, catalog.gpu(profile), efficiency,
            source="costcalc calibrate, on the machine itself", date=today(), copy_bandwidth=measured.copy_bandwidth,
            catalog=catalog,
        )  # fmt: skip
        if found is None:
            raise CostcalcError("nothing fits the memory that is free", hint="end what else runs on the GPU")
        reached = merged(found, catalog.gpu(profile).efficiency)
        write_machines(files[0], fits)
        texts = [with_efficiency(profile.read_text(encoding="utf-8"), reached), *map(measurements_csv, tables)]
        for file, text in zip(files[1:], texts, strict=True):
            if file is not None:
                file.write_text(text)
    notes = [*machine_speed_lines(reached), f"Written to {folder}; use it with --catalog {folder}."]
    if measured.skipped:
        notes.insert(0, f"{measured.skipped} cases did not fit the memory that is free.")
    present_list(calibration_rows(fits), calibration_page(fits, notes), form)


def _progress(done: int, every: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rmeasuring {done + 1} of {every} " + "\n" * (done + 1 == every))
        sys.stderr.flush()
