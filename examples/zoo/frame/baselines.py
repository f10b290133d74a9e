"""What a network of the zoo is compared with: three usual ways of telling classes of time series apart.

Each function takes the training and the held-out series, of any lengths, and returns the accuracy on the latter, 0 … 1.
The GRU and the regression standardise by the training data; warping compares values as they are recorded, which is how
the figures of the UEA archive are made. None of the settings below was chosen on held-out data: they are the
libraries' defaults, or what a caller says a network was trained with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

if TYPE_CHECKING:
    from frame.recipe import Series

Array = NDArray[np.float64]
SEEDS = 5


def usual_baselines(
    training: Series, held_out: Series, weights: int, updates: int, batch: int, rate: float
) -> dict[str, float]:
    """All three by the names of a record; the GRU has `weights` weights and the network's own updates of `batch`."""
    inputs, classes = training.inputs[0].shape[1], int(training.labels.max()) + 1
    hidden = gru_width(inputs, classes, weights)
    return {
        "1-NN DTW": nearest_by_warping(training, held_out),
        "logistic regression on statistics": regression_on_statistics(training, held_out),
        f"GRU of {gru_weights(inputs, hidden, classes):,} weights": gru_accuracy(
            training, held_out, hidden, updates, batch, rate
        ),
    }


def nearest_by_warping(training: Series, held_out: Series) -> float:
    """The class of the nearest training series by dynamic time warping, all channels warped as one, without a window.

    The distance of two ticks is the squared Euclidean one (`dtw_ndim` of dtaidistance); of equal distances the first
    series in the data counts.
    """
    from dtaidistance import dtw_ndim

    known, asked = (
        [np.ascontiguousarray(x.double().numpy()) for x in series.inputs] for series in (training, held_out)
    )
    nearest = [int(np.argmin([dtw_ndim.distance(x, other, use_c=True) for other in known])) for x in asked]
    return float((training.labels[nearest] == held_out.labels).double().mean())


def regression_on_statistics(training: Series, held_out: Series) -> float:
    """Logistic regression on what is left of a series when time is forgotten, with scikit-learn's own settings.

    Of each channel: mean, standard deviation, least, median and greatest value, and the mean step from tick to tick.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model: Any = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    model.fit(_statistics(training), training.labels.numpy())
    return float(model.score(_statistics(held_out), held_out.labels.numpy()))


def gru_weights(inputs: int, hidden: int, classes: int) -> int:
    """Weights of a GRU of `hidden` units and its head, biases among them."""
    return 3 * hidden * (inputs + hidden + 2) + (hidden + 1) * classes


def gru_width(inputs: int, classes: int, weights: int) -> int:
    """Units of the GRU whose weights are nearest to `weights` in number, at least 1."""
    hidden = 1
    while gru_weights(inputs, hidden + 1, classes) <= weights:
        hidden += 1
    below, above = (gru_weights(inputs, units, classes) for units in (hidden, hidden + 1))
    return hidden if weights - below <= above - weights else hidden + 1


def gru_accuracy(training: Series, held_out: Series, hidden: int, updates: int, batch: int, rate: float) -> float:
    """A GRU of `hidden` units with a linear head, its scores summed over the ticks: the mean of five seeds.

    Trained by AdamW on the cross-entropy for `updates` updates of `batch` series at a learning rate that falls from
    `rate` to 0 along a cosine, with gradients cut at a norm of 1.
    """
    classes = int(training.labels.max()) + 1
    mean, deviation = (torch.from_numpy(value).float() for value in _standard(training))
    (x, mask), (x_out, mask_out) = (_padded(series, mean, deviation) for series in (training, held_out))
    results = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model, order = _GRU(x.shape[2], hidden, classes), torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
        for _ in range(updates):
            chosen = torch.randperm(len(x), generator=order)[:batch]
            optimiser.zero_grad()
            F.cross_entropy(model(x[chosen], mask[chosen]), training.labels[chosen]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        with torch.no_grad():
            results.append(float((model(x_out, mask_out).argmax(1) == held_out.labels).double().mean()))
    return sum(results) / SEEDS


class _GRU(nn.Module):
    """A GRU and a linear head, whose scores are averaged over the ticks that a series has."""

    def __init__(self, inputs: int, hidden: int, classes: int) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(inputs, hidden, batch_first=True), nn.Linear(hidden, classes)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Series `x (B, T, inputs)`, 1 in `mask (B, T)` where they have ticks → scores `(B, classes)`."""
        scores: Tensor = self.head(self.gru(x)[0]) * mask[:, :, None]
        return scores.sum(1) / mask.sum(1, keepdim=True)


def _padded(series: Series, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor]:
    """Standardised series as one tensor `(N, T, channels)`, 0 after each one's end, and the mask `(N, T)`."""
    standard = [(x - mean) / deviation for x in series.inputs]
    pad = nn.utils.rnn.pad_sequence
    return pad(standard, batch_first=True), pad([torch.ones(len(x)) for x in standard], batch_first=True)


def _standard(training: Series) -> tuple[Array, Array]:
    """Mean and standard deviation of each channel over all training ticks; 1 where a channel never moves."""
    ticks = torch.cat(training.inputs).double().numpy()
    deviation = ticks.std(axis=0)
    return ticks.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def _statistics(series: Series) -> Array:
    """What `regression_on_statistics` reads, `(N, 6 × channels)`."""
    rows = []
    for tensor in series.inputs:
        x = tensor.double().numpy()
        steps = np.abs(np.diff(x, axis=0)).mean(axis=0) if len(x) > 1 else np.zeros(x.shape[1])
        rows.append([x.mean(0), x.std(0), x.min(0), np.median(x, axis=0), x.max(0), steps])
    return np.asarray(rows).reshape(len(rows), -1)
