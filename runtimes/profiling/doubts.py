"""What makes a measurement doubtful, in sentences.

Others on the cores, a clock that is not the full one, heat, a battery, and figures that contradict each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from astroedge.profile_parts import Energy, Moment, Paced
from astroedge.runtimes.profiling.machine_watch import MachineWatch, is_capped, read_hottest, usable_cores
from astroedge.runtimes.profiling.sensors import ROOT, read_number, read_text, read_throttling
from astroedge.runtimes.profiling.time_steps import StepTimes
from astroedge.step_profile import Reading

CPU = "sys/devices/system/cpu"
OTHERS, STOLEN = 0.1, 0.02  # of the cores
CROWDED = 0.5  # load average by core
SLOWER = 0.9  # of the fastest clock seen
HOT = 80.0  # °C, where a board tells no limit of its own; the soft limit of a Raspberry Pi
APART = 0.1  # repeats
DRIFT = 0.25  # stretches of one measurement
FEW_TICKS = 100
FEW_STEPS = 30  # in a stretch


def doubt_machine(watch: MachineWatch, timeline: Sequence[Moment]) -> Iterator[str]:
    """What the machine did to a measurement that the watch saw."""
    yield from _doubt_neighbours(watch)
    yield from doubt_clock(watch.root)
    yield from _doubt_throttling(watch, timeline)
    yield from doubt_heat(watch.root)
    yield from doubt_battery(watch.root)
    clocks = [moment.clock for moment in timeline if moment.clock is not None]
    if clocks and min(clocks) < SLOWER * max(clocks):
        yield (
            f"The clock went from {max(clocks) / 1e6:,.0f} down to {min(clocks) / 1e6:,.0f} MHz meanwhile; "
            "let the machine cool down or fix its clock, and measure again."
        )


def doubt_clock(root: Path = ROOT) -> Iterator[str]:
    """A governor other than "performance", and a highest clock below what the cores can do."""
    governors, caps = set(), set()
    for core in usable_cores():
        folder = root / CPU / f"cpu{core}/cpufreq"
        governors.add(read_text(folder / "scaling_governor"))
        allowed, possible = read_number(folder / "scaling_max_freq"), read_number(folder / "cpuinfo_max_freq")
        if allowed is not None and possible is not None and allowed < possible:
            caps.add((allowed, possible))
    others = sorted(name for name in governors if name and name != "performance")
    if others:
        yield (
            f"The frequency governor is {', '.join(others)}, so the clock follows the load and a step's time with it; "
            "for steady figures: echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor."
        )
    for allowed, possible in sorted(caps):
        yield f"The clock is capped at {allowed / 1e3:,.0f} of {possible / 1e3:,.0f} MHz (scaling_max_freq)."


def doubt_heat(root: Path = ROOT) -> Iterator[str]:
    """A processor at the temperature at which it is slowed down."""
    hottest, limit = read_hottest(root), _passive_limit(root)
    if hottest is not None and hottest >= (limit or HOT):
        yield f"The processor has {hottest:.0f} °C; from {limit or HOT:.0f} °C on it is slowed down: cool it."


def doubt_battery(root: Path = ROOT) -> Iterator[str]:
    """A machine that runs on its battery."""
    for supply in sorted(root.glob("sys/class/power_supply/*")):
        kind, status = read_text(supply / "type"), read_text(supply / "status")
        if kind == "Battery" and status == "Discharging":
            yield "The machine runs on its battery, which may lower its clock; measure with the mains connected."
            return


def doubt_figures(
    times: StepTimes,
) -> Iterator[str]:
    """Times that contradict each other."""
    repeats, stretches = times.repeats, [moment.p50 for moment in times.timeline]
    if times.is_contradictory:
        yield (
            f"Native runs took {median(times.native):,.0f} ns a step and the steps between them "
            f"{median(times.means):,.0f} ns from Python, which do more, so they are no measure of it: the machine was "
            "disturbed; measure longer (--duration) on an idle machine."
        )
    middles = [repeat.p50 for repeat in repeats]
    if max(middles) > (1 + APART) * min(middles):
        yield (
            f"The repeats' p50 lie {100 * (max(middles) / min(middles) - 1):.0f} % apart ({min(middles):,.0f} to "
            f"{max(middles):,.0f} ns): no single one of them is the step's time."
        )
    long_enough = len(times.samples) >= FEW_STEPS * len(stretches)
    if len(repeats) == 1 and long_enough and max(stretches) > (1 + DRIFT) * min(stretches):
        yield (
            f"Within the measurement the p50 went from {min(stretches):,.0f} to {max(stretches):,.0f} ns (timeline); "
            "--repeat tells whether it comes back."
        )


def doubt_readings(readings: Sequence[Reading], step: float) -> Iterator[str]:
    """Parts of a step that are longer than the step, `step` nanoseconds."""
    for item in readings:
        if item.name == "device time" and item.value is not None and item.value > step:
            yield f"The GPU's clock has {item.value:,.0f} ns for a launch, and a whole step took {step:,.0f} ns."


def doubt_paced(paced: Paced) -> Iterator[str]:
    """Paced figures that mean little."""
    if paced.step.count < FEW_TICKS:
        yield (
            f"The p99 of the paced steps is from {paced.step.count} ticks; "
            f"{FEW_TICKS / paced.rate:.0f} s (--duration) would have {FEW_TICKS}."
        )
    if paced.missed:
        yield f"{paced.missed:,} of {paced.step.count:,} paced ticks were not ready when the next one was due."


def doubt_energy(energy: Energy) -> Iterator[str]:
    """Energies that are no more than the error of the measurement."""
    if energy.busy_watts <= energy.idle_watts:
        yield (
            f"The machine took {energy.busy_watts:.3g} W while stepping and {energy.idle_watts:.3g} W when idle: the "
            "sensor does not see the processor, or others used it meanwhile."
        )
    elif energy.error > 0.5 * energy.joules_per_step:
        yield "The energy of a step is known to within half of it or worse; measure longer (--duration)."


def _doubt_neighbours(watch: MachineWatch) -> Iterator[str]:
    cores, usage = len(usable_cores()), watch.others()
    if usage is not None and usage[0] > OTHERS * cores:
        yield (
            f"Others used {usage[0]:.1f} of the {cores} cores meanwhile; percentiles and maxima are partly theirs: "
            "end what else runs."
        )
    if usage is not None and usage[1] > STOLEN * cores:
        yield f"A hypervisor gave {100 * usage[1] / cores:.0f} % of the cores' time to others (steal)."
    if watch.load is not None and watch.load > CROWDED * cores:
        yield f"The load of the machine was {watch.load:.1f} on {cores} cores before the first step was timed."


def _doubt_throttling(watch: MachineWatch, timeline: Sequence[Moment]) -> Iterator[str]:
    slowed = sum(moment.throttled is True for moment in timeline)
    if not slowed:
        return
    reading = read_throttling(watch.root)[0]
    why = reading.note if reading.unit == "bits" else "a thermal governor" if is_capped(watch.root) else "heat or power"
    yield f"The processor was slowed down in {slowed} of {len(timeline)} stretches ({why}); cool it, or feed it better."


def _passive_limit(root: Path) -> float | None:
    """The lowest temperature in °C at which the kernel slows the processor down; None where no zone tells."""
    limits = [
        read_number(kind.with_name(kind.name.replace("_type", "_temp")))
        for kind in root.glob("sys/class/thermal/thermal_zone*/trip_point_*_type")
        if read_text(kind) == "passive"
    ]
    return min((limit / 1000 for limit in limits if limit), default=None)
