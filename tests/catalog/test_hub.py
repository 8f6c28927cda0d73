"""A hub that misbehaves, on sockets of this machine: a fetch ends in time, small, where it was sent, in one line."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from costcalc.catalog.huggingface import hub
from costcalc.cli import main

HERE = Path(__file__).parent
CERTIFICATE = HERE / "localhost.pem"
CONFIG = (HERE / "configs/llama-3.1-8b.json").read_bytes()
WORDS = ["models", "import", "a/b", "--online", "-o", "o.yaml"]
Behaviour = Callable[[ssl.SSLSocket, str], None]


def answer(body: bytes, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """An answer of HTTP; `length` is what it says of its own, which may be wrong."""
    told = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*told, "", ""]).encode("latin-1") + body


class Server:
    """A server on a port of its own, which does as it is told with every connection."""

    def __init__(self, behaviour: Behaviour, *, secure: bool = True) -> None:
        self.behaviour, self.secure = behaviour, secure
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.asked: list[str] = []
        self.sent = 0
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                Thread(target=self._serve, args=self.listening.accept()[:1], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE)
        with contextlib.suppress(OSError), connection:
            if not self.secure:
                time.sleep(5)
                return
            with context.wrap_socket(connection, server_side=True) as secured:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += secured.recv(65536) or b"\r\n\r\n"
                self.asked.append(asked.decode("latin-1"))
                self.behaviour(secured, self.asked[-1].split()[1])

    def send_for_ever(self, to: ssl.SSLSocket, piece: bytes, pause: float = 0.0) -> None:
        """Send the same piece again and again, until nobody reads it."""
        while True:
            to.sendall(piece)
            self.sent += len(piece)
            time.sleep(pause)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server that is the hub, trusted and waited for 0.6 s at most, 0.3 s of them in silence."""
    servers = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(hub, "FETCH_SECONDS", 0.6)
    monkeypatch.setattr(hub, "_PATIENCE", 0.3)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def started(behaviour: Behaviour, *, is_hub: bool = True, secure: bool = True) -> Server:
        servers.append(Server(behaviour, secure=secure))
        if is_hub:
            monkeypatch.setenv("HF_ENDPOINT", f"https://localhost:{servers[-1].port}")
        return servers[-1]

    yield started
    for each in servers:
        each.listening.close()


def refused(capfd: pytest.CaptureFixture[str], seconds: float = 2.0) -> str:
    """Import from the hub, which must be refused in time with nothing left, and return the line."""
    began = time.monotonic()
    assert main(WORDS) == 2
    assert time.monotonic() - began < seconds
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err[:-1].isprintable()
    assert len(printed.err) < 700 and list(Path().iterdir()) == []
    return printed.err


def test_an_honest_hub_is_asked_for_two_files_and_told_the_login(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(to: ssl.SSLSocket, path: str) -> None:
        to.sendall(answer(CONFIG) if path.endswith("/config.json") else answer(b"", "404 Not Found"))

    server = serve(behave)
    assert main(WORDS) == 0
    assert [each.split()[1] for each in server.asked] == [
        "/a/b/resolve/main/config.json", "/a/b/resolve/main/hf_quant_config.json"
    ]  # fmt: skip
    assert all("Authorization: Bearer hf_secret\r\n" in each for each in server.asked)
    assert "name: Llama" in Path("o.yaml").read_text() or "a/b" in Path("o.yaml").read_text()
    assert capfd.readouterr().err.startswith(f"note: fetched https://localhost:{server.port}/a/b/")


def test_a_certificate_that_nobody_knows_is_not_trusted(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda to, _: to.sendall(answer(CONFIG)))
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate verify failed" in refused(capfd)
    assert server.asked == []  # nor told the login


def test_a_certificate_of_another_name_is_not_trusted(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(lambda to, _: to.sendall(answer(CONFIG)))
    monkeypatch.setenv("HF_ENDPOINT", f"https://127.0.0.1:{server.port}")
    assert "certificate verify failed" in refused(capfd)
    assert server.asked == []


# Slow.


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (answer(b"", length=10_000), b" "),
        (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["body", "header", "continue", "chunks"],
)
def test_a_hub_that_dribbles_is_left(
    first: bytes, piece: bytes, serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(to: ssl.SSLSocket, _: str) -> None:
        to.sendall(first)
        server.send_for_ever(to, piece, 0.05)

    server = serve(behave)
    assert "it is not there after 0.6 s" in refused(capfd)
    assert server.sent > 0


def test_a_hub_that_says_nothing_is_left(serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]) -> None:
    serve(lambda *_: time.sleep(5))
    assert "timed out" in refused(capfd)


def test_a_hub_that_does_not_shake_hands_is_left(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    serve(lambda *_: None, secure=False)
    assert "timed out" in refused(capfd)


# Large, or of another size than it says.


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n", b" " * 65536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b" " * 65536 + b"\r\n"),
    ],
    ids=["endless", "promised", "chunks"],
)
def test_no_more_is_read_than_a_configuration_may_hold(
    head: bytes,
    piece: bytes,
    serve: Callable[..., Server],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def behave(to: ssl.SSLSocket, _: str) -> None:
        to.sendall(head)
        server.send_for_ever(to, piece)

    monkeypatch.setattr(hub, "FETCH_SECONDS", 20)
    server = serve(behave)
    assert "it is larger than 8 MB" in refused(capfd, 10)
    assert 8_000_000 <= server.sent < 20_000_000  # the rest lies in buffers of the system


@pytest.mark.parametrize("length", [len(CONFIG) + 1, 10**12])
def test_less_than_was_promised_is_told(
    length: int, serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    serve(lambda to, _: to.sendall(answer(CONFIG, length=length)))
    assert "it ends before it is whole" in refused(capfd)


@pytest.mark.parametrize("body", [CONFIG[: len(CONFIG) // 2], b"", b"<html>", b"\x1f\x8b\x08zip", b"[]", b"null"])
def test_what_is_no_configuration_is_told(
    body: bytes, serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    serve(lambda to, _: to.sendall(answer(body)))
    assert "config.json" in refused(capfd)


# Led elsewhere, or talked to.


@pytest.mark.parametrize(
    "place",
    ["https://localhost:{other}/x", "https://127.0.0.1:{port}/x", "http://localhost:{port}/x", "file:///etc/passwd",
     "//127.0.0.1:{other}/x", "https://169.254.169.254/latest/meta-data", "https://localhost:{port}@127.0.0.1:{other}/",
     "ftp://localhost:{port}/x", "data:application/json,{{}}", "https://[::1]:{other}/", "https://[", "gopher://\x1b[2J"],
)  # fmt: skip
def test_nothing_follows_to_another_place(
    place: str, serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    other = serve(lambda to, _: to.sendall(answer(CONFIG)), is_hub=False)

    def behave(to: ssl.SSLSocket, _: str) -> None:
        to.sendall(answer(b"", "302 Found", f"Location: {place.format(port=server.port, other=other.port)}"))

    server = serve(behave)
    assert f"cannot fetch https://localhost:{server.port}/a/b/resolve/main/config.json: " in refused(capfd)
    assert other.asked == [] and len(server.asked) == 1


def test_a_redirection_on_the_hub_is_followed_but_not_for_ever(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(to: ssl.SSLSocket, path: str) -> None:
        found = "404 Not Found" if "quant" in path else "307 Temporary Redirect"
        to.sendall(answer(CONFIG) if path.endswith("xxxx") else answer(b"", found, f"Location: {path}x"))

    server = serve(behave)
    assert main(WORDS) == 0
    assert len(server.asked) == 5 + 1 and Path("o.yaml").is_file()
    Path("o.yaml").unlink()
    capfd.readouterr()
    server = serve(lambda to, path: to.sendall(answer(b"", "307 Temporary Redirect", f"Location: {path}x")))
    assert "it leads on more than 5 times" in refused(capfd)
    assert len(server.asked) == 5


def test_what_comes_with_a_redirection_is_not_read(
    serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    def behave(to: ssl.SSLSocket, _: str) -> None:
        to.sendall(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n")
        server.send_for_ever(to, b" " * 65536)

    server = serve(behave)
    assert "it leads on more than 5 times" in refused(capfd)
    assert server.sent < 20_000_000


@pytest.mark.parametrize(
    "said",
    [
        answer(b"", "500 \x1b[31m" + "no " * 20_000),
        answer(b"", "302 Found"),
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x00\xff" * 100,
        b"",
    ],
    ids=["reason", "nowhere", "headers", "header", "below nothing", "chunk", "no HTTP", "nothing"],
)
def test_a_strange_answer_is_one_line(
    said: bytes, serve: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    serve(lambda to, _: to.sendall(said))
    refused(capfd)
