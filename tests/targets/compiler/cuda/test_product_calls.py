"""Which functions of the CUDA C library stand for a product, a convolution or a norm, and why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from astroedge.bundle.manifest import DESPITE
from astroedge.errors import CompileError
from astroedge.step.sparsity import Sparsity
from astroedge.targets.compiler.cuda.convolution_calls import ConvolutionCalls
from astroedge.targets.compiler.cuda.library_forms import in_library
from astroedge.targets.compiler.cuda.product_calls import ChosenCalls, ProductCalls
from astroedge.targets.compiler.lower.legalize import Product
from astroedge.targets.compiler.lower.read_convolution import ConvolutionProduct
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.cuda.library_call import LIBRARY_BLOCKS, LIBRARY_FUNCTION
from astroedge.targets.families.gpu_costs import gpu_costs
from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.reduce import layer_norm, reduce_last, softmax
from astroedge.targets.precision.quantise_weights import StoredWeights

COSTS = gpu_costs(("sm_87",), 16)
SPIKES = Sparsity("fired", 0.1, binary=True)
PRODUCT = Product("W", 1, 1, 600, 70, True, SPIKES)
RNG = np.random.default_rng(0)


def _value(name: str, *shape: int, data: np.ndarray | None = None) -> Value:
    return Value(name, shape, "float32", "computed" if data is None else "weight", data)


def _weight(rows: int, columns: int) -> Value:
    return _value("W", rows, columns, data=RNG.standard_normal((rows, columns)).astype(np.float32))


def _names(calls: tuple[KernelCall, ...]) -> list[str]:
    return [str(call.function.attrs[LIBRARY_FUNCTION]) for call in calls]


def _choose(product: Product, right: Value | None = None, kernels: str = "auto") -> ChosenCalls:
    rows = product.batch * product.rows_out
    left, result = _value("x", rows, product.rows), _value("y", rows, product.columns)
    weights = right or _weight(product.rows, product.columns)
    return ProductCalls(kernels, WeightValues(StoredWeights()), COSTS).choose(product, left, weights, result)


def test_silent_inputs_are_skipped_where_that_pays() -> None:
    """A product of spikes reads the rows that fire; inputs that fire often, or are no spikes, are read densely."""
    assert _names(_choose(PRODUCT).calls)[0].startswith("ae_rows<ae_float32, false, true, true>")
    often = _choose(replace(PRODUCT, sparsity=replace(SPIKES, rate=0.9)))
    numbers = _choose(replace(PRODUCT, sparsity=None))
    assert [chosen.kernel for chosen in (_choose(PRODUCT), often, numbers)] == ["event", "dense", "dense"]
    assert "fires at 90.0%" in often.reason
    assert _choose(PRODUCT, kernels="dense").kernel == "dense"


def test_infinite_weights_are_read_densely() -> None:
    """A silent input times an infinite weight is NaN, whatever was asked for."""
    weight = _weight(600, 70)
    assert weight.data is not None
    weight.data[3, 3] = np.inf
    chosen = _choose(PRODUCT, weight, "event")
    assert chosen.kernel == "dense"
    assert DESPITE in chosen.reason


def test_a_computed_matrix_is_no_constant() -> None:
    """A state as weights is read by active elements for one row, and never past the first cache's coherence."""
    state = Value("H", (600, 70), "float32", "state")
    assert (
        _names(_choose(replace(PRODUCT, constant=False), state).calls)[0] == "ae_rows<ae_float32, false, true, false>"
    )
    rows = _choose(replace(PRODUCT, constant=False, rows_out=3), state)
    assert rows.kernel == "dense"
    assert rows.stored == (state,)


def test_long_sums_of_few_threads_are_split() -> None:
    """Then one call adds up blocks of inputs and another one these sums, in an array of their own."""
    calls = _choose(replace(PRODUCT, sparsity=None)).calls
    assert [name.partition("<")[0] for name in _names(calls)] == ["ae_rows", "ae_finish"]
    assert calls[0].writes == calls[1].reads
    assert calls[0].writes[0].shape == (1, 3, 70)
    assert calls[0].function.attrs[LIBRARY_BLOCKS] == 3


@pytest.mark.parametrize(("constant", "name"), [(True, "ae_integers<true>"), (False, "ae_integers<false>")])
def test_integers_stay_integers(constant: bool, name: str) -> None:
    """A product of integers has functions of its own, split like the others."""
    product = replace(PRODUCT, constant=constant, sparsity=None, dtype="int32")
    right = Value("B", (600, 70), "int32", "computed")
    if constant:
        data = RNG.integers(-9, 9, (600, 70)).astype(np.int8)
        right = Value("B", (600, 70), "int8", "weight", data)
    assert _names(_choose(product, right).calls) == [name, "ae_add_integers"]


def test_convolutions_of_one_form_share_their_taps() -> None:
    """Where taps lie is stored once; few outputs a group and frequent inputs are read densely."""
    calls = ConvolutionCalls("auto", WeightValues(StoredWeights()), 64)
    conv = Convolution(1, 8, 9, 9, 16, (3, 3))
    images, result = _value("x", 1, 8, 9, 9), _value("y", 1, 16, 7, 7)
    first, second = (
        calls.choose(ConvolutionProduct(name, conv, SPIKES), images, _weight(72, 16), result) for name in "ab"
    )
    assert first.kernel == second.kernel == "event"
    assert first.calls[0].reads[2] is second.calls[0].reads[2]
    depthwise = replace(conv, groups=8, outputs=8)
    single = calls.choose(ConvolutionProduct("c", depthwise, SPIKES), images, _weight(9, 8), _value("z", 1, 8, 7, 7))
    assert _names(single.calls) == ["ae_convolve<ae_float32, ae_single>"]
    often = ConvolutionProduct("d", conv, replace(SPIKES, rate=0.8))
    assert calls.choose(often, images, _weight(72, 16), result).kernel == "dense"


def test_whole_numbers_have_no_scales() -> None:
    """Weights that a graph has as whole numbers are bytes; every array of the call is there."""
    calls = ConvolutionCalls("auto", WeightValues(StoredWeights()), 64)
    data = RNG.integers(-9, 9, (72, 16)).astype(np.int8)
    product = ConvolutionProduct("W", Convolution(1, 8, 9, 9, 16, (3, 3)), None)
    whole = Value("W", data.shape, "int8", "weight", data)
    (call,) = calls.choose(product, _value("x", 1, 8, 9, 9), whole, _value("y", 1, 16, 7, 7)).calls
    assert [str(item.dtype) for item in call.function.params] == ["float32", "int8", "int32", "float32"]
    assert len(call.reads) == 3


def test_windows_that_are_too_large_are_refused() -> None:
    """The taps of a window must lie within 32,768 rows and columns of each other."""
    calls = ConvolutionCalls("auto", WeightValues(StoredWeights()), 64)
    far = ConvolutionProduct("W", Convolution(1, 1, 1, 70000, 4, (1, 2), dilation=(1, 65000)), None)
    with pytest.raises(CompileError, match=r"'W' has windows of more than 32,768 .* compile it for the board's CPU"):
        calls.choose(far, _value("x", 1, 1, 1, 70000), _weight(2, 4), _value("y", 1, 4, 1, 5000))


def test_lowered_kernels_become_functions_of_the_library() -> None:
    """Norms, softmaxes and reductions are found by what their kernels say; one of a dtype it lacks stays."""
    for function, kind, expected in (
        (layer_norm(3, 20, 1e-5), "layer_norm", "ae_layer_norm"),
        (softmax(3, 20), "softmax", "ae_softmax<false>"),
        (reduce_last("mean", 3, 20, "float32"), "mean", "ae_reduce<ae_sum, true>"),
    ):
        operands = (_value("x", 3, 20), *((_value("g", 20), _value("b", 20)) if kind == "layer_norm" else ()))
        call = KernelCall(function, operands, (_value("y", 3, 20),), kind, (kind,))
        assert _names((in_library(call),)) == [expected]
    small = Value("x", (3, 20), "uint8", "computed")
    call = KernelCall(reduce_last("max", 3, 20, "uint8"), (small,), (small,), "max", ("max",))
    assert in_library(call) is call
