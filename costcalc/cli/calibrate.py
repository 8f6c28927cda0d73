"""`costcalc calibrate`: what measurements change, or measure the GPU of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from costcalc.cli.parameters import FORMATS, CatalogFolder, choice
from costcalc.errors import CostcalcError, shown, tell
from costcalc.units import counted

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog, Machines
    from costcalc.report.export.files import NewFile
    from costcalc.validation.calibrate import UserFit
    from costcalc.validation.score import Validation


# What `costcalc calibrate --from` fits and writes: kernels and serving.


_MOST_REASONS = 3
_MOST_WAITS = 100
"""Runs waited for whose folder went with them; there are file systems that never know a folder again."""


def from_files(files: list[str], kind: str | None, output: str | None, form: str, catalog: Catalog) -> None:
    """Fit on files of measurements, write what was found, and show it.

    files: as named. kind: what they hold, or None for what their columns say. output: as typed.
    """
    from costcalc.catalog.catalog import MACHINES, SERVING
    from costcalc.report.accuracy import calibration_page, calibration_rows
    from costcalc.report.export.files import show
    from costcalc.validation.calibrate import fit_files, fit_serving_files, shipped_alone, shipped_serving
    from costcalc.validation.files import load_measurements
    from costcalc.validation.kernels.fit import machines_yaml
    from costcalc.validation.score import validate
    from costcalc.validation.serving.fit import serving_yaml

    (folder, one), today, own = _target(output), date.today().isoformat(), None
    measurements = [load_measurements(each, kind) for each in files]
    efficiency = shipped_alone(catalog.kernel_efficiency())
    scored = validate(measurements, efficiency, catalog=catalog)
    if not scored.counted():
        raise CostcalcError(_no_points(scored), where=files[0])
    serving = [each for each in measurements if each.kind == "e2e" and scored.counted("e2e")]
    kernels = [each for each in measurements if each.kind in KERNEL_KINDS and scored.counted(each.kind)]
    if not serving and not kernels:
        hint = f"rows of {', '.join(KINDS)} are; costcalc validate --data {files[0]} scores these"
        raise CostcalcError(f"no constant is fitted on rows of {measurements[0].kind}", where=files[0], hint=hint)
    if one is not None and serving and kernels:
        raise CostcalcError("kernels and serving are two files", where="--output", hint="name a folder")
    wanted = [*([MACHINES] if kernels else []), *([SERVING] if serving else [])]
    paths = {place: path for place in wanted if (path := folder / place if folder else one) is not None}
    with new_files(list(paths.values())) as opened:
        files_of = dict(zip(paths, opened, strict=True))
        fits = fit_files(kernels, efficiency, catalog, date=today)
        machines = machines_with(folder / MACHINES if folder else one if kernels else None, fits)
        if (file := files_of.get(MACHINES)) is not None:
            file.write_text(machines_yaml(machines))
        if serving:
            if sys.stderr.isatty():  # fits without each part of the runs, one after the other
                runs = counted(sum(len(each.rows) for each in serving), "run")
                tell(f"note: fitting the constants of serving on {runs}, for up to a minute")
            # On top of the kernels that stand beside them, and of constants that no runs moved: nothing counts twice.
            own = fit_serving_files(serving, shipped_serving(catalog, machines), catalog, date=today)
            fits += own.fits
            if (file := files_of.get(SERVING)) is not None:
                file.write_text(serving_yaml(own.constants))
    if form in ("json", "csv") and (lost := sum(len(each.unusable) for each in measurements)):
        tell(f"note: {counted(lost, 'row')} could not be read; the table says why")
    notes = [*_notes(folder, list(paths.values()), bool(serving))]
    show(form, None, lambda: calibration_page(fits, notes, scored, own), lambda: calibration_rows(fits, own))


@contextmanager
def new_files(paths: Sequence[Path]) -> Iterator[list[NewFile]]:
    """Open files in folders made for them; none appears unless all of the work inside succeeds.

    Nothing else of costcalc writes into these folders meanwhile: what it found would be lost.
    """
    from costcalc.report.export.files import new_file, unfinished

    with ExitStack() as stack:
        stack.enter_context(unfinished())
        for folder in dict.fromkeys(path.parent for path in paths):
            stack.enter_context(_alone_in(folder))
        opened = [stack.enter_context(new_file(str(path), "--output", is_update=True)) for path in paths]
        yield [file for file in opened if file is not None]


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, and wait until no other process works inside, where the system knows of locks."""
    from costcalc.report.export.files import new_folder

    with ExitStack() as held:
        for _ in range(_MOST_WAITS):
            new_folder(folder, "--output")
            try:
                import fcntl

                handle = os.open(folder, os.O_RDONLY)
            except (ImportError, OSError):
                break
            held.callback(os.close, handle)
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever was inside may have been ended, and have taken the folder away that it had made.
            with suppress(OSError):
                if os.path.samestat(os.fstat(handle), folder.stat()):
                    break
        yield


def machines_with(path: Path | None, fits: Sequence[UserFit]) -> Machines:
    """Return what was found of kernels, with what a file holds of other kernels and machines.

    path: of the file, which need not be there. fits: what was found.
    """
    from costcalc.catalog.catalog import load_machines

    found = load_machines(path) if path is not None and path.exists() else {}
    for each in fits:
        found[each.gpu] = {**found.get(each.gpu, {}), each.op: each.fit}
    return found


def _target(output: str | None) -> tuple[Path | None, Path | None]:
    """Return the catalog folder that a calibration goes to, or the one file that was named, or neither."""
    if output is None:
        return None, None
    path = Path(os.path.expanduser(output))  # noqa: PTH111 - unlike Path.expanduser, never raises
    if path.suffix.lower() in (".yaml", ".yml"):
        return None, path
    if path.suffix[1:].isalpha() and not path.is_dir():  # as 'out.json' has, and 'h100-v1.2' has not
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="name a folder")
    return path, None


def _notes(folder: Path | None, paths: Sequence[Path], serving: bool) -> Iterator[str]:
    """What became of the calibration, and how it is used."""
    from costcalc.catalog.catalog import MACHINES, SERVING

    if not paths:
        yield "Nothing was written; to keep it, name a catalog folder: --output calibrated"
        return
    yield f"Written to {', '.join(map(str, paths))}."
    if folder is None:
        place = SERVING if serving else MACHINES
        yield f"Estimates follow where it is {place.as_posix()} in a folder that --catalog names."
        return
    yield f"Estimates follow with --catalog {folder}."
    if not serving and (folder / SERVING).is_file():
        yield f"{SERVING.name} in this folder was fitted on whole runs without it: calibrate on them again."


def _no_points(scored: Validation) -> str:
    """Why no row can be fitted: the reasons, most frequent first."""
    reasons = sorted(scored.excluded().items(), key=lambda each: -len(each[1]))[:_MOST_REASONS]
    texts = [f"{counted(len(points), 'row')}: {reason}" for reason, points in reasons]
    return f"no row can be used: {'; '.join(texts)}"


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
    form = choice(format, "--format", FORMATS) or "table"
    if output is not None and not output.strip():
        raise CostcalcError("the folder's name is empty", where="--output")
    if files:
        if gpu is not None:
            raise CostcalcError("the files name their GPUs", where="--gpu", hint="leave it out")
        from_files(files, choice(kind, "--kind", KINDS), output, form, folder.opened())
    else:
        if kind is not None:
            raise CostcalcError("there is no file", where="--kind", hint="add --from FILE.csv")
        _from_this_machine(gpu, Path(output or FOLDER), form, folder.opened())


def _from_this_machine(gpu: str | None, folder: Path, form: str, catalog: Catalog) -> None:
    from costcalc.catalog.catalog import MACHINES
    from costcalc.microbench import as_measurements, cases, find_device, measure, measurements_csv
    from costcalc.report.accuracy import calibration_page, calibration_rows, percent
    from costcalc.report.export.files import show
    from costcalc.validation.calibrate import fit_files, shipped_alone
    from costcalc.validation.files import find_gpu
    from costcalc.validation.kernels.fit import machines_yaml

    device = find_device()
    name = catalog.find("hardware_profiles", gpu).stem if gpu is not None else find_gpu(device.name, catalog)[0]
    paths = [folder / MACHINES, *(folder / "measurements" / f"{kind}.csv" for kind in ("gemm", "decode_attention"))]
    # Opened before the minutes of measuring, so that a folder that takes no files is told at once.
    today = date.today().isoformat()
    with new_files(paths) as files:
        wanted = cases(device.free_bytes, device.precisions)
        measured = measure(device, name, wanted, date=today, tell=_progress)
        tables = as_measurements(measured)
        fits = fit_files(tables, shipped_alone(catalog.kernel_efficiency()), catalog, date=today)
        if not fits and measured.refused:
            raise CostcalcError(f"PyTorch measures nothing on this GPU: {shown(measured.refused[0][1])}")
        if not fits:
            raise CostcalcError("nothing fits the memory that is free", hint="end what else runs on the GPU")
        texts = [machines_yaml(machines_with(paths[0], fits)), *map(measurements_csv, tables)]
        for file, text in zip(files, texts, strict=True):
            file.write_text(text)
    notes = [f"Written to {folder}; use it with --catalog {folder}."]
    if measured.copy_bandwidth is not None:
        share = min(measured.copy_bandwidth / catalog.gpu(name).memory_bandwidth, 1.0)
        notes.insert(0, f"Copies reach {percent(share)} of the data sheet's memory bandwidth.")
    if measured.refused:
        (case, said), more = measured.refused[0], len(measured.refused) - 1
        others = f", and {counted(more, 'other case')}" if more else ""
        notes.insert(0, f"PyTorch does not do {case}{others}: {said}")
    if measured.skipped:
        notes.insert(0, f"{measured.skipped} cases did not fit the memory that is free.")
    show(form, None, lambda: calibration_page(fits, notes), lambda: calibration_rows(fits))


def _progress(done: int, every: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rmeasuring {done + 1} of {every} " + "\n" * (done + 1 == every))
        sys.stderr.flush()
