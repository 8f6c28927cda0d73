"""A headless Chromium, spoken to through pipes in the protocol of its own tools: no driver, no package.

Source: https://chromedevtools.github.io/devtools-protocol, and `--remote-debugging-pipe`: JSON on descriptors 3 and 4,
each message ended by a zero byte.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)
_AS_THREE_AND_FOUR = """
import fcntl, os, sys
for pipe, place in [(fcntl.fcntl(int(pipe), fcntl.F_DUPFD, 10), place) for place, pipe in enumerate(sys.argv[1:3], 3)]:
    os.dup2(pipe, place)
os.execv(sys.argv[3], sys.argv[3:])
"""
_SECONDS = 60.0


class Browser:
    """One page; `events` are what the browser told of it, such as requests, complaints and exceptions."""

    def __enter__(self) -> Browser:
        self.folder = tempfile.mkdtemp(prefix="chromium-")
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        asked = [str(CHROMIUM), *_FLAGS, f"--user-data-dir={self.folder}", "about:blank"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AS_THREE_AND_FOUR, str(theirs_in), str(theirs_out), *asked],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.events: list[dict[str, Any]] = []
        self._read, self._number, self._session = b"", 0, ""
        pages = self.ask("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in pages if each["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.ask(f"{domain}.enable")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return what the browser answers; raises AssertionError for an error, or no answer in time."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, told
                answer: dict[str, Any] = told["result"]
                return answer
            self.events.append(told)

    def _next(self, seconds: float = _SECONDS) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            part = os.read(self._from, 1 << 20)
            assert part, "the browser has ended"
            self._read += part
        message, _, self._read = self._read.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told

    def open(self, url: str) -> None:
        """Load a page anew, and forget what was told of the one before."""
        for each in ("about:blank", url):  # one that differs behind its # alone would not be loaded
            self.events.clear()
            self.ask("Page.navigate", url=each)
            while not any(told.get("method") == "Page.loadEventFired" for told in self.events):
                self.events.append(self._next())

    def value(self, expression: str) -> Any:
        """Return what an expression of the page's script comes to."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go: 'Tab', 9; 'ArrowRight', 39; a letter types its text."""
        typed = {"text": text} if text else {}
        told = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **told, **typed)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **told)

    def complaints(self) -> list[dict[str, Any]]:
        """Return errors and warnings that the page gave rise to, and exceptions of its script."""
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [each for each in self.events if each.get("method") in kinds]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for."""
        sent = [each for each in self.events if each.get("method") == "Network.requestWillBeSent"]
        return [each["params"]["request"]["url"] for each in sent]
