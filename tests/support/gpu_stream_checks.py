"""What a stream on a GPU does, beside the same on a processor; made by tests/support/gpu_checks.py."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.cli.evaluate import eval_command
from astroedge.cli.profile import profile_command
from astroedge.cli.targets import detect_command
from astroedge.errors import InputError
from astroedge.runtimes.checking.verify import verify
from astroedge.runtimes.profiling.profiler import profile
from astroedge.runtimes.session.compiled import CompiledSession
from astroedge.targets.boards.gpus import find_gpus
from astroedge.workflows.doctor.examine import _gpus as gpus
from astroedge.workflows.evaluation.evaluate import evaluate
from tests.support.bundles import draw_ticks, one_tick
from tests.support.gpu_child import CPU, FOLDER, GPU, MIDDLING, WIDE, assert_same, both, calls, settings, tick


def check_steps() -> None:
    """Outputs, their padding and states are the processor's after each tick; one launch a tick."""
    inputs = draw_ticks(30)
    with both() as (gpu, cpu):
        before = calls("cuLaunchCooperativeKernel")
        for index in range(30):
            assert_same(gpu.step(**tick(inputs, index)), cpu.step(**tick(inputs, index)))
            assert np.array_equal(gpu.state, cpu.state)
            assert np.array_equal(gpu.output_bytes, cpu.output_bytes)
        assert calls("cuLaunchCooperativeKernel") == before + 30
        assert gpu.ticks == 30
        out = {"y": np.zeros((1, 4), np.float32)}
        assert gpu.step(**tick(inputs, 0), out=out) is out
        assert_same(out, {"y": cpu.step(**tick(inputs, 0))["y"]})


def check_runs() -> None:
    """Many ticks take few launches and give what steps give, repeated inputs and no ticks at all too."""
    inputs = draw_ticks(700)
    alike = {name: np.broadcast_to(array[0], (300, *array.shape[1:])) for name, array in inputs.items()}
    with both() as (gpu, cpu):
        before = calls("cuLaunchCooperativeKernel")
        for given in (inputs, alike, {name: array[:0] for name, array in inputs.items()}, inputs):
            assert_same(gpu.run(**given), cpu.run(**given))
            assert np.array_equal(gpu.state, cpu.state)
        assert calls("cuLaunchCooperativeKernel") - before < 500
        assert gpu.ticks == cpu.ticks == 1700
        assert_same(gpu.present(50, **one_tick()), cpu.present(50, **one_tick()))


def check_large_records() -> None:
    """Records that are better copied to the GPU's memory, of which few fit into a launch, give the same."""
    inputs = draw_ticks(200)
    with astroedge.load(WIDE) as wide, astroedge.load(CPU) as cpu:
        for index in range(5):
            assert_same(wide.step(**tick(inputs, index)), cpu.step(**tick(inputs, index)))
        before = calls("cuLaunchCooperativeKernel")
        assert_same(wide.run(**inputs), cpu.run(**inputs))
        assert calls("cuLaunchCooperativeKernel") - before >= 4
        assert np.array_equal(wide.state, cpu.state)


def check_small_records() -> None:
    """What a step reads is reached in the host's memory where it is little for all blocks together, else copied."""
    inputs, bundle = draw_ticks(12), Bundle.load(MIDDLING)
    with settings("sms=48"), astroedge.load(CPU) as cpu:
        for blocks, copied in ((1, (0, 0)), (32, (0, 0)), (33, (1, 0)), (65, (1, 1))):
            with CompiledSession(bundle, blocks=blocks) as session:
                session.state = cpu.state
                before = calls("cuMemcpyHtoDAsync_v2"), calls("cuMemcpyDtoHAsync_v2")
                for index in range(2):
                    assert_same(session.step(**tick(inputs, index)), cpu.step(**tick(inputs, index)))
                after = calls("cuMemcpyHtoDAsync_v2"), calls("cuMemcpyDtoHAsync_v2")
                assert tuple(b - a for a, b in zip(before, after, strict=True)) == tuple(2 * one for one in copied)


def check_states() -> None:
    """The state is read as a copy that is read only, is set whole, and refused where it could be none."""
    with both() as (gpu, cpu):
        first = gpu.state
        assert np.array_equal(first, cpu.state)
        initial = gpu.states["lif.v"]
        assert set(gpu.states) == {"lif.v", "lif.threshold", "ticks"}
        gpu.step(**one_tick())
        cpu.step(**one_tick())
        assert not np.array_equal(first, gpu.state)
        assert not np.array_equal(initial, gpu.states["lif.v"])
        assert np.array_equal(gpu.states["lif.v"], cpu.states["lif.v"])
        for array in (first, initial):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
        later = gpu.state
        gpu.state = first
        assert np.array_equal(gpu.state, first)
        with pytest.raises(InputError, match=r"session\.state\.copy"):
            gpu.state = first[1:]
        spoilt = first.copy()
        spoilt[:4] = 0xFF
        with pytest.raises(InputError, match="holds a NaN"):
            gpu.state = spoilt
        assert np.array_equal(gpu.state, first)
        gpu.overwrite_state(spoilt)
        assert np.array_equal(gpu.state, spoilt)
        for session in (gpu, cpu):
            with pytest.raises(InputError, match="The state is set from"):
                session.overwrite_state(spoilt[1:])
        gpu.overwrite_state(later)
        assert_same(gpu.step(**one_tick()), cpu.step(**one_tick()))


def check_snapshots() -> None:
    """A stream moves from the GPU to the processor and back, and goes back to its beginning."""
    inputs = draw_ticks(60)
    with both() as (gpu, cpu):
        gpu.run(**{name: array[:20] for name, array in inputs.items()})
        kept = gpu.snapshot()
        cpu.restore(kept)
        assert cpu.ticks == gpu.ticks == 20
        rest = {name: array[20:] for name, array in inputs.items()}
        assert_same(gpu.run(**rest), cpu.run(**rest))
        gpu.restore(kept)
        assert gpu.ticks == 20
        assert_same(gpu.run(**rest), again(cpu, kept, rest))
        with pytest.raises(InputError, match="damaged"):
            gpu.restore(kept[:-1] + b"\1")
        assert np.array_equal(gpu.state, cpu.state)
        gpu.reset()
        cpu.reset()
        assert gpu.ticks == 0
        assert np.array_equal(gpu.state, cpu.state)


def again(session: CompiledSession, kept: bytes, inputs: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """What a stream gives once more."""
    session.restore(kept)
    return session.run(**inputs)


def check_activity() -> None:
    """Spikes are counted on the GPU as on the processor, from the last reset of the counts on."""
    with both() as (gpu, cpu):
        for session in (gpu, cpu):
            session.run(**draw_ticks(40))
        assert gpu.activity() == cpu.activity()
        assert gpu.activity()["lif.spikes"].active > 40, "the layer must fire, or the check proves nothing"
        for session in (gpu, cpu):
            session.reset_activity()
            session.run(**draw_ticks(10, seed=2))
            session.reset()
            session.step(**one_tick())
        assert gpu.activity() == cpu.activity()
        assert gpu.activity()["lif.spikes"].ticks == 11


def check_refusals() -> None:
    """A NaN, an index out of range and a wrong name or shape are the processor's errors; the state is unchanged."""
    with both() as (gpu, cpu):
        for session in (gpu, cpu):
            session.run(**draw_ticks(5))
        inputs, before = draw_ticks(300), calls("cuLaunchCooperativeKernel")
        spoilt = {**inputs, "x": inputs["x"].copy()}
        spoilt["x"][290, 0, 3] = np.nan
        wrong = {**inputs, "token": inputs["token"] + 16}
        for given in (spoilt, wrong, {**inputs, "y": inputs["x"]}, {**inputs, "x": inputs["x"][:, :, :2]}):
            with pytest.raises(InputError) as ours:
                gpu.run(**given)
            with pytest.raises(InputError) as theirs:
                cpu.run(**given)
            assert str(ours.value) == str(theirs.value)
        with pytest.raises(InputError, match="holds a NaN"):
            gpu.step(**{**one_tick(), "x": np.full((1, 8), np.nan, np.float32)})
        assert calls("cuLaunchCooperativeKernel") == before
        assert np.array_equal(gpu.state, cpu.state)
        assert gpu.ticks == 5


def check_arguments() -> None:
    """A GPU is chosen by its number, for a bundle that one computes; it takes no threads."""
    with astroedge.load(GPU, device=1) as second:
        assert second.gpu is not None
        assert (second.gpu.ordinal, second.gpu.capability, second.gpu.driver) == (1, "8.7", "12.6")
        second.step(**one_tick())
    for wrong in (2, 99):
        with pytest.raises(InputError, match=f"no GPU {wrong}; the driver has 2"):
            astroedge.load(GPU, device=wrong)
    for other in (-1, True, "0", 2**40):
        with pytest.raises(InputError, match="must be the number of a GPU"):
            astroedge.load(GPU, device=other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="whose processor computes"):
        astroedge.load(CPU, device=0)
    with pytest.raises(InputError, match="the ticks of 'tiny' are a GPU's"):
        astroedge.load(GPU, threads=2)
    with astroedge.load(CPU) as cpu:
        assert cpu.gpu is None


def check_grids() -> None:
    """The bits do not depend on how many blocks a grid has, and no more are launched than run at once."""
    bundle, inputs = Bundle.load(GPU), draw_ticks(300)
    with astroedge.load(CPU) as cpu:
        expected = cpu.run(**inputs)
    for blocks, launched in ((0, 2), (1, 1), (3, 3), (4, 4), (1000, 4)):
        with CompiledSession(bundle, blocks=blocks) as session:
            assert session.gpu is not None
            assert session.gpu.blocks == launched
            assert_same(session.run(**inputs), expected)


def check_reports() -> None:
    """verify replays the processor's golden trace; profile tells the GPU's memory and time."""
    report = verify(GPU)
    assert report.ok, report.text()
    found = profile(GPU, steps=20, warmup=2)
    assert found.reading("device memory").value == memory_of(GPU)
    for name in ("device time", "launch overhead"):
        assert found.reading(name).label == "measured", name
    assert found.step.p50 >= found.reading("launch overhead").value  # type: ignore[operator]
    assert found.reading("weight bandwidth").value > 0  # type: ignore[operator]
    assert 0 < found.spikes[0].rate < 1
    assert found.machine["gpu"] == "GPU 0, Emulated GPU"
    assert (found.machine["gpu capability"], found.machine["gpu driver"]) == ("8.7", "CUDA 12.6")
    shown = CliRunner().invoke(profile_command, [str(GPU), "--steps", "20", "--device", "1"])
    assert "computed by GPU 1, Emulated GPU; inputs" in shown.output
    assert "1 thread" not in shown.output
    with pytest.raises(KeyError):
        profile(CPU, steps=20, warmup=2).reading("device time")


def check_machine() -> None:
    """The GPUs, what their drivers are for and whether bundles run there are said; the bandwidth of one is known."""
    assert find_gpus()[0].bandwidth_bytes == 64_000_000_000
    text = "Emulated GPU, sm_87, driver for CUDA 12.6"
    assert [(item.name, item.state, item.version, item.cure) for item in gpus()] == [
        ("GPU 0", "ok", text, ""),
        ("GPU 1", "ok", text, ""),
    ]
    detected = CliRunner().invoke(detect_command).output
    assert f"GPU 0: {text}. Its target: cuda." in detected
    assert f"GPU 1: {text}. Bundles for it run with --device 1." in detected
    for setting, words in (("cc=5.3", "chips from sm_60 on"), ("driver=10020", r"a driver for CUDA 11\.0 or later")):
        with settings(setting):
            assert {item.state for item in gpus()} == {"broken"}
            assert re.search(words, gpus()[0].cure)
            assert "No bundle runs on it: bundles" in CliRunner().invoke(detect_command).output
    with settings("fail=cuDeviceGetCount:" + f"{calls('cuDeviceGetCount') + 1}:3"):
        assert [(item.name, item.state) for item in gpus()] == [("GPU", "missing")]


def check_evaluation() -> None:
    """A GPU's bundle is scored beside a processor's, on the GPU that is asked for, and answers the same."""
    data, labels = FOLDER / "data.npz", FOLDER / "labels.npy"
    np.savez(data, **{name: array[np.newaxis] for name, array in draw_ticks(20).items()})
    np.save(labels, np.array([1]))
    found = evaluate([GPU, CPU], data, labels, device=1)
    assert found.contenders[0].metrics == found.contenders[1].metrics
    with pytest.raises(InputError, match="no GPU 7"):
        evaluate([GPU, CPU], data, labels, device=7)
    refused = CliRunner().invoke(
        eval_command, [str(CPU), "--data", str(data), "--labels", str(labels), "--device", "0"]
    )
    assert "whose processor computes" in str(refused.exception)


def memory_of(bundle: Path) -> int:
    """Bytes on the GPU."""
    with astroedge.load(bundle) as session:
        assert session.gpu is not None
        return session.gpu.memory
