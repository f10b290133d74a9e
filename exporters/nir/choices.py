"""What a NIR file leaves open: NIR's equations are in continuous time, and simulators read them differently.

Each choice below changes when neurons fire. Where a file needs one, it is asked for; nothing is guessed.

    reset      value      v becomes v_reset: NIR's equation
               subtract   v_threshold is taken off at once, what is above it stays
               later      v_threshold is taken off in the tick after, from what has leaked until then: snnTorch with
                          reset_mechanism="subtract", its default
    threshold  above      a spike where v > v_threshold: NIR's equation, snnTorch, Norse
               reached    a spike where v >= v_threshold: SpikingJelly
    current    new        the membrane gets the current of this tick: snnTorch, Norse, SpikingJelly
               old        the membrane gets the current of the tick before: forward Euler to the letter
    input      held       an input is a current held over the tick: dt times it is added
               impulse    an input is an impulse of area 1 per spike: dt does not enter
    start      zero       membranes start at 0: snnTorch
               rest       membranes start at v_leak, an IF at v_reset: Norse

snnTorch writes v_reset = 0 into its files whatever its reset mechanism.

Sources: the discussions of resets in discrete time in github.com/neuromorphs/NIR (63, 129), of dt and inputs in
github.com/jeshraghian/snntorch (435, 452), and the importers of snnTorch 1.0, Norse 1.1 and SpikingJelly 2.0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from astroedge.errors import ExportError
from astroedge.exporters.nir.file import Node
from astroedge.exporters.shared.labels import few
from astroedge.nearest_name import did_you_mean

ALLOWED = {
    "reset": ("value", "subtract", "later"),
    "threshold": ("above", "reached"),
    "current": ("new", "old"),
    "input": ("held", "impulse"),
    "start": ("zero", "rest"),
}
SUBTRACTING = ("subtract", "later")
SPIKING = ("LIF", "CubaLIF", "IF")
CUBA = ("CubaLIF", "CubaLI")
# Their equations name a spike, or a current that half of the importers do not multiply by dt.
OPEN_INPUT = ("CubaLIF", "CubaLI", "IF", "I")
WHY = {
    "reset": "the file gives no v_reset",
    "current": "NIR does not say whether the membrane gets the current of this tick or of the one before",
    "input": "NIR does not say whether an input lasts a whole tick (times dt) or is an impulse",
    "start": "NIR does not say where membranes start, and v_leak or v_reset is not 0",
}


@dataclass(frozen=True)
class NirChoices:
    """How a NIR file is read where it leaves something open; see the table in this module. None: not chosen."""

    reset: str | None = None
    threshold: str | None = None
    current: str | None = None
    input: str | None = None
    start: str | None = None


def make_choices(given: Mapping[str, str]) -> NirChoices:
    """The choices given by name; raises ExportError for a name or value that does not exist."""
    for name, value in given.items():
        if name not in ALLOWED:
            hint = did_you_mean(name, ALLOWED) or f"there are {', '.join(ALLOWED)}."
            raise ExportError(f"NIR leaves nothing open that is called {name!r}; {hint}")
        if value not in ALLOWED[name]:
            raise ExportError(f"{name}={value} is no choice; choose {_options(name)}.")
    return NirChoices(**given)


def open_choices(nodes: Sequence[Node]) -> dict[str, list[str]]:
    """Which choices these nodes need, each with the names of the nodes that need it."""
    needed: dict[str, list[str]] = {}
    for node in nodes:
        if node.kind in SPIKING and "v_reset" not in node.fields:
            needed.setdefault("reset", []).append(node.name)
        if node.kind in CUBA:
            needed.setdefault("current", []).append(node.name)
        if node.kind in OPEN_INPUT:
            needed.setdefault("input", []).append(node.name)
        if any(node.numbers(name).any() for name in ("v_leak", "v_reset") if name in node.fields):
            needed.setdefault("start", []).append(node.name)
    return needed


def settle_choices(nodes: Sequence[Node], chosen: NirChoices) -> dict[str, str]:
    """A value for every choice: the chosen one, else NIR's equation where that is clear.

    Raises ExportError that names everything still open, and for a reset by subtraction where v_reset is not 0.
    """
    given = {item.name: getattr(chosen, item.name) for item in fields(chosen)}
    missing = {name: users for name, users in open_choices(nodes).items() if given[name] is None}
    if missing:
        reasons = "; ".join(f"{_options(name)}, as {WHY[name]} ({few(users)})" for name, users in missing.items())
        raise ExportError(f"The NIR file leaves open what its neurons do; choose {reasons}.")
    if given["reset"] in SUBTRACTING:
        moved = [node.name for node in nodes if node.kind in SPIKING and node.numbers("v_reset", 0.0).any()]
        if moved:
            raise ExportError(
                f"reset={given['reset']} contradicts the v_reset of {few(moved)}, which is not 0; use reset=value."
            )
    return {name: given[name] or values[0] for name, values in ALLOWED.items()}


def doubts(nodes: Sequence[Node], chosen: NirChoices) -> list[str]:
    """What the file says that its writer may not have meant, where nothing was chosen."""
    spiking = [node for node in nodes if node.kind in SPIKING]
    zero = all("v_reset" in node.fields and not node.numbers("v_reset").any() for node in spiking)
    if not spiking or not zero or chosen.reset is not None:
        return []
    return [
        "Every neuron resets to v_reset = 0, which snnTorch writes whatever its network does; for its default, "
        'reset_mechanism="subtract", choose reset=later, and reset=value if 0 is meant.'
    ]


def _options(name: str) -> str:
    return " or ".join(f"{name}={value}" for value in ALLOWED[name])
