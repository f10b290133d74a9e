"""Where the checkout and the results lie, and the trained network that ships."""

from __future__ import annotations

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).with_name("results")
CHECKPOINT = REPOSITORY / "examples" / "char_lm" / "astrosnn.safetensors"
