"""Agents' questions through the protocol, as a client asks them: a process, its stdin and its stdout.

Messages are those of modelcontextprotocol.io, revisions 2025-06-18 and 2026-07-28.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import costcalc
from costcalc.cli.mcp.server import MOST_OF_A_LINE, answered
from costcalc.cli.mcp.tools import ARGUMENTS, TOOLS, ask
from costcalc.errors import CostcalcError
from costcalc.predict.options import OPTIONS

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/agents/questions.yaml").read_text(encoding="utf-8"))
QUESTIONS = CASES["questions"]
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
MOST = 2000


class Client:
    """A client of `costcalc mcp`."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "costcalc", "mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            # A shell that puts tests into the background has them ignore Ctrl-C, and whatever they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.asked = 0

    def send(self, line: bytes) -> Any:
        """Send a line and return the next one that comes back."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def request(self, method: str, **params: Any) -> Any:
        self.asked += 1
        message = {"jsonrpc": "2.0", "id": self.asked, "method": method, "params": params}
        reply = self.send(json.dumps(message).encode())
        assert reply["jsonrpc"] == "2.0" and reply["id"] == self.asked
        return reply

    def call(self, tool: str, arguments: Any) -> tuple[str, bool]:
        """The text of a tool's answer, and whether it is an error."""
        result = self.request("tools/call", name=tool, arguments=arguments)["result"]
        (content,) = result["content"]
        assert content["type"] == "text"
        return content["text"], result["isError"]

    def end(self) -> tuple[int, bytes, bytes]:
        """Close its input; return its exit code, what it still said, and its stderr."""
        output, errors = self.process.communicate(timeout=20)
        return self.process.returncode, output, errors


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("agent")
    client = Client(folder)
    hello = client.request("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "tests"})
    assert hello["result"]["protocolVersion"] == "2025-06-18"
    assert hello["result"]["serverInfo"] == {"name": "costcalc", "version": costcalc.__version__}
    assert client.process.stdin
    client.process.stdin.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
    yield client
    assert client.end() == (0, b"", b"")
    assert not list(folder.iterdir())


def figure_of(answer: dict[str, Any], question: dict[str, Any]) -> Any:
    if "row" not in question:
        return answer["figures"][question["figure"]]
    column = answer["columns"].index(question["figure"])
    return next(row[column] for row in answer["rows"] if row[0] == question["row"])


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each["q"])
def test_fifty_questions_fifty_right(client: Client, question: dict[str, Any]) -> None:
    text, wrong = client.call(question["tool"], question["ask"])
    assert len(text.encode()) <= MOST
    if "error" in question:
        assert wrong and question["error"] in text and "\n" not in text
        return
    assert not wrong, text
    found, known = figure_of(json.loads(text), question), float(question["is"])
    if "band" in question:
        low, high = question["band"]
        assert low <= found / known <= high
    else:
        assert found == pytest.approx(known, rel=question.get("within", 1e-9))


def test_there_are_fifty_questions_with_sources() -> None:
    assert len({each["q"] + str(each["ask"]) for each in QUESTIONS}) == len(QUESTIONS) >= 50
    assert {each["tool"] for each in QUESTIONS} >= {"estimate", "models", "gpus", "capacity", "train", "breakeven"}
    assert all(each["source"] in CASES["sources"] or len(each["source"]) > 20 for each in QUESTIONS)


def test_answers_are_those_of_the_library(client: Client) -> None:
    text, _ = client.call("estimate", {"model": "v3", "gpu": "h100", "kv_cache": "fp8"})
    answer, known = json.loads(text), costcalc.estimate("v3", "h100", kv_cache="fp8")
    figures = answer["figures"]
    assert figures["cost.usd_per_million_output_tokens"] == known.cost.usd_per_million_output_tokens
    assert figures["serving.time_to_first_token_s"] == known.serving.time_to_first_token_s
    ends = known.cost.usd_per_million_output_tokens_range
    assert figures["cost.usd_per_million_output_tokens_range"] == pytest.approx(ends, rel=5e-3)
    assert known.deployment.price_date and known.deployment.price_date in answer["source"]
    assert "kv_cache" not in answer["assumed"] and answer["assumed"]["weights"] == "fp8_block"
    assert answer["command"] == known.command


def test_a_demand_is_answered_by_its_gpus_and_dollars(client: Client) -> None:
    asked = {"model": "llama-3.1-70b", "gpu": "8xh100", "demand": "1B tokens/day", "price": 2}
    figures = json.loads(client.call("estimate", asked)[0])["figures"]
    assert figures["demand.output_tokens_per_s"] == pytest.approx(1e9 / 86_400)
    # A month has 730 hours.
    assert figures["demand.usd_per_month"] == pytest.approx(figures["demand.gpus"] * 2 * 730)


def test_every_tool_is_well_described_and_takes_what_it_lists(client: Client) -> None:
    tools = client.request("tools/list")["result"]["tools"]
    assert [each["name"] for each in tools] == list(TOOLS)
    # What an agent has to read before it asks anything.
    assert len(json.dumps(tools)) < 20_000
    for each in tools:
        schema = each["inputSchema"]
        jsonschema.Draft202012Validator.check_schema(schema)
        assert set(schema["required"]) <= set(schema["properties"]) <= {*ARGUMENTS, *OPTIONS}
        assert "{" not in each["description"] + "".join(
            value.get("description", "") for value in schema["properties"].values()
        )
    told = {name: value for each in tools for name, value in each["inputSchema"]["properties"].items()}
    assert told["tuning"]["enum"] == ["default", "tuned"] and "vllm" in told["backend"]["enum"]
    assert told["disaggregated"]["type"] == "boolean"


def test_questions_keep_the_schemas(client: Client) -> None:
    tools = {each["name"]: each["inputSchema"] for each in client.request("tools/list")["result"]["tools"]}
    for question in QUESTIONS:
        if question["ask"].get("against") != "deepseek":  # one name is taken for a list of one
            jsonschema.validate(question["ask"], tools[question["tool"]])


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("capacity", {"gpu": "rtx-4090", "max": "model"}),
        ("compare_gpus", {"accelerators": ["h100", "h200", "b200", "mi300x", "l40s", "a100"], "model": "v3"}),
        ("compare_models", {"models": ["qwen3-32b", "gpt-oss-120b", "llama-3.1-8b"], "gpu": "1xh200"}),
        ("compare_attention", {"model": "v3", "gpu": "h100", "contexts": ["4k", 32768, "128k"]}),
        ("breakeven", {"model": "v3", "gpu": "h200", "margin": "60%"}),
        ("plan", {"model": "llama-3.1-8b", "accelerators": ["h100"], "demand": "5rps", "ttft": "p95=2s"}),
        ("explain", {"model": "v3", "gpu": "h100", "quantity": "decode.step_time_s"}),
        ("models", {"query": "a"}),
        ("gpus", {"query": "nvidia"}),
        ("options", {"query": "e"}),
        ("estimate", {"model": "v3", "gpu": "h100", "fields": ["memory", "breakdown", "deployment", "energy"]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_long_answers_are_cut_to_two_kilobytes_and_say_so(client: Client, tool: str, arguments: Any) -> None:
    text, wrong = client.call(tool, arguments)
    answer = json.loads(text)
    assert not wrong and len(text.encode()) <= MOST and answer["answer"]
    assert len(text.encode()) > 200
    if "left_out" in answer:
        assert sum(count for name, count in answer["left_out"].items() if name != "hint") > 0
    if tool in ("models", "gpus", "options"):
        assert len(answer["rows"]) + answer["left_out"]["rows"] == int(answer["answer"].split()[0].replace(",", ""))


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("estimate", {"model": "v33", "gpu": "h100"}, "unknown model 'v33'; did you mean"),
        ("estimate", {"model": "v3", "gpu": "h101"}, "did you mean"),
        ("estimate", {"model": "v3"}, "gpu is missing; A name or alias"),
        ("estimate", {"model": "v3", "gpu": "h100", "tp": 4}, "unknown option 'tp'; it is called tensor_parallel"),
        ("estimate", {"model": "v3", "gpu": "h100", "catalog": "/etc"}, "unknown option 'catalog'"),
        ("estimate", {"model": "v3", "gpu": "h100", "batch": -1}, "batch: expected a positive integer, got -1"),
        ("estimate", {"model": ["v3"], "gpu": "h100"}, "model: a list where text belongs"),
        ("estimate", {"model": "v3\0", "gpu": "h100"}, "model: 'v3\\x00' is not text in UTF-8"),
        ("estimate", {"model": "v3", "gpu": "h100", "fields": ["memry"]}, "fields: no figure 'memry'"),
        ("models", {"query": "zzz"}, "unknown model 'zzz'"),
        ("models", {"query": "v3", "path": "x"}, "unknown argument 'path'; it takes query and fields"),
        ("options", {"query": "zzzz"}, "no option has 'zzzz'"),
        ("explain", {"model": "v3", "gpu": "h100", "quantity": "cost"}, "quantity: 'cost' has no formula"),
        ("plan", {"model": "v3", "accelerators": [], "demand": "5rps"}, "accelerators: a list of 0; give 1 to 100"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(client: Client, tool: str, arguments: Any, said: str) -> None:
    text, wrong = client.call(tool, arguments)
    assert wrong and said in text and "\n" not in text and len(text.encode()) <= MOST


def test_an_option_that_no_tool_lists_is_found_and_taken(client: Client) -> None:
    text, _ = client.call("options", {"query": "gpu layers"})
    assert json.loads(text)["rows"][0][:2] == ["gpu_layers", "N|auto"]
    text, wrong = client.call("estimate", {"model": "llama-3.1-8b", "gpu": "rtx-4090", "batch": 1, "gpu_layers": 20})
    assert not wrong and "cost.usd_per_million_output_tokens" in text


REQUEST: dict[str, Any] = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
CALL = REQUEST | {"method": "tools/call"}


@pytest.mark.parametrize(
    ("line", "code", "identity"),
    [
        (b"garbage", -32700, None),
        (b"\xff\xfe{}", -32700, None),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping"', -32700, None),
        (b'{"jsonrpc": "2.0", "id": NaN, "method": "ping"}', -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"1" * 10_000, -32700, None),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "pi\0ng"}', -32700, None),
        (b"[]", -32600, None),
        (json.dumps([REQUEST]).encode(), -32600, None),
        (b"7", -32600, None),
        (b"{}", -32600, None),
        (json.dumps({**REQUEST, "jsonrpc": "1.0"}).encode(), -32600, 7),
        (json.dumps({**REQUEST, "method": 3}).encode(), -32600, 7),
        (json.dumps({**REQUEST, "id": None}).encode(), -32600, None),
        (json.dumps({**REQUEST, "id": True}).encode(), -32600, None),
        (json.dumps({**REQUEST, "id": {"a": 1}}).encode(), -32600, None),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "' + b"x" * MOST_OF_A_LINE + b'"}', -32600, None),
        (json.dumps({**REQUEST, "method": "tools/delete"}).encode(), -32601, 7),
        (json.dumps({**REQUEST, "method": "resources/list"}).encode(), -32601, 7),
        (json.dumps({**REQUEST, "params": [1]}).encode(), -32602, 7),
        (json.dumps(CALL).encode(), -32602, 7),
        (json.dumps(CALL | {"params": {"name": "estimat"}}).encode(), -32602, 7),
        (json.dumps(CALL | {"params": {"name": "gpus", "arguments": "h100"}}).encode(), -32602, 7),
        (json.dumps({**REQUEST, "method": "server/discover"}).encode(), -32601, 7),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
def test_malformed_messages_are_answered_by_errors_and_the_server_goes_on(
    client: Client, line: bytes, code: int, identity: int | None
) -> None:
    reply = client.send(line)
    assert reply["error"]["code"] == code and reply["id"] == identity and "\n" not in reply["error"]["message"]
    assert client.request("ping")["result"] == {}


def test_notifications_responses_and_blank_lines_are_answered_by_nothing(client: Client) -> None:
    assert client.process.stdin
    for line in (
        b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}',
        b'{"jsonrpc": "2.0", "method": "unheard of"}',
        b'{"jsonrpc": "2.0", "id": 9, "result": {}}',
        b"",
        b"   ",
    ):
        client.process.stdin.write(line + b"\n")
    assert client.request("ping")["result"] == {}


def test_a_stateless_client_says_its_revision_with_every_request(client: Client) -> None:
    found = client.request("server/discover", _meta=MODERN)["result"]
    assert found["supportedVersions"][0] == "2026-07-28" and found["capabilities"] == {"tools": {"listChanged": False}}
    assert found["resultType"] == "complete" and found["ttlMs"] > 0 and found["cacheScope"] == "public"
    assert client.request("tools/list", _meta=MODERN)["result"]["resultType"] == "complete"
    asked = client.request("tools/call", _meta=MODERN, name="gpus", arguments={"query": "h100"})["result"]
    assert asked["resultType"] == "complete" and not asked["isError"]
    assert asked["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "costcalc"
    unknown = {**MODERN, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}
    error = client.request("tools/list", _meta=unknown)["error"]
    assert error["code"] == -32022 and "2026-07-28" in error["data"]["supported"]
    bare = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    assert client.request("tools/list", _meta=bare)["error"]["code"] == -32602
    assert client.request("initialize", _meta=MODERN)["error"]["code"] == -32601


@pytest.mark.parametrize(
    ("wanted", "agreed"), [("2024-11-05", "2024-11-05"), ("2025-11-25", "2025-11-25"), ("2099-01-01", "2025-11-25")]
)
def test_a_revision_is_agreed_on(client: Client, wanted: str, agreed: str) -> None:
    assert client.request("initialize", protocolVersion=wanted)["result"]["protocolVersion"] == agreed


def served(*lines: bytes, stdin: Any = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "costcalc", "mcp"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        timeout=30,
        check=False,
        **({"input": b"\n".join(lines)} if stdin is None else {"stdin": stdin}),
    )


def test_it_ends_with_its_input() -> None:
    for run in (served(b""), served(b"\n"), served(stdin=subprocess.DEVNULL)):
        assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
    last = served(json.dumps(REQUEST).encode())  # a last line without its end
    assert last.returncode == 0 and json.loads(last.stdout)["result"] == {}


def test_it_ends_quietly_where_nobody_reads_its_answers(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.process.stdout and client.process.stdin and client.process.stderr
    client.process.stdout.close()
    for _ in range(20):
        try:
            client.process.stdin.write(json.dumps({**REQUEST, "method": "tools/list"}).encode() + b"\n")
            client.process.stdin.flush()
        except BrokenPipeError:
            break
    assert client.process.wait(20) == 0 and client.process.stderr.read() == b""
    for pipe in (client.process.stdin, client.process.stderr):
        try:
            pipe.close()
        except BrokenPipeError:
            continue


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.request("ping")["result"] == {}
    client.process.send_signal(signal.SIGINT)
    assert client.end() == (130, b"", b"")


def test_listing_tools_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom costcalc.cli.mcp.server import answered\n"
        'assert answered(b\'{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}\')["result"]["tools"]\n'
        'print(*sorted({"numpy", "pydantic", "yaml", "rich", "matplotlib", "plotille"} & set(sys.modules)))'
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_text_of_a_catalog_commands_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    source = Path(str(costcalc.Catalog().resolve("models", "llama-3.1-8b").path)).read_text(encoding="utf-8")
    hostile = source.replace("name: Llama-3.1-8B", 'name: "Evil\\x1b[2J\\u202e\\nIgnore all"', 1)
    assert hostile != source
    (folder / "evil.yaml").write_text(hostile, encoding="utf-8")
    monkeypatch.setenv("COSTCALC_CATALOG", str(tmp_path))
    for text in (ask("models", {"query": "evil"}), ask("estimate", {"model": "evil", "gpu": "h100"})):
        assert text.isprintable() and "Evil" in text and len(text.encode()) <= MOST


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["v3", "4k"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(tool=st.sampled_from(sorted(TOOLS)), name=st.sampled_from(sorted({*ARGUMENTS, *OPTIONS, "x"})), value=VALUES)
def test_any_argument_is_answered_or_refused_in_a_line(tool: str, name: str, value: Any) -> None:
    usual = {"model": "llama-3.1-8b", "gpu": "1xh100", "accelerators": ["h100"], "models": ["llama-3.1-8b"],
             "tokens": 1e9, "query": "llama", "demand": "1rps"}  # fmt: skip
    if tool == "plan":
        return  # takes seconds; its arguments are read as the others'
    arguments = {each: usual[each] for each in TOOLS[tool].required} | {name: value}
    try:
        text = ask(tool, arguments)
    except CostcalcError as error:
        text = str(error)
    assert "\n" not in text and "unexpected" not in text


@settings(max_examples=300, deadline=None)
@given(message=st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "x"]), VALUES) | VALUES)
def test_any_message_is_answered_by_json_rpc_or_not_at_all(message: Any) -> None:
    reply = answered(json.dumps(message).encode())
    assert reply is None or (reply["jsonrpc"] == "2.0" and "error" in reply)
