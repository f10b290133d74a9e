"""The command line: `astroedge COMMAND`, one file a command, each of which parses, calls a workflow and prints.

Nothing heavier than click is imported before a command runs, so that help is quick and `run`, `verify`, `profile` and
`inspect` of a bundle work on a device without torch, onnx and TVM. Imports nouns, workflows,
the public names (`astroedge`) and `shared`.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from typing import Any

import click

from astroedge import __version__
from astroedge.cli.compile import compile_command
from astroedge.cli.deploy import deploy_command
from astroedge.cli.doctor import doctor_command
from astroedge.cli.evaluate import eval_command
from astroedge.cli.export import export_command
from astroedge.cli.inspect import inspect_command
from astroedge.cli.profile import profile_command
from astroedge.cli.report import report_command
from astroedge.cli.run import run_command
from astroedge.cli.shared.streams import drop_unwritten, prepare_streams
from astroedge.cli.shared.verbosity import is_verbose
from astroedge.cli.targets import targets_command
from astroedge.cli.verify import verify_command
from astroedge.cli.view import view_command
from astroedge.cli.zoo import zoo_command
from astroedge.errors import AstroEdgeError, printable

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


class _InOrder(click.Group):
    """A group whose help lists the commands in the order of the pipeline."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands as they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; with --verbose an error also says where it was raised."""
        try:
            return super().invoke(ctx)
        except (AstroEdgeError, OSError):
            if is_verbose():
                traceback.print_exc()
            raise


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="astroedge")
def commands() -> None:
    """Turn a trained spiking or recurrent model into a small, verified native step for an edge device.

    \b
    export   model → step graph (.onnx)        compile  step graph → bundle (.astro)
    run, verify, eval, profile                  a bundle, on this machine or on boards (--device)
    deploy                                      a bundle or an executable, onto boards

    A command that fails prints one line and writes nothing; its exit code tells the kind of error.
    """


for command in (
    export_command,
    compile_command,
    run_command,
    verify_command,
    eval_command,
    profile_command,
    deploy_command,
    report_command,
    inspect_command,
    view_command,
    targets_command,
    zoo_command,
    doctor_command,
):
    commands.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, `sys.argv` when None, and return the exit code; errors become one line on standard error."""
    prepare_streams()
    try:
        _check_directory()
        return int(commands.main(arguments, prog_name="astroedge", standalone_mode=False) or 0)
    except click.Abort:  # click's name for Ctrl-C
        return INTERRUPTED
    except click.UsageError as error:
        # A group without its command is one too in a newer click, and its text the whole help.
        is_help = isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ()))
        shown = error if is_help else click.UsageError(printable(error.format_message()), error.ctx)
        try:
            shown.show()
        except OSError:  # as in `_fail`
            drop_unwritten()
        return error.exit_code
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except AstroEdgeError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        drop_unwritten()
        where = f"{error.filename}: " if error.filename is not None else ""
        return _fail(f"{where}{error.strerror or error}.", 1)
    except MemoryError:
        return _fail("There is not enough memory for this; close other programs or use a larger machine.", 1)


def _check_directory() -> None:
    """Raise FileNotFoundError, which names it, where the working directory was removed: packages end the process there.

    Intel's mathematics, which PyTorch and TVM load, is one.
    """
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            error.errno, "it was removed; change to a folder that is there", "working directory"
        ) from error


def _fail(message: str, code: int) -> int:
    try:
        click.echo(f"Error: {printable(message)}", err=True)
    except OSError:  # of a standard error that takes nothing; the code still tells
        drop_unwritten()
    return code
