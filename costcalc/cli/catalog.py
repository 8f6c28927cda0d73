"""`costcalc models` and `costcalc gpus`: list, show, check, new, import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import Argument, Option

from costcalc.cli import parse
from costcalc.cli.options import gpu_names, model_names, with_options
from costcalc.cli.output import FORMATS, form_of
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.units import counted

if TYPE_CHECKING:
    from costcalc.catalog.files import CatalogEntry
    from costcalc.catalog.findings import Finding
    from costcalc.catalog.summary import GpuSummary, ModelSummary
    from costcalc.report.files import NewFile


Facts = TypeVar("Facts")
BAD_INPUT = 2
MOST_VALUES = 1500

CatalogFolder = Annotated[
    str | None,
    Option("--catalog", metavar="DIR", help="A folder with models/ and hardware_profiles/, looked at first."),
]


class Written(Record):
    """In which form a list or a card is written, and where."""

    format: Annotated[
        str | None, Option("--format", "-f", metavar="|".join(FORMATS), help="The form of the answer.")
    ] = None
    output: Annotated[
        str | None,
        Option("--output", "-o", "--output-file", metavar="FILE",
               help="Write to a file instead of the screen; its ending chooses the format."),
    ] = None  # fmt: skip

    def form(self) -> str:
        """Return the format: the one asked for, else the file's, else a table; raises CostcalcError."""
        return form_of(self.format, self.output, "--output")


def loaded(entries: Sequence[CatalogEntry], load: Callable[[CatalogEntry], Facts]) -> list[Facts]:
    """Return what entries of the catalog hold; those of the user's that cannot be read are named on stderr.

    load: reads one; raises CostcalcError when it cannot be read.
    Raises CostcalcError for a file that costcalc ships, and where no entry can be read.
    """
    found: list[Facts] = []
    problems: list[CostcalcError] = []
    for entry in entries:
        try:
            found.append(load(entry))
        except CostcalcError as error:
            if not entry.own:
                raise
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        sys.stderr.write(f"warning: left out: {problem}\n")
    return found


def matching(
    facts: Iterable[Facts],
    value_of: Callable[[Facts], str | None],
    text: str | None,
    option: str,
    valid: Iterable[str] | None = None,
) -> list[Facts]:
    """Return the entries of which a field contains a text, upper and lower case alike.

    text: what was typed, or None for every entry.
    option: the option, for errors.
    valid: what an error lists, where it is not the values of the field.
    Raises CostcalcError when none does.
    """
    entries = list(facts)
    if text is None:
        return entries
    wanted = text.strip().casefold()
    found = [each for each in entries if wanted in (value_of(each) or "").casefold()]
    if not wanted or not found:
        values = sorted(set(valid or {value for each in entries if (value := value_of(each))}))
        hint = did_you_mean(wanted, values, 0.5)
        if hint is None and option.startswith("--"):
            hint = f"one of: {', '.join(values)}" if len(", ".join(values)) < MOST_VALUES else None
        raise CostcalcError(f"nothing matches {shown(text)}", where=option, hint=hint)
    return found


def ordered(
    facts: list[Facts], keys: dict[str, Callable[[Facts], Any]], text: str | None, reverse: bool
) -> list[Facts]:
    """Return entries sorted by a field; those without a value stand last.

    keys: the fields by the names that --sort takes.
    text: what was typed, or None to keep the order.
    Raises CostcalcError for an unknown field.
    """
    name = parse.choice(text, "--sort", keys)
    if name is None:
        return facts[::-1] if reverse else facts
    value = keys[name]

    def place(each: Facts) -> Any:
        found = value(each)
        # A year without a month stands in the middle of it.
        return f"{found}-06~" if name == "released" and len(found) == 4 else found

    known = sorted((each for each in facts if value(each) is not None), key=place, reverse=reverse)
    return known + [each for each in facts if value(each) is None]


def report(problems: Sequence[str], summary: str) -> None:
    """Print problems on stderr, a line each, and leave with exit code 2; or a summary when there is none."""
    if not problems:
        typer.echo(summary)
        return
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    raise typer.Exit(BAD_INPUT)


def check_each(paths: Iterable[Path], doubts: Callable[[Path], Iterable[Finding]]) -> list[str]:
    """Return the problems of files, each in a line that begins with the file and the line.

    doubts: yields the problems of a file that can be read; raises CostcalcError for one that cannot.
    """
    from costcalc.catalog.check import Positions, place
    from costcalc.catalog.yaml import load_yaml

    problems: list[str] = []
    for path in paths:
        try:
            found = list(doubts(path))
            positions = load_yaml(path)[1] if found else Positions()
            for doubt in found:
                where = place(path, positions.of_value(doubt.path) if doubt.path else None)
                problems.append(f"{where}: {doubt.text}")
        except CostcalcError as error:
            problems += map(str, error.each)
    return problems


def names_given_twice(kind: str, catalog: str | None) -> list[str]:
    """Return the names of the catalog that two files answer to, each in a line.

    kind: 'models' or 'hardware_profiles'.
    """
    from costcalc.catalog.files import list_entries, normal_name, read_aliases

    owners: dict[str, str] = {}
    problems: list[str] = []
    # What is shipped comes first: whoever takes one of its names is to be told.
    for entry in sorted(list_entries(kind, catalog), key=lambda each: each.own):  # type: ignore[arg-type]
        for name in dict.fromkeys(normal_name(each) for each in (entry.name, *read_aliases(entry.path))):
            other = owners.setdefault(name, entry.name)
            if other != entry.name:
                shadow = f", and means {entry.name} while this file is in the catalog" if entry.own else ""
                problems.append(f"{entry.path}: the name {shown(name)} belongs to {other} too{shadow}")
    return problems


def write_template(text: str, output: str | None) -> None:
    """Print a template, or write it to a file that does not exist yet.

    output: the file, or None for stdout.
    Raises CostcalcError for a file that exists or cannot be written.
    """
    from costcalc.report.files import new_file, write

    if output is not None and Path(output).exists():
        raise CostcalcError(f"{shown(output)} exists already", where="--output", hint="name a new file")
    if output is not None and Path(output).suffix.lower() not in (".yaml", ".yml"):
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="end it in .yaml")
    with new_file(output, "--output") as file:
        write(text, file)


# The part of `costcalc models` that is about models known by their list prices alone.


def list_closed(written: Written, search: str | None, sort: str | None, *, reverse: bool, catalog: str | None) -> None:
    """Print the models that only have list prices, one line each.

    Raises CostcalcError for options that cannot be read, and where nothing matches.
    """
    form = written.form()
    from costcalc.catalog.read import list_closed_models
    from costcalc.catalog.summary import ClosedSummary, closed_summaries
    from costcalc.report.catalog import closed_models_page
    from costcalc.report.files import new_file, present_list

    with new_file(written.output, "--output") as file:
        facts = [closed_summaries(entry.model) for entry in list_closed_models(catalog)]
        facts = matching(facts, lambda each: f"{each.id} {each.name} {each.provider}", search, "TEXT")
        found: list[ClosedSummary] = ordered(
            facts,
            {
                "name": lambda each: each.id,
                "provider": lambda each: each.provider,
                "context": lambda each: each.max_context,
                "price": lambda each: each.usd_per_million_output_tokens,
            },
            sort,
            reverse,
        )
        present_list([each.to_dict() for each in found], closed_models_page(found), form, file)


def show_closed(name: str, form: str, file: NewFile | None, catalog: str | None) -> bool:
    """Print all that is known of a model that only has list prices; return whether there is one.

    form, file: the format, and the file to write or None for stdout.
    """
    from costcalc.catalog.check import place
    from costcalc.catalog.read import find_closed_model
    from costcalc.catalog.summary import closed_summaries
    from costcalc.report.catalog import closed_model_page
    from costcalc.report.files import present_card

    entry = find_closed_model(name, catalog)
    if entry is None:
        return False
    facts = closed_summaries(entry.model).to_dict()
    tree = {**facts, "spec": asdict(entry.model)}
    present_card(tree, facts, closed_model_page(entry.model, place(entry.path)), form, file)
    return True


# `costcalc models`: the models of the catalog.


_MODELS_SORTED_BY: dict[str, Callable[[ModelSummary], Any]] = {
    "name": lambda each: each.id,
    "total": lambda each: each.total_parameters,
    "active": lambda each: each.active_parameters,
    "layers": lambda each: each.layers,
    "kv": lambda each: (each.kv_bytes_per_token, each.fixed_bytes_per_sequence),
    "context": lambda each: each.max_context,
    "released": lambda each: each.released,
    "family": lambda each: each.family,
    "price": lambda each: each.usd_per_million_output_tokens,
}

ModelSearch = Annotated[str | None, Argument(metavar="[TEXT]", help="Only models with this in their id or name.")]
Family = Annotated[str | None, Option("--family", metavar="NAME", help="Only this family, such as qwen.")]
Attention = Annotated[
    str | None, Option("--attention", metavar="NAME", help="Only this attention, such as mla, gqa, gqa-8 or mamba.")
]
ModelSort = Annotated[
    str | None, Option("--sort", metavar="|".join(_MODELS_SORTED_BY), help="The order; default: by name.")
]
Closed = Annotated[bool, Option("--closed", help="Models without a known shape, which only have list prices.")]
Reverse = Annotated[bool, Option("--reverse", help="Largest or last first.")]
ModelName = Annotated[
    str, Argument(metavar="NAME", help="A model's name, alias or YAML file.", autocompletion=model_names)
]
Paths = Annotated[list[str] | None, Argument(metavar="[FILE]...", help="YAML files; default: the whole catalog.")]
ModelFile = Annotated[
    str | None, Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file.")
]


@with_options
def list_models(
    written: Written,
    search: ModelSearch = None,
    family: Family = None,
    attention: Attention = None,
    sort: ModelSort = None,
    reverse: Reverse = False,
    closed: Closed = False,
    catalog: CatalogFolder = None,
) -> None:
    """The models of the catalog, one line each."""
    if closed:
        if family is not None or attention is not None:
            where = "--attention" if family is None else "--family"
            raise CostcalcError("models that only have prices have no shape", where=where, hint="leave one out")
        list_closed(written, search, sort, reverse=reverse, catalog=catalog)
        return
    form = written.form()
    from costcalc.catalog.files import list_entries
    from costcalc.catalog.read import load_model
    from costcalc.catalog.summary import model_summaries
    from costcalc.report.catalog import models_page
    from costcalc.report.files import new_file, present_list

    with new_file(written.output, "--output") as file:
        entries = list_entries("models", catalog)
        facts = loaded(
            entries, lambda entry: model_summaries(entry.name, load_model(entry.path, catalog=catalog), own=entry.own)
        )
        aliases = {entry.name: entry.aliases for entry in entries}
        found = ordered(_matching(facts, aliases, search, family, attention), _MODELS_SORTED_BY, sort, reverse)
        present_list([each.to_dict() for each in found], models_page(found), form, file)


def _matching(
    facts: list[ModelSummary],
    aliases: Mapping[str, tuple[str, ...]],
    search: str | None,
    family: str | None,
    attention: str | None,
) -> list[ModelSummary]:
    """Return the models of a list that the options name; raises CostcalcError where none is."""
    kinds = {kind for each in facts for kind in each.attention_kinds.split(", ")}
    facts = matching(facts, lambda each: " ".join((each.id, each.name, *aliases[each.id])), search, "TEXT")
    facts = matching(facts, lambda each: each.family, family, "--family")
    return matching(
        facts,
        lambda each: f"{each.attention}, {each.attention_kinds}",
        attention,
        "--attention",
        valid={*kinds, "mha", "gqa", "mqa", "mla", "window", "mamba2"},
    )


@with_options
def show_model(written: Written, name: ModelName, catalog: CatalogFolder = None) -> None:
    """Everything that the catalog knows of a model, with its sources."""
    form = written.form()
    from costcalc.catalog.check import place
    from costcalc.catalog.files import find_path
    from costcalc.catalog.read import load_model
    from costcalc.catalog.summary import model_summaries
    from costcalc.report.catalog import model_page
    from costcalc.report.files import new_file, present_card

    with new_file(written.output, "--output") as file:
        try:
            path = find_path("models", name, catalog)
        except CostcalcError:
            if not show_closed(name, form, file, catalog):
                raise
            return
        model = load_model(name, catalog=catalog)
        facts = model_summaries(path.stem, model)
        tree = {**facts.to_dict(), "spec": asdict(model)}
        present_card(tree, facts.to_dict(), model_page(path.stem, model, place(path)), form, file)


@with_options
def check_models(paths: Paths = None, catalog: CatalogFolder = None) -> None:
    """Check model files: keys, units, sources, and parameters counted from the shape against those published."""
    from costcalc.catalog.files import CLOSED_MODELS, list_paths
    from costcalc.catalog.findings import findings_of_model
    from costcalc.catalog.read import closed_paths, load_closed_models, load_model

    files = [Path(each) for each in paths or []] or [*list_paths("models", catalog), *closed_paths(catalog)]

    def doubts(path: Path) -> Iterator[Finding]:
        if path.name == CLOSED_MODELS:
            load_closed_models(path, check=True)
        else:
            yield from findings_of_model(load_model(path, catalog=catalog, check=True))

    problems = check_each(files, doubts)
    if not paths:
        problems += names_given_twice("models", catalog)
    lists = sum(path.name == CLOSED_MODELS for path in files)
    also = f" and {counted(lists, 'list')} of prices" if lists else ""
    report(problems, f"{counted(len(files) - lists, 'model file')}{also}: no problem")


@with_options
def new_model(output: ModelFile = None) -> None:
    """A commented YAML file to start a model of your own from."""
    from costcalc.report.templates import MODEL

    write_template(MODEL, output)


# `costcalc models import`: a Hugging Face config.json turned into a model of the catalog.


Source = Annotated[
    str,
    Argument(
        metavar="PATH|HF_ID",
        help="A config.json, a folder that holds one, a hub id such as Qwen/Qwen3-8B, or - for stdin.",
    ),
]
ImportedName = Annotated[
    str | None, Option("--name", metavar="NAME", help="The model's name; default: its file's or id's.")
]
Online = Annotated[
    bool,
    Option("--online", help="Fetch what the local cache of the hub lacks, from HF_ENDPOINT where it is set."),
]
ImportedFile = Annotated[
    str | None,
    Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file."),
]


@with_options
def import_model(path: Source, name: ImportedName = None, online: Online = False, output: ImportedFile = None) -> None:
    """Turn a Hugging Face config.json into a model file, which --model takes.

    What the configuration cannot say stands in the file's notes. An architecture that is not known is refused.
    """
    from costcalc.catalog.huggingface.importer import import_model as read
    from costcalc.units import format_count

    imported = read(path, name=name, online=online)
    write_template(imported.text, output)
    if output is not None:
        spec = imported.spec
        counted = f"{format_count(spec.total_parameters)} parameters, {format_count(spec.active_parameters)} active"
        sys.stdout.write(f"{output}: {spec.name}, {spec.num_layers} layers, {counted}\n")


# `costcalc gpus`: the accelerators of the catalog.


_GPUS_SORTED_BY: dict[str, Callable[[GpuSummary], Any]] = {
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

GpuSearch = Annotated[str | None, Argument(metavar="[TEXT]", help="Only accelerators with this in their id or name.")]
Vendor = Annotated[str | None, Option("--vendor", metavar="NAME", help="Only this vendor, such as amd.")]
Architecture = Annotated[
    str | None, Option("--architecture", metavar="NAME", help="Only this architecture, such as hopper.")
]
GpuSort = Annotated[
    str | None, Option("--sort", metavar="|".join(_GPUS_SORTED_BY), help="The order; default: by name.")
]
GpuName = Annotated[
    str, Argument(metavar="NAME", help="An accelerator's name, alias or YAML file.", autocompletion=gpu_names)
]
GpuFile = Annotated[
    str | None, Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file.")
]


@with_options
def list_gpus(
    written: Written,
    search: GpuSearch = None,
    vendor: Vendor = None,
    architecture: Architecture = None,
    sort: GpuSort = None,
    reverse: Reverse = False,
    catalog: CatalogFolder = None,
) -> None:
    """The accelerators of the catalog, one line each."""
    form = written.form()
    from costcalc.catalog.files import list_entries
    from costcalc.catalog.read import load_gpu
    from costcalc.catalog.summary import gpu_summaries
    from costcalc.report.catalog import gpus_page
    from costcalc.report.files import new_file, present_list

    with new_file(written.output, "--output") as file:
        entries = list_entries("hardware_profiles", catalog)
        aliases = {entry.name: entry.aliases for entry in entries}
        facts = loaded(
            entries, lambda entry: gpu_summaries(entry.name, load_gpu(entry.path, catalog=catalog), own=entry.own)
        )
        facts = matching(facts, lambda each: " ".join((each.id, each.name, *aliases[each.id])), search, "TEXT")
        facts = matching(facts, lambda each: each.vendor, vendor, "--vendor")
        facts = matching(facts, lambda each: each.architecture, architecture, "--architecture")
        found = ordered(facts, _GPUS_SORTED_BY, sort, reverse)
        present_list([each.to_dict() for each in found], gpus_page(found), form, file)


@with_options
def show_gpu(written: Written, name: GpuName, catalog: CatalogFolder = None) -> None:
    """Everything that the catalog knows of an accelerator, with its sources and prices."""
    form = written.form()
    from costcalc.catalog.check import place
    from costcalc.catalog.files import find_path
    from costcalc.catalog.read import load_gpu
    from costcalc.catalog.summary import gpu_summaries
    from costcalc.report.catalog import gpu_page
    from costcalc.report.files import new_file, present_card

    with new_file(written.output, "--output") as file:
        path = find_path("hardware_profiles", name, catalog)
        gpu = load_gpu(name, catalog=catalog)
        facts = gpu_summaries(path.stem, gpu)
        tree = {**facts.to_dict(), "spec": asdict(gpu)}
        present_card(tree, facts.to_dict(), gpu_page(path.stem, gpu, place(path)), form, file)


@with_options
def check_gpus(paths: Paths = None, catalog: CatalogFolder = None) -> None:
    """Check accelerator files: keys, units, and a source for every fact."""
    from costcalc.catalog.files import known_architectures, list_paths
    from costcalc.catalog.findings import findings_of_gpu
    from costcalc.catalog.read import load_gpu

    files = [Path(each) for each in paths or []] or list_paths("hardware_profiles", catalog)

    families = known_architectures()

    def doubts(path: Path) -> Iterator[Finding]:
        yield from findings_of_gpu(load_gpu(path, catalog=catalog, check=True), families)

    problems = check_each(files, doubts)
    if not paths:
        problems += names_given_twice("hardware_profiles", catalog)
    report(problems, f"{counted(len(files), 'accelerator file')}: no problem")


@with_options
def new_gpu(output: GpuFile = None) -> None:
    """A commented YAML file to start an accelerator of your own from."""
    from costcalc.report.templates import GPU

    write_template(GPU, output)
