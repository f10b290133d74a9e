"""`astroedge export`: a model becomes a step graph."""

from __future__ import annotations

from pathlib import Path

import click

from astroedge.cli.shared.option_types import named_numbers, named_shapes, named_values
from astroedge.cli.shared.verbosity import verbosity_options


@click.command("export")
@click.argument("model")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The step graph to write (.onnx), by default NAME.onnx in this directory.",
)
@click.option(
    "--example",
    metavar="FILE|SHAPE",
    help="Realistic inputs, .npz or .npy, time first: the first tick gives the shapes, all of them the firing rates. "
    "Or shapes alone, such as 1,700 or x=1,700;sr=1.",
)
@click.option("--batch", metavar="N", type=click.IntRange(min=1), help="How many streams one step carries.")
@click.option(
    "--firing-rate",
    "firing_rates",
    metavar="INPUT=RATE",
    multiple=True,
    callback=named_numbers,
    help="What fraction of an input is not zero, in place of what the example shows; x=0.02, repeatable.",
)
@click.option(
    "--state",
    "states",
    metavar="IN=OUT",
    multiple=True,
    callback=named_values,
    help="Of an .onnx model: the input that at the next tick is this output; h=h_out, repeatable.",
)
@click.option(
    "--input",
    "constants",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="Of an .onnx model: an input that never changes, a number or an .npy file; sr=16000, repeatable.",
)
@click.option(
    "--shape",
    "shapes",
    metavar="NAME=SIZES",
    multiple=True,
    callback=named_shapes,
    help="Of an .onnx model: the sizes of an input that leaves some open; x=1,576, repeatable.",
)
@click.option(
    "--initial",
    metavar="STATE=VALUE",
    multiple=True,
    callback=named_values,
    help="Of an .onnx model: a state's first value, a number or an .npy file; without it zeros.",
)
@click.option(
    "--sequence",
    is_flag=True,
    help="Also write NAME.sequence.onnx: any number of ticks, for ONNX Runtime.",
)
@click.option("--dt", type=float, help="Of a .nir file: the length of a tick in the unit of its time constants.")
@click.option(
    "--nir",
    metavar="CHOICE=VALUE",
    multiple=True,
    callback=named_values,
    help="Of a .nir file: what it leaves open, as `astroedge inspect --nir` shows it; current=new, repeatable.",
)
@click.option("--check-ticks", metavar="N", type=click.IntRange(min=1), help="Compare N ticks with the original; 200.")
@click.option(
    "--tolerance",
    metavar="X",
    type=float,
    help="How far rounding may part the two, as a share of max(1, the largest value); 1e-5. Written into the graph.",
)
@click.option(
    "--allow-flips",
    metavar="N",
    type=click.IntRange(min=0),
    help="Accept N ticks that differ for no cause found, where a decision lies on its edge; 0. Written into the graph.",
)
@click.option(
    "--labels",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The names of the classes, a line for each score of the first output; they go along, and run prints them.",
)
@click.option(
    "--tokenizer",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Of a language model: the tokenizer.json of Hugging Face that it was trained with, which goes along.",
)
@click.option("--name", help="The graph's name; without it that of the file or factory.")
@verbosity_options
def export_command(
    model: str,
    output: Path | None,
    example: str | None,
    batch: int | None,
    firing_rates: dict[str, float],
    states: dict[str, str],
    constants: dict[str, str],
    shapes: dict[str, tuple[int, ...]],
    initial: dict[str, str],
    sequence: bool,
    dt: float | None,
    nir: dict[str, str],
    check_ticks: int | None,
    tolerance: float | None,
    allow_flips: int | None,
    labels: Path | None,
    tokenizer: Path | None,
    name: str | None,
) -> None:
    """Export MODEL as a step graph and compare it with the original.

    \b
    MODEL is one of
      char_lm.safetensors          a checkpoint of a model in astroedge.models
      zoo:l2mu-har                 a trained network, as `astroedge zoo` lists them
      nets/keywords.py:make        a function in a file
      mypackage.nets:make          a function in an installed module
      vad.onnx                     an ONNX graph of one tick, with --state IN=OUT for each state
      net.nir                      a NIR graph; with --dt
    The function returns the module, (module, inputs) or (module, inputs, states).
    """
    from astroedge.cli.shared.display import print_line, size
    from astroedge.cli.shared.progress import working
    from astroedge.cli.shared.show_step import show_assets, show_spec
    from astroedge.parity import Allowance
    from astroedge.workflows.export_model import default_output, export_model
    from astroedge.workflows.export_onnx import OnnxOptions, save_with_sequence
    from astroedge.workflows.inputs.asset_files import read_assets

    path = output or default_output(model, name)
    onnx, assets = OnnxOptions(states, constants, shapes, initial), read_assets(labels, tokenizer)
    with working("Exporting") as at:
        graph = export_model(
            model,
            example=example,
            batch=batch,
            name=name,
            firing_rates=firing_rates,
            onnx=onnx,
            dt=dt,
            nir=nir,
            checks=Allowance.of(allow_flips, tolerance, check_ticks),
            assets=assets,
            progress=at,
        )
    sequence_path = None
    if sequence:
        sequence_path = save_with_sequence(graph, path)
    else:
        graph.save(path)
    show_spec(graph.spec)
    show_assets(graph)
    for note in graph.notes:
        print_line(f"Note: {note}")
    if graph.parity is not None:
        print_line(f"Parity: {graph.parity.summary()}.")
    if sequence_path is not None:
        print_line(f"Wrote {sequence_path}, for ONNX Runtime.")
    written = size(path.stat().st_size)
    print_line(
        f"Wrote {path}, {written}. Next: astroedge compile {path} --target native -o {path.with_suffix('.astro')}"
    )
