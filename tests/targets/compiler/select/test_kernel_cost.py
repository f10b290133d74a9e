"""Estimates of matrix products grow with what fires, with the distance of the weights and with narrower vectors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from astroedge.step.sparsity import Sparsity
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.select.kernel_cost import (
    L1,
    L2,
    L3,
    MEMORY,
    MatrixCost,
    level_of,
    reads_rows,
    shares_rows,
)
from astroedge.targets.kernels.products.pruned_lists import PrunedSize
from astroedge.targets.precision.storage import FLOAT32, INT4, INT8

V3, V4, PI4 = (resolve_target(name) for name in ("x86-64-v3", "x86-64-v4", "raspberry-pi-4"))
LEAST_L3 = V3.family.least_l3_bytes
LAYER = MatrixCost(Product("layer", 1, 1, 512, 512, True, None), FLOAT32, L2, V4)


def test_weights_lie_in_the_nearest_cache_that_holds_them() -> None:
    """x86 processors have some third-level cache even where the target does not say so; small boards have none."""
    assert level_of(V3.l1_bytes, V3) is L1
    assert level_of(V3.l1_bytes + 1, V3) is L2
    assert level_of(LEAST_L3, V3) is L3
    assert level_of(LEAST_L3 + 1, V3) is MEMORY
    assert level_of(PI4.l2_bytes + 1, PI4) is MEMORY
    assert level_of(LEAST_L3 + 1, replace(V3, l3_bytes=2 * LEAST_L3)) is L3


def test_weights_that_have_to_be_waited_for_are_read_by_rows() -> None:
    """From the third cache on, where a processor has the registers; nearer ones are faster with sums in registers."""
    assert reads_rows(MEMORY, V3)
    assert reads_rows(L3, V3)
    assert not reads_rows(L2, V3)
    assert not reads_rows(MEMORY, resolve_target("armv7"))


def test_tiles_are_for_rows_that_several_streams_read() -> None:
    """By the firing rate and the number of streams; a computed matrix is another one for each of them."""
    spikes = Sparsity("spikes", 0.1, binary=True)
    batch = Product("layer", 1, 32, 512, 512, True, spikes)
    assert shares_rows(batch)
    assert not shares_rows(replace(batch, rows_out=8))
    assert shares_rows(replace(batch, rows_out=8, sparsity=replace(spikes, rate=0.5)))
    assert not shares_rows(replace(batch, sparsity=None))
    assert not shares_rows(replace(batch, constant=False))


@pytest.mark.parametrize("level", [L1, L2, L3, MEMORY], ids=lambda level: level.name)
@pytest.mark.parametrize("target", [V3, V4, PI4], ids=lambda target: target.name)
def test_the_more_fires_the_more_it_costs(level: object, target: object) -> None:
    """And few active inputs cost less than all, wherever the weights lie and however wide the vectors are."""
    cost = replace(LAYER, level=level, target=target)
    costs = [cost.event(rate, False) for rate in (0.02, 0.1, 0.3, 0.6, 1.0)]
    assert costs == sorted(costs)
    assert costs[1] < cost.dense(False)


def test_distance_narrow_vectors_and_lists_of_ones_own_cost_more() -> None:
    """Each makes the estimate larger, never smaller; a batch costs less than its streams one by one."""
    near = LAYER.event(0.1, False)
    assert near < replace(LAYER, level=L3).event(0.1, False) < replace(LAYER, level=MEMORY).event(0.1, False)
    assert LAYER.dense(False) < replace(LAYER, level=MEMORY).dense(False)
    assert LAYER.dense(False) < replace(LAYER, target=PI4).dense(False)
    assert replace(LAYER, readers=4).event(0.1, False) < near
    batch = replace(LAYER, product=replace(LAYER.product, rows_out=8), level=MEMORY)
    assert batch.event(0.1, False) < 8 * replace(LAYER, level=MEMORY).event(0.1, False)
    assert batch.dense(False) < 8 * replace(LAYER, level=MEMORY).dense(False)


def test_int4_scales_are_read_whole() -> None:
    """So at a low rate int8 rows from memory are fewer bytes than int4 rows with their scales, at a high rate more."""
    int8, int4 = (replace(LAYER, storage=storage, level=MEMORY) for storage in (INT8, INT4))
    assert int8.event(0.02, False) < int4.event(0.02, False)
    assert int8.event(0.9, False) > int4.event(0.9, False)


def test_integers_times_spikes_are_cheaper_than_graded_values() -> None:
    """Rows are added, or multiplied in fixed point, where inputs are 0 or 1; graded ones need float32."""
    for storage in (INT8, INT4):
        cost = replace(LAYER, storage=storage)
        assert cost.dense(False) < cost.dense(True)
        assert cost.event(0.1, False) < cost.event(0.1, True)


def test_arm_adds_integers_for_far_less_than_it_multiplies_them() -> None:
    """There even spikes at 90 % are listed and their rows added, and lists of weights pay from more zeros on."""
    for storage in (INT8, INT4):
        cost = replace(LAYER, storage=storage, target=PI4)
        assert cost.choose(0.9, False, "x")[0] == "event"
        assert cost.dense(False) / cost.event(0.9, False) > 2
    entries = round(0.1 * 512 * 512)
    cost = replace(LAYER, storage=INT8, pruned_level=L2, pruned_size=PrunedSize(entries, 5 * entries, 1.0))
    assert replace(cost, target=PI4).choose(0.1, False, "x")[0] == "event"


def test_lists_of_weights_pay_where_few_are_left() -> None:
    """The farther away the weights lie, the earlier: in a cache at 98 % zeros, from memory at 80 % already."""
    for level, zeros, kernel in (
        (L2, 0.5, "dense"),
        (L2, 0.8, "dense"),
        (L2, 0.98, "pruned"),
        (MEMORY, 0.5, "dense"),
        (MEMORY, 0.8, "pruned"),
    ):
        entries = round((1 - zeros) * 512 * 512)
        cost = replace(LAYER, level=level, pruned_level=level, pruned_size=PrunedSize(entries, 5 * entries, 1.0))
        chosen, reason = cost.choose_dense("input is not a spike tensor")
        assert chosen == kernel
        assert reason.endswith(f"with these in {level.name}")
    assert cost.pruned(0.1) < cost.pruned(0.3) < cost.pruned(1.0)


def test_lanes_pay_where_lists_do_not() -> None:
    """In a cache from 80 % zeros on, unless a column in 64 is full; never for integers, nor on ARM."""
    size = PrunedSize(round(0.2 * 512 * 512), 5 * round(0.2 * 512 * 512), 0.26)
    cost = replace(LAYER, pruned_level=L2, pruned_size=size)
    assert cost.prefers_lanes(1.0)
    assert cost.choose_dense("")[0] == "pruned"
    assert replace(cost, target=V3).choose_dense("")[0] == "pruned"
    assert replace(cost, pruned_size=replace(size, longest=1.0)).choose_dense("")[0] == "dense"
    assert not replace(cost, storage=INT8).prefers_lanes(1.0)
    assert not replace(cost, target=PI4).prefers_lanes(1.0)
    assert not replace(cost, dtype="bool").prefers_lanes(1.0)


def test_the_reason_names_both_estimates() -> None:
    """What `inspect` shows: rows, cycles of both kernels, and where the weights lie."""
    kernel, reason = LAYER.choose(0.1, False, "x fires at 10.0%")
    assert kernel == "event"
    assert reason.startswith("x fires at 10.0%: adding 51 of 512 rows takes some ")
    assert reason.endswith("with weights in the L2 cache")
