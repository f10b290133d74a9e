"""Assets inside an ONNX file: one entry of its metadata each, `astroedge.asset.<name>`.

An entry is a line, then the content: the line says how it is written, `utf-8` for a text as it is, which any viewer of
ONNX files shows, or `base64`, and its SHA-256. Nothing is compressed: the bytes of zlib differ from release to release,
and the same graph is the same file everywhere.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from typing import TYPE_CHECKING

from astroedge.errors import GraphError, InputError
from astroedge.step.assets import check_asset

if TYPE_CHECKING:
    import onnx

PREFIX = "astroedge.asset."


def write_entries(model: onnx.ModelProto, assets: Mapping[str, bytes]) -> None:
    """Put assets into a model's metadata, in the order of their names and in place of those that were there."""
    for index in reversed([i for i, entry in enumerate(model.metadata_props) if entry.key.startswith(PREFIX)]):
        del model.metadata_props[index]
    for name, content in sorted(assets.items()):
        model.metadata_props.add(key=PREFIX + name, value=_encode(content))


def read_entries(model: onnx.ModelProto) -> dict[str, bytes]:
    """The assets in a model's metadata by name.

    Raises GraphError for a name that none may have and for a content that is damaged.
    """
    assets: dict[str, bytes] = {}
    for entry in model.metadata_props:
        if not entry.key.startswith(PREFIX):
            continue
        name = entry.key.removeprefix(PREFIX)
        try:
            content = _decode(entry.value)
            check_asset(name, 0 if content is None else len(content))
        except InputError as error:
            raise GraphError(f"{error} Export the model again.") from error
        if content is None:
            raise GraphError(f"The asset {name!r} of the graph does not match its digest; copy or export it again.")
        assets[name] = content
    return assets


def _encode(content: bytes) -> str:
    digest = sha256(content).hexdigest()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # C strings end there
        return f"base64 {digest}\n{base64.b64encode(content).decode('ascii')}"
    return f"utf-8 {digest}\n{text}"


def _decode(value: str) -> bytes | None:
    """What `_encode` wrote; None where it was changed."""
    line, _, text = value.partition("\n")
    encoding, _, digest = line.partition(" ")
    try:
        content = base64.b64decode(text, validate=True) if encoding == "base64" else text.encode("utf-8")
    except ValueError:
        return None
    return content if sha256(content).hexdigest() == digest and encoding in ("utf-8", "base64") else None
