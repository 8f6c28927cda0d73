"""Running a command: every failure is one line on stderr, and an exit code that says whose fault it was."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any

import typer

from costcalc.cli.app import build
from costcalc.cli.usage import USAGE_ERROR, told
from costcalc.errors import CostcalcError
from costcalc.show.encoding import tolerate_narrow_encodings

PROGRAM = "costcalc"
BAD_INPUT = 2
OWN_FAULT = 1
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
    if sys.stdout is None:
        sys.stdout = ClosedStream()
    tolerate_narrow_encodings(sys.stdout, sys.stderr)
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
        return code
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()
        return 0
    except USAGE_ERROR as error:
        return _fail(str(told(error)), BAD_INPUT)
    except CostcalcError as error:
        return _fail(str(error), BAD_INPUT)
    except OSError as error:
        if _debugging():
            raise
        _silence_stdout()
        return _fail(f"{error.filename or 'stdout'}: {error.strerror or error}", BAD_INPUT)
    except Exception as error:
        if _debugging():
            raise
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(f"unexpected {what}; set COSTCALC_DEBUG=1 to see where", OWN_FAULT)


def _invoke(arguments: list[str]) -> int:
    command: Any = build()
    # Shells ask for completions through this variable; only the library's own entry answers them.
    if os.environ.get("_COSTCALC_COMPLETE"):
        return int(command.main(arguments, prog_name=PROGRAM, standalone_mode=False) or 0)
    try:
        with command.make_context(PROGRAM, arguments) as context:
            command.invoke(context)
    except typer.Exit as stop:
        return int(stop.exit_code)
    return 0


def _debugging() -> bool:
    return bool(os.environ.get("COSTCALC_DEBUG"))


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError, AttributeError):  # whoever started costcalc may have closed stderr
        sys.stderr.write(f"error: {message}\n")
        sys.stderr.flush()
    return code


def _silence_stdout() -> None:
    """Point stdout at nothing, so that flushing it at exit cannot fail a second time."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
