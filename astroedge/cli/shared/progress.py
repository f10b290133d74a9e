"""What a command that takes seconds is at, on a terminal; in a file or a pipe nothing is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from astroedge.cli.shared.verbosity import is_quiet


@contextmanager
def working(title: str) -> Iterator[Callable[[str], None]]:
    """Show `title` and the time that passed while the block runs; the function that it gets shows what it is at.

    Everything disappears when the block ends, and a result or an error stands where it was.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if is_quiet() or not console.is_terminal:
        yield lambda stage: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(title, total=None)
        yield lambda stage: shown.update(task, description=f"{title}: {stage}")
