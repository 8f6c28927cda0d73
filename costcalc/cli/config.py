"""`costcalc config`: the defaults that the environment and the user's file set, and where each comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from costcalc.cli.app import COMMANDS
from costcalc.cli.elsewhere import PREFIX, FileDefaults, as_text, config_file, may_be_set, variable_of
from costcalc.cli.lazy import every_option, load_command, questions
from costcalc.cli.parameters import Written
from costcalc.errors import did_you_mean, shown
from costcalc.fields import Record

OTHER_VARIABLES = ("COSTCALC_CATALOG", "COSTCALC_DEBUG")
"""Variables of costcalc that are no defaults of options."""


class Setting(Record):
    """A default of an option, where it was set, and what that hides."""

    option: str  # its keyword
    flag: str
    value: str
    source: str  # 'environment' or 'file'
    where: str  # the variable, or file:line:column
    hides: str | None  # where else it was set, without effect

    def to_dict(self) -> dict[str, Any]:
        """It as a row."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def config(*, written: Written) -> None:
    """Where the defaults come from that questions take: typed, a variable, a file, costcalc's own.

    A variable is named after its option: COSTCALC_GPU=8xh100, COSTCALC_KV=fp8, COSTCALC_DISAGGREGATED=1. The file is
    config.yaml in the user's configuration folder, with options by their names as in a scenario.
    """
    from costcalc.report.page import Block, Column, Line, grid_of, notes

    with written.opened() as show:
        params, path = _parameters(), config_file()
        settings, unknown = list(_settings(params)), _unknown(params)
        there = path is not None and os.path.lexists(path)
        said = f"{path}{'' if there else ', which is not there'}" if path else "none, without a home"

        def page() -> list[Block]:
            rows = grid_of(
                settings,
                [
                    (Column("option", role="value"), lambda each: each.flag),
                    (Column("value"), lambda each: each.value),
                    (Column("from"), lambda each: each.where),
                    (Column("instead of"), lambda each: each.hides or ""),
                ],
            )
            nothing = Line("Every default is costcalc's own.", indent=2)
            page = [Line("Defaults of your own", "title"), rows if settings else nothing, Line()]
            return [*page, Line(f"File: {said}", "dim"), Line(), *notes([*unknown.values()])]

        tree = {
            "file": None if path is None else str(path),
            "file_exists": there,
            "settings": [each.to_dict() for each in settings],
            "unknown_variables": [*unknown],
        }
        show(page, lambda: tree, lambda: [each.to_dict() for each in settings])


def _parameters() -> dict[str, Any]:
    """The parameters of every question's command, each keyword once."""
    found: dict[str, Any] = {}
    for name, entry in questions(COMMANDS):
        for param in load_command(name.rpartition(" ")[2], entry).params:
            found.setdefault(param.name, param)
    return found


def _settings(params: Mapping[str, Any]) -> Iterator[Setting]:
    """Every default that is set, each option once."""
    own = FileDefaults(params.values(), lambda: every_option(COMMANDS)).values()
    for name, param in params.items():
        if not may_be_set(param):
            continue
        flag = next(each for each in param.opts if each.startswith("--"))
        in_file = own.get(name)
        if variable := variable_of(param):
            hidden = in_file and in_file[1]
            yield Setting(name, flag, os.environ[variable], "environment", variable, hidden)
        elif in_file is not None:
            yield Setting(name, flag, as_text(in_file[0]), "file", in_file[1], None)


def _unknown(params: Mapping[str, Any]) -> dict[str, str]:
    """Variables that look like defaults and set nothing, with what to say of each."""
    known = {variable for param in params.values() for variable in param.envvar or ()}
    others = [name for name in sorted(os.environ) if name.startswith(PREFIX) and name not in {*known, *OTHER_VARIABLES}]
    hints = {name: did_you_mean(name, sorted(known)) for name in others}
    return {name: f"{shown(name)} sets no option{f'; {hint}' if hint else '.'}" for name, hint in hints.items()}
