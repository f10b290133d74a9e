"""Assets: files that a graph and its bundle carry for whoever uses the step, such as names of classes or a tokenizer.

The bytes are the user's; what is known of an asset by its name is checked against the step, so that a wrong file is
found where it is given and not where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from astroedge.errors import InputError
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.step.tokenizer_file import check_tokenizer, count_tokens

LABELS = "labels.txt"
"""The asset with the names of the classes, one a line, in the order of the first output's scores."""
TOKENIZER = "tokenizer.json"
"""The asset with a tokenizer as Hugging Face's `tokenizers` saves it."""

LARGEST_ASSET = 1 << 26  # bytes
LARGEST_ASSETS = 1 << 28  # bytes of all together: with the weights they fit one protobuf message, as base64 too
MOST_ASSETS = 256
LARGEST_LABELS = 1 << 22  # bytes
# One file name in one folder: no path, nothing hidden, nothing a shell or another file system trips over.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


def is_asset_name(name: object) -> bool:
    """Whether an asset may be called so: up to 100 letters, digits, `.`, `_` and `-`, the first no `.` or `-`."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def check_asset(name: str, size: int) -> None:
    """Raise InputError for a name that no asset may have, and for one of more than 64 MiB."""
    if not is_asset_name(name):
        raise InputError(
            f"An asset is called {str(name)[:200]!r}, which is no plain file name: letters, digits, '.', '_' and '-', "
            "at most 100, and no path."
        )
    if size > LARGEST_ASSET:
        raise InputError(f"The asset {name!r} has {size:,} bytes; one may have {LARGEST_ASSET:,}.")


def check_assets(assets: Mapping[str, bytes], spec: StepSpec | None = None) -> dict[str, bytes]:
    """The assets in the order of their names, once all of them can be carried.

    With `spec`, that of the step that they are for, labels must be as many as there are scores in a row of the first
    output, and a tokenizer's tokens at most as many. Raises InputError for a name, a size or a content that cannot be.
    """
    held: dict[str, bytes] = {}
    for name, content in assets.items():
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise InputError(f"The asset {name!r} is {type(content).__name__} and must be bytes, a file's content.")
        held[name] = bytes(content)
        check_asset(name, len(held[name]))
    total = sum(map(len, held.values()))
    if len(held) > MOST_ASSETS or total > LARGEST_ASSETS:
        raise InputError(
            f"There are {len(held)} assets of {total:,} bytes; a step carries {MOST_ASSETS} of {LARGEST_ASSETS:,}."
        )
    if LABELS in held:
        names = label_names(held[LABELS])
        if spec is not None and spec.outputs:
            check_labels(names, spec.outputs[0])
    if TOKENIZER in held and spec is not None:
        check_tokenizer(held[TOKENIZER], spec)
    elif TOKENIZER in held:
        count_tokens(held[TOKENIZER])
    return dict(sorted(held.items()))


def label_names(content: bytes, source: str = LABELS) -> list[str]:
    """The names of the classes in a text, one a line; InputError, which calls it `source`, for anything else."""
    try:
        names = content.decode("utf-8-sig").splitlines() if len(content) <= LARGEST_LABELS else []
    except UnicodeDecodeError:
        names = []
    if not names or not all(name.strip() and name.isprintable() for name in names):
        raise InputError(f"{source} is no text of class names, one a line, none of them empty.")
    return names


def count_scores(output: TensorSpec) -> int:
    """How many scores an output has for a stream: its elements where they are one row, else those of its last axis."""
    return output.size if max(output.shape, default=1) == output.size else output.shape[-1]


def check_labels(names: list[str], scores: TensorSpec) -> None:
    """Raise InputError unless there are as many names as scores in a row of the first output."""
    count = count_scores(scores)
    if len(names) != count:
        raise InputError(
            f"There {'is 1 label' if len(names) == 1 else f'are {len(names)} labels'}, and the first output "
            f"{scores.name!r} has {count} scores; each class has its line, in the order of the scores."
        )
