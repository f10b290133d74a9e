from __future__ import annotations

import inspect
import re
import shlex

import pytest

from astroedge import errors
from astroedge.cli import commands
from tests.support.places import DOCS

PAGE = (DOCS / "command-line.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^    (?:sensor \| )?astroedge (\w+ .*?)(?: > .*)?$", PAGE, re.MULTILINE)
TYPED = [line for line in EXAMPLES if "  " not in line]


@pytest.mark.parametrize("line", TYPED)
def test_every_example_can_be_typed(line: str) -> None:
    """The command line understands each command of docs/command-line.md."""
    name, *arguments = shlex.split(line)
    context = commands.commands[name].make_context(name, arguments)
    assert context.command.name == name


def test_page_has_an_example_and_a_section_for_every_command() -> None:
    """No command is left out."""
    assert {f"## {name}" for name in commands.commands} <= set(PAGE.splitlines())
    assert {line.split()[0] for line in TYPED} | {"doctor"} == set(commands.commands)


def test_page_lists_every_exit_code() -> None:
    """The table has the code of every error class and no other."""
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    classes = [item for item in vars(errors).values() if inspect.isclass(item)]
    assert listed == {item.exit_code for item in classes} | {0, 2, 130}
