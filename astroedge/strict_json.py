"""JSON that means one thing, checked against the schemas that this package publishes.

Two readers of one file must not see two contents: a name that stands twice, NaN, a number that no 64 bits hold and half
a surrogate pair are errors. The schemas in `astroedge/schemas` are data; `Schema` turns one into checks, of the
keywords that they use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

Check = Callable[[Any, str], "str | None"]
"""What is wrong with a value that stands at a place, in words; None for a value that is right."""

_TYPES: dict[str, tuple[type, ...]] = {
    **{"object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "null": (type(None),)},
    **{"integer": (int,), "number": (int, float)},
}
_WIDEST = 2**64


def read_json(content: bytes) -> Any:
    """The value that UTF-8 text of JSON stands for.

    Raises ValueError for what is not JSON, for a name that stands twice in an object, for NaN and infinities, and for
    a value nested deeper than Python reads.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_members, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands twice in an object")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


@cache
def schema(name: str) -> Check:
    """The checks of `astroedge/schemas/<name>.schema.json`."""
    text = (Path(__file__).parent / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    root = json.loads(text)
    checks: dict[str, Check] = {}

    def defined(reference: str) -> Check:
        """The check of a definition, made when it is first needed, for they may refer to each other; or of a file."""
        if not reference.startswith("#"):
            return schema(reference.removesuffix(".schema.json"))
        key = reference.removeprefix("#/$defs/")
        if key not in checks:
            checks[key] = lambda value, place: checks[key](value, place)
            checks[key] = _compile(root["$defs"][key], defined)
        return checks[key]

    return _compile(root, defined)


def _compile(rule: Mapping[str, Any], defined: Callable[[str], Check]) -> Check:
    """One check of all that a rule demands."""
    parts: list[Check] = []
    if "$ref" in rule:
        parts.append(defined(rule["$ref"]))
    if "type" in rule:
        parts.append(_type(rule["type"]))
    if "oneOf" in rule:
        parts.append(_one_of([_compile(item, defined) for item in rule["oneOf"]]))
    if "const" in rule or "enum" in rule:
        parts.append(_among(rule.get("enum", [rule.get("const")])))
    if {"minimum", "maximum", "multipleOf"} & rule.keys():
        parts.append(_numbers(rule))
    if {"pattern", "minLength"} & rule.keys():
        parts.append(_text(rule))
    if {"items", "minItems", "maxItems", "prefixItems"} & rule.keys():
        parts.append(_array(rule, defined))
    if {"properties", "additionalProperties"} & rule.keys():
        parts.append(_object(rule, defined))
    return (
        parts[0] if len(parts) == 1 else lambda value, place: next(filter(None, (p(value, place) for p in parts)), None)
    )


def _type(names: str | list[str]) -> Check:
    allowed = [names] if isinstance(names, str) else names
    kinds = tuple(kind for name in allowed for kind in _TYPES[name])
    takes_bool = "boolean" in allowed

    def check(value: Any, place: str) -> str | None:
        if not isinstance(value, kinds) or (isinstance(value, bool) and not takes_bool):
            return f"{place} is {_shown(value)}, which is no {' or '.join(allowed)}"
        if isinstance(value, float) and value - value != 0:
            return f"{place} is not finite"
        if isinstance(value, int) and not -_WIDEST < value < _WIDEST:
            return f"{place} does not fit 64 bits"
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
            return f"{place} holds half a character"
        return None

    return check


def _one_of(checks: list[Check]) -> Check:
    def check(value: Any, place: str) -> str | None:
        found = [item(value, place) for item in checks]
        return found[0] if all(found) else None

    return check


def _among(values: list[Any]) -> Check:
    known = {(type(value), value) for value in values}

    def check(value: Any, place: str) -> str | None:
        right = isinstance(value, (str, int, float, type(None))) and (type(value), value) in known
        return None if right else f"{place} is {_shown(value)} and none of {values}"

    return check


def _numbers(rule: Mapping[str, Any]) -> Check:
    low, high, step = rule.get("minimum", -_WIDEST), rule.get("maximum", _WIDEST), rule.get("multipleOf")

    def check(value: Any, place: str) -> str | None:
        if value is not None and (not low <= value <= high or (step is not None and value % step)):
            return f"{place} is {value}, outside what it may be"
        return None

    return check


def _text(rule: Mapping[str, Any]) -> Check:
    words, shortest = rule.get("pattern", ""), rule.get("minLength", 0)
    # A $ of Python would let a line break follow.
    pattern = re.compile(rf"{words[:-1]}\Z" if words.endswith("$") else words)

    def check(value: Any, place: str) -> str | None:
        wrong = isinstance(value, str) and (len(value) < shortest or pattern.search(value) is None)
        return f"{place} is {_shown(value)}, which is not of its form" if wrong else None

    return check


def _array(rule: Mapping[str, Any], defined: Callable[[str], Check]) -> Check:
    first = [_compile(item, defined) for item in rule.get("prefixItems", ())]
    rest = _compile(rule["items"], defined) if "items" in rule else None
    shortest, longest = rule.get("minItems", 0), rule.get("maxItems", _WIDEST)

    def check(value: Any, place: str) -> str | None:
        if not shortest <= len(value) <= longest:
            return f"{place} has {len(value)} elements"
        for index, item in enumerate(value):
            tested = first[index] if index < len(first) else rest
            wrong = tested(item, f"{place}[{index}]") if tested is not None else None
            if wrong:
                return wrong
        return None

    return check


def _object(rule: Mapping[str, Any], defined: Callable[[str], Check]) -> Check:
    members = {name: _compile(item, defined) for name, item in rule.get("properties", {}).items()}
    required, further = rule.get("required", ()), rule.get("additionalProperties", True)
    others = _compile(further, defined) if isinstance(further, dict) else None

    def check(value: Any, place: str) -> str | None:
        missing = next((name for name in required if name not in value), None)
        if missing is not None:
            return f"{place} has no {missing!r}"
        for name, item in value.items():
            tested = members.get(name, others)
            if tested is None and further is False:
                return f"{place} has {_shown(name)}, which is nothing that it may have"
            wrong = tested(item, f"{place}.{name}") if tested is not None else None
            if wrong:
                return wrong
        return None

    return check


def _shown(value: Any) -> str:
    """A value in a message, short and without what a terminal would act on."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
