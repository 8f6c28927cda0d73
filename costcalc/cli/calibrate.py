"""`costcalc calibrate`: fit the kernels on measurements of one's own, or measure the GPU of this machine."""

import sys
from pathlib import Path
from typing import Annotated

from typer import Option

from costcalc.cli import parse
from costcalc.cli.bundle import with_options
from costcalc.cli.calibrated import from_files, new_files, today, write_machines
from costcalc.cli.catalogued import CatalogFolder
from costcalc.cli.output import FORMATS
from costcalc.errors import CostcalcError

FOLDER = "calibrated"
"""Where the measurements of this machine go unless --output says otherwise."""
KINDS = ("decode_attention", "prefill_attention", "gemm", "moe", "comm", "e2e")

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
        from_files(files, parse.choice(kind, "--kind", KINDS), output, form)
    else:
        if kind is not None:
            raise CostcalcError("there is no file", where="--kind", hint="add --from FILE.csv")
        _from_this_machine(gpu, Path(output or FOLDER), form)


def _from_this_machine(gpu: str | None, folder: Path, form: str) -> None:
    from costcalc.catalog.efficiency import MACHINES, load_kernel_efficiency
    from costcalc.catalog.find import find_path
    from costcalc.catalog.load import load_gpu
    from costcalc.measured.gpu_bench import cases, measure
    from costcalc.measured.gpu_bench.cuda import find_device
    from costcalc.measured.gpu_bench.tables import as_measurements, measurements_csv
    from costcalc.measured.gpus import find_gpu
    from costcalc.measured.own import fit_files, shipped_alone
    from costcalc.measured.reached import machine_efficiency, merged, with_efficiency
    from costcalc.show.calibration import calibration_page, calibration_rows, reached_lines
    from costcalc.show.present import present_list

    device = find_device()
    name = find_path("hardware_profiles", gpu).stem if gpu is not None else find_gpu(device.name)[0]
    profile = find_path("hardware_profiles", name)
    paths = [folder / MACHINES, folder / "hardware_profiles" / f"{name}.yaml"]
    paths += [folder / "measurements" / f"{kind}.csv" for kind in ("gemm", "decode_attention")]
    # Opened before the minutes of measuring, so that a folder that takes no files is told at once.
    with new_files(paths) as files:
        wanted = cases(device.free_bytes, device.precisions)
        measured = measure(device, name, wanted, date=today(), tell=_progress)
        efficiency = shipped_alone(load_kernel_efficiency())
        tables = as_measurements(measured)
        fits = fit_files(tables, efficiency, date=today())
        rows = {table.kind: table.rows for table in tables}
        found = machine_efficiency(
            rows, load_gpu(profile), efficiency,
            source="costcalc calibrate, on the machine itself", date=today(), copy_bandwidth=measured.copy_bandwidth,
        )  # fmt: skip
        if found is None:
            raise CostcalcError("nothing fits the memory that is free", hint="end what else runs on the GPU")
        reached = merged(found, load_gpu(profile).efficiency)
        write_machines(files[0], fits)
        texts = [with_efficiency(profile.read_text(encoding="utf-8"), reached), *map(measurements_csv, tables)]
        for file, text in zip(files[1:], texts, strict=True):
            if file is not None:
                file.write_text(text)
    notes = [*reached_lines(reached), f"Written to {folder}; use it with --catalog {folder}."]
    if measured.skipped:
        notes.insert(0, f"{measured.skipped} cases did not fit the memory that is free.")
    present_list(calibration_rows(fits), calibration_page(fits, notes), form)


def _progress(done: int, every: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\rmeasuring {done + 1} of {every} " + "\n" * (done + 1 == every))
        sys.stderr.flush()
