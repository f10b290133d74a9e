"""Options of the form NAME=NUMBER, NAME=SIZES and NAME=VALUE."""

from __future__ import annotations

import click


def named_numbers(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, float]:
    """The callback of a repeatable option: `x=0.02` becomes {"x": 0.02}; any other form is a usage error."""
    numbers = {}
    for value in values:
        name, _, number = value.rpartition("=")
        try:
            numbers[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{value!r} is not of the form NAME=NUMBER, such as x=0.02.") from None
    return numbers


def named_shapes(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, tuple[int, ...]]:
    """The callback of a repeatable option: `x=1,576` becomes {"x": (1, 576)}; any other form is a usage error."""
    shapes = {}
    for value in values:
        name, _, sizes = value.rpartition("=")
        try:
            shapes[name] = tuple(int(size) for size in sizes.split(","))
        except ValueError:
            shapes[name] = ()
        if not name or not shapes[name] or min(shapes[name]) < 1:
            raise click.BadParameter(f"{value!r} is not of the form NAME=SIZES, such as x=1,576.")
    return shapes


def named_values(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The callback of a repeatable option: `state=stateN` becomes {"state": "stateN"}; others are usage errors."""
    found: dict[str, str] = {}
    for value in values:
        name, _, text = value.partition("=")
        if not name or not text or name in found:
            problem = "gives one name twice" if name in found else "is not of the form NAME=VALUE"
            raise click.BadParameter(f"{value!r} {problem}.")
        found[name] = text
    return found
