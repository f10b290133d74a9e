"""The options of a command that writes a profile as a page as well."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from astroedge.step_profile import Profile

Function = TypeVar("Function", bound=Callable[..., Any])


def page_options(function: Function) -> Function:
    """Give a command `html_path` and `raster`."""
    for option in (
        click.option("--raster", is_flag=True, help="Note which neurons fire at 300 ticks; --html does so by itself."),
        click.option(
            "--html", "html_path", metavar="FILE", type=click.Path(path_type=Path), help="Write a page to look at."
        ),
    ):
        function = option(function)
    return function


def check_page(path: Path | None) -> None:
    """Before anything is measured: raise MissingDependencyError where the page could not be written."""
    if path is not None:
        from astroedge.workflows.pages.report import check_packages

        check_packages()


def page_of(profile: Profile, path: Path | None) -> dict[str | PathLike[str], bytes]:
    """The page of a profile by its file; nothing where none is wanted."""
    if path is None:
        return {}
    from astroedge.workflows.pages.report import report_profiles

    return {path: report_profiles([profile.to_json()])}
