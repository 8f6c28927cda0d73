"""JSON Schemas: of results, made from the dataclasses, and of catalog files, made from their specifications."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin

from costcalc.catalog.check import json_schema
from costcalc.catalog.summary import ClosedSummary, GpuSummary, ModelSummary
from costcalc.explore.capacity import QUESTIONS, Capacity, Fit
from costcalc.explore.diff import OF, REMAINDER, Headline
from costcalc.explore.fleet.plan import Asked, PlannedFleet
from costcalc.explore.money.sensitivity import Sensitivity
from costcalc.explore.money.train import Training
from costcalc.explore.spaces.frontier import Point
from costcalc.explore.spaces.sweep import CELL
from costcalc.fields import hints
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ClosedModel, ClosedModels, ModelSpec
from costcalc.predict.results import Assumption, BreakEven, Comparison, Estimate, Row
from costcalc.replay.results import Simulation
from costcalc.validation.price import COMPARED, PriceBasis, PricedRun

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(kind: str) -> dict[str, Any]:
    """Return a JSON Schema.

    kind: what commands print, and what files hold, as `costcalc schema` names it.
    """
    own = {
        "result": result_schema, "capacity": capacity_schema, "sweep": sweep_schema, "frontier": frontier_schema,
        "sensitivity": sensitivity_schema, "simulation": simulation_schema, "plan": plan_schema, "price": price_schema,
        "training": training_schema, "diff": diff_schema, "config": config_schema, "validation": validation_schema,
    }  # fmt: skip
    if kind in own:
        return own[kind]()
    if kind == "model":
        return _extending(_published(json_schema(ModelSpec), "A model of costcalc's catalog"))
    if kind == "gpu":
        return _extending(_published(json_schema(Accelerator), "An accelerator of costcalc's catalog"))
    if kind == "closed_models":
        return _published(json_schema(ClosedModels), "Models of costcalc's catalog that only have prices")
    return _catalog_schema(*kind.split("-"))


def _extending(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file that may take what it leaves out from another entry."""
    extends = {"type": "string", "description": "The entry from which everything is taken that is not given here."}
    required = schema.pop("required")
    schema["properties"] = {"extends": extends, **schema["properties"]}
    return {**schema, "anyOf": [{"required": ["extends"]}, {"required": required}]}


def _catalog_schema(entries: str, command: str) -> dict[str, Any]:
    """Return the JSON Schema of `models|gpus list|show --format json`.

    entries: 'models' or 'gpus'. command: 'list' or 'show'.
    """
    pairs: list[tuple[Any, Any]] = [(GpuSummary, Accelerator)]
    if entries == "models":
        pairs = [(ModelSummary, ModelSpec), (ClosedSummary, ClosedModel)]
    definitions: dict[str, Any] = {}
    for facts, spec in pairs:
        _reference(facts, definitions)
        if command == "show":
            shape = json_schema(spec)
            definitions |= shape.pop("$defs", {})
            definitions[spec.__name__] = shape
            own = definitions[facts.__name__]
            own["properties"]["spec"] = {"$ref": f"#/$defs/{spec.__name__}"}
            own["required"].append("spec")
    every = [{"$ref": f"#/$defs/{facts.__name__}"} for facts, _ in pairs]
    one = every[0] if len(every) == 1 else {"anyOf": every}
    return _document(
        f"What costcalc {entries} {command} --format json prints",
        "Numbers are SI: bytes, bytes per second, FLOP/s, watts, US dollars.",
        _array(one) if command == "list" else one,
        definitions,
    )


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `--format json` prints: an estimate, or a comparison with rows."""
    definitions: dict[str, Any] = {}
    _reference(Estimate, definitions)
    _definition_of_rows(definitions)
    dollars = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    against = {
        "against": {"type": "string"}, "usd_per_month": dollars,
        "sale": {"anyOf": [{"$ref": "#/$defs/MarketPrice"}, {"type": "null"}]}, "left_usd_per_month": dollars,
    }  # fmt: skip
    definitions["BreakEven"] = _around_an_estimate(BreakEven, definitions, against, {})
    return _document(
        "A result of costcalc",
        "Numbers are SI: bytes, seconds, tokens per second, FLOP, US dollars. A time, throughput or cost may "
        "carry a sibling <name>_range of [low, high], which holds in 8 of 10 cases; <name>_price_range is what the "
        "lowest and the highest list price of the kind that is charged, price_range, make of it.",
        {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("Estimate", "Comparison", "BreakEven")]},
        definitions,
    )


def capacity_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc capacity --format json` prints: what fits, as estimates."""
    definitions: dict[str, Any] = {}
    _reference(Estimate, definitions)
    own = {name: _schema(hint, definitions) for name, hint in hints(Fit).items() if name != "estimate"}
    definitions["Fit"] = _around_an_estimate(Fit, definitions, own, {})
    names = ("title", "value", "unit", "trained", "beyond")
    told = {name: _schema(hints(Capacity)[name], definitions) for name in names}
    properties = {
        "question": {"enum": list(QUESTIONS)},
        **told,
        "rows": _array({"$ref": "#/$defs/Fit"}),
        "notes": _array({"type": "string"}),
    }
    return _document(
        "What fits, by costcalc capacity",
        "The value of the first row: tokens, users, sequences, a model's name or bits per weight, null where "
        "nothing limits it; `trained` is the model's own limit, where memory holds more, `beyond` why one step more "
        "does not fit. Of models and bits there is a row for each that fits, the largest first. Numbers are SI.",
        _object(properties),
        definitions,
    )


def sweep_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc sweep --format json` prints: axes, and a row for every cell."""
    whole = result_schema()
    trees = whole["$defs"]
    groups = {}
    for group, names in CELL.items():
        known = trees[hints(Estimate)[group].__name__]["properties"]
        told = {name: known.get(name, {"type": "number"}) for name in names}
        told |= {f"{name}_range": known[f"{name}_range"] for name in names if f"{name}_range" in known}
        groups[group] = {
            "type": "object",
            "properties": {name: _or_null(schema) for name, schema in told.items()},
            "required": [name for name in names if name != "memory_bandwidth"],
            "additionalProperties": False,
        }
    axis = {"name": {"type": "string"}, "unit": {"type": "string"}, "values": {"type": "array"}}
    properties = {
        "title": {"type": "string"},
        "axes": _array(_object(axis)),
        "rows": _array(_object(groups)),
        "notes": _array({"type": "string"}),
    }
    return _document(
        "A sweep of costcalc",
        "A row for every combination of the axes' values, the last axis fastest: a part of an estimate's tree, "
        "in SI. Null where the cell does not fit; <name>_range is [low, high], which holds in 8 of 10 cases.",
        _object(properties),
    )


def frontier_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc frontier --format json` prints: points, by model and set."""
    definitions: dict[str, Any] = {}
    _reference(Point, definitions)
    properties = {
        "title": {"type": "string"},
        "cells": {"type": "integer"},
        "points": _array({"$ref": "#/$defs/Point"}),
        "notes": _array({"type": "string"}),
    }
    return _document(
        "A frontier of costcalc",
        "What no other configuration of its model beats in tokens/s per user and tokens/s per GPU, or dollars, and "
        "what cannot be told apart from it: points of a model with the same set. `frontier` names the numbers "
        "whose frontier a point is on; `command` is the estimate that gives its numbers. Numbers are SI; "
        "<name>_range is [low, high], which holds in 8 of 10 cases.",
        _object(properties),
        definitions,
    )


def sensitivity_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc sensitivity --format json` prints: inputs, by what they move."""
    definitions: dict[str, Any] = {}
    reference = _reference(Sensitivity, definitions)
    return _document(
        "A sensitivity of costcalc",
        "Numbers are SI: tokens, seconds, shares from 0 to 1, US dollars; of the efficiency, ratios.",
        reference,
        definitions,
    )


def simulation_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc simulate --format json` prints."""
    definitions: dict[str, Any] = {}
    return _document(
        "A simulation of costcalc",
        "Numbers are SI: seconds, tokens, tokens per second, US dollars; shares are from 0 to 1.",
        _reference(Simulation, definitions),
        definitions,
    )


def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc plan --format json` prints: fleets, the cheapest first."""
    definitions: dict[str, Any] = {}
    _reference(PlannedFleet, definitions)
    _reference(Asked, definitions)
    _reference(Assumption, definitions)
    properties = {
        "title": {"type": "string"},
        "asked": {"$ref": "#/$defs/Asked"},
        "fleets": _array({"$ref": "#/$defs/PlannedFleet"}),
        "lower_bound_gpus": {"type": "object", "additionalProperties": {"type": "integer"}},
        "load_by_hour": _array({"type": "number"}),
        "notes": _array({"type": "string"}),
        "assumptions": _array({"$ref": "#/$defs/Assumption"}),
    }
    return _document(
        "A plan of costcalc",
        "Fleets that serve a demand at its service levels, the cheapest first: `why_not` is null of the one that "
        "is recommended, and `command` replays a fleet. What serves it at no price, or was not worth a replay, has "
        "no numbers. Numbers are SI; <name>_range is [low, high], which holds in 8 of 10 cases.",
        _object(properties),
        definitions,
    )


def price_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc price --format json` prints: a row for every run of a benchmark."""
    definitions: dict[str, Any] = {"PriceChoice": {}}  # of what is told as prices
    _reference(PricedRun, definitions)
    own = definitions["PricedRun"]
    told = own["properties"]
    del definitions["PriceChoice"], told["offers"]
    told["prices"] = _array(_reference(PriceBasis, definitions))
    for name, kind in (("measured_over_predicted", "number"), ("as_predicted", "boolean")):
        told[name] = _object({each: {"anyOf": [{"type": kind}, {"type": "null"}]} for each in COMPARED})
    told["differs_in"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    own["required"] = list(told)
    properties = {
        "rows": _array({"$ref": "#/$defs/PricedRun"}),
        "notes": _array({"type": "string"}),
    }
    return _document(
        "Priced benchmarks of costcalc",
        "Numbers are SI: seconds, tokens, tokens per second, US dollars; shares are from 0 to 1. `as_predicted`: "
        "whether what was measured lies in the predicted <name>_range of [low, high], which holds in 8 of 10 "
        "cases. "
        "`differs_in`: where more of the difference of a request's time lies.",
        _object(properties),
        definitions,
    )


def training_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc train --format json` prints."""
    definitions: dict[str, Any] = {}
    return _document(
        "A training run of costcalc",
        "FLOP, hours, days, tokens and US dollars; shares are from 0 to 1. <name>_range is [low, high]: what 8 of "
        "10 published runs reached, or the two shares that were told.",
        _reference(Training, definitions),
        definitions,
    )


def diff_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc diff --format json` prints."""
    definitions: dict[str, Any] = {}
    side = _reference(Headline, definitions)
    dollars = {"type": ["number", "null"]}
    change = _object({"path": {"type": "string"}, "from": {}, "to": {}})
    change["properties"] |= {f"effect_usd_per_{unit}": dollars for unit in ("million", "month")}
    properties = {
        "of": {"enum": list(OF)},
        **dict.fromkeys(("from", "to"), side),
        "changes": _array(change),
        "method": {"enum": ["shapley", "in order"]},
        "notes": _array({"type": "string"}),
    }
    told = _object(properties)
    told["properties"] |= {f"difference_usd_per_{unit}": dollars for unit in ("million", "month")}
    return _document(
        "A difference of costcalc",
        "Two estimates, and how much of the difference in cost [$/M of the tokens in `of`, or $ of a month where that "
        "is asked of] each change makes; the effects add up to the difference. `path` is an option's keyword, "
        "'gpu.memory' of --set, several joined by "
        f"' + ' that only go together (an object of values each), or '{REMAINDER}': what a saved answer and "
        "today's differ by. Values are SI; null where costcalc chooses.",
        told,
        definitions,
    )


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc config --format json` prints."""
    text, text_or_null = {"type": "string"}, {"type": ["string", "null"]}
    setting = _object(
        {
            **dict.fromkeys(("option", "flag", "value"), text),
            "source": {"enum": ["environment", "file"]},
            "where": {**text, "description": "The variable, or file:line:column."},
            "hides": {**text_or_null, "description": "Where else it is set, without effect."},
        }
    )
    properties = {
        "file": {**text_or_null, "description": "Where the user's file of defaults is looked for."},
        "file_exists": {"type": "boolean"},
        "settings": _array(setting),
        "unknown_variables": _array(text),
    }
    return {"$schema": DIALECT, "title": "Defaults of the user's own", **_object(properties)}


def validation_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `costcalc validate --format json` prints: errors by kind, and every row."""
    ratio = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    ratios = ("median_ape", "mape", "bias", "coverage", "coverage_low", "coverage_high", "ideal_median_ape")
    errors: dict[str, Any] = {
        "type": "object",
        "description": (
            "Errors are ratios: 0.1 is 10%. bias: median of predicted over measured, less 1. coverage: share of "
            "measurements inside the 80% range, coverage_low and _high its 95% interval. ideal_median_ape: of the "
            "roofline alone. excluded: rows not scored."
        ),
        **_object(
            {
                "n": {"type": "integer"},
                **dict.fromkeys(ratios, ratio),
                "excluded": {"type": "integer"},
            }
        ),
    }
    by_kind = {**errors, "properties": {**errors["properties"], "quantities": {"type": "object"}}}
    row = {
        "type": "object",
        "description": "The columns of the measurement's file, and what was predicted for it, in the file's units.",
        **_object(
            {
                "measurement": {"type": "string", "description": "the kind"},
                **dict.fromkeys(("predicted", "low", "high", "ideal", "ape"), ratio),
                "quantity": {"type": "string", "description": "the column that is predicted"},
                "excluded": {"type": "string", "description": "why the row is not scored; empty where it is"},
            }
        ),
    }
    properties = {
        "kinds": {"type": "object", "additionalProperties": by_kind},
        "rows": _array(row),
    }
    return {"$schema": DIALECT, "title": "A validation of costcalc", **_object(properties)}


def _document(
    title: str, description: str, body: dict[str, Any], definitions: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A whole schema, with the definitions that its body refers to."""
    whole = {"$schema": DIALECT, "title": title, "description": description, **body}
    return whole if definitions is None else {**whole, "$defs": definitions}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if {"type": "null"} in schema.get("anyOf", ()):
        return schema
    if schema.get("type") in ("number", "string"):
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


def _around_an_estimate(kind: Any, definitions: dict[str, Any], first: Any, last: Any) -> dict[str, Any]:
    """The schema of what has an estimate's tree, and properties of its own before and behind that."""
    estimate = definitions["Estimate"]
    return {
        "type": "object",
        "description": _summary(kind),
        "properties": {**first, **estimate["properties"], **last},
        "required": [*first, *estimate["required"], *last],
    }


def _definition_of_rows(definitions: dict[str, Any]) -> None:
    own = {name: _schema(hint, definitions) for name, hint in hints(Row).items() if name != "estimate"}
    definitions["Row"] = _around_an_estimate(Row, definitions, {"variant": own.pop("variant")}, own)
    properties = {
        "title": {"type": "string"},
        "rows": _array({"$ref": "#/$defs/Row"}),
        "notes": _array({"type": "string"}),
    }
    definitions["Comparison"] = {"type": "object", "description": _summary(Comparison), **_object(properties)}


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, definitions) for each in arguments]}
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return _array(_schema(arguments[0], definitions))
        items = [_schema(each, definitions) for each in arguments]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if is_dataclass(hint):
        return _reference(hint, definitions)
    return {"type": _PLAIN[hint]}


def _reference(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        definitions[kind.__name__] = {
            "type": "object",
            "description": _summary(kind),
            "properties": {
                each.name: _present(each.name, _schema(hints(kind)[each.name], definitions)) for each in fields(kind)
            },
            # A range that does not apply is left out; everything else is always there, if only as null.
            "required": [each.name for each in fields(kind) if not each.name.endswith("_range")],
        }
        if not definitions[kind.__name__]["description"]:
            del definitions[kind.__name__]["description"]
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _present(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Leave null out of a range, which is absent where it does not apply."""
    if not name.endswith("_range") or "anyOf" not in schema:
        return schema
    kept = [each for each in schema["anyOf"] if each.get("type") != "null"]
    return kept[0] if len(kept) == 1 else {"anyOf": kept}


def _summary(kind: Any) -> str:
    text = (kind.__doc__ or "").strip()
    # A dataclass without a docstring of its own gets its signature for one.
    return "" if text.startswith(f"{kind.__name__}(") else text.partition("\n\n")[0].replace("\n", " ")


def _published(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": DIALECT, **schema, "title": title}
