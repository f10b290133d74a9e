"""The memory of RWKV-4 over whole sequences."""

from __future__ import annotations

import torch

from astroedge.models.rwkv4 import EMPTY, remember
from astroedge.models.wkv_scan import CHUNK, wkv_scan


def test_large_keys_stay_finite() -> None:
    """Keys far beyond what exp can hold, slow and fast decays: outputs and state are those of the walk, in float32."""
    torch.manual_seed(3)
    k, v = 10 * torch.randn(CHUNK + 9, 2, 5) + 200, torch.randn(CHUNK + 9, 2, 5)
    first, decay = torch.full((5,), -1.2), torch.linspace(-5.0, 0.0, 5)
    state = [torch.zeros(2, 5), torch.zeros(2, 5), torch.full((2, 5), EMPTY)]
    found, *last = wkv_scan(k, v, *state, first=first, decay=decay)
    walked = []
    for key, value in zip(k, v, strict=True):
        wkv, *state = remember(key, value, *state, first=first, decay=decay)
        walked.append(wkv)
    expected = torch.stack(walked)
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(last, state, rtol=1e-3, atol=1e-4)
