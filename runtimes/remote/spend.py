"""Steps that are made when a host says so: it watches a meter, and what is loaded before must be over by then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from astroedge.runtimes import load
from astroedge.runtimes.profiling.ticks import Ticks
from astroedge.runtimes.profiling.time_steps import NativeRounds
from astroedge.session import Array


def spend(
    request: Mapping[str, Any],
    inputs: Mapping[str, Array] | None,
    wait: Callable[[], float],
    say: Callable[[Mapping[str, Any]], None],
) -> None:
    """Get ready and say so, `wait` for how many seconds to step, step in native runs, and say how many steps it were.

    A request has `bundle`, `threads` and `step`, about how many nanoseconds a step takes; `wait` gives 0 where nothing
    is to be done any more. Raises what loading and stepping a bundle raise.
    """
    with load(request["bundle"], threads=request.get("threads")) as session:
        rounds = NativeRounds(session, Ticks(session.manifest, inputs, None), request["step"])
        say({"ready": True})
        seconds = wait()
        if seconds > 0:
            say({"steps": rounds.spend(seconds)})
