"""The command line: each file parses, calls and shows one command; none computes."""

import atexit
import gc
import os
import sys

TYPE_CHECKING = False  # nothing that Python has not loaded is imported before a signal is looked after
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends a program from outside: Ctrl-C, kill, and a terminal that is closed."""


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run costcalc and return its exit code: 0, 1 for a no (--fail-above, no fleet of a plan), or 2 for unusable input.

    arguments: the words after the program's name; those of the process when None, which signals end at once then.
    """
    if arguments is None:
        try:
            _be_a_program()
        except KeyboardInterrupt:
            os._exit(128 + 2)
    # Looking for plugins of pydantic reads the metadata of every installed package; costcalc uses none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    collecting = gc.isenabled()
    # A command is over before its cycles are worth collecting, which would take a tenth of its time.
    gc.disable()
    # Nor are they when the process ends, which takes back all memory anyway; Python would search it twice.
    atexit.register(gc.freeze)
    try:
        # Imported here, so that `import costcalc.cli` stays free of typer.
        from costcalc.cli.app import run

        return run(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        if collecting:
            gc.enable()


def _be_a_program() -> None:
    """End quietly at a signal, wherever it comes, with no file half written; and keep warnings of libraries back."""
    import signal

    for name in SIGNALS:
        number = getattr(signal, name, None)
        # Whoever started the program may have told it to ignore some, as nohup does.
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    if not sys.warnoptions:
        import warnings

        warnings.simplefilter("ignore")


def _end(number: int, _frame: object) -> "NoReturn":
    # An exception would not do: it can come while a library cleans up, which tells of it on stderr and goes on.
    discard = getattr(sys.modules.get("costcalc.report.export.files"), "discard", None)
    if discard is not None:  # else nothing is written yet
        discard()
    os._exit(128 + number)
