"""Pictures of what a step does: who fires, what is remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import astroedge
from astroedge.step_profile import SpikeRaster
from benchmarks.report.activity_picture import _different, draw_activity
from benchmarks.report.pictures import save
from tests.support import graphs


@pytest.mark.compiles
def test_a_picture_has_rasters_above_memories(tmp_path: Path) -> None:
    """Panels are those of the tensors that fire and of the states that change, and the file is the same each time."""
    graph = graphs.lif_layer()
    (name,) = (item.name for item in graph.spec.inputs)
    data = {name: np.random.default_rng(0).normal(1, 1, (100, *graph.spec.inputs[0].shape)).astype(np.float32)}
    with astroedge.load(astroedge.compile(graph)) as session:
        for file in ("first.svg", "again.svg"):
            picture = draw_activity(session, graph, data)
            save(picture, tmp_path / file)
    titles = [panel.get_title(loc="left") for panel in picture.axes]
    assert "spikes a tick" in titles[0]
    assert titles[-1] in {item.name for item in graph.spec.states}
    assert (tmp_path / "first.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()


def test_a_delayed_copy_is_shown_once() -> None:
    """Spikes that a state delays by a tick are one raster; those that never fire are none."""
    fired = SpikeRaster("s", 4, (0,), ((0, 0), (2, 0)), (1, 0, 1, 1), "")
    delayed = SpikeRaster("s.before", 4, (0,), ((1, 0), (3, 0)), (0, 1, 0, 1), "")
    silent = SpikeRaster("never", 4, (0,), (), (0, 0, 0, 0), "")
    assert _different([fired, delayed, silent]) == [fired]
