"""Weights that lie more than 4 GiB from the beginning of their buffer are read where they are."""

from __future__ import annotations

import mmap
from dataclasses import replace

import numpy as np

from astroedge.abi.aligned import address_of
from astroedge.bundle.container import describe_weights
from astroedge.runtimes import load
from astroedge.runtimes.library.native_library import load_library
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import tvm_target
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.compilation import Compilation
from astroedge.targets.compiler.emit.native_kernels import NativeKernels
from astroedge.targets.compiler.passes import PASSES
from astroedge.targets.compiler.program.plan_memory import Place
from astroedge.targets.link.linker import link_library
from astroedge.targets.precision.quantise_weights import StoredWeights
from tests.support import graphs
from tests.support.shim_host import NATIVE, Host

FAR = (1 << 32) + (1 << 20)  # bytes
TICKS = 10
# Pages that nobody writes to take no memory.
UNRESERVED = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)


def _far_step() -> Compilation:
    """A step that was compiled with all its weights moved back in their buffer."""
    native = tvm_target(NATIVE)
    request = CompileRequest(graphs.recurrent_net(), NATIVE, "exact", "auto", False, StoredWeights())
    step = Compilation(request, native, NativeKernels(native, "exact"))
    with native:
        for item in PASSES:
            if item.name == "pack_weights":
                continue  # they would be packed with all that lies before them
            item.run(step)
            if item.name == "plan_memory":
                for value in step.plan.weights:
                    step.plan.places[value] = Place("weights", step.plan.places[value].offset + FAR)
                step.plan.sizes["weights"] += FAR
    return step


def test_weights_beyond_four_gigabytes_are_read_where_they_are() -> None:
    """A step whose weights begin behind 4 GiB gives, tick by tick, the bits of the one whose weights begin at once."""
    step = _far_step()
    manifest = replace(step.manifest, weights=describe_weights(b""))
    library = load_library(link_library(step.code, manifest, NATIVE, step.team_code, step.kernel_code))
    weights = np.frombuffer(mmap.mmap(-1, manifest.layout.weights_size, flags=UNRESERVED), np.uint8)
    for value in step.plan.weights:
        start = step.plan.places[value].offset
        weights[start : start + value.nbytes] = np.ascontiguousarray(value.data).reshape(-1).view(np.uint8)
    host = Host(library, replace(manifest.layout, weights_size=64), bytes(64))
    host.call.weights = address_of(weights)
    plain = compile_step(graphs.recurrent_net(), NATIVE, math="exact", kernels="auto", probes=False)
    near = link_bundle(plain, NATIVE)
    with load(near) as session:
        for x in graphs.random_inputs(graphs.recurrent_net(), TICKS)["x"]:
            host.inputs[: x.nbytes] = x.reshape(-1).view(np.uint8)
            assert host.step() == 0
            wanted = session.step(x=x)["y"]
            assert host.outputs[: wanted.nbytes].tobytes() == wanted.tobytes()
