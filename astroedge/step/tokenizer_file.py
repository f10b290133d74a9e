"""What is told from a tokenizer's file alone, without the package that runs it: how many tokens it has.

`tokenizer.json` is what Hugging Face's `tokenizers` saves: one JSON object whose `model` holds the vocabulary.
"""

from __future__ import annotations

from typing import Any

from astroedge.errors import InputError
from astroedge.step.spec import StepSpec
from astroedge.strict_json import read_json


def count_tokens(content: bytes, source: str = "tokenizer.json") -> int:
    """The number of tokens, counted from 0 to the highest; InputError for a file that is no such tokenizer."""
    try:
        record = read_json(content)
        vocabulary = record["model"]["vocab"]
        ids = vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        count = 1 + max(map(_index, (*ids, *(item["id"] for item in record.get("added_tokens") or ()))))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{source} is no tokenizer as Hugging Face's tokenizers saves it (tokenizer.json, with its vocabulary "
            "inside); save it again with Tokenizer.save or save_pretrained."
        ) from error
    return count


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a token is no number")
    return value


def check_tokenizer(content: bytes, spec: StepSpec) -> None:
    """Raise InputError unless a step takes one token and scores each token that a tokenizer has."""
    count = count_tokens(content)
    if not takes_tokens(spec):
        raise InputError(
            "A tokenizer is for a step whose only input is one token, an integer, and whose first output is a row of "
            "scores, one for each token; this step is none."
        )
    token, scores = spec.inputs[0], spec.outputs[0]
    if count > scores.size:
        raise InputError(
            f"The tokenizer has {count} tokens and the first output {scores.name!r} has {scores.size} scores; give the "
            "tokenizer that the model was trained with."
        )
    if token.index_range is not None and not token.index_range[0] <= 0 < count <= token.index_range[1]:
        low, high = token.index_range
        raise InputError(
            f"The tokenizer has {count} tokens and the input {token.name!r} takes those from {low} to {high - 1}; give "
            "the tokenizer that the model was trained with."
        )


def takes_tokens(spec: StepSpec) -> bool:
    """Whether a step could be a language model: one integer goes in, and a row of scores comes out first."""
    if len(spec.inputs) != 1 or not spec.outputs:
        return False
    token, scores = spec.inputs[0], spec.outputs[0]
    is_row = max(scores.shape, default=1) == scores.size > 1
    return token.size == 1 and "int" in token.dtype and is_row and scores.dtype.startswith("float")
