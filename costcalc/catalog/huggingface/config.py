"""A config.json found, in a file, a folder or on the hub, and read strictly, with line and column for errors."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from costcalc.catalog.check import CONFIG_BYTES, KeyPath, line_and_column, place
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError, shown

_DEEPEST = 16
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Document:
    """The settings of a JSON file.

    path: the file. text: its content. data: the object it holds.
    """

    def __init__(self, path: str | Path, text: str, data: dict[str, Any]) -> None:
        self.path = path
        self.text = text
        self.data = data

    def place(self, keys: KeyPath) -> str:
        """Return where the value at a path of keys stands, as 'config.json:3:21'.

        keys: keys and list positions; where the file lacks the last of them, what holds it is named.
        """
        return place(self.path, line_and_column(self.text, _offset(self.text, keys)))

    def error(self, keys: KeyPath, message: str, hint: str | None = None) -> CostcalcError:
        """Return the error that a setting is wrong.

        keys: the path of keys to it. message: what is wrong. hint: how to mend it.
        """
        name = ".".join(str(key) for key in keys)
        return CostcalcError(f"{name}: {message}" if name else message, self.place(keys), hint)


def read_document(path: str | Path) -> Document:
    """Return the object that a JSON file holds.

    path: the file.
    Raises CostcalcError with file:line:column when it cannot be read, is too large or is not strict JSON.
    """
    return parse_document(read_text(path, CONFIG_BYTES), path)


def parse_document(text: str, path: str | Path) -> Document:
    """Return the object that JSON text holds.

    text: the content. path: the file's name, for errors.
    Raises CostcalcError with file:line:column when it is not strict JSON.
    """
    if not text.strip():
        raise CostcalcError("the file is empty", place(path), "a config.json holds an object of settings")
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        position = (error.lineno, error.colno)
        raise CostcalcError(f"not JSON: {error.msg}", place(path, position), "is this a config.json?") from None
    except _DuplicateKeyError:
        _duplicate(text, path)
    except RecursionError:
        raise CostcalcError("not a config.json: nested too deeply", place(path)) from None
    except ValueError:
        raise CostcalcError("not JSON: a number has too many digits", place(path)) from None
    if not isinstance(data, dict):
        raise CostcalcError(f"expected an object of settings, got {shown(data)}", place(path, (1, 1)))
    return Document(path, text, data)


class _DuplicateKeyError(Exception):
    """An object names one key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _DuplicateKeyError
    return made


def _duplicate(text: str, path: str | Path) -> NoReturn:
    found = _second(text, _after_space(text, 0))
    if found is None:
        raise CostcalcError("a key is named twice in one object", place(path), "remove one of them")
    key, offset = found
    where = place(path, line_and_column(text, offset))
    raise CostcalcError(f"duplicate key {shown(key)}", where, "remove one of them")


def _second(text: str, start: int, depth: int = 0) -> tuple[str, int] | None:
    """Return the first key named twice in one object, and where its second mention begins."""
    if depth > _DEEPEST:
        return None
    seen: set[str | int] = set()
    for key, at, value_at in _children(text, start):
        if isinstance(key, str) and key in seen:
            return key, at
        seen.add(key)
        if text[value_at] in "{[" and (inner := _second(text, value_at, depth + 1)):
            return inner
    return None


def _offset(text: str, keys: KeyPath) -> int:
    """Return where the value at a path begins, or the innermost group around it that the file holds."""
    start = _after_space(text, 0)
    for wanted in keys:
        found = [value_at for key, _, value_at in _children(text, start) if key == wanted]
        if not found:
            return start
        start = found[0]
    return start


def _children(text: str, start: int) -> Iterator[tuple[str | int, int, int]]:
    """Yield the key (or the number), its offset and its value's offset, for each item of an object or a list."""
    if text[start : start + 1] not in ("{", "["):
        return
    named = text[start] == "{"
    at, number = _after_space(text, start + 1), 0
    while text[at] not in "}]":
        key: str | int = number
        value_at = at
        if named:
            key, end = _DECODER.raw_decode(text, at)
            value_at = _after_space(text, _after_space(text, end) + 1)
        yield key, at, value_at
        _, end = _DECODER.raw_decode(text, value_at)
        at, number = _after_space(text, end), number + 1
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


# Where a configuration comes from: a file, a folder, or the Hugging Face hub.


CONFIG = "config.json"
QUANTIZATION = "hf_quant_config.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_URL = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/?#\s]+/[^/?#\s]+)(?:[/?#]\S*)?")
STDIN = "-"
_ABSENT = ("EntryNotFoundError", "RemoteEntryNotFoundError")
_REASONS = {
    "RepositoryNotFoundError": "there is no such model, or it is private",
    "GatedRepoError": "it is gated; ask for access on its page and log in",
    "LocalEntryNotFoundError": "it cannot be reached",
    **dict.fromkeys(_ABSENT, "the model has no such file"),
}
_PATIENCE = 4  # [s]
_SNAPSHOT = re.compile(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]")


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration that was found.

    config: the file. quantization: ModelOpt's file beside it, if there is one. hf_id: the model's id on the
    hub, where it is known. told: what the imported model names as its source. name: of the model.
    """

    config: Path
    quantization: Path | None
    hf_id: str | None
    told: str
    name: str


def find_source(text: str, *, online: bool = False) -> Source:
    """Return the configuration that a path or a hub id names.

    text: a config.json, a folder that holds one, an id such as 'Qwen/Qwen3-8B', or the address of its page.
    online: whether what the local cache of the hub lacks may be fetched, from HF_ENDPOINT where it is set.
    Raises CostcalcError when there is none.
    """
    if not text.strip() or "\0" in text:
        raise CostcalcError("the path is empty" if not text.strip() else "a path cannot hold a NUL byte")
    if address := _URL.fullmatch(text.strip()):
        return _from_hub(address.group(1), online)
    if "://" in text:
        raise CostcalcError(
            f"{shown(text)} is not on huggingface.co", hint="download its config.json, and name the file"
        )
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - unlike Path.expanduser, never raises
    if os.path.isdir(path):  # noqa: PTH112 - nor does this, on names that no file can have
        if not os.path.lexists(path / CONFIG):
            raise CostcalcError(f"there is no {CONFIG} in this folder", text, "name the folder of a checkpoint")
        return _local(path / CONFIG)
    if os.path.lexists(path) or not _HUB_ID.fullmatch(text) or text.endswith(".json"):
        return _local(path)
    return _from_hub(text, online)


def _local(config: Path) -> Source:
    beside = config.with_name(config.name.replace(CONFIG, QUANTIZATION))
    absolute = Path(os.path.abspath(config))  # noqa: PTH100 - keeps links as they are named
    hub = _SNAPSHOT.search(str(absolute))
    hf_id = f"{hub.group(1)}/{hub.group(2)}" if hub else None
    name = hf_id.split("/")[1] if hf_id else _name_of(absolute)
    told = f"{absolute.parent.name}/{CONFIG}" if config.name == CONFIG else config.name
    found = beside if beside != config and beside.is_file() else None
    return Source(config, found, hf_id, f"{hf_id}, {CONFIG}" if hf_id else told.lstrip("/"), name)


def _name_of(config: Path) -> str:
    """Return a name for a model from its file's name, or its folder's where the file is a plain config.json."""
    stem = config.stem
    if stem == "config":
        stem = config.parent.name
    stem = re.sub(r"[._-]config$", "", stem).split("--")[-1]
    cleaned = re.sub(r"[^\w.+-]+", "-", stem, flags=re.ASCII).strip("-._")
    return cleaned or "imported-model"


def _from_hub(hf_id: str, online: bool) -> Source:
    hub = _hub_library(hf_id)
    config = _cached(hub, hf_id, CONFIG) or (_fetched(hub, hf_id, CONFIG) if online else None)
    if config is None:
        raise CostcalcError(
            f"{shown(hf_id)} is no file or folder, and not in the local cache of the hub",
            hint="add --online to fetch its config.json, or name a file",
        )
    quantization = _cached(hub, hf_id, QUANTIZATION)
    if quantization is None and online:
        quantization = _fetched(hub, hf_id, QUANTIZATION, needed=False)
    return Source(config, quantization, hf_id, f"{hf_id}, {CONFIG}", hf_id.split("/")[1])


def _hub_library(hf_id: str) -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise CostcalcError(
            f"{shown(hf_id)} is no file or folder; reading the hub needs huggingface_hub, which is not installed",
            hint="pip install huggingface_hub, or name a config.json",
        ) from None
    return huggingface_hub


def _cached(hub: Any, hf_id: str, file: str) -> Path | None:
    found = hub.try_to_load_from_cache(hf_id, file)
    return Path(found) if isinstance(found, str) else None


def _fetched(hub: Any, hf_id: str, file: str, *, needed: bool = True) -> Path | None:
    check_reachable(f"{file} of {shown(hf_id)}")
    hub.utils.logging.set_verbosity_error()
    hub.utils.disable_progress_bars()
    try:
        return Path(hub.hf_hub_download(hf_id, file))
    except Exception as error:  # the library's own, its HTTP client's and the system's
        kind = type(error).__name__
        if not needed and kind in _ABSENT:
            return None
        reason = _REASONS.get(kind) or " ".join(str(error).split())[:200] or kind
        endpoint = os.environ.get("HF_ENDPOINT", "the hub")
        raise CostcalcError(f"cannot fetch {file} of {shown(hf_id)} from {endpoint}: {reason}") from None


def check_reachable(what: str) -> None:
    """Raise CostcalcError where the hub's host does not answer: the library would try again for half a minute."""
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    if getproxies() or not address.hostname:
        return
    try:
        port = address.port or (80 if address.scheme == "http" else 443)
        socket.create_connection((address.hostname, port), timeout=_PATIENCE).close()
    except (OSError, ValueError):
        endpoint = os.environ.get("HF_ENDPOINT", "the hub")
        raise CostcalcError(f"cannot fetch {what} from {endpoint}: it cannot be reached") from None
