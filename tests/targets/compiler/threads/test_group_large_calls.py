"""Large calls stand together as far as what they need allows."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value
from astroedge.targets.compiler.threads.call_sizes import SHARED_BYTES, TEAM_BYTES
from astroedge.targets.compiler.threads.group_large_calls import group_large_calls
from tests.support.programs import make_call


def value(name: str, kind: str = "computed") -> Value:
    """A small value."""
    return Value(name, (16,), "float32", kind)


def program(calls: list[KernelCall], states: list[Value], nexts: list[Value]) -> StepProgram:
    """A program of which only calls and states matter."""
    return StepProgram([], states, [], nexts, [], [], calls)


def test_products_of_one_tensor_stand_together() -> None:
    """Three products of the same spikes, each followed by its threshold, come first; the thresholds follow in order."""
    spikes, sums, fired = value("spikes"), [value(f"sum{i}") for i in range(3)], [value(f"fired{i}") for i in range(3)]
    calls = []
    for one, other in zip(sums, fired, strict=True):
        calls += [make_call([spikes], [one], TEAM_BYTES), make_call([one], [other])]
    step = program(list(calls), [], [])
    step = group_large_calls(step)
    assert step.calls == [*calls[::2], *calls[1::2]]


def test_a_small_call_goes_before_large_ones_that_it_does_not_need() -> None:
    """The list of what one tensor selects is made before a large update of another; what reads that comes after it."""
    spikes, old, new, listed, answer = (value(name) for name in ("spikes", "old", "new", "listed", "answer"))
    calls = [
        make_call([old], [new], TEAM_BYTES),
        make_call([spikes], [listed]),
        make_call([listed, new], [answer]),
    ]
    step = group_large_calls(program(list(calls), [], []))
    assert step.calls == [calls[1], calls[0], calls[2]]


def test_small_steps_keep_their_order() -> None:
    """Where no team is worth it nothing moves."""
    spikes, one, other = value("spikes"), value("one"), value("other")
    calls = [make_call([spikes], [one], SHARED_BYTES), make_call([one], []), make_call([spikes], [other], SHARED_BYTES)]
    step = program(list(calls), [], [])
    step = group_large_calls(step)
    assert step.calls == calls


@st.composite
def programs(draw: st.DrawFn) -> StepProgram:
    """Calls, large and small, each on what came before it; some of them make next states."""
    states = [value(f"state{index}", "state") for index in range(draw(st.integers(0, 3)))]
    known, calls = [value("x", "input"), *states], []
    for index in range(draw(st.integers(1, 12))):
        made = value(f"v{index}")
        reads = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        calls.append(make_call(reads, [made], draw(st.sampled_from([1, SHARED_BYTES, TEAM_BYTES]))))
        known.append(made)
    nexts = [draw(st.sampled_from(known)) for _ in states]
    return program(calls, states, nexts)


@settings(max_examples=200, deadline=None)
@given(programs())
def test_what_must_come_first_still_does(step: StepProgram) -> None:
    """Every value is made before it is read; readers of an old state stay before the call that makes the new one."""
    before = list(step.calls)
    step = group_large_calls(step)
    assert sorted(map(id, step.calls)) == sorted(map(id, before))
    place = {id(call): index for index, call in enumerate(step.calls)}
    for index, call in enumerate(before):
        for other in before[:index]:
            made = set(other.writes) & set(call.reads)
            overwritten = {
                old for old, new in zip(step.states, step.nexts, strict=True) if new is not old and new in call.writes
            }
            if made or overwritten & set(other.reads):
                assert place[id(other)] < place[id(call)]
