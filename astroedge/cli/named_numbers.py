"""Options of the form NAME=NUMBER and NAME=VALUE."""

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


def named_values(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """The callback of a repeatable option: `current=new` becomes {"current": "new"}; other forms are usage errors."""
    found = {}
    for value in values:
        name, separator, chosen = value.partition("=")
        if not separator or not name or not chosen:
            raise click.BadParameter(f"{value!r} is not of the form CHOICE=VALUE, such as current=new.")
        found[name] = chosen
    return found
