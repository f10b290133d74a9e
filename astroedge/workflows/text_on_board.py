"""Text from a language model on a board: tokens go there and come back, and what they stand for is known here.

So a board needs Python and NumPy, as for everything else, and no tokenizer.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict

import numpy as np

from astroedge.errors import InputError
from astroedge.runtimes.generation.generate import Wanted
from astroedge.step.assets import TOKENIZER
from astroedge.workflows.board_work import BoardWork
from astroedge.workflows.devices.address import Address
from astroedge.workflows.devices.python_there import not_an_answer
from astroedge.workflows.evaluation.generate_text import Codec, find_codec, no_language_model
from astroedge.workflows.on_boards import Say, on_boards

HEADERS = 1 << 16  # bytes of a NumPy file beside its numbers, at most


def text_on_board(
    net: str | os.PathLike[str],
    address: Address,
    plan: Callable[[Codec], Wanted],
    *,
    threads: int | None = None,
    install: bool = False,
    say: Say = lambda address, line: None,
) -> tuple[Codec, Wanted, list[int]]:
    """What a step graph or a bundle writes on a board: how to read it, what was wanted, and the tokens.

    `plan` says what is to be written once it is known what tokens stand for.

    Raises what `on_boards` raises, the board's error, InputError for a step that is no language model, and
    MissingDependencyError where it has a tokenizer and `tokenizers` is not installed here.
    """

    def write(work: BoardWork) -> tuple[Codec, Wanted, list[int]]:
        spec = work.manifest.step
        codec = find_codec(spec, work.bundle.find_asset(TOKENIZER))
        if codec is None:
            raise InputError(no_language_model(net, spec))
        wanted = plan(codec)
        request = {
            "do": "generate",
            "threads": threads,
            "count": wanted.count,
            "sampling": asdict(wanted.sampling),
            "ends": sorted(wanted.ends),
            "vocabulary": wanted.vocabulary,
        }
        prompt = {"prompt": np.array(wanted.prompt, np.int64)}
        found = work.run(request, prompt, 8 * wanted.count + HEADERS).get("tokens")
        known = spec.outputs[0].size if wanted.vocabulary is None else wanted.vocabulary
        if found is None or found.dtype != np.int64 or found.ndim != 1 or len(found) > wanted.count:
            raise not_an_answer(address.text, "they are no tokens")
        if len(found) and not 0 <= found.min() <= found.max() < known:
            raise not_an_answer(address.text, "a token is none of the model's")
        return codec, wanted, found.tolist()

    found = on_boards(net, [address], write, install=install, python_for="Text", say=say)
    found.raise_failures()
    return found.done[0].result
