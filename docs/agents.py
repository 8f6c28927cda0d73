"""The page of what agents ask: the tools of `costcalc mcp`, and one of its answers."""

from __future__ import annotations

import json
from textwrap import wrap

from costcalc.cli.mcp.tools import MOST_BYTES, TOOLS, ask

CALL = ("estimate", {"model": "llama-3.1-70b", "gpu": "8xh100", "weights": "fp8"})


def agents_page() -> str:
    """Return docs/agents.md."""
    name, arguments = CALL
    # Processors differ in last digits.
    answer = json.loads(ask(name, arguments), parse_float=lambda text: float(f"{float(text):.6g}"))
    shown = [json.dumps({key: part}, ensure_ascii=False)[1:-1] for key, part in answer.items()]
    lines = [line for part in shown for line in wrap(part, 118, subsequent_indent="  ", break_on_hyphens=False)]
    rows = [
        f"| `{tool}` | {each.help} | {', '.join(f'`{argument}`' for argument in each.required)} |"
        for tool, each in TOOLS.items()
    ]
    return PAGE.format(
        most=f"{MOST_BYTES:,}",
        call=json.dumps(arguments),
        name=name,
        answer="\n".join(lines),
        tools="\n".join(["| tool | what it answers | needs |", "| :-- | :-- | :-- |", *rows]),
    )


PAGE = """# Agents

`costcalc mcp` offers costcalc's questions as tools, by the [Model Context Protocol](https://modelcontextprotocol.io) on
stdin and stdout. A program that speaks it starts the command by itself; most read a file like this one:

```json
{{"mcpServers": {{"costcalc": {{"command": "costcalc", "args": ["mcp"]}}}}}}
```

with the path of the command where it is not on the program's `PATH`, such as `.venv/bin/costcalc`. Nothing else has to
be installed. It needs no network, reads the catalog (a folder of your own too, by the variable `COSTCALC_CATALOG`), and
writes no file. Revisions 2024-11-05 to 2025-11-25 of the protocol are spoken, and the stateless 2026-07-28.
Defaults of your own (`costcalc config`) are for what you type: an agent is answered as Python is.

## Tools

{tools}

Beside what they need they take the options of `costcalc estimate` by their keywords, as in Python: `context`,
`kv_cache`, `tpot`, `price` and the like, as numbers in SI units or as text that people type, such as `"32k"` or
`"50ms"`. The usual ones are in their schemas; `options` finds the others. `fields` asks for other figures than those
that are shown: by their names in [JSON](schemas/result.json), or by what these begin with, as in `memory`, `energy` or
`breakdown`.

## An answer

`{name}` with `{call}`:

```text
{answer}
```

It is JSON in at most {most} bytes. Figures are those of `--format json`, to the last digit (here to the sixth), and
named like them, with their units; beside `x`, `x_range` is where x lies in 8 of 10 cases. `source` says where the price
of a GPU-hour comes from, and of when it is; `assumed` what was chosen because it was left out. What is cut from a long
answer is counted in `left_out`. What is wrong is said in the one line that the command line says, with `isError`.

## A skill

[`skills/costcalc/SKILL.md`](../skills/costcalc/SKILL.md) tells agents that run commands what to ask costcalc and how to
read it, in the format of [Agent Skills](https://agentskills.io/specification). Copy or link the folder
`skills/costcalc` to where yours looks for skills.
"""
