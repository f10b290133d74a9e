"""Lempel–Ziv complexity of binary trains: how many phrases a train falls into, a measure of its order.

A loop over the data whose length depends on them, so it runs on recorded spikes, outside any step graph. Networks whose
classes are told by it (such as arXiv 2508.11674, with probabilistic meta neurons) read it off their output trains; the
equations of that neuron are not published, and no model here claims to be it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from astroedge.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def lempel_ziv_complexity(train: NDArray[Any]) -> int:
    """The number of phrases of a train `(T,)` of 0 and 1, of any dtype, as Lempel and Ziv count them (1976).

    From left to right, each phrase is the shortest piece that does not occur earlier, where that occurrence may reach
    into the piece itself but for its last element; the last phrase may be incomplete and counts. 0 for an empty train.
    Often divided by n / log₂ n for a train of n elements, which is left to the caller. Takes time of at most n².

    Source: A. Lempel, J. Ziv, On the complexity of finite sequences, IEEE Trans. Inf. Theory 22 (1976) 75–81. Raises
    InputError for a train that is not one-dimensional or holds anything but 0 and 1.
    """
    import numpy as np

    train = np.asarray(train)
    if train.ndim != 1 or not np.isin(train, (0, 1)).all():
        raise InputError(
            f"A Lempel-Ziv complexity is that of one train of 0 and 1, (T,); got shape {tuple(train.shape)} or other "
            "values. Several neurons are counted one by one; graded values are compared with a threshold first."
        )
    text = train.astype(np.uint8).tobytes()
    phrases, start = 0, 0
    while start < len(text):
        length = 1
        while start + length <= len(text) and text.find(text[start : start + length], 0, start + length - 1) >= 0:
            length += 1
        phrases, start = phrases + 1, start + length
    return phrases
