"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from costcalc.errors import CostcalcError, shown


class NewFile:
    """A file that appears under its name when it is complete."""

    def __init__(self, path: Path, draft: Path) -> None:
        self.path = path
        self.draft = draft

    def write_text(self, text: str) -> None:
        """Write the whole content, in UTF-8.

        text: the content.
        """
        self.write_bytes(text.encode())

    def write_bytes(self, content: bytes) -> None:
        """Write the whole content.

        content: the content.
        """
        self.draft.write_bytes(content)


@contextmanager
def new_file(name: str | None, option: str) -> Iterator[NewFile | None]:
    """Open a file that replaces the one of its name when the work inside succeeds.

    name: the file, or None for no file.
    option: the option that named it, for errors.
    Raises CostcalcError when it cannot be written, before the work begins.
    """
    if name is None:
        yield None
        return
    try:
        path = Path(name).expanduser()
        draft = _draft(path)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=option, hint=error.hint) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise CostcalcError(f"cannot write {shown(name)}: {_reason(error)}", where=option) from None
    try:
        yield NewFile(path, draft)
        try:
            draft.replace(path)
        except OSError as error:
            raise CostcalcError(f"cannot write {shown(name)}: {_reason(error)}", where=option) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _draft(path: Path) -> Path:
    """Create an empty file beside the one to write, which proves that the folder takes files."""
    if not path.name or path.is_dir():
        raise CostcalcError(f"{shown(str(path))} is a folder", hint="name a file in it")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise CostcalcError(f"{shown(str(path))} is not a plain file", hint="write to stdout instead")
    if path.exists() and not os.access(path, os.W_OK):
        raise CostcalcError(f"cannot write {shown(str(path))}: permission denied")
    if not path.parent.is_dir():
        raise CostcalcError(f"there is no folder {shown(str(path.parent))}", hint="create it first")
    draft = path.with_name(f".{path.name[:40]}.{os.urandom(6).hex()}{path.suffix[:8]}")
    # Like open(), this leaves the mode of a new file to the umask.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if path.exists():
        with contextlib.suppress(OSError):
            draft.chmod(stat.S_IMODE(path.stat().st_mode))
    return draft


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
