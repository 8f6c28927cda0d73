"""The part of JSON Schema that costcalc's own schemas use, as a list of complaints."""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def complaints(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "") -> list[str]:
    """Return what a value lacks to satisfy a schema."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return complaints(value, root["$defs"][name], root, where)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            found = [complaints(value, each, root, where) for each in schema[word]]
            if all(found):
                return [f"{where}: fits none of {len(found)}: {min(found, key=len)}"]
    if "type" in schema:
        right = isinstance(value, _TYPES[schema["type"]])
        if not right or (isinstance(value, bool) and schema["type"] != "boolean"):
            return [f"{where}: {value!r} is no {schema['type']}"]
    return [
        *_value(value, schema, where),
        *_items(value, schema, root, where),
        *_properties(value, schema, root, where),
    ]


def _value(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is not one of {schema['enum']}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high or value <= schema.get("exclusiveMinimum", float("-inf")):
            found.append(f"{where}: {value!r} is out of bounds")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    return found


def _items(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, list):
        return []
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return [f"{where}: {len(value)} items"]
    kinds = schema.get("prefixItems") or [schema.get("items", {})] * len(value)
    return [
        each
        for index, (item, kind) in enumerate(zip(value, kinds, strict=True))
        for each in complaints(item, kind, root, f"{where}.{index}")
    ]


def _properties(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str) -> list[str]:
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    found = [f"{where}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, item in value.items():
        extra = schema.get("additionalProperties", True)
        if name in known:
            found += complaints(item, known[name], root, f"{where}.{name}")
        elif extra is False:
            found.append(f"{where}: {name} is unknown")
        elif isinstance(extra, dict):
            found += complaints(item, extra, root, f"{where}.{name}")
    return found
