"""Files of /sys and /proc, and tools, of a machine that is not this one."""

from __future__ import annotations

from pathlib import Path


def put(root: Path, path: str, text: str) -> Path:
    """Write one file below `root`, folders included."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


def install_vcgencmd(root: Path, answers: dict[str, str]) -> None:
    """A `vcgencmd` that prints what the firmware of a Raspberry Pi would."""
    cases = "".join(f"{command}) cat <<'END'\n{text}\nEND\n;;\n" for command, text in answers.items())
    put(root, "usr/bin/vcgencmd", f'#!/bin/sh\ncase "$1" in\n{cases}*) exit 1;;\nesac\n').chmod(0o755)
