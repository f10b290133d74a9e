"""Assets of a step graph: they travel inside the file, unchanged, and what cannot be one is refused in a line."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from astroedge.errors import GraphError, InputError
from astroedge.step.asset_entries import PREFIX
from astroedge.step.assets import LARGEST_ASSET, label_names
from astroedge.step.graph import StepGraph
from tests.support.graphs import lif_layer, open_in_runtime, recurrent_net

TEN = "".join(f"größe {index}\r\n" for index in range(10)).encode()
ASSETS = {"labels.txt": TEN, "a.bin": bytes(range(256)), "t.json": json.dumps({"ä": "\x00\n"}).encode(), "zero": b"\0"}


def test_assets_come_back_as_they_were(tmp_path: Path) -> None:
    """Texts, line ends, any bytes and nothing at all are read back, from one file that ONNX Runtime opens."""
    graph = recurrent_net().with_assets({**ASSETS, "empty": b""})
    graph.save(tmp_path / "net.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]
    loaded = StepGraph.load(tmp_path / "net.onnx")
    assert loaded.assets == dict(sorted({**ASSETS, "empty": b""}.items()))
    assert loaded.digest == graph.digest
    open_in_runtime(loaded)


def test_assets_change_the_file_and_nothing_else() -> None:
    """The order in which they are given does not show; the graph that got them in a copy stays as it was."""
    plain = recurrent_net()
    graph = plain.with_assets(ASSETS)
    assert graph.digest == plain.with_assets(dict(reversed(ASSETS.items()))).digest != plain.digest
    assert (plain.assets, graph.spec) == ({}, plain.spec)
    assert graph.model.graph == plain.model.graph


def test_an_asset_takes_the_place_of_its_name() -> None:
    """What is given later counts, and the others stay."""
    graph = recurrent_net().with_assets({"a": b"1", "b": b"2"}).with_assets({"b": b"3"})
    assert graph.assets == {"a": b"1", "b": b"3"}


@pytest.mark.parametrize("name", ["..", "a/b", "../a", ".hidden", "-rf", "", "a\n", "a" * 101, "ä", "a\\b", "C:"])
def test_a_name_that_is_no_plain_file_name_is_refused(name: str, tmp_path: Path) -> None:
    """Paths, hidden files, options and control characters: when an asset is given, and in a file."""
    with pytest.raises(InputError, match="no plain file name"):
        recurrent_net().with_assets({name: b"x"})
    model = recurrent_net().with_assets({"x": b"x"}).model
    entry = next(item for item in model.metadata_props if item.key.startswith(PREFIX))
    entry.key = PREFIX + name
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="no plain file name"):
        StepGraph.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("old", "new"), [("one", "two"), ("utf-8 ", "utf-7 "), ("utf-8 ", "base64 "), ("utf-8 ", ""), ("\n", "")]
)
def test_a_damaged_asset_is_refused(old: str, new: str, tmp_path: Path) -> None:
    """Another content, another way to write it, and what is no entry are found when the graph is loaded."""
    model = recurrent_net().with_assets({"x": b"one"}).model
    entry = next(item for item in model.metadata_props if item.key.startswith(PREFIX))
    entry.value = entry.value.replace(old, new, 1)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="'x' of the graph does not match its digest"):
        StepGraph.load(tmp_path / "net.onnx")


def test_an_asset_twice_is_refused(tmp_path: Path) -> None:
    """Two entries of one name are damage, not a choice."""
    model = recurrent_net().with_assets({"x": b"one"}).model
    entry = next(item for item in model.metadata_props if item.key.startswith(PREFIX))
    model.metadata_props.add(key=entry.key, value=entry.value)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(GraphError, match="duplicate keys"):
        StepGraph.load(tmp_path / "net.onnx")


def test_too_much_is_refused() -> None:
    """An asset of more than 64 MiB, more than 256 of them, and what is no bytes."""
    graph = lif_layer()
    with pytest.raises(InputError, match="67,108,865 bytes; one may have 67,108,864"):
        graph.with_assets({"x": bytes(LARGEST_ASSET + 1)})
    with pytest.raises(InputError, match="257 assets"):
        graph.with_assets({f"a{index}": b"" for index in range(257)})
    with pytest.raises(InputError, match="'x' is str and must be bytes"):
        graph.with_assets({"x": "text"})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"a\nb\n", "2 labels"), (b"a", "1 label"), (b"a\n\n" * 5, "one a line"), (b"\x1b[2J\n" * 10, "one a line")],
)
def test_labels_fit_the_scores(content: bytes, message: str) -> None:
    """A name for each score of the first output, none empty, none that a terminal would act on."""
    with pytest.raises(InputError, match=message):
        recurrent_net().with_assets({"labels.txt": content})


def test_labels_are_lines_of_text() -> None:
    """Line ends of any system and the mark at the beginning of a file are no part of a name."""
    assert label_names("\ufeffja\r\nnein ß".encode()) == ["ja", "nein ß"]


def test_each_stream_of_a_batch_has_the_scores() -> None:
    """Labels count the last axis where a step carries several streams."""
    assert recurrent_net(batch=3).with_assets({"labels.txt": TEN}).assets == {"labels.txt": TEN}
