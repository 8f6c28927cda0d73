"""What `costcalc calibrate --from` fits and writes: kernels, serving, and hardware profiles with what was reached."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from costcalc.errors import CostcalcError, shown
from costcalc.readable import counted

if TYPE_CHECKING:
    from costcalc.measured.groups import Validation
    from costcalc.measured.load import Measurements
    from costcalc.measured.own import OwnFit
    from costcalc.show.files import NewFile
    from costcalc.specs.efficiency import KernelEfficiency
    from costcalc.specs.measured import MeasuredEfficiency

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


def from_files(files: list[str], kind: str | None, output: str | None, form: str) -> None:
    """Fit on files of measurements, write what was found, and show it.

    files: as named. kind: what they hold, or None for what their columns say. output: as typed.
    form: of the report.
    """
    from costcalc.catalog.efficiency import MACHINES, load_kernel_efficiency
    from costcalc.catalog.serving import SERVING, serving_efficiency
    from costcalc.measured.groups import validate
    from costcalc.measured.load import load_measurements
    from costcalc.measured.own import fit_files, shipped_alone
    from costcalc.measured.own_serving import fit_serving_files
    from costcalc.measured.serving_record import serving_yaml
    from costcalc.show.calibration import calibration_page, calibration_rows
    from costcalc.show.present import present_list

    target, measurements = _target(output), [load_measurements(each, kind) for each in files]
    efficiency = shipped_alone(load_kernel_efficiency())
    scored = validate(measurements, efficiency)
    if not scored.counted():
        raise CostcalcError(_no_points(scored), where=files[0])
    serving = [each for each in measurements if each.kind == "e2e" and scored.counted("e2e")]
    kernels = [each for each in measurements if each.kind != "e2e" and scored.counted(each.kind)]
    if target.file is not None and serving and kernels:
        raise CostcalcError("kernels and serving are two files", where="--output", hint="name a folder")
    reached = {} if _has_runs(target, serving) else _reached(kernels, efficiency)
    profiles = {PROFILES / f"{name}.yaml": found for name, found in reached.items()} if target.folder else {}
    wanted = [*([MACHINES] if kernels else []), *([SERVING] if serving else []), *profiles]
    places = [place for place in wanted if target.of(place) is not None]
    paths = [path for place in places if (path := target.of(place)) is not None]
    fits: list[OwnFit] = []
    with new_files(paths) as opened:
        files_of = dict(zip(places, opened, strict=True))
        if kernels:
            fits += fit_files(kernels, efficiency, date=today())
            write_machines(files_of.get(MACHINES), fits)
        if serving:
            own = fit_serving_files(serving, serving_efficiency(), date=today())
            fits += own.fits
            if (file := files_of.get(SERVING)) is not None:
                file.write_text(serving_yaml(own.constants))
        for place, found in profiles.items():
            files_of[place].write_text(_profile(files_of[place].path, place.stem, found))
    notes = [*_notes(target, paths, bool(kernels), bool(serving), bool(profiles))]
    if form in ("json", "csv") and (lost := sum(len(each.unusable) for each in measurements)):
        sys.stderr.write(f"note: {counted(lost, 'row')} could not be read; the table says why\n")
    present_list(calibration_rows(fits), calibration_page(fits, notes, reached, scored), form)


@contextmanager
def new_files(paths: "Sequence[Path]") -> "Iterator[list[NewFile]]":
    """Open files in folders made for them; none appears unless all of the work inside succeeds.

    paths: the files.
    """
    from costcalc.show.files import new_file

    with ExitStack() as stack:
        for path in paths:
            _make_folder(path.parent)
        opened = [stack.enter_context(new_file(str(path), "--output")) for path in paths]
        yield [file for file in opened if file is not None]


def write_machines(file: "NewFile | None", fits: "Sequence[OwnFit]") -> None:
    """Write what was found of kernels, with what the file held of other kernels and machines.

    file: the file, or None to write nothing. fits: what was found.
    """
    from costcalc.catalog.efficiency import load_machines
    from costcalc.measured.record import machines_yaml

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


def _has_runs(target: Target, serving: "Sequence[Measurements]") -> bool:
    """Whether whole runs tell, or told, how fast the machine is: kernels would count twice beside them."""
    from costcalc.catalog.serving import SERVING

    return bool(serving) or (target.folder is not None and (target.folder / SERVING).is_file())


def _reached(kernels: "Sequence[Measurements]", efficiency: "KernelEfficiency") -> "Mapping[str, MeasuredEfficiency]":
    from costcalc.measured.reached import reached_by_gpu

    return reached_by_gpu(kernels, efficiency, date=today())


def _profile(path: Path, name: str, found: "MeasuredEfficiency") -> str:
    """The text of a hardware profile with what was reached: of the folder's own, else of the catalog's."""
    from costcalc.catalog.find import find_path
    from costcalc.catalog.load import load_gpu
    from costcalc.measured.reached import merged, with_efficiency

    profile = path if path.exists() else find_path("hardware_profiles", name)
    return with_efficiency(profile.read_text(encoding="utf-8"), merged(found, load_gpu(profile).efficiency))


def _notes(target: Target, paths: "Sequence[Path]", kernels: bool, serving: bool, profiles: bool) -> "Iterator[str]":
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


def _no_points(scored: "Validation") -> str:
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
