"""Text as C has it."""

from __future__ import annotations

from astroedge.errors import LinkError


def c_text(value: str) -> str:
    """A C string literal: UTF-8, everything but plain letters, digits and a few signs as three octal digits.

    Three digits end an octal escape, so no following character can become part of it, and no trigraph, quote or line
    break can appear. Raises LinkError for a text with a NUL, which would end there.
    """
    if "\0" in value:
        raise LinkError(f"The name {value!r} holds a NUL character, which ends a C string; rename it in the model.")
    plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-+/ "
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in value.encode("utf-8")) + '"'
