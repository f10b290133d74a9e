"""A file of settings that a model imports; the count is for the models that wrongly keep state here."""

from __future__ import annotations

ticks = 0
