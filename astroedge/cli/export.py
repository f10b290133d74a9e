"""`astroedge export`: a model becomes a step graph."""

from __future__ import annotations

from pathlib import Path

import click

from astroedge.cli.named_numbers import named_numbers, named_values


@click.command("export")
@click.argument("model")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The step graph to write (.onnx).")
@click.option(
    "--example",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Realistic inputs, .npz or .npy, time first: the first tick gives the shapes, all of them the firing rates.",
)
@click.option(
    "--firing-rate",
    "firing_rates",
    metavar="INPUT=RATE",
    multiple=True,
    callback=named_numbers,
    help="What fraction of an input is not zero, in place of what the example shows; x=0.02, repeatable.",
)
@click.option("--dt", type=float, help="Of a .nir file: the length of a tick in the unit of its time constants.")
@click.option(
    "--nir",
    metavar="CHOICE=VALUE",
    multiple=True,
    callback=named_values,
    help="Of a .nir file: what it leaves open, as `astroedge inspect --nir` shows it; current=new, repeatable.",
)
@click.option("--name", help="The graph's name; without it that of the file or factory.")
def export_command(
    model: str,
    output: Path,
    example: Path | None,
    firing_rates: dict[str, float],
    dt: float | None,
    nir: dict[str, str],
    name: str | None,
) -> None:
    """Export MODEL as a step graph and compare it with PyTorch.

    \b
    MODEL is one of
      char_lm.safetensors          a checkpoint of a model in astroedge.models
      nets/keywords.py:make        a function in a file
      mypackage.nets:make          a function in an installed module
      net.nir                      a NIR graph; with --dt
    The function returns the module, (module, inputs) or (module, inputs, states).
    """
    from astroedge.cli.display import print_line
    from astroedge.cli.show_step import show_spec
    from astroedge.workflows.export_model import export_model

    graph = export_model(model, example=example, name=name, firing_rates=firing_rates, dt=dt, nir=nir)
    graph.save(output)
    show_spec(graph.spec)
    for note in graph.notes:
        print_line(f"Note: {note}")
    if graph.parity is not None:
        print_line(f"Parity: {graph.parity.summary()}.")
    print_line(f"Wrote {output}. Next: astroedge compile {output} --target native -o {output.with_suffix('.astro')}")
