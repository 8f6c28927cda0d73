"""What a value lacks to satisfy a JSON Schema, by the library that editors' schemas are checked with."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator


def complaints(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return what a value lacks to satisfy a schema, which itself is checked too."""
    Draft202012Validator.check_schema(schema)
    found = Draft202012Validator(schema).iter_errors(value)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]
