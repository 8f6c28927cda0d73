"""The settings of one model in a config.json, read by name with a check of their type.

A name may stand for several spellings: families call the same thing differently, and the table of their
names is all that a reader needs to know about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costcalc.catalog.huggingface.document import Document
from costcalc.catalog.positions import KeyPath
from costcalc.errors import CostcalcError, nearest, shown

MOST = 10**8
MOST_LAYERS = 2000
Names = Mapping[str, tuple[str, ...]]

COMMON: Names = {
    "num_experts": ("num_local_experts", "n_routed_experts", "num_experts", "moe_num_experts"),
    "experts_per_token": ("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_top_k", "moe_topk"),
    "shared_experts": ("n_shared_experts", "num_shared_experts", "num_shared_expert"),
    "prediction_layers": ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers"),
    "dtype": ("dtype", "torch_dtype"),
}


class Fields:
    """Typed access to the settings of a group of a config.json.

    document: the file. path: keys that lead to the group. names: spellings of a name beside COMMON's.
    defaults: what the model's class takes where the file says nothing; which of them were used is kept.
    """

    def __init__(
        self,
        document: Document,
        data: Mapping[str, Any],
        path: KeyPath = (),
        names: Names | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.document = document
        self.data = data
        self.path = path
        self.names: dict[str, tuple[str, ...]] = {**COMMON, **(names or {})}
        self.defaults = defaults or {}
        self.defaults_used: dict[str, Any] = {}
        self.notes: list[str] = []

    def key_of(self, name: str) -> str | None:
        """Return the spelling under which the file gives a name a value, or None."""
        return next((key for key in self.names.get(name, (name,)) if self.data.get(key) is not None), None)

    def has(self, name: str) -> bool:
        """Whether the file gives a name a value that is not null."""
        return self.key_of(name) is not None

    def get(self, name: str) -> Any:
        """Return the value of a name, its class default where the file has none, or None."""
        key = self.key_of(name)
        if key is not None:
            return self.data[key]
        # A null that stands in the file is meant; only what is left out has the class default.
        if name in self.defaults and not any(spelled in self.data for spelled in self.names.get(name, (name,))):
            self.defaults_used[name] = self.defaults[name]
            return self.defaults[name]
        return None

    def error(self, name: str, message: str, hint: str | None = None) -> CostcalcError:
        """Return the error that a setting is wrong."""
        key = self.key_of(name) or self.names.get(name, (name,))[0]
        return self.document.error((*self.path, key), message, hint)

    def size(self, name: str, default: int | None = None, *, least: int = 1, most: int = MOST) -> int:
        """Return a whole number.

        name: the setting. default: its value where the file has none; without one it must be there.
        least, most: its bounds.
        Raises CostcalcError when it is missing, no whole number or out of bounds.
        """
        value = self.get(name)
        if value is None:
            if default is None:
                raise self._missing(name)
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"must be a whole number, got {shown(value)}")
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most:,}"
            raise self.error(name, f"must be {bound}, got {shown(value)}")
        return value

    def optional_size(self, name: str, *, least: int = 1, most: int = MOST) -> int | None:
        """Return a whole number, or None where the file has none."""
        return None if self.get(name) is None else self.size(name, least=least, most=most)

    def uniform_size(self, name: str, default: int | None = None, *, least: int = 0) -> int | None:
        """Return a whole number that stands alone or is repeated for every layer, or None where the file has none.

        name: the setting. default: its value where the file has none. least: its least value.
        Raises CostcalcError where layers differ.
        """
        if not isinstance(self.get(name), list):
            return default if self.get(name) is None else self.size(name, least=least)
        listed = self.numbers(name) or []
        if len(set(listed)) != 1:
            raise self.error(name, "layers of different widths or experts cannot be imported")
        return listed[0]

    def flag(self, name: str, default: bool) -> bool:
        """Return true or false.

        name: the setting. default: its value where the file has none.
        Raises CostcalcError when it is neither.
        """
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"must be true or false, got {shown(value)}")
        return value

    def text(self, name: str) -> str | None:
        """Return text, or None where the file has none; raises CostcalcError when it is something else."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, f"must be text, got {shown(value)}")
        return value

    def numbers(self, name: str, length: int | None = None) -> list[int] | None:
        """Return a list of whole numbers of at least 0, or None where the file has none.

        name: the setting. length: how many there have to be.
        Raises CostcalcError when it is something else.
        """
        listed = self._list(name, length)
        for value in listed or []:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise self.error(name, f"must list whole numbers of at least 0, got {shown(value)}")
        return listed

    def words(self, name: str, length: int | None = None, allowed: Sequence[str] = ()) -> list[str] | None:
        """Return a list of words, or None where the file has none.

        name: the setting. length: how many there have to be. allowed: the words it may hold.
        Raises CostcalcError when it is something else.
        """
        listed = self._list(name, length)
        for value in listed or []:
            if not isinstance(value, str):
                raise self.error(name, f"must list words, got {shown(value)}")
            if allowed and value not in allowed:
                raise self.error(name, f"unknown kind of layer {shown(value)}", f"known: {', '.join(allowed)}")
        return listed

    def group(self, name: str) -> Fields | None:
        """Return the settings of a nested group, or None where the file has none."""
        key = self.key_of(name)
        if key is None:
            return None
        value = self.data[key]
        if not isinstance(value, dict):
            raise self.error(name, f"must be an object, got {shown(value)}")
        inner = Fields(self.document, value, (*self.path, key))
        inner.notes, inner.defaults_used = self.notes, self.defaults_used
        return inner

    def with_values(self, **values: Any) -> Fields:
        """Return the same settings with some of them replaced."""
        made = Fields(self.document, {**self.data, **values}, self.path, self.names, self.defaults)
        made.notes, made.defaults_used = self.notes, self.defaults_used
        return made

    def note(self, text: str) -> None:
        """Keep a remark that the imported model has to carry; said once."""
        if text not in self.notes:
            self.notes.append(text)

    def _list(self, name: str, length: int | None) -> list[Any] | None:
        value = self.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.error(name, f"must be a list, got {shown(value)}")
        if length is not None and len(value) != length:
            raise self.error(name, f"must have one entry for each of {length} layers, has {len(value)}")
        return value

    def _missing(self, name: str) -> CostcalcError:
        spelled = self.names.get(name, (name,))
        near = nearest(spelled[0], [key for key in self.data if key not in spelled], cutoff=0.85)
        text = "is null" if spelled[0] in self.data else "is missing"
        return self.error(name, text, f"the file has '{near}'" if near else "the shape cannot be known without it")
