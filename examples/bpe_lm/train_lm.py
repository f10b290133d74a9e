"""Train the language model of this example: `python examples/bpe_lm/train_lm.py`, on one thread, without a download.

An AstroSNN reads the corpus of `english.py` in tokens, many places of the text at once, its state carried from window
to window and the gradient cut between them. Every few minutes the whole run is saved: model, optimiser, state, random
numbers and place in the text. The same command goes on from there.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from torch import Tensor

from astroedge.models import AstroSNNConfig, save_checkpoint
from astroedge.replace_file import replace_file
from astroedge.runtimes.profiling.sensors import describe_machine
from english import load_corpus
from make_tokenizer import TOKENS, read_documents
from training import Schedule, Text, Training

FOLDER = Path(__file__).parent
CHECKPOINT, RECORD = FOLDER / "astrosnn.safetensors", FOLDER / "training.json"
RUN = Path("out/bpe_lm/run.pt")
EXCERPTS, EXCERPT = 8, 256
"""How much training text the checkpoint holds: firing rates are measured and int4 weights rounded by it."""

NETWORK = AstroSNNConfig(
    vocabulary=TOKENS, width=384, heads=8, feed_forward=768, layers=2, longest_memory=1024.0, dropout=0.0
)


def main() -> None:
    """Train or go on training; at the end write the weights in float16 and what the training was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=RUN, help="where the run is saved (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=CHECKPOINT, help="checkpoint to write (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=Schedule.steps, help="how many in all (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=5.0, help="of processor time between saves (default: 5)")
    arguments = parser.parse_args()
    if arguments.steps < 1 or arguments.minutes <= 0:
        parser.error("--steps must be at least 1, and --minutes more than 0")
    try:
        train(arguments)
    except KeyboardInterrupt:
        parser.exit(130, f"stopped; the run is saved in {arguments.run}, and the same command goes on\n")
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")


def train(arguments: argparse.Namespace) -> None:
    """Train or go on; raises ValueError for a run that does not fit, OSError where something cannot be written."""
    torch.set_num_threads(1)
    corpus, schedule = load_corpus(), Schedule(steps=arguments.steps)
    text = Text(read_documents(corpus.training), schedule)
    training, fingerprint = Training(NETWORK, schedule, text), corpus.fingerprint()
    arguments.run.parent.mkdir(parents=True, exist_ok=True)
    if arguments.run.exists():
        training.resume(arguments.run, fingerprint)
    run(training, lambda: training.save(arguments.run, fingerprint), 60 * arguments.minutes)
    save_checkpoint(training.model.half(), arguments.out, example_of(text.documents))
    if arguments.out == CHECKPOINT:
        replace_file(RECORD, (json.dumps(describe(training, fingerprint), indent=2) + "\n").encode())
    print(
        f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB, {training.seconds / 60:.0f} processor minutes"
    )


def example_of(documents: list[Tensor]) -> Tensor:
    """Tokens from several places of the text, one excerpt after the other."""
    text = torch.cat(documents)
    starts = range(0, len(text), -(-len(text) // EXCERPTS))
    return torch.cat([text[start : start + EXCERPT] for start in starts]).to(torch.int16)


def run(training: Training, save: Callable[[], None], seconds: float) -> None:
    """All steps that are left, under a progress bar, saved every so many seconds of processor time and at the end.

    Raises KeyboardInterrupt after Ctrl-C, when the step that was under way is done and saved.
    """
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"))
    with Progress(*columns, refresh_per_second=1) as bar:
        task = bar.add_task("training", total=training.schedule.steps, completed=training.step, told="")
        saved = training.seconds
        stopped = False

        def stop(*_: object) -> None:  # a step is finished first: half of one cannot be taken up again
            nonlocal stopped
            stopped = True

        before = signal.signal(signal.SIGINT, stop)
        try:
            while training.step < training.schedule.steps and not stopped:
                training.advance()
                if training.seconds - saved >= seconds:
                    save()
                    saved = training.seconds
                    bar.console.print(f"{training.step:,} steps are saved: {_told(training)}")
                bar.update(task, completed=training.step, told=_told(training))
            save()
        finally:
            signal.signal(signal.SIGINT, before)
    if stopped:
        raise KeyboardInterrupt


def _told(training: Training) -> str:
    """How it goes: what is needed of the processor is told, not of the clock, which others share."""
    left = training.seconds / training.step * (training.schedule.steps - training.step)
    rates = training.rates.values()
    return (
        f"{training.bits:.3f} bits a token, firing {min(rates):.0%} to {max(rates):.0%}, "
        f"{training.seconds / 60:.1f} processor minutes, {left / 60:.0f} left"
    )


def describe(training: Training, fingerprint: str) -> dict[str, object]:
    """What the training was: the run's identity, the processor time it took, and on what."""
    schedule = training.schedule
    return {
        **training.identity(fingerprint),
        "weights": sum(parameter.numel() for parameter in training.model.parameters()),
        "tokens": schedule.steps * schedule.lanes * schedule.window,
        "passes": schedule.steps / training.text.steps_of_pass,
        "processor_seconds": round(training.seconds),
        "machine": describe_machine(),
        "torch": metadata.version("torch"),
    }


if __name__ == "__main__":
    main()
