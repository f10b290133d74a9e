"""AstroSNN on numbers: the blocks of `astroedge.models.astrosnn` with sensors in the place of tokens.

    x  = W_in (numbers − mean) · scale + b_in      in the place of the token embedding
    x  = blocks(x)                                 the cell of `astroedge.models.astrosnn`, unchanged
    y  = W_head LayerNorm(x) + b_head              a score for each class, at every tick

Our own reading, as the cell is: arXiv 2312.07625 names tasks on sensors but no encoder for them. The first matrix reads
numbers and is dense; every other reads spikes.

State: that of the blocks.
"""

from __future__ import annotations

from torch import Tensor, nn

from astroedge.models.astrosnn import AstroSNN, AstroSNNConfig
from astroedge.models.standardise import Standardise


class AstroSNNSensors(nn.Module):
    """Raw sensor numbers → AstroSNN blocks → scores of classes.

    `forward` is one tick and what is exported; `sequence` computes the same network over whole sequences, with
    surrogate derivatives: train through it. They agree as the two forms of `AstroSNN` do.
    """

    output_names = ("scores",)

    def __init__(
        self,
        channels: int = 6,
        classes: int = 4,
        width: int = 48,
        heads: int = 2,
        feed_forward: int = 96,
        layers: int = 1,
        longest_memory: float = 64.0,
        dropout: float = 0.1,
    ) -> None:
        """Fresh weights from torch's global generator; the arguments are those of `AstroSNNConfig`."""
        super().__init__()
        config = AstroSNNConfig(
            vocabulary=classes,
            width=width,
            heads=heads,
            feed_forward=feed_forward,
            layers=layers,
            longest_memory=longest_memory,
            dropout=dropout,
        )
        self.standardise = Standardise(channels)
        self.network = AstroSNN(config, nn.Linear(channels, width))

    def state_names(self) -> list[str]:
        """Names of the state tensors, in the order of `initial_state`."""
        return self.network.state_names()

    def initial_state(self, batch: int = 1) -> list[Tensor]:
        """The state of `batch` streams before their first tick: zeros."""
        return self.network.initial_state(batch)

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One tick: raw numbers `x (B, channels)` and the state → scores `(B, classes)` and the next state."""
        return self.network.step(self.standardise(x), *state)

    def sequence(
        self, x: Tensor, state: list[Tensor] | None = None, spikes: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Sequences `x (B, T, channels)` → scores `(B, T, classes)` and the last state, as `AstroSNN.forward`."""
        scores, following = self.network(self.standardise(x), state, spikes)
        return scores, following
