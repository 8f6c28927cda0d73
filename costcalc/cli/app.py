"""The commands of costcalc and what each is for; runs one and turns errors into one line."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from costcalc.cli.lazy import USAGE_ERROR, Command, Group, Table, as_text, lazy_group, told
from costcalc.errors import AboveLimit, CostcalcError, shortened, shown, tell

START = (
    "costcalc estimate --model v3 --gpu h100   # cost, speed, users and why",
    "costcalc compare attention -m v3 -g h100  # MHA, GQA, MQA and MLA in dollars",
    "costcalc compare gpus h100 b200 -m v3     # which GPU is cheapest",
    "costcalc breakeven -m v3 -g h100          # your own GPUs, or an API",
    "costcalc models; costcalc gpus            # what may be named",
)
"""What a first-time user tries."""


def _of_catalog(one: str, what: str, example: str, shown: str = "", more: Mapping[str, Command] | None = None) -> Group:
    """The commands of models or of GPUs; `one` names their functions."""
    where, show = "costcalc.cli.catalog", f"costcalc {one}s show {example}"
    commands = {
        "list": Command(f"{where}:list_{one}s", "All of them, one line each."),
        "show": Command(f"{where}:show_{one}", f"Everything known of one, with its sources{shown}.", (show,)),
        "check": Command(f"{where}:check_{one}s", "Check files, or the whole catalog."),
        "new": Command(f"{where}:new_{one}", "A commented file to start one of your own from."),
        **(more or {}),
    }
    return Group(commands, f"The {what} of the catalog.", default="list", examples=(f"costcalc {one}s", show))


COMMANDS: Table = {
    "estimate": Command(
        "costcalc.cli.questions:estimate",
        "What a deployment does and costs, and why.",
        (
            "costcalc estimate --model v3 --gpu h100",
            "costcalc estimate -m llama-3.1-70b -g 8xh100 --weights fp8 --price spot",
            "costcalc estimate -m v3 -g h200 --context 100k --explain --chart step.svg",
            "costcalc estimate --from 'vllm serve Qwen/Qwen3-32B -tp 2' -g h100",
        ),
    ),
    "report": Command(
        "costcalc.cli.questions:report",
        "All of it in one file to send around: HTML with sliders, or a workbook.",
        (
            "costcalc report -m v3 -g h100 -o report.html",
            "costcalc report -m llama-3.1-70b -g 8xh100 --utilization 40% -o report.xlsx",
        ),
    ),
    "capacity": Command(
        "costcalc.cli.questions:capacity",
        "What fits on these GPUs: context, users, model or bits.",
        (
            "costcalc capacity -m llama-3.1-8b -g rtx-4090",
            "costcalc capacity --max users -m llama-3.1-70b -g 4xh100 --context 32k --tpot 50ms",
            "costcalc capacity --max model -g rtx-4090 --backend llamacpp",
            "costcalc capacity --max bits -m qwen3-32b -g rtx-4090 --context 16k --backend llamacpp",
        ),
    ),
    "compare": Group(
        {
            "attention": Command(
                "costcalc.cli.questions:compare_attention",
                "One model with its attention replaced.",
                ("costcalc compare attention -m v3 -g h100 --contexts 4k,32k,128k --plot",),
            ),
            "models": Command(
                "costcalc.cli.questions:compare_models",
                "Several models on one kind of GPU.",
                ("costcalc compare models qwen3-32b gpt-oss-120b -g 1xh200",),
            ),
            "gpus": Command(
                "costcalc.cli.questions:compare_gpus",
                "One model on several kinds of GPU.",
                ("costcalc compare gpus h100 b200 8xmi300x --model gpt-oss-120b",),
            ),
        },
        "Attention variants, models or GPUs side by side.",
        examples=(
            "costcalc compare attention --model v3 --gpu h100",
            "costcalc compare models qwen3-32b gpt-oss-120b --gpu 1xh200",
            "costcalc compare gpus h100 b200 mi300x --model gpt-oss-120b",
        ),
    ),
    "sweep": Command(
        "costcalc.cli.questions:sweep",
        "One question at many batches, contexts, prices or GPU counts.",
        (
            "costcalc sweep -m v3 -g h100 --batch 1,8,64 --context 4k,32k,128k",
            "costcalc sweep -m llama-3.1-8b -g 1xh100 --batch 1:256:x2 --chart batch.svg",
            "costcalc sweep -m v3 -g h200 --gpus 8,16,32 --price 2:4:0.5 -o prices.csv",
        ),
    ),
    "frontier": Command(
        "costcalc.cli.questions:frontier",
        "Every layout and batch: speed for users against tokens per GPU and dollars.",
        (
            "costcalc frontier -m llama-3.1-70b -g h100",
            "costcalc frontier -m v3 -g h200,b200 --pools both --tpot 50ms --chart frontier.svg",
            "costcalc frontier -m gpt-oss-120b -g all --max-gpus 8 -o points.csv",
        ),
    ),
    "simulate": Command(
        "costcalc.cli.traffic:simulate",
        "What users see under real traffic: requests replayed through the scheduler.",
        (
            "costcalc simulate -m llama-3.1-8b -g 1xh100 --demand 6rps --input 1000 --output 200",
            "costcalc simulate -m llama-3.1-70b -g 4xh100 --concurrency 64 --ttft 2s --tpot 50ms",
            "costcalc simulate -m llama-3.1-8b -g 1xh100 --trace requests.csv --replicas 4 --loads 0.5:1.5:0.25",
        ),
    ),
    "plan": Command(
        "costcalc.cli.traffic:plan",
        "What to run, and how many: the cheapest fleet for a demand and its service levels.",
        (
            "costcalc plan -m llama-3.1-70b -g h100,h200,b200 --demand 20rps --ttft p95=2s --tpot p99=50ms",
            "costcalc plan -m v3 -g h200,b200 --demand 1Btokens/day --peak 3 --ttft p95=3s --chart plan.svg",
            "costcalc plan -m llama-3.1-8b -g all --trace requests.csv --ttft p95=1s",
        ),
    ),
    "sensitivity": Command(
        "costcalc.cli.money:sensitivity",
        "What moves the cost most: each input over its range.",
        (
            "costcalc sensitivity -m v3 -g h100",
            "costcalc sensitivity -m llama-3.1-70b -g 8xh100 --vary price=1.5:4,batch=16:64 --chart tornado.svg",
        ),
    ),
    "breakeven": Command(
        "costcalc.cli.money:breakeven",
        "How busy GPUs of your own must be to beat an API.",
        (
            "costcalc breakeven --model v3 --gpu h100",
            "costcalc breakeven -m llama-3.1-70b -g 8xh100 --against together,claude-3.5-sonnet,0.5/0.8",
            "costcalc breakeven -m v3 -g h200 --margin 60%",
        ),
    ),
    "train": Command(
        "costcalc.cli.money:train",
        "FLOPs, GPU-hours, days and dollars of a training run.",
        (
            "costcalc train -m v3 -g h800 --tokens 14.8T --gpus 2048 --price 2",
            "costcalc train -m llama-3.1-405b -g 16384xh100 --tokens 15.6T --sequence 8192 --mfu 38%-43%",
        ),
    ),
    "price": Command(
        "costcalc.cli.validate:price",
        "What a benchmark just measured costs, beside its prediction.",
        (
            "costcalc price results.json --model llama-3.1-8b --gpu 1xh100",
            "costcalc price profile_export_aiperf.json --gpu 8xh200 --tp 8 --price spot -o priced.csv",
            "costcalc price sweep/*.json -m v3 -g 16xh200 --chart priced.svg",
        ),
    ),
    "run": Command(
        "costcalc.cli.scenario_files:run",
        "The questions of a YAML file.",
        (
            "costcalc run scenario.yaml",
            "costcalc run scenario.yaml --only spot --format json",
        ),
    ),
    "diff": Command(
        "costcalc.cli.diff:diff",
        "What changed between two estimates, in dollars.",
        (
            "costcalc diff '-m v3 -g h100' '-m v3 -g h200 --tuning tuned'",
            "costcalc diff saved.json scenario.yaml#tuned --chart waterfall.svg",
        ),
        quoted=True,
    ),
    "models": _of_catalog(
        "model",
        "models",
        "v3",
        more={
            "import": Command(
                "costcalc.cli.catalog:import_model",
                "A model from a Hugging Face config.json.",
                (
                    "costcalc models import ./my-model/config.json -o mine.yaml",
                    "costcalc models import Qwen/Qwen3-8B --online -o mine.yaml",
                    "costcalc estimate --model ./mine.yaml --gpu l40s",
                ),
            )
        },
    ),
    "gpus": _of_catalog(
        "gpu",
        "accelerators",
        "h100",
        shown=" and prices",
        more={
            "own": Command(
                "costcalc.cli.catalog:own_gpu",
                "What owning one costs an hour, part by part, and by which terms.",
                ("costcalc gpus own h100 --owned years=4,rate=8% --power-price 0.08 --pue 1.25",),
            )
        },
    ),
    "config": Command(
        "costcalc.cli.config:config",
        "Defaults of your own: where each value comes from.",
        ("costcalc config", "costcalc config --format json"),
    ),
    "mcp": Command("costcalc.cli.mcp.server:mcp", "Questions as tools of agents: the Model Context Protocol on stdio."),
    "validate": Command("costcalc.cli.validate:validate", "How far predictions are from measurements."),
    "calibrate": Command("costcalc.cli.calibrate:calibrate", "Fit the constants on measurements of your own."),
    "schema": Command(
        "costcalc.cli.catalog:schema",
        "JSON Schemas of results and of the catalog's files.",
        ("costcalc schema result",),
    ),
}


def build() -> Any:
    """Return the whole command, ready to parse; what its commands need is not imported yet."""
    app = typer.Typer(
        name="costcalc",
        cls=lazy_group(COMMANDS, examples=START),
        help="What a token costs on this hardware, how many users fit, and why.",
        epilog="COMMAND --help says more of each; docs/cli.md has them all.",
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        invoke_without_command=True,
    )
    app.callback()(_root)
    command: Any = typer.main.get_command(app)
    command.params = as_text(command.params)  # those that install completion come last
    return command


def _show_version(wanted: bool) -> None:
    if wanted:
        from costcalc import __version__

        typer.echo(f"costcalc {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None and not version:
        typer.echo(context.get_help())


# Running a command: every failure is one line on stderr, and an exit code that says whose fault it was.


PROGRAM = "costcalc"
BAD_INPUT = 2
ABOVE_LIMIT = OWN_FAULT = 1
INTERRUPTED = 130


class ClosedStream(io.TextIOBase):
    """A stdout that whoever started costcalc has closed: there is none until something is written to it."""

    def isatty(self) -> bool:
        """Return that this is no terminal."""
        return False

    def write(self, text: str) -> int:
        """Refuse what would be lost."""
        raise OSError(errno.EBADF, "it is closed; write to a file with --output-file FILE")


def run(arguments: list[str]) -> int:
    """Run costcalc and return its exit code.

    arguments: the words after the program's name.
    """
    sys.stdout = ClosedStream() if sys.stdout is None else whole_writes(sys.stdout)
    tolerate_narrow_encodings(sys.stdout, sys.stderr)
    forget_files()
    try:
        _check_words(arguments)
        try:
            code, above = invoke(arguments), None
        except AboveLimit as error:
            code, above = ABOVE_LIMIT, str(error)
        sys.stdout.flush()
        if files := sys.modules.get("costcalc.report.export.files"):
            files.tell_files()
        if above is not None:
            tell(f"limit: {above}")
        return code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except USAGE_ERROR as error:
        return _fail(str(told(error)), BAD_INPUT)
    except CostcalcError as error:
        return _fail(str(as_typed(error)), BAD_INPUT)
    except OSError as error:
        if _debugging():
            raise
        _silence_stdout()
        return _fail(str(CostcalcError(str(error.strerror or error), str(error.filename or "stdout"))), BAD_INPUT)
    except Exception as error:
        if _debugging():
            raise
        return _fail(as_told(error), OWN_FAULT)


def forget_files() -> None:
    """Forget which files were read and written: the next question may read them again."""
    if yaml := sys.modules.get("costcalc.catalog.yaml"):
        yaml.READ.clear()
    if files := sys.modules.get("costcalc.report.export.files"):
        files.FINISHED.clear()


def as_told(error: Exception) -> str:
    """Return a fault of costcalc's own in a line."""
    what = shortened(" ".join(f"{type(error).__name__}: {error}".split()), 240)
    return f"unexpected {what}; set COSTCALC_DEBUG=1 to see where"


def _check_words(words: list[str]) -> None:
    """Raise CostcalcError for what is no text, and so no name of a model, a file or anything else."""
    for word in words:
        if "\0" in word or any("\ud800" <= sign <= "\udfff" for sign in word):
            raise CostcalcError(f"{shown(word)} is not text in UTF-8", hint="a name here is text, that of a file too")


ARGUMENTS = (
    *("model", "gpu", "emit", "from", "contexts", "variants", "against", "catalog", "max", "max_gpus"),
    *("tier", "discount", "sell", "margin", "vary", "of"),
    *("trace", "process", "input_lengths", "output_lengths", "speed", "loads", "replicas", "router", "prefix_cache"),
    *("prefill_gpu", "peak", "hourly", "pools", "seeds"),
    *("seed", "tokens", "sequence", "mfu", "precision", "chart"),
)
"""What functions of costcalc take besides options, by the name that its flag has."""
_OTHERWISE = {"accelerators": "--gpu", "kinds": "--chart-kind"}
"""What has another name there."""


def as_typed(error: CostcalcError) -> CostcalcError:
    """The error with the options that it names as the command line spells them: `tensor_parallel` is `--tp`."""
    where = error.where or ""
    flag = _flag(where)
    message, hint = (
        re.sub(r"`(\w+)`", lambda name: _flag(name[1]) or name[0], text) for text in (error.message, error.hint or "")
    )
    if not flag and (message, hint) == (error.message, error.hint or ""):
        return error
    return CostcalcError(message, where=flag or error.where, hint=hint or None)


def _flag(name: str) -> str | None:
    """Return the flag of an argument or option, or None for what is none."""
    from costcalc.predict.options import flag_of

    if name in _OTHERWISE:
        return _OTHERWISE[name]
    return f"--{name.replace('_', '-')}" if name in ARGUMENTS else flag_of(name)


def invoke(arguments: list[str]) -> int:
    """Run a command and return its exit code, with errors as they come.

    arguments: the words after the program's name.
    """
    command: Any = build()
    if {"--install-completion", "--show-completion"} & {*arguments}:
        _complete_at_once()
    # Shells ask for completions through this variable; only the library's own entry answers them.
    if os.environ.get("_COSTCALC_COMPLETE"):
        if not os.environ.keys() >= {"COMP_WORDS", "COMP_CWORD"} and "_TYPER_COMPLETE_ARGS" not in os.environ:
            raise CostcalcError("no words to complete", where="_COSTCALC_COMPLETE", hint="it is for shells to set")
        return int(command.main(arguments, prog_name=PROGRAM, standalone_mode=False) or 0)
    try:
        with command.make_context(PROGRAM, arguments) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return int(stop.exit_code)
    return 0


_AT_ONCE = """
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then %(complete_func)s "$@"; fi
"""


def _complete_at_once() -> None:
    """Let zsh complete at the first Tab of a session.

    It loads typer's file then, which names the function to be called from the next Tab on. Source: the file of Click,
    on which typer stands, calls it.
    """
    from typer import _completion_shared

    scripts = getattr(_completion_shared, "_completion_scripts", {})
    if "zsh" in scripts and "loadautofunc" not in scripts["zsh"]:
        scripts["zsh"] = f"{scripts['zsh'].rstrip()}\n{_AT_ONCE}"


def _debugging() -> bool:
    return bool(os.environ.get("COSTCALC_DEBUG"))


def _fail(message: str, code: int) -> int:
    tell(f"error: {message}")
    return code


def whole_writes(stream: Any) -> Any:
    """Return a text stream that writes all of its text or raises: an unbuffered one drops what a full disk refuses."""
    if not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        return stream
    return open(stream.fileno(), "w", encoding=stream.encoding, errors=stream.errors, closefd=False)


def _silence_stdout() -> None:
    """Point stdout at nothing, so that flushing it at exit cannot fail a second time."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


# Output that survives a narrow encoding: '×' becomes 'x' where a terminal or pipe knows ASCII alone.


_PLAIN = {
    "×": "x", "≈": "~", "°": "*", "†": "+", "‡": "#", "–": "-", "—": "-", "−": "-", "…": ".", "·": "|", "µ": "u",
    "μ": "u",
    "≤": "<", "≥": ">", "≠": "!", "→": ">", "←": "<", "“": '"', "”": '"', "‘": "'", "’": "'",
    "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "=", "▍": "=", "▎": "-", "▏": "-", "░": ".", "▒": ":", "▓": "+",
    "─": "-", "━": "-", "│": "|", "┼": "+", "├": "+", "┤": "+", "└": "+", "┘": "+", "┌": "+", "┐": "+",
    "┬": "+", "┴": "+", "●": "o", "○": "O", "■": "#", "▲": "^", "◆": "D", "▼": "v", "★": "*",
}  # fmt: skip
_LOOKALIKES = "costcalc-plain"


def plain_text(text: str) -> str:
    """Return text in ASCII: each sign that has a plain look-alike by that, others as '?'; widths stay."""
    return "".join(each if each.isascii() else _PLAIN.get(each) or _dotted(each) for each in text)


def _dotted(sign: str) -> str:
    """A sign of a line in a terminal's chart, which is drawn in Braille, as a dot."""
    return "." if "\u2800" < sign <= "\u28ff" else "?"


def tolerate_narrow_encodings(*streams: Any) -> None:
    """Make streams write look-alikes of what their encoding lacks, instead of raising.

    streams: text streams such as sys.stdout; those that cannot be reconfigured are left alone.
    """
    codecs.register_error(_LOOKALIKES, _replace)
    for stream in streams:
        encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
        if hasattr(stream, "reconfigure") and encoding not in ("utf8", "utf16", "utf32"):
            stream.reconfigure(errors=_LOOKALIKES)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain_text(error.object[error.start : error.end]), error.end
