"""Manifests that somebody edited and gave a right digest: what reads them must rely on nothing in them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

OPENING = b'{\n "digest": "'
DIGITS = 64
LINKED = b'\n "weights": {\n'
"""Where the part begins that the library holds the digest of, after a line break."""
ADDED = "something that no manifest has"
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**32, 2**63 - 1, 2**64, 10**400, -(2**63), 1.5, "", "x"),
    *("\x1b[31mx", "../../etc/passwd", [], {}, [[]], [1], {"a": 1}, "a" * 10000, ...),
)
"""What every value is replaced by in turn; an ellipsis removes it."""


def seal(text: bytes) -> bytes:
    """A manifest's text with the digest that belongs to it."""
    blank = OPENING + b"0" * DIGITS + text[len(OPENING) + DIGITS :]
    return OPENING + sha256(blank).hexdigest().encode() + blank[len(OPENING) + DIGITS :]


def write(record: dict[str, Any]) -> bytes:
    """A record as the bytes of a manifest that matches its digest."""
    rest = {name: value for name, value in record.items() if name != "digest"}
    text = json.dumps({"digest": "0" * DIGITS, **rest}, indent=1, ensure_ascii=False) + "\n"
    return seal(text.encode("utf-8", "surrogatepass"))


def edits(record: Any) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    """The record with one value replaced, removed or added, for every place and value: place, value, record."""
    for place in _places(record):
        for value in VALUES if place else ():
            yield place, value, _edited(record, place, value)
        holder = _at(record, place)
        if isinstance(holder, dict):
            yield (*place, ADDED), 1, _edited(record, (*place, ADDED), 1)
        elif isinstance(holder, list):
            yield (*place, len(holder)), holder[-1:], _edited(record, place, holder + (holder[-1:] or [1]))


def changed_somewhere(record: Any, draw: Random) -> Any:
    """The record with one value somewhere replaced, removed, doubled or added."""
    place = draw.choice(list(_places(record)))
    holder = _at(record, place)
    if isinstance(holder, dict) and (not place or draw.random() < 0.2):
        return _edited(record, (*place, ADDED), draw.choice(VALUES[:-1]))
    if isinstance(holder, list) and draw.random() < 0.2:
        return _edited(record, place, holder + holder[-1:])
    return _edited(record, place, draw.choice(VALUES)) if place else record


def _places(node: Any, before: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield before
    members = node.items() if isinstance(node, dict) else enumerate(node[:2]) if isinstance(node, list) else ()
    for name, item in members:
        if (name, before) != ("digest", ()):
            yield from _places(item, (*before, name))


def _at(record: Any, place: tuple[str | int, ...]) -> Any:
    for step in place:
        record = record[step]
    return record


def _edited(record: Any, place: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(record)
    holder = _at(changed, place[:-1])
    if value is ...:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return changed


def forge(folder: Path, content: bytes) -> Path:
    """Write a manifest over the one of a bundle's folder; returns the folder."""
    (folder / "manifest.json").write_bytes(content)
    return folder


def relink(folder: Path, original: bytes, content: bytes) -> None:
    """Write a manifest over the `original` one, and beside the library one more, which says it was linked for it."""
    linked = [text[text.find(LINKED) + 1 :] for text in (original, content)]
    before, after = (sha256(text).hexdigest().encode() for text in linked)
    old = (folder / json.loads(original)["library"]["name"]).read_bytes()
    new = old.replace(before, after)
    told, telling = (sha256(library).hexdigest().encode() for library in (old, new))
    (folder / f"step-{telling[:16].decode()}.so").write_bytes(new)
    for length in (DIGITS, 16):
        content = content.replace(told[:length], telling[:length])
    forge(folder, seal(content))


def remove_libraries(folder: Path, original: bytes) -> None:
    """Remove the libraries that `relink` wrote beside the one of the `original` manifest."""
    for path in folder.glob("step-*.so"):
        if path.name != json.loads(original)["library"]["name"]:
            path.unlink()
