"""Products that read short rows of weights by one list become one, whose rows are theirs side by side.

W_q, W_k, W_v and W_x of an AstroSNN read the rows of the same spikes. In int4 a row of each takes a kilobyte at a width
of 2,048, of which two threads read halves; all four together are a page. A processor fetches the faster the longer it
can go on, which two threads gain most by.

Every sum is made of the same numbers in the same order, so no bit changes. It comes after all passes that order calls
by the values they write: what each product gave becomes a part of one value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from astroedge.bundle.manifest import JOINED
from astroedge.targets.compiler.program.step_program import PART, CallCost, KernelCall, StepProgram, Value
from astroedge.targets.compiler.select.call_costs import INDEX
from astroedge.targets.compiler.select.event_products import row_call
from astroedge.targets.kernels.products.row_form import RowForm
from astroedge.targets.kernels.stored_weights import CHUNK

LONG_ROW_BYTES = 4096
"""A page; of rows as long as one nothing is gained by longer ones."""


def join_rows(program: StepProgram) -> StepProgram:
    """Join the products of `program` that read short rows of different weights by the same list, where one may.

    What one gives must not be shown or kept as it is: that would have to be copied.
    """
    shown = {*program.outputs, *program.nexts, *program.spikes, *program.margins}
    readers = Counter(value for call in program.calls for value in call.reads)
    groups: dict[tuple[RowForm, tuple[Value, ...]], list[KernelCall]] = {}
    for call in program.calls:
        if call.rows is None or not _is_short(call.rows) or call.writes[0] in shown:
            continue
        if all(readers[value] == 1 for value in _weights(call)):
            groups.setdefault((replace(call.rows, columns=0), _inputs(call)), []).append(call)
    joined = {id(call): calls for calls in groups.values() if len(calls) > 1 for call in calls}
    made = []
    for call in program.calls:
        calls = joined.get(id(call), [call])
        if calls[0] is call:
            made.append(_join(calls) if len(calls) > 1 else call)
    return replace(program, calls=made)


def _is_short(form: RowForm) -> bool:
    """Whether a product is such a one; whole chunks of columns stay what they are beside others."""
    return form.batch == 1 and form.row_bytes < LONG_ROW_BYTES and form.columns % CHUNK == 0


def _inputs(call: KernelCall) -> tuple[Value, ...]:
    """What a call reads that is made in the tick."""
    return tuple(value for value in call.reads if value.kind != "weight")


def _weights(call: KernelCall) -> tuple[Value, ...]:
    return tuple(value for value in call.reads if value.kind == "weight")


def _join(calls: Sequence[KernelCall]) -> KernelCall:
    """One call that stands for several; what they write become parts of what it writes, by their products' names."""
    forms = [call.rows for call in calls if call.rows is not None]
    costs = [call.cost for call in calls if call.cost is not None]
    columns = sum(form.columns for form in forms)
    whole = Value(JOINED.join(call.writes[0].name for call in calls), (1, columns), "float32", "computed")
    offset = 0
    for call, cost in zip(calls, costs, strict=True):
        part = call.writes[0]
        part.name, part.kind, part.whole, part.offset = cost.module, PART, whole, offset
        offset += part.nbytes
    heights = (forms[0].rows, forms[0].storage.scale_rows(forms[0].rows), 1)  # of weights, scales and their units
    beside = map(_beside, zip(*map(_weights, calls), strict=True), heights)
    touched = sum(call.touched or 0 for call in calls)
    call = row_call(replace(forms[0], columns=columns), whole, reads=(*_inputs(calls[0]), *beside), touched=touched)
    return replace(call, cost=_joined_cost(costs))


def _beside(values: Sequence[Value], height: int) -> Value:
    """What several weights have in each of `height` rows, side by side in one."""
    parts = [value.data.reshape(height, -1) for value in values if value.data is not None]
    data = np.concatenate(parts, axis=1).ravel()
    suffix = f".{values[0].name.rpartition('.')[2]}"
    name = JOINED.join(value.name.removesuffix(suffix) for value in values) + suffix
    return Value(name, data.shape, values[0].dtype, "weight", data)


def _joined_cost(costs: Sequence[CallCost]) -> CallCost:
    """What is known of products that are one call: an active input is listed once for all."""
    return CallCost(
        JOINED.join(cost.module for cost in costs),
        sum(cost.nbytes for cost in costs),
        costs[0].spikes,
        sum(cost.row - INDEX for cost in costs) + INDEX,
        tuple(map(sum, zip(*(cost.cycles for cost in costs), strict=True))),
    )
