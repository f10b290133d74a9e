"""Random networks for property tests, and a soak: `python -m tests.conformance.random_networks NUMBER [SEED]`."""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from itertools import count

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.network_description import INPUT, Convolution, Edge, Net, Population, extent_after
from tests.conformance.neuron_equations import CELLS, EXACT_CELLS, GRADED, VECTORS_ONLY
from tests.conformance.random_agreement import check_network, tuned
from tests.conformance.random_model import LINES
from tests.conformance.state_keepers import KEEPERS

SMALL = (1, 3, 7, 12, 16, 17, 33)
TYING = ("leaky", "in place", "integrator", "synaptic", "adaptive", "refractory")
OUTPUTS = ("spikes", "membrane", "logits", "late", "count", "choice")
DTYPES = ("float32", "float32", "bool", "int8", "int64")
KERNELS = ("auto", "event", "dense")
ROUND = 10  # the first examples of a run of hypothesis are drawn afresh, later ones vary those before
SPIKES = ("cast", "where", "difference", "heaviside", "negated", "product")


@st.composite
def networks(draw: st.DrawFn, exact: bool = True) -> Net:
    """Up to five populations; a source of an exact network gives spikes, so that every sum is exact.

    The first population is one whose membranes meet their threshold exactly.
    """
    size = draw(st.integers(1, 5))
    kind = draw(st.sampled_from(("spikes", "numbers", "tokens", "image", "channels")))
    width = draw(st.sampled_from((8, 11) if kind in ("image", "channels") else (3, 12, 17, 64, 300)))
    later = tuple(EXACT_CELLS if exact else CELLS)
    cells = [draw(st.sampled_from(later if index else TYING)) for index in range(size)]
    graded = frozenset(index for index, cell in enumerate(cells) if cell in GRADED)
    heard = [index for index in range(size) if not exact or index not in graded]
    pixels = {INPUT: width} if kind in ("image", "channels") else {}
    populations: list[Population] = []
    for index, cell in enumerate(cells):
        convolution, earlier = None, [INPUT, *(source for source in heard if source < index)]
        if pixels and cell not in VECTORS_ONLY and draw(st.integers(0, 3)):
            source = draw(st.sampled_from(sorted(pixels)))
            convolution = draw(_convolutions(pixels[source]))
            if index not in graded:
                pixels[index] = extent_after(convolution, pixels[source])
        else:
            source = draw(st.sampled_from(earlier))
        sources = [source, *draw(st.lists(st.sampled_from([INPUT, *heard]), max_size=2))]
        edges = tuple(draw(_edges(source, graded)) for source in sources)
        populations.append(draw(_populations(cell, index, edges, convolution, exact)))
    pairs = st.tuples(st.sampled_from(OUTPUTS), st.integers(0, size - 1))
    outputs = [*draw(st.lists(pairs, max_size=3)), ("spikes", size - 1)]
    return Net(
        input=kind,
        width=width,
        populations=tuple(populations),
        outputs=tuple(("membrane" if index in graded else what, index) for what, index in outputs),
        batch=draw(st.integers(1, 3)),
        states=draw(st.sampled_from(("flat", "dict", "nested"))),
        exact=exact,
        seed=draw(st.integers(0, 2**16)),
    )


@st.composite
def _populations(
    draw: st.DrawFn, cell: str, index: int, edges: tuple[Edge, ...], convolution: Convolution | None, exact: bool
) -> Population:
    """Neurons of kind `cell` behind `edges`."""
    return Population(
        cell=cell,
        width=draw(st.sampled_from((*SMALL, *((65, 257, 300) if index == 0 else (64, 130))))),
        edges=edges,
        join=draw(st.sampled_from(("sum", "concat", "add"))),
        # Without a leak and a reset a neuron that fired once would fire for ever.
        reset=draw(st.sampled_from(("subtract", "zero", "value", *(("none",) if cell != "integrator" else ())))),
        late=draw(st.integers(0, 3)) == 0,
        strict=draw(st.booleans()),
        spike=draw(st.sampled_from(SPIKES)),
        threshold=draw(st.sampled_from((1.0, 0.5))),
        start=draw(st.sampled_from(("zero", "ramp", *(("fill",) if index else ())))),
        memory=draw(st.sampled_from(KEEPERS)),
        echo=draw(st.sampled_from(KEEPERS)),
        echo_dtype="float32" if cell in GRADED else draw(st.sampled_from(DTYPES)),
        normalised=not exact and draw(st.integers(0, 3)) == 3,
        convolution=convolution,
    )


@st.composite
def _edges(draw: st.DrawFn, source: int, graded: frozenset[int]) -> Edge:
    """An edge, one in three with a delay line."""
    numbers = source == INPUT or source in graded
    return Edge(
        source,
        delay=draw(st.sampled_from((0, 0, 0, 0, 1, 2, 5))),
        line=draw(st.sampled_from(LINES)),
        memory=draw(st.sampled_from(KEEPERS)),
        dtype="float32" if numbers else draw(st.sampled_from(DTYPES)),
        bias=draw(st.booleans()),
    )


@st.composite
def _convolutions(draw: st.DrawFn, pixels: int) -> Convolution:
    """One that leaves at least two of `pixels` along each axis."""
    kernel = draw(st.sampled_from((1, 3)))
    roomy = pixels >= 6
    return Convolution(
        channels=draw(st.sampled_from((1, 3, 8, 17))),
        kernel=kernel,
        stride=draw(st.sampled_from((1, 2))) if roomy else 1,
        padding=draw(st.integers(0, kernel // 2)) if roomy else kernel // 2,
        pool=draw(st.sampled_from((None, None, "max", "average"))) if pixels >= 8 else None,
        pools_first=draw(st.booleans()),
    )


def main(number: int, first_seed: int = 0) -> int:
    """Check `number` random networks, exact ones and others in turns; print each that fails and how many did."""
    failures: Counter[str] = Counter()
    checked, started = 0, time.monotonic()

    def check(net: Net, kernels: str) -> None:
        nonlocal checked
        if checked >= number:
            return
        checked += 1
        net = tuned(net)
        try:
            check_network(net, kernels)
        except Exception as error:
            kind = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
            failures[kind] += 1
            sys.stdout.write(f"\n{kind}\n{traceback.format_exc(limit=-3)}kernels={kernels!r}\n{net!r}\n")
        sys.stdout.flush()

    for turn in count(first_seed):
        if checked >= number:
            break
        soak = settings(
            max_examples=ROUND, phases=(Phase.generate,), database=None, derandomize=False, deadline=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        seed(turn)(soak(given(networks(exact=turn % 2 == 0), st.sampled_from(KERNELS))(check)))()
        sys.stdout.write(f"{checked} networks, {failures.total()} failures, {time.monotonic() - started:.0f} s\n")
    for kind, times in failures.most_common():
        sys.stdout.write(f"{times} × {kind}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *(int(argument) for argument in sys.argv[2:3])))
