"""The Hugging Face hub: what its local cache has of a model, and, where that was asked for, what its host answers.

A fetch goes to one host over https, that of HF_ENDPOINT or huggingface.co, and to no other that it may lead to; it is
as large and takes as long as catalog.check allows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from costcalc.catalog.check import CONFIG_BYTES, FETCH_SECONDS
from costcalc.errors import CostcalcError, shown

HUB = "https://huggingface.co"
_REASONS = {
    401: "there is no such model, or it is private or gated: HF_TOKEN, or a login, has to know it",
    403: "it is gated; ask for access on its page and log in",
    404: "the model has no such file",
}
_PATIENCE = 5.0
"""Without an answer, a byte or a connection [s]."""
_REDIRECTIONS = 5


def cached(hf_id: str, file: str) -> Path | None:
    """Return a file of a model in the local cache of huggingface_hub, or None without one, or without the library."""
    try:
        import huggingface_hub
    except ImportError:
        return None
    found = huggingface_hub.try_to_load_from_cache(hf_id, file)
    return Path(found) if isinstance(found, str) else None


def address_of(hf_id: str, file: str) -> str:
    """Return where a file of a model is fetched; raises CostcalcError where HF_ENDPOINT is no https address."""
    from urllib.parse import urlsplit

    endpoint = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    try:
        parts = urlsplit(endpoint)
        right = parts.scheme == "https" and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        right = False
    if not right:
        raise CostcalcError(f"{shown(endpoint)} is no https address", "HF_ENDPOINT", f"set it to one such as {HUB}")
    return f"{endpoint}/{hf_id}/resolve/main/{file}"


def fetched(hf_id: str, file: str, *, needed: bool = True) -> str | None:
    """Return the text of a file of a model from the hub, or None where it has none and none is needed.

    Raises CostcalcError where it cannot be fetched.
    """
    from threading import Thread

    address, answer = address_of(hf_id, file), list[bytes | Exception]()
    # A socket's own patience starts anew with every byte: what counts is when all of them are there.
    thread = Thread(target=lambda: answer.append(_read(address)), daemon=True)
    thread.start()
    thread.join(FETCH_SECONDS)
    found = answer[0] if answer else TimeoutError(f"it is not there after {FETCH_SECONDS} s")
    status = getattr(found, "code", None)
    if status == 404 and not needed:
        return None
    if isinstance(found, bytes) and len(found) > CONFIG_BYTES:
        found = ValueError(f"it is larger than {CONFIG_BYTES / 1e6:g} MB")
    try:
        if isinstance(found, Exception):
            raise found
        return found.decode("utf-8-sig")
    except Exception as error:  # of HTTP, the system, and of what is no text
        reason = _REASONS.get(status) if isinstance(status, int) else None
        reason = reason or str(getattr(error, "reason", None) or error) or type(error).__name__
        raise CostcalcError(f"cannot fetch {address}: {reason}") from None


def _read(address: str) -> bytes | Exception:
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Unled(HTTPRedirectHandler):
        """Follows nothing: urllib would go to any place, and read whatever an answer brings along before."""

        def http_error_302(self, *_: Any) -> None: ...

        http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]

    token = _token()
    headers = {"User-Agent": "costcalc", **({"Authorization": f"Bearer {token}"} if token else {})}
    opener = build_opener(Unled())
    try:
        for _ in range(_REDIRECTIONS):
            try:
                with opener.open(Request(address, headers=headers), timeout=_PATIENCE) as reply:
                    content: bytes = reply.read(CONFIG_BYTES + 1)
                    if len(content) <= CONFIG_BYTES and reply.length:  # that it said are still to come
                        raise EOFError("it ends before it is whole")
                    return content
            except HTTPError as answer:
                answer.close()
                address = _led(address, answer)
        raise URLError(f"it leads on more than {_REDIRECTIONS} times")
    except Exception as error:
        return error


def _led(address: str, answer: Any) -> str:
    """Where an answer leads, on the same host and in the same scheme; raises the answer where it leads nowhere."""
    from urllib.error import URLError
    from urllib.parse import urljoin, urlsplit

    place = answer.headers.get("Location")
    if answer.code not in (301, 302, 303, 307, 308) or place is None:
        raise answer
    led = urljoin(address, place)
    if urlsplit(led)[:2] != urlsplit(address)[:2]:
        raise URLError(f"it leads to another place: {shown(led, 120)}")
    return led


def _token() -> str | None:
    """The login of this machine on the hub: HF_TOKEN, or what `huggingface-cli login` keeps."""
    if token := os.environ.get("HF_TOKEN"):
        return token.strip() or None
    home = os.environ.get("HF_HOME") or os.path.expanduser("~/.cache/huggingface")  # noqa: PTH111 - never raises
    try:
        token = Path(home, "token").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return token if token.isprintable() else None
