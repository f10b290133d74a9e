"""A sound without a recording: stretches of vowels, as a throat and a mouth would make them, in quiet noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16000
"""Samples a second."""
FRAME, CONTEXT = 512, 64
"""Samples that one tick adds, and samples of the tick before that it sees again."""
VOWELS = ((700, 1100, 2450), (300, 2300, 3000), (550, 1800, 2500), (350, 800, 2250), (450, 850, 2400))
"""Formants in Hz of a, i, e, u and o, rounded."""
Samples = NDArray[np.float32]


def make_sound(seconds: float = 8.0, seed: int = 0) -> tuple[Samples, NDArray[np.bool_]]:
    """Two seconds of noise and two of syllables in turn: samples in −1 … 1, and which of them belong to syllables."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE)
    time = np.arange(count) / RATE
    voiced = (time % 4) >= 2
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.7 * time) + 5 * np.sin(2 * np.pi * 5 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    vowel = np.floor(time * 4).astype(int) % len(VOWELS)
    sound = np.zeros(count)
    for harmonic in range(1, 32):
        frequency = harmonic * pitch
        gain = np.zeros(count)
        for index, formants in enumerate(VOWELS):
            gain += (vowel == index) * sum(1 / (1 + ((frequency - formant) / 90) ** 2) for formant in formants)
        sound += (gain + 0.02) / harmonic**0.5 * np.sin(harmonic * phase)
    syllables = np.clip(1.5 * np.sin(np.pi * (time * 4 % 1)), 0, 1)
    sound *= 0.25 * voiced * syllables
    sound += 0.002 * random.standard_normal(count)
    return np.clip(sound, -1, 1).astype(np.float32), voiced


def cut_frames(sound: Samples) -> Samples:
    """The sound as ticks `(T, 1, CONTEXT + FRAME)`: each frame with the end of the one before it."""
    ticks = len(sound) // FRAME
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), sound[: ticks * FRAME]])
    return np.stack([padded[tick * FRAME : (tick + 1) * FRAME + CONTEXT][None] for tick in range(ticks)])
