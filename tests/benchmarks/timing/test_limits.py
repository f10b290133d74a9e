"""The least time of a tick: which bytes count, and which bandwidth they are read at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from astroedge.bundle.manifest import BufferField, InputField, Layout, Manifest, Matrix, StateField
from astroedge.targets.boards.target import resolve_target
from benchmarks.timing.bandwidth import bandwidth_at
from benchmarks.timing.limits import limit_of, touched_bytes
from tests.support.bundles import tiny_manifest

ROWS, COLUMNS = 100, 32
WEIGHTS = BufferField("up.weight", (ROWS, COLUMNS), "float32", 0, ROWS * COLUMNS * 4)


def manifest(
    weights: tuple[BufferField, ...],
    matrices: tuple[Matrix, ...],
    states: tuple[tuple[str, int], ...] = (),
    inputs: tuple[InputField, ...] = (),
) -> Manifest:
    """A manifest that describes just these."""
    stored = tuple(StateField(name, (size // 4,), "float32", 0, size, False, "0x0p+0", 0) for name, size in states)
    layout = Layout(
        inputs_size=64,
        inputs=inputs,
        outputs_size=0,
        outputs=(),
        state_size=sum(size for _, size in states),
        state=stored,
        weights_size=sum(field.nbytes for field in weights),
        weights=weights,
        workspace_size=0,
    )
    return replace(tiny_manifest(resolve_target("x86-64-v3")), layout=layout, matrices=matrices)


def matrix(spikes: str | None, name: str = "up") -> Matrix:
    """A product with `WEIGHTS`."""
    return Matrix(name, ROWS, COLUMNS, 1, "event" if spikes else "dense", "", spikes, ROWS * COLUMNS, WEIGHTS.nbytes)


def test_of_a_matrix_that_reads_spikes_the_active_rows_count() -> None:
    """At 10 % firing a tenth of the rows is touched; a dense input touches all of them."""
    assert touched_bytes(manifest((WEIGHTS,), (matrix("s"),)), {"s": 0.1}) == WEIGHTS.nbytes // 10
    assert touched_bytes(manifest((WEIGHTS,), (matrix(None),)), {}) == WEIGHTS.nbytes


def test_scales_and_biases_count_in_full() -> None:
    """What belongs to no matrix product is read whole, however little fires."""
    others = (
        BufferField("up.scales", (COLUMNS,), "float32", 0, 128),
        BufferField("weight_1", (32,), "float32", 0, 128),
    )
    assert touched_bytes(manifest((WEIGHTS, *others), (matrix("s"),)), {"s": 0.5}) == WEIGHTS.nbytes // 2 + 256


def test_of_the_scales_of_groups_those_in_which_anything_fires_count() -> None:
    """int4 at 10 %: of nearly every group of 64 inputs; as many numbers as a token's tables may have, and none."""
    token = InputField("token", (1,), "int64", 0, 8, False, True, 0, 32, "index", 0)
    stored = (replace(WEIGHTS, nbytes=1600), BufferField("up.scales", (2048,), "int8", 0, 2048))
    product = replace(matrix("s"), precision="int4")
    expected = 160 + 2048 * (1 - 0.9**64) + 8
    assert touched_bytes(manifest(stored, (product,), inputs=(token,)), {"s": 0.1}) == round(expected)


def test_products_whose_weights_lie_side_by_side_count_together() -> None:
    """Half of the rows that two products share, and all of the scale of each of their columns."""
    both = tuple(replace(matrix("s", name), precision="int8") for name in ("q", "k"))
    stored = (
        BufferField("q + k.weight", (6400,), "int8", 0, 6400),
        BufferField("q + k.scales", (64,), "float32", 0, 256),
    )
    assert touched_bytes(manifest(stored, both), {"s": 0.5}) == 3200 + 256


def test_weights_that_many_pixels_share_count_once() -> None:
    """The kernel of a convolution is counted whole and once, however many of its pixels fire."""
    convolution = replace(matrix("s"), calls=900)
    assert touched_bytes(manifest((WEIGHTS,), (convolution,)), {"s": 0.1}) == WEIGHTS.nbytes


def test_an_embedding_counts_by_its_selected_row() -> None:
    """Of a table that a token selects from, one row counts, whatever shape it is stored in; of the token itself all."""
    token = InputField("token", (1,), "int64", 0, 8, False, True, 0, 50, "index", 0)
    for shape in ((50, 64), (3200,)):
        table = BufferField("embedding.weight", shape, "int8", 0, 3200)
        assert touched_bytes(manifest((table,), (), inputs=(token,)), {}) == 64 + 8
    bias = BufferField("bias", (50,), "float32", 0, 200)
    assert touched_bytes(manifest((bias,), (), inputs=(token,)), {}) == 200 + 8


def test_states_are_read_and_written_and_a_matrix_state_by_its_rows() -> None:
    """A membrane counts twice, a matrix state three times its active rows."""
    described = manifest((), (matrix("q", name="astro.H"),), states=(("v", 400), ("astro.H", 4000)))
    assert touched_bytes(described, {"q": 0.2}) == 2 * 400 + 3 * 800


def test_a_state_of_several_heads_counts_by_the_rows_of_its_spikes() -> None:
    """Each head answers a query of its own; no other reads its matrix."""
    described = manifest((), (replace(matrix("q", name="astro.H"), calls=4),), states=(("astro.H", 4000),))
    assert touched_bytes(described, {"q": 0.2}) == 3 * 800


def test_scales_that_all_inputs_need_count_in_full() -> None:
    """A dense kernel scales every group; units of columns are read once whatever fires."""
    stored = tuple(
        BufferField(f"up.{suffix}", (2048,), "int8", 0, 2048) for suffix in ("weight", "scales", "units", "gaps")
    )
    dense = replace(matrix("s"), precision="int4", kernel="dense")
    token = InputField("token", (1,), "int64", 0, 8, False, True, 0, 32, "index", 0)
    assert touched_bytes(manifest(stored, (dense,), inputs=(token,)), {"s": 0.01}) == round(20.48 + 3 * 2048 + 8)


def test_a_product_may_be_named_as_joined_ones_are() -> None:
    """The whole name comes first."""
    stored = (replace(WEIGHTS, name="a + b.weight"),)
    assert touched_bytes(manifest(stored, (matrix("s", "a + b"),)), {"s": 0.5}) == WEIGHTS.nbytes // 2


def test_the_limit_is_touched_bytes_over_the_bandwidth_of_the_working_set() -> None:
    """Everything the step keeps decides the bandwidth, what it touches the time."""
    limit = limit_of(manifest((WEIGHTS,), (matrix("s"),)), {"s": 0.1}, {1024: 100.0, 1048576: 10.0})
    assert limit.working_set == WEIGHTS.nbytes + 64
    assert 10.0 < limit.bandwidth < 100.0
    assert limit.microseconds == pytest.approx(1280 / (limit.bandwidth * 1e3))


def test_bandwidth_is_interpolated_along_the_logarithm() -> None:
    """Halfway between two measured sizes, by their logarithms, lies the mean; beyond them the nearest one."""
    measured = {1024: 100.0, 16384: 60.0}
    assert bandwidth_at(measured, 4096) == pytest.approx(80.0)
    assert bandwidth_at(measured, 16) == 100.0
    assert bandwidth_at(measured, 10**9) == 60.0
