from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.step.spec import TensorSpec
from astroedge.workflows.live.decode import Decoder
from astroedge.workflows.live.live_run import Lateness, run_live
from astroedge.workflows.live.sources import Source
from tests.conftest import Compiled

pytestmark = pytest.mark.compiles
SCORES = TensorSpec("y", (1, 3), "float32")


@pytest.fixture
def session(compiled: Callable[[str], Compiled]) -> Iterator[CompiledSession]:
    """A recurrent net of 20 inputs and 10 outputs."""
    with load(compiled("recurrent_net").bundle) as opened:
        yield opened


def draw(ticks: int) -> list[dict[str, Any]]:
    """Sparse ticks."""
    spikes = np.random.default_rng(4).random((ticks, 1, 20)) < 0.3
    return [{"x": row.astype(np.float32)} for row in spikes]


def source_of(ticks: list[dict[str, Any]]) -> Source:
    """A source of ticks that are all there."""
    waiting = iter(ticks)
    return Source(lambda alive: next(waiting, None))


def test_live_ticks_are_those_of_a_run(session: CompiledSession) -> None:
    """Paced or not, every tick is stepped once, in order, and the last line is that of the last tick of a run."""
    ticks = draw(30)
    expected = session.run(x=np.stack([tick["x"] for tick in ticks]))["y"]
    for rate in (None, 1000.0):
        session.reset()
        found = Lateness()
        decoder = Decoder(None, session.spec.outputs, 1)
        header, *lines = run_live(session, source_of(ticks), decoder, rate, found)
        assert header.startswith("y[0],y[1]")
        assert [[float(cell) for cell in line.split(",")] for line in lines] == expected.reshape(30, -1).tolist()
        assert found.ticks == 30
        assert found.seconds >= (0 if rate is None else 0.029)


def test_ticks_that_the_machine_cannot_follow_are_counted(session: CompiledSession) -> None:
    """A period shorter than any step makes every tick late, and the report says by how much."""
    found = Lateness()
    lines = [*run_live(session, source_of(draw(20)), Decoder(None, session.spec.outputs, 1), 1e9, found)]
    assert len(lines) == 21
    assert found.late == 20
    assert "20 were late at 1e+09 Hz" in found.text(1e9)
    assert "late" not in found.text(None)


def scored(rows: list[list[float]], kind: str | None, window: int, labels: tuple[str, ...] = ()) -> list[str]:
    """What a decoder makes of rows of scores."""
    decoder = Decoder(kind, [SCORES], window, labels)
    given = (np.array([row], np.float32) for row in rows)
    lines = [line for tick, row in enumerate(given) for line in decoder.lines(tick, {"y": row})]
    return [decoder.header(), *lines, *decoder.rest()]


def test_classes_are_named_by_the_highest_score() -> None:
    """Of each tick, with its label; of equals the lowest."""
    lines = scored([[0, 2, 1], [1, 1, 0]], "argmax", 9, ("cat", "dog", "owl"))
    assert lines == ["tick,class,label\n", "0,1,dog\n", "1,0,cat\n"]


def test_windows_follow_each_other() -> None:
    """The mean and the first spike are those of each window alone, and the end is a window of what is left."""
    rows: list[list[float]] = [[0, 0, 1], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert scored(rows, "rate", 3) == ["tick,class\n", "2,1\n", "5,0\n", "6,0\n"]
    assert scored(rows, "first-spike", 3) == ["tick,class\n", "2,2\n", "5,-1\n", "6,0\n"]


@pytest.mark.parametrize(("shape", "labels", "message"), [((3, 2), (), "row of scores"), ((1, 3), ("a",), "1 label,")])
def test_outputs_without_classes_are_refused(shape: tuple[int, ...], labels: tuple[str, ...], message: str) -> None:
    """What is no row of scores, or has other labels, is said before the first tick."""
    with pytest.raises(InputError, match=message):
        Decoder("argmax", [TensorSpec("y", shape, "float32")], 1, labels)
