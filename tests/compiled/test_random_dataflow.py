"""Random steps whose states are read late, shared, swapped and overwritten: no value is lost to another in memory."""

from __future__ import annotations

from hypothesis import example, given, settings

from astroedge.runtimes import load
from tests.support import graphs
from tests.support.builds import assert_same_run, build
from tests.support.dataflow import Flow, flows, make_graph

TICKS = 40


@settings(max_examples=20)
@given(flows())
@example(
    Flow(1, 270, 1, (("roll", 1, 0), ("halve", 2, 0)), nexts=(3,), outputs=(), reads_late=False, seed=0)
)  # a state turned round
@example(
    Flow(1, 40, 1, (("halve", 1, 0), ("Add", 1, 0)), nexts=(2,), outputs=(3,), reads_late=False, seed=0)
)  # one call whose second result reads what its first overwrites
def test_random_dataflow_is_its_graph(flow: Flow) -> None:
    """Outputs at every tick and the final states are ONNX Runtime's, whatever reads what and when."""
    graph = make_graph(flow)
    with load(build(graph)) as session:
        assert_same_run(graph, session, graphs.random_inputs(graph, TICKS, seed=flow.seed))
