"""Streaming speech enhancement: DTLN, and the parts that GTCRN is made of, a frame a tick.

DTLN: Westhausen, Meyer: Dual-Signal Transformation LSTM Network for Real-Time Noise Suppression (Interspeech 2020).
GTCRN: Rong et al.: GTCRN, A Speech Enhancement Model Requiring Ultralow Computational Resources (ICASSP 2024).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

BINS, FRAME, FEATURES, UNITS = 257, 512, 256, 128


class Separation(nn.Module):
    """A core of DTLN: two LSTM of 128 units and a mask over what they read."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LSTMCell(width, UNITS), nn.LSTMCell(UNITS, UNITS)
        self.mask = nn.Linear(UNITS, width)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """A frame (N, width) and the state (4, N, 128) → the mask (N, width) and the state."""
        h1, c1 = self.first(x, (state[0], state[1]))
        h2, c2 = self.second(h1, (state[2], state[3]))
        return torch.sigmoid(self.mask(h2)), torch.stack([h1, c1, h2, c2])


class DTLN(nn.Module):
    """Both cores in one tick: a mask for the magnitudes of the spectrum, and one for learned features of the frame.

    The transforms between the two, which DTLN's own ONNX files leave to their host as well, are left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spectral, self.learned = Separation(BINS), Separation(FEATURES)
        self.encode = nn.Linear(FRAME, FEATURES, bias=False)
        self.norm = nn.LayerNorm(FEATURES, eps=1e-7)
        self.decode = nn.Linear(FEATURES, FRAME, bias=False)

    def initial_state(self) -> list[Tensor]:
        """Zeros for both cores."""
        return [torch.zeros(4, 1, UNITS), torch.zeros(4, 1, UNITS)]

    def forward(self, magnitude: Tensor, frame: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, ...]:
        """Magnitudes (1, 257), a frame (1, 512), states → the masked magnitudes, the enhanced frame, states."""
        mask, first = self.spectral(magnitude, first)
        features = self.encode(frame)
        gate, second = self.learned(self.norm(features), second)
        return mask * magnitude, self.decode(gate * features), first, second


class TemporalBlock(nn.Module):
    """GTCRN's GT-Conv block: half the channels pass, half go through a depthwise convolution over time and a gate.

    The convolution reads 3 frames `dilation` apart; the frames it still needs are its state.
    """

    def __init__(self, channels: int, dilation: int, bins: int) -> None:
        super().__init__()
        half, hidden = channels // 2, channels
        self.expand = nn.Sequential(nn.Conv2d(3 * half, hidden, 1), nn.BatchNorm2d(hidden), nn.PReLU())
        self.depth = nn.Sequential(
            nn.Conv2d(hidden, hidden, 3, padding=(0, 1), dilation=(dilation, 1), groups=hidden),
            nn.BatchNorm2d(hidden),
            nn.PReLU(),
        )
        self.shrink = nn.Sequential(nn.Conv2d(hidden, half, 1), nn.BatchNorm2d(half))
        self.attend, self.gate = nn.GRUCell(half, 2 * half), nn.Linear(2 * half, half)
        self.past = (1, hidden, 2 * dilation, bins)
        self.units = 2 * half

    def forward(self, x: Tensor, past: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A frame (1, channels, 1, bins), earlier frames, the gate's state → the frame and both."""
        rest, own = x.chunk(2, dim=1)
        before, after = nn.functional.pad(own, (1, 0))[..., :-1], nn.functional.pad(own, (0, 1))[..., 1:]
        wide = self.expand(torch.stack([before, own, after], dim=2).flatten(1, 2))
        frames = torch.cat([past, wide], dim=2)
        own = self.shrink(self.depth(frames))
        h = self.attend((own * own).mean(dim=3)[:, :, 0], h)
        own = own * torch.sigmoid(self.gate(h))[:, :, None, None]
        mixed = torch.stack([rest, own], dim=2).flatten(1, 2)
        return mixed, frames[:, :, 1:], h


class GTCRNLike(nn.Module):
    """GTCRN's encoder, three temporal blocks, a recurrent layer over frames, and its decoder, on 129 bands."""

    def __init__(self, channels: int = 16, bands: int = 129) -> None:
        super().__init__()
        bins = (bands // 2 + 1) // 2 + 1
        self.first = nn.Sequential(
            nn.Conv2d(9, channels, (1, 5), stride=(1, 2), padding=(0, 2)), nn.BatchNorm2d(channels), nn.PReLU()
        )
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, (1, 5), stride=(1, 2), padding=(0, 2), groups=2),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
        )
        self.blocks = nn.ModuleList(TemporalBlock(channels, dilation, bins) for dilation in (1, 2, 5))
        self.over_frames = nn.GRUCell(channels, channels)
        self.mix, self.norm = nn.Linear(channels, channels), nn.LayerNorm((bins, channels), eps=1e-8)
        self.third = nn.Sequential(
            nn.ConvTranspose2d(channels, channels, (1, 5), stride=(1, 2), padding=(0, 2), groups=2),
            nn.BatchNorm2d(channels),
            nn.PReLU(),
        )
        self.last = nn.Sequential(
            nn.ConvTranspose2d(channels, 2, (1, 5), stride=(1, 2), padding=(0, 2)), nn.BatchNorm2d(2), nn.Tanh()
        )
        self.bins, self.channels = bins, channels

    def initial_state(self) -> list[Tensor]:
        """Zeros: the frames and the gate of every block, then the recurrent layer."""
        state = []
        for block in self.blocks:
            assert isinstance(block, TemporalBlock)
            state += [torch.zeros(block.past), torch.zeros(1, block.units)]
        return [*state, torch.zeros(self.bins, self.channels)]

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """A frame (1, 9, 1, bands) and the states → a complex mask (1, 2, 1, bands) and the states."""
        wide = self.first(x)
        narrow = self.second(wide)
        y, following = narrow, []
        for index, block in enumerate(self.blocks):
            y, *own = block(y, *state[2 * index : 2 * index + 2])
            following += own
        rows = y[0, :, 0].t()
        h = self.over_frames(rows, state[-1])
        y = y + self.norm(self.mix(h)).t()[None, :, None]
        return self.last(self.third(y + narrow) + wide), *following, h
