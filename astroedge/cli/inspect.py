"""`astroedge inspect`: what is in a step graph, a bundle or a NIR file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("inspect")
@click.argument("path", metavar="GRAPH_OR_BUNDLE", type=click.Path(path_type=Path))
@click.option("--json", "json_path", metavar="FILE", help="Write it as JSON instead; - for standard output.")
@click.option("--nir", is_flag=True, help="The file is a NIR graph; files ending in .nir are taken for one.")
def inspect_command(path: Path, json_path: str | None, nir: bool) -> None:
    """Show what is in a step graph, a bundle or a NIR file.

    States, shapes, sizes and firing rates; of a bundle the kernels and why they were chosen, memory and digests too,
    after all its files were compared with those. Of a NIR file its nodes, the ranges of their parameters, and what it
    leaves open and has to be chosen when it is exported.
    """
    if nir or path.suffix == ".nir":
        _inspect_nir(path, json_path)
        return
    from astroedge.bundle.container import Bundle
    from astroedge.cli.shared.display import write_json
    from astroedge.cli.shared.show_step import show_bundle, show_graph
    from astroedge.workflows.inspect_step import describe_bundle, describe_graph, open_step

    step = open_step(path)
    if isinstance(step, Bundle):
        write_json(describe_bundle(step), json_path) if json_path else show_bundle(step)
    else:
        write_json(describe_graph(step), json_path) if json_path else show_graph(step)


def _inspect_nir(path: Path, json_path: str | None) -> None:
    from astroedge.cli.shared.display import write_json
    from astroedge.cli.shared.show_nir import show_nir
    from astroedge.workflows.inputs.nir_source import describe_nir
    from astroedge.workflows.inspect_step import inspection

    record = describe_nir(path)
    if json_path:
        write_json({**inspection("nir"), **record}, json_path)
    else:
        show_nir(record)
