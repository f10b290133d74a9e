"""`astroedge profile`: what a step costs on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from astroedge.cli.shared.kernel_options import kernel_options
from astroedge.cli.shared.measuring_options import measuring_options
from astroedge.cli.shared.options import cast_option, device_option, fit_of, install_option, threads_option
from astroedge.cli.shared.page_options import page_options
from astroedge.cli.shared.verbosity import verbosity_options

if TYPE_CHECKING:
    from astroedge.cli.shared.show_boards import ProfileFiles
    from astroedge.measuring import Measuring
    from astroedge.step_profile import Profile
    from astroedge.workflows.devices.address import Devices


@click.command("profile")
@click.argument("bundle", type=click.Path(path_type=Path))
@measuring_options
@click.option("--input", "source", metavar="FILE", type=click.Path(path_type=Path), help="Real data: .npy, .npz, .csv.")
@click.option("--compare", metavar="GRAPH", type=click.Path(path_type=Path), help="Time ONNX Runtime beside it (host).")
@click.option("--json", "json_path", metavar="FILE", help="Write the profile as JSON; - for standard output.")
@click.option("--csv", "csv_path", metavar="FILE", type=click.Path(path_type=Path), help="Write every number as CSV.")
@page_options
@kernel_options
@threads_option
@device_option
@install_option
@click.option("--keep", is_flag=True, help="With --device: leave what was sent in the board's cache for later runs.")
@cast_option
@verbosity_options
def profile_command(
    bundle: Path,
    wanted: Measuring,
    source: Path | None,
    compare: Path | None,
    json_path: str | None,
    csv_path: Path | None,
    html_path: Path | None,
    raster: bool,
    kernels: bool,
    trace_path: Path | None,
    threads: int | None,
    devices: Devices,
    install: bool,
    keep: bool,
    cast: bool,
) -> None:
    """Measure what a step of BUNDLE costs, here or on boards.

    Time, memory, firing rates, synaptic operations, heat and energy: every number is measured, estimated or
    unavailable, and says so.

    With --device boards that SSH reaches measure, all at once; BUNDLE may be a step graph (.onnx), which is
    compiled for each. It is verified there too, and nothing of it stays.

    \b
    astroedge profile net.onnx --device ssh://pi@raspberrypi.local --device jetson
    """
    from astroedge.cli.shared.display import STANDARD_OUTPUT, write_json
    from astroedge.cli.shared.page_options import check_page, page_of
    from astroedge.replace_file import replace_files
    from astroedge.workflows.profile_bundle import profile_bundle

    check_page(html_path)
    _refuse_one_file_twice(json_path, csv_path, html_path, trace_path)
    if devices.boards:
        from astroedge.cli.shared.show_boards import ProfileFiles

        _refuse_on_boards(wanted, devices)
        files = ProfileFiles(json_path, csv_path, html_path, trace_path)
        given = {
            "compare": compare,
            "inputs": source,
            "fit": fit_of(cast),
            "threads": threads,
            "install": install,
            "keep": keep,
        }
        _profile_boards(bundle, devices, wanted, given, files, raster=raster, kernels=kernels)
        return
    if install or keep:
        raise click.UsageError("--install and --keep go with --device ssh://….")
    profile = profile_bundle(
        bundle,
        replace(wanted, keep_samples=wanted.keep_samples or html_path is not None),
        inputs=source,
        compare=compare,
        threads=threads,
        device=devices.gpu,
        fit=fit_of(cast, wanted.rate),
        kernels=kernels or trace_path is not None,
    )
    if raster or html_path is not None:
        from astroedge.workflows.add_raster import add_raster

        again = fit_of(cast, wanted.rate, is_said=False)
        profile = add_raster(
            profile, bundle, inputs=source, compare=compare, threads=threads, device=devices.gpu, fit=again
        )
    page = page_of(profile, html_path)
    if not wanted.keep_samples:
        profile = replace(profile, samples=())  # the page alone shows them
    replace_files({**page, **_files_of(profile, json_path, csv_path, trace_path)})
    if json_path == STANDARD_OUTPUT:
        write_json(profile.to_json(), json_path)
    else:
        _show(profile)


def _refuse_one_file_twice(json_path: str | None, *paths: Path | None) -> None:
    """A usage error where two of the files to be written are one."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT

    written = [str(path) for path in (json_path, *paths) if path not in (None, STANDARD_OUTPUT)]
    if len(set(written)) < len(written):
        raise click.UsageError("Two of --json, --csv, --html and --trace name one file.")


def _files_of(
    profile: Profile, json_path: str | None, csv_path: Path | None, trace_path: Path | None
) -> dict[str | PathLike[str], bytes]:
    """What is written of a profile, by the paths it goes to; standard output is none."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT, json_text

    files: dict[str | PathLike[str], bytes] = {}
    if csv_path is not None:
        files[csv_path] = profile.to_csv().encode()
    if json_path is not None and json_path != STANDARD_OUTPUT:
        files[json_path] = json_text(profile.to_json()).encode()
    if trace_path is not None:
        from astroedge.trace_events import trace_events

        files[trace_path] = json.dumps(trace_events(profile), allow_nan=False).encode()
    return files


def _refuse_on_boards(wanted: Measuring, devices: Devices) -> None:
    """Refuse what only one board can do."""
    if wanted.meter is not None and len(devices.boards) > 1:
        raise click.UsageError(
            "--meter hangs on one board; give one --device, or --energy for each board's own sensors."
        )


def _profile_boards(
    net: Path,
    devices: Devices,
    wanted: Measuring,
    given: dict[str, Any],
    files: ProfileFiles,
    *,
    raster: bool,
    kernels: bool,
) -> None:
    """Measure on boards, show and write what was found, and end with the error of the boards that failed."""
    from astroedge.cli.shared.display import STANDARD_OUTPUT
    from astroedge.cli.shared.show_boards import (
        raise_unproven,
        reporting,
        show_failures,
        show_kernels_of,
        show_profiles,
        write_profiles,
    )
    from astroedge.workflows.profile_on_boards import profile_on_boards, proofs_of

    energy = wanted.energy and wanted.meter is None  # the meter counts, as without boards
    options = {**asdict(wanted), "meter": None, "energy": energy, "kernels": kernels or files.trace is not None}
    asked = {
        "--kernels": kernels,
        "--trace": files.trace is not None,
        "--raster": raster,
        "--meter": wanted.meter is not None,
        "--compare": given["compare"] is not None,
    }
    python_for = next((name for name, is_asked in asked.items() if is_asked), "")
    further: dict[str, Any] = {
        "raster": raster or files.html is not None,
        "meter": wanted.meter,
        "python_for": python_for,
    }
    with reporting(devices.boards) as say:
        found = profile_on_boards(net, devices.boards, options=options, say=say, **given, **further)
    show_failures(found)
    write_profiles(found, files)
    if files.json != STANDARD_OUTPUT:
        measured = [one for item in found.done for one in item.result]
        if len(measured) == 1:
            _show(measured[0].profile)
        else:
            show_kernels_of(found)
        show_profiles(found)
    found.raise_failures()
    raise_unproven(proofs_of(found))


def _show(profile: Profile) -> None:
    from astroedge.cli.shared.display import duration, print_line, print_table

    print_line(
        f"Profile of {profile.model} for {profile.target}, {profile.precision}, {_computed_by(profile)}; "
        f"inputs {profile.inputs}"
    )
    step = profile.step
    names = ("mean", "std", "min", "p50", "p90", "p95", "p99", "max")
    times = [duration(getattr(step, name)) for name in names]
    print_table(
        names, [times], f"{step.count:,} steps from {_caller(profile)} after {profile.warmup} to warm up, measured"
    )
    groups: dict[str, list[tuple[str, ...]]] = {}
    for group, name, value, unit, label, note in profile.rows():
        if group not in ("step", "kernel", "instrumented"):
            groups.setdefault(group, []).append((name, *_value(group, value, unit), label, note))
    for group, rows in groups.items():
        print_table((group, "value", "unit", "", "note"), rows)
    if profile.kernels is not None:
        from astroedge.cli.shared.show_kernels import show_kernels

        show_kernels(profile.kernels)
    for warning in profile.warnings:
        print_line(f"Warning: {warning}")
    print_line(_summary(profile))


def _computed_by(profile: Profile) -> str:
    """The GPU that computed the steps, or how many threads."""
    if "gpu" in profile.machine:
        return f"computed by {profile.machine['gpu']}"
    return "1 thread" if profile.threads == 1 else f"{profile.threads} threads"


def _caller(profile: Profile) -> str:
    """What called the steps that were timed."""
    return "Python" if profile.by == "python" else "C"


def _value(group: str, value: float | str | None, unit: str) -> tuple[str, str]:
    """A number and its unit for people; a dash where there is none."""
    from astroedge.cli.shared.display import duration, joules, percent, size

    if value is None or isinstance(value, str):
        return value or "–", ""
    if unit == "J":
        number, shown_unit = joules(value).split(" ")
        return number, shown_unit
    if unit in ("ns", "bytes"):
        number, shown_unit = (duration(value) if unit == "ns" else size(int(value))).split(" ")
        return number, shown_unit
    if group == "firing rate":
        number, shown_unit = percent(value).split(" ")
        return number, shown_unit
    return (f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"), unit


def _summary(profile: Profile) -> str:
    """The main figures in one sentence."""
    from astroedge.cli.shared.display import duration, joules, percent
    from astroedge.step_profile import format_ratio

    step, native = profile.step, profile.native
    text = f"One step takes {duration(step.p50)} from {_caller(profile)} (p99 {duration(step.p99)})"
    if native is not None and native.p50 <= step.p50:
        text += f" and {duration(native.p50)} in a native run"
    elif native is not None and native.p50 <= step.mean:  # steps of unequal length: means go with means
        text += f", {duration(step.mean)} on average, and {duration(native.p50)} on average in a native run"
    if profile.paced is not None:
        paced = profile.paced
        text += f"; {duration(paced.step.p50)} at {paced.rate:g} Hz, asleep in between"
    if profile.energy is not None:
        text += f"; {joules(profile.energy.joules_per_step)} beyond the idle machine"
    operations = profile.operations
    if operations.dense:
        done = (operations.effective_acs + operations.effective_macs) / operations.dense
        text += f"; {percent(done)} of the dense synaptic operations are done"
    if profile.comparison is not None:
        beside = profile.comparison
        where = " on the processor" if "gpu" in profile.machine else ""
        times = format_ratio(beside.ratio, 1)
        both = f"{duration(beside.ours)} against {duration(beside.theirs)}"
        text += f"; in turns with {beside.runtime}{where} {both}, which is {times} times as long"
    return text + "."
