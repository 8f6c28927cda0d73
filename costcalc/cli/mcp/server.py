"""`costcalc mcp`: the Model Context Protocol on stdin and stdout, one message of JSON-RPC 2.0 a line.

Source: modelcontextprotocol.io/specification, of both its eras: revisions to 2025-11-25, which begin with `initialize`,
and 2026-07-28, in which every request says its version. The SDK takes 28 packages and 0.8 s of processor to start.
"""

from __future__ import annotations

import gc
import json
import sys
from contextlib import redirect_stdout
from typing import Any, BinaryIO, NoReturn

from costcalc import __version__
from costcalc.cli.app import as_told, forget_files
from costcalc.cli.mcp.tools import INSTRUCTIONS, MOST_BYTES, TOOLS, ask, tool_schemas
from costcalc.errors import CostcalcError, did_you_mean, shown, tell

MOST_OF_A_LINE = 1_000_000
"""Bytes of a request; arguments are names and numbers."""
SESSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = ("2026-07-28",)
META = "io.modelcontextprotocol/"
PARSE, REQUEST, METHOD, PARAMETERS, VERSION = -32700, -32600, -32601, -32602, -32022
"""Codes of errors: JSON-RPC's, and of a revision that is not spoken."""
FRESH_MS = 3_600_000
"""For how long a client may keep what it was told of the tools, which change with a version of costcalc alone."""
SERVER = {"name": "costcalc", "version": __version__}
CAPABILITIES = {"tools": {"listChanged": False}}


def mcp() -> None:
    """Answer an agent's questions, by the Model Context Protocol on stdin and stdout.

    Programs that speak it start this command by themselves: name it to them, as docs/agents.md says. It reads the
    catalog, computes, and writes no file. It ends when its input does.
    """
    gc.enable()  # unlike a command, it goes on
    requests = getattr(sys.stdin, "buffer", None)  # none where whoever started it has closed stdin
    if requests is None:
        return
    if sys.stdin.isatty():
        tell("note: waiting for an agent's messages on stdin; Ctrl-D ends it, docs/agents.md tells of it")
    while line := requests.readline(MOST_OF_A_LINE):
        reply = answered(line) if line.strip() else None
        if len(line) == MOST_OF_A_LINE and not line.endswith(b"\n"):
            _skip(requests)
            reply = _error(None, REQUEST, f"more than {MOST_OF_A_LINE:,} bytes in a line")
        if reply is not None:
            sys.stdout.write(f"{json.dumps(reply)}\n")
            sys.stdout.flush()


def _skip(requests: BinaryIO) -> None:
    """Read to the end of the line."""
    while (rest := requests.readline(MOST_OF_A_LINE)) and not rest.endswith(b"\n"):
        pass


class Refused(Exception):
    """A request that is answered by an error: its code, what is wrong, and data for programs."""


def answered(line: bytes) -> dict[str, Any] | None:
    """Return the answer to a line as JSON-RPC has it, or None for what asks for none."""
    try:
        message = json.loads(line.decode(), parse_constant=_no_json)
    except (ValueError, RecursionError):
        return _error(None, PARSE, "not JSON in UTF-8")
    if not isinstance(message, dict):
        return _error(None, REQUEST, "a message is an object, one a line")
    if "method" not in message and ("result" in message or "error" in message):
        return None  # nothing was asked that this could answer
    given, method, params = message.get("id"), message.get("method"), message.get("params", {})
    identity = given if isinstance(given, str | int) and not isinstance(given, bool) else None
    if message.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return _error(identity, REQUEST, 'a request has "jsonrpc": "2.0" and a method')
    if "id" not in message:
        return None  # a notification, such as of a request that is cancelled, which is answered before it is read
    if identity is None:
        return _error(None, REQUEST, "an id is text or a whole number")
    try:
        if not isinstance(params, dict):
            raise Refused(PARAMETERS, "params are an object")
        return {"jsonrpc": "2.0", "id": identity, "result": _result(method, params)}
    except Refused as refused:
        return _error(identity, *refused.args)


def _no_json(text: str) -> NoReturn:
    raise ValueError(text)


def _error(identity: str | int | None, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({"data": data} if data else {})
    return {"jsonrpc": "2.0", "id": identity, "error": error}


def _result(method: str, params: dict[str, Any]) -> dict[str, Any]:
    meta = params.get("_meta")
    told = meta if isinstance(meta, dict) else {}
    version = told.get(f"{META}protocolVersion")
    if version is None:
        return _of_session(method, params)
    if version not in STATELESS:
        data = {"supported": [*STATELESS, *SESSIONS], "requested": version}
        raise Refused(VERSION, "Unsupported protocol version", data)
    if not isinstance(told.get(f"{META}clientCapabilities"), dict):
        raise Refused(PARAMETERS, f"_meta lacks {META}clientCapabilities")
    about = {"resultType": "complete", "_meta": {f"{META}serverInfo": SERVER}}
    if method == "server/discover":
        told = {"supportedVersions": [*STATELESS, *SESSIONS], "capabilities": CAPABILITIES}
        return told | {"instructions": INSTRUCTIONS, "ttlMs": FRESH_MS, "cacheScope": "public"} | about
    return _of_tools(method, params) | about


def _of_session(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        wanted = params.get("protocolVersion")
        version = wanted if wanted in SESSIONS else SESSIONS[-1]
        told = {"protocolVersion": version, "capabilities": CAPABILITIES}
        return told | {"serverInfo": SERVER, "instructions": INSTRUCTIONS}
    return {} if method == "ping" else _of_tools(method, params)


def _of_tools(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "tools/list":
        return {"tools": tool_schemas(), "ttlMs": FRESH_MS, "cacheScope": "public"}
    if method != "tools/call":
        raise Refused(METHOD, f"unknown method {shown(method)}")
    name, arguments = params.get("name"), params.get("arguments")
    if not isinstance(name, str) or name not in TOOLS:
        hint = did_you_mean(str(name), TOOLS) or f"the tools are: {', '.join(TOOLS)}"
        raise Refused(PARAMETERS, f"unknown tool {shown(name)}; {hint}")
    if not isinstance(arguments, dict | None):
        raise Refused(PARAMETERS, "arguments are an object")
    text, wrong = _called(name, arguments or {})
    return {"content": [{"type": "text", "text": text}], "isError": wrong}


def _called(name: str, arguments: dict[str, Any]) -> tuple[str, bool]:
    """The answer of a tool, or what is wrong in a line, and whether it is wrong."""
    forget_files()
    try:
        with redirect_stdout(sys.stderr):  # stdout is the protocol's
            return ask(name, arguments), False
    except CostcalcError as error:
        told = str(error)
    except Exception as error:
        told = as_told(error)
    return told.encode()[:MOST_BYTES].decode(errors="ignore"), True
