"""`costcalc gpus`: the accelerators of the catalog."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from costcalc.cli.bundle import with_options
from costcalc.cli.catalogued import (
    CatalogFolder,
    Written,
    check_each,
    loaded,
    matching,
    names_given_twice,
    ordered,
    report,
    write_template,
)
from costcalc.cli.complete import gpu_names
from costcalc.readable import counted

if TYPE_CHECKING:
    from costcalc.explore.facts import GpuFacts

_SORTED_BY: "dict[str, Callable[[GpuFacts], Any]]" = {
    "name": lambda each: each.id,
    "memory": lambda each: each.memory_bytes,
    "bandwidth": lambda each: each.memory_bandwidth,
    "bf16": lambda each: each.bf16 or each.fp16,
    "fp8": lambda each: each.fp8,
    "power": lambda each: each.power_w,
    "price": lambda each: each.usd_per_gpu_hour,
    "released": lambda each: each.released,
    "vendor": lambda each: each.vendor,
}

Search = Annotated[str | None, Argument(metavar="[TEXT]", help="Only accelerators with this in their id or name.")]
Vendor = Annotated[str | None, Option("--vendor", metavar="NAME", help="Only this vendor, such as amd.")]
Architecture = Annotated[
    str | None, Option("--architecture", metavar="NAME", help="Only this architecture, such as hopper.")
]
Sort = Annotated[str | None, Option("--sort", metavar="|".join(_SORTED_BY), help="The order; default: by name.")]
Reverse = Annotated[bool, Option("--reverse", help="Largest or last first.")]
Name = Annotated[
    str, Argument(metavar="NAME", help="An accelerator's name, alias or YAML file.", autocompletion=gpu_names)
]
Paths = Annotated[list[str] | None, Argument(metavar="[FILE]...", help="YAML files; default: the whole catalog.")]
NewFile = Annotated[
    str | None, Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file.")
]


@with_options
def list_gpus(
    written: Written,
    search: Search = None,
    vendor: Vendor = None,
    architecture: Architecture = None,
    sort: Sort = None,
    reverse: Reverse = False,
    catalog: CatalogFolder = None,
) -> None:
    """The accelerators of the catalog, one line each."""
    form = written.form()
    from costcalc.catalog.find import list_entries
    from costcalc.catalog.load import load_gpu
    from costcalc.explore.facts import gpu_facts
    from costcalc.show.files import new_file
    from costcalc.show.listing import gpus_page
    from costcalc.show.present import present_list

    with new_file(written.output, "--output") as file:
        entries = list_entries("hardware_profiles", catalog)
        aliases = {entry.name: entry.aliases for entry in entries}
        facts = loaded(
            entries, lambda entry: gpu_facts(entry.name, load_gpu(entry.path, catalog=catalog), own=entry.own)
        )
        facts = matching(facts, lambda each: " ".join((each.id, each.name, *aliases[each.id])), search, "TEXT")
        facts = matching(facts, lambda each: each.vendor, vendor, "--vendor")
        facts = matching(facts, lambda each: each.architecture, architecture, "--architecture")
        found = ordered(facts, _SORTED_BY, sort, reverse)
        present_list([each.to_dict() for each in found], gpus_page(found), form, file)


@with_options
def show_gpu(written: Written, name: Name, catalog: CatalogFolder = None) -> None:
    """Everything that the catalog knows of an accelerator, with its sources and prices."""
    form = written.form()
    from costcalc.catalog.find import find_path
    from costcalc.catalog.load import load_gpu
    from costcalc.catalog.positions import place
    from costcalc.explore.facts import gpu_facts
    from costcalc.show.files import new_file
    from costcalc.show.gpucard import gpu_page
    from costcalc.show.present import present_card

    with new_file(written.output, "--output") as file:
        path = find_path("hardware_profiles", name, catalog)
        gpu = load_gpu(name, catalog=catalog)
        facts = gpu_facts(path.stem, gpu)
        tree = {**facts.to_dict(), "spec": asdict(gpu)}
        present_card(tree, facts.to_dict(), gpu_page(path.stem, gpu, place(path)), form, file)


@with_options
def check_gpus(paths: Paths = None, catalog: CatalogFolder = None) -> None:
    """Check accelerator files: keys, units, and a source for every fact."""
    from costcalc.catalog.find import known_architectures, list_paths
    from costcalc.catalog.load import load_gpu
    from costcalc.explore.doubts import Doubt, doubts_of_gpu

    files = [Path(each) for each in paths or []] or list_paths("hardware_profiles", catalog)

    families = known_architectures()

    def doubts(path: Path) -> Iterator[Doubt]:
        yield from doubts_of_gpu(load_gpu(path, catalog=catalog, check=True), families)

    problems = check_each(files, doubts)
    if not paths:
        problems += names_given_twice("hardware_profiles", catalog)
    report(problems, f"{counted(len(files), 'accelerator file')}: no problem")


@with_options
def new_gpu(output: NewFile = None) -> None:
    """A commented YAML file to start an accelerator of your own from."""
    from costcalc.show.templates import GPU

    write_template(GPU, output)
