"""The picture of a step: its nodes and edges, and the page that draws them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from astroedge.bundle.container import Bundle
from astroedge.errors import InputError
from astroedge.step.graph import StepGraph
from astroedge.workflows.pages.picture import Node, Picture, choose_groups, join_chains, picture_graph
from tests.conftest import Compiled
from tests.support.graphs import recurrent_net

Build = Callable[[str], Compiled]


def test_picture_has_states_spikes_and_products() -> None:
    """Every input, output, state and spike tensor is a node, and a product says how sparse its input is."""
    graph = recurrent_net()
    picture = picture_graph(graph, None)
    kinds = [node.kind for node in picture.nodes]
    spec = graph.spec
    for kind, items in (
        ("input", spec.inputs),
        ("output", spec.outputs),
        ("state", spec.states),
        ("next", spec.states),
    ):
        assert kinds.count(kind) == len(items)
    assert kinds.count("spike") == len(spec.spikes)
    products = [node for node in picture.nodes if node.kind == "product"]
    assert any("fires 15 %" in line for node in products for line in node.lines)
    assert all(0 <= end < len(picture.nodes) for edge in picture.edges for end in edge)
    reached = {end for edge in picture.edges for end in edge}
    assert reached == set(range(len(picture.nodes)))


def test_bundle_adds_its_kernels(compiled: Build) -> None:
    """With a bundle's manifest the products have the kernel that was chosen, and why."""
    made = compiled("recurrent_net")
    manifest = Bundle.load(made.bundle).manifest
    picture = picture_graph(StepGraph.load(made.graph), manifest)
    shown = [dict(node.facts) for node in picture.nodes if node.kind == "product"]
    assert sorted(fact["kernel"] for fact in shown) == sorted(item.kernel for item in manifest.matrices)
    assert {fact["why"] for fact in shown} == {item.reason for item in manifest.matrices}


def test_plain_chains_are_one_node() -> None:
    """Each other's only reader and source are joined; a fork, another kind or another module ends a chain."""
    kinds = ["input", "other", "other", "other", "product", "other", "other"]
    nodes = [Node(f"n{index}", kind, "") for index, kind in enumerate(kinds)]
    nodes[3].group = nodes[3].module = "block"
    picture = join_chains(Picture(nodes, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6)]))
    assert [node.name for node in picture.nodes] == ["n0", "n1 → n2", "n3", "n4", "n5", "n6"]
    assert picture.edges == [(0, 1), (1, 2), (2, 3), (3, 4), (3, 5)]


def test_operators_of_no_module_stand_with_their_readers() -> None:
    """What no module made is drawn in the innermost module that all its readers are in; its module stays unknown."""
    modules = {"add": "", "a": "net.0.x", "b": "net.0.y", "c": ""}
    nodes = [Node(name, "other", module) for name, module in modules.items()]
    choose_groups(Picture(nodes, [(0, 1), (0, 2), (2, 3)]))
    assert [node.group for node in nodes] == ["net.0", "net.0.x", "net.0.y", ""]
    assert nodes[0].module == ""


def test_page_of_a_step_holds_all_nodes(compiled: Build) -> None:
    """The page has the nodes as data and as a table, loads nothing, and is the same every time."""
    pytest.importorskip("jinja2", reason="pages need astroedge[report]")
    from astroedge.workflows.view_step import view_step

    made = compiled("recurrent_net")
    page = view_step(made.bundle, made.graph).decode()
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)[0])
    assert {node["kind"] for node in data["nodes"]} >= {"input", "output", "state", "next", "spike", "product"}
    assert f"Table of {len(data['nodes'])} nodes" in page
    assert "layers.0.v" in page
    assert re.findall(r"(?:src|href)=\"(?!#)", page) == []
    assert view_step(made.bundle, made.graph).decode() == page
    alone = view_step(made.bundle).decode()
    assert "A bundle holds no graph" in alone
    with pytest.raises(InputError, match="--graph goes with a bundle"):
        view_step(made.graph, made.graph)
    with pytest.raises(InputError, match="is not the graph"):
        view_step(made.bundle, compiled("token_net:256").graph)
