"""`astroedge verify`: whether a bundle does what its golden trace and its graph say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from astroedge.cli.shared.options import cast_option, device_option, fit_of, install_option, threads_option
from astroedge.cli.shared.verbosity import verbosity_options
from astroedge.errors import VerificationError

if TYPE_CHECKING:
    from astroedge.workflows.devices.address import Devices
    from astroedge.workflows.verify_bundle import VerifyReport


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--graph", type=click.Path(path_type=Path), help="The step graph it was compiled from (host only).")
@click.option("--steps", metavar="N", type=click.IntRange(min=1), help="Ticks to compare; 1000, or all of --input.")
@click.option("--input", "source", metavar="FILE", type=click.Path(path_type=Path), help="Real data: .npy, .npz, .csv.")
@click.option("--seed", metavar="N", type=click.IntRange(min=0), help="Draw other inputs than the golden trace's.")
@click.option("--json", "json_path", metavar="FILE", help="Write the report as JSON; - for standard output.")
@click.option("--tolerance", metavar="X", type=float, help="Accept differences up to X; else as it was compiled.")
@click.option("--allow-flips", metavar="N", type=click.IntRange(min=0), help="Accept N spikes within the tolerance.")
@threads_option
@device_option
@install_option
@cast_option
@verbosity_options
def verify_command(
    bundle: Path,
    graph: Path | None,
    steps: int | None,
    source: Path | None,
    seed: int | None,
    json_path: str | None,
    tolerance: float | None,
    allow_flips: int | None,
    threads: int | None,
    devices: Devices,
    install: bool,
    cast: bool,
) -> None:
    """Verify BUNDLE, here or on boards.

    Alone, its golden trace is replayed, which proves that this machine computes the same bits as the one that
    compiled it. With --graph it is compared with ONNX Runtime too, spike for spike. The exit code is 70 when anything
    disagrees.

    With --device boards that SSH reaches replay the trace; BUNDLE may be a step graph, which is compiled for each.
    """
    from astroedge.cli.shared.display import STANDARD_OUTPUT, write_json
    from astroedge.cli.shared.progress import working
    from astroedge.workflows.verify_bundle import examine_file

    if graph is None and (steps, source, seed, tolerance, allow_flips) != (None,) * 5:
        raise click.UsageError(
            "--steps, --input, --seed, --tolerance and --allow-flips belong to the comparison with --graph."
        )
    if devices.boards:
        if graph is not None:
            raise click.UsageError("--graph compares with ONNX Runtime on this machine; --device is other machines.")
        _verify_boards(bundle, devices, threads, install, json_path)
        return
    if install:
        raise click.UsageError("--install goes with --device ssh://….")
    if source is not None and seed is not None:
        raise click.UsageError("--input and --seed exclude each other.")
    with working("Verifying"):
        report = examine_file(
            bundle,
            graph,
            steps=steps,
            inputs=source,
            seed=seed,
            threads=threads,
            device=devices.gpu,
            tolerance=tolerance,
            allow_flips=allow_flips,
            fit=fit_of(cast),
        )
    if json_path is not None:
        write_json(report.to_json(), json_path)
    if json_path != STANDARD_OUTPUT:
        _show(report)
    if not report.ok:
        raise VerificationError(report.text())


def _verify_boards(net: Path, devices: Devices, threads: int | None, install: bool, json_path: str | None) -> None:
    """Verify on boards, show and write what was found; an error where one failed or computes other bits."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT, write_json
    from astroedge.cli.shared.show_boards import raise_unproven, reporting, show_failures, show_proofs
    from astroedge.workflows.profile_on_boards import proofs_json, verify_on_boards

    with reporting(devices.boards) as say:
        found = verify_on_boards(net, devices.boards, threads=threads, install=install, say=say)
    show_failures(found)
    if json_path is not None:
        write_json(proofs_json(found), json_path)
    if json_path != STANDARD_OUTPUT:
        show_proofs(found)
    found.raise_failures()
    raise_unproven(found)


def _show(report: VerifyReport) -> None:
    from astroedge.cli.shared.display import print_line, print_table

    print_table(
        ("tick", "state", "outputs", "golden trace"),
        [
            (found.tick, found.state[:16] + "…", found.outputs[:16] + "…", "equal" if found == expected else "DIFFERS")
            for expected, found in zip(report.golden.expected, report.golden.found, strict=True)
        ],
    )
    if report.forced is not None:
        _show_spikes(report)
        print_line(report.forced.text())
    if report.free is not None:
        print_line(report.free.text())
        for item in report.free.outputs:
            ratio = f"{item.difference:.2g} where the reference has {item.reference:.2g}"
            print_line(f"  {item.name}: root mean square difference {ratio}")
    if report.ok:
        print_line(f"Verified: {report.model} for {report.target} does what it should.")


def _show_spikes(report: VerifyReport) -> None:
    from astroedge.cli.shared.display import percent, print_table

    assert report.forced is not None
    print_table(
        ("spikes", "compared", "agree", "fires in ONNX Runtime", "fires in the bundle"),
        [
            (
                item.name,
                f"{item.compared:,}",
                f"{100 * item.agreement:.4f} %",
                percent(item.reference_rate),
                percent(item.session_rate),
            )
            for item in report.forced.spikes
        ],
        "Forced: both take the state from ONNX Runtime at every tick",
    )
