"""Warnings: each is raised by what it is about and by nothing else, from files of a machine that is not this one."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from astroedge.profile_parts import Moment, Repeat
from astroedge.runtimes.profiling import machine_watch
from astroedge.runtimes.profiling.doubts import (
    doubt_battery,
    doubt_clock,
    doubt_figures,
    doubt_heat,
    doubt_machine,
    doubt_readings,
)
from astroedge.runtimes.profiling.machine_watch import MachineWatch, usable_cores
from astroedge.runtimes.profiling.time_steps import StepTimes
from astroedge.step_profile import Reading
from tests.support.machine_files import install_vcgencmd, put

CPU = "sys/devices/system/cpu/cpu{}/cpufreq/{}"


def put_clock(root: Path, **files: str) -> None:
    """The same cpufreq files for every core that this process may use."""
    for core in usable_cores():
        for name, text in files.items():
            put(root, CPU.format(core, name), text + "\n")


def put_usage(root: Path, busy: float, stolen: float = 0.0) -> None:
    """Processor time of all cores since boot in seconds, as /proc/stat has it."""
    hertz = machine_watch.os.sysconf("SC_CLK_TCK")
    put(root, "proc/stat", f"cpu  {int(busy * hertz)} 0 0 5 6 0 0 {int(stolen * hertz)} 0 0\ncpu0 1 2 3\n")


def moments(*p50: float, clock: float | None = None, throttled: bool | None = None) -> list[Moment]:
    """Stretches with these p50."""
    return [Moment(float(t), value, value, clock, None, throttled, None) for t, value in enumerate(p50)]


def times(means: list[float], native: list[float], p50: list[float], stretches: list[float]) -> StepTimes:
    """What was timed, with plenty of samples."""
    repeats = [Repeat(value, value, value) for value in p50]
    samples = array("q", [100] * 1000)
    return StepTimes(samples, means, native, repeats, moments(*stretches))


def test_a_machine_that_shows_nothing_raises_no_warning(tmp_path: Path) -> None:
    """What the system hides is no reason to doubt."""
    assert list(doubt_machine(MachineWatch(tmp_path), moments(100, 110))) == []


def test_a_quiet_machine_raises_no_warning(tmp_path: Path) -> None:
    """The performance governor at its full clock, mains power, a cool processor and idle cores."""
    put_clock(tmp_path, scaling_governor="performance", scaling_max_freq="1800000", cpuinfo_max_freq="1800000")
    put(tmp_path, "sys/class/power_supply/BAT0/type", "Battery\n")
    put(tmp_path, "sys/class/power_supply/BAT0/status", "Full\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48000\n")
    put(tmp_path, "proc/loadavg", "0.01 0.02 0.03 1/100 7\n")
    put_usage(tmp_path, 10)
    install_vcgencmd(tmp_path, {"get_throttled": "throttled=0xe0000"})
    watch = MachineWatch(tmp_path)
    assert list(doubt_machine(watch, [watch.moment([100]), watch.moment([100])])) == []


def test_others_on_the_cores_are_told_by_their_time(tmp_path: Path) -> None:
    """Processor time that is not this process's own, and what a hypervisor took, are warned of; so is the load."""
    put_usage(tmp_path, 10)
    put(tmp_path, "proc/loadavg", f"{len(usable_cores()) * 2}.5 0.02 0.03 1/100 7\n")
    watch = MachineWatch(tmp_path)
    put_usage(tmp_path, 10_000, stolen=500)
    text = " ".join(doubt_machine(watch, []))
    assert "Others used" in text
    assert "steal" in text
    assert "The load of the machine was" in text


def test_a_governor_and_a_cap_are_named(tmp_path: Path) -> None:
    """ondemand is named with the command against it, a lower highest clock with both clocks."""
    put_clock(tmp_path, scaling_governor="ondemand", scaling_max_freq="1200000", cpuinfo_max_freq="1800000")
    governor, cap = doubt_clock(tmp_path)
    assert "ondemand" in governor
    assert "1,200 of 1,800 MHz" in cap


def test_a_clock_that_fell_is_told(tmp_path: Path) -> None:
    """From 1.8 to 1.5 GHz is worth a warning, from 1.8 to 1.75 none."""
    watch = MachineWatch(tmp_path)
    for slow, expected in ((1.5e9, 1), (1.75e9, 0)):
        timeline = moments(1, clock=1.8e9) + moments(1, clock=slow)
        assert len(list(doubt_machine(watch, timeline))) == expected


def test_the_clock_of_a_moment_is_that_of_the_fastest_core(tmp_path: Path) -> None:
    """kHz of cpufreq become Hz; temperature and load are read as well."""
    put_clock(tmp_path, scaling_cur_freq="1800000")
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61500\n")
    put(tmp_path, "proc/loadavg", "0.25 0.02 0.03 1/100 7\n")
    moment = MachineWatch(tmp_path).moment([5, 1, 3])
    assert (moment.p50, moment.max) == (3, 5)
    assert (moment.clock, moment.temperature, moment.throttled, moment.load) == (1.8e9, 61.5, None, 0.25)


def test_throttling_now_is_warned_of_and_history_is_not(tmp_path: Path) -> None:
    """A Raspberry Pi's under-voltage now is named; on x86 only events since the start count."""
    install_vcgencmd(tmp_path, {"get_throttled": "throttled=0x50005"})
    watch = MachineWatch(tmp_path)
    (warning,) = doubt_machine(watch, [watch.moment([1])])
    assert "under-voltage" in warning
    x86 = tmp_path / "x86"
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    put(x86, count, "7\n")
    watch = MachineWatch(x86)
    assert watch.throttled() is False
    put(x86, count, "9\n")
    assert watch.throttled() is True


def test_a_cooling_device_at_work_is_throttling(tmp_path: Path) -> None:
    """The kernel's cpufreq cooling device holds the clock down while its state is above 0; a fan does not."""
    put(tmp_path, "sys/class/thermal/cooling_device0/type", "pwm-fan\n")
    put(tmp_path, "sys/class/thermal/cooling_device0/cur_state", "3\n")
    assert MachineWatch(tmp_path).throttled() is None
    put(tmp_path, "sys/class/thermal/cooling_device1/type", "cpufreq-cpu0\n")
    put(tmp_path, "sys/class/thermal/cooling_device1/cur_state", "2\n")
    assert MachineWatch(tmp_path).throttled() is True


@pytest.mark.parametrize(("degrees", "warned"), [(68, False), (71, True)])
def test_heat_is_judged_by_the_boards_own_limit(tmp_path: Path, degrees: int, warned: bool) -> None:
    """A passive trip point at 70 °C is the limit, not the 80 °C of boards that tell none."""
    zone = "sys/class/thermal/thermal_zone0"
    put(tmp_path, f"{zone}/type", "cpu-thermal\n")
    put(tmp_path, f"{zone}/temp", f"{degrees}000\n")
    put(tmp_path, f"{zone}/trip_point_0_type", "passive\n")
    put(tmp_path, f"{zone}/trip_point_0_temp", "70000\n")
    assert bool(list(doubt_heat(tmp_path))) is warned


def test_a_battery_that_empties_is_told_once(tmp_path: Path) -> None:
    """Two batteries that discharge are one warning."""
    for name in ("BAT0", "BAT1"):
        put(tmp_path, f"sys/class/power_supply/{name}/type", "Battery\n")
        put(tmp_path, f"sys/class/power_supply/{name}/status", "Discharging\n")
    assert len(list(doubt_battery(tmp_path))) == 1


def test_figures_that_agree_are_not_doubted() -> None:
    """Native steps at most as long as those from Python, repeats and stretches close together."""
    assert list(doubt_figures(times([100, 104], [90, 103], [100, 105], [100, 110]))) == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (times([100, 100], [120, 120], [100], [100]), "Native runs took 120"),
        (times([100, 100], [90, 90], [100, 112], [100]), "12 % apart"),
        (times([100, 100], [90, 90], [100], [100, 130]), "timeline"),
    ],
    ids=["native", "repeats", "drift"],
)
def test_figures_that_contradict_each_other_are_told(found: StepTimes, word: str) -> None:
    """A native step longer than one from Python, repeats that lie apart, a drift within one measurement."""
    (warning,) = doubt_figures(found)
    assert word in warning
    assert (found.native_timing() is None) is ("Native" in word)


def test_a_few_steps_have_no_drift() -> None:
    """Stretches of single steps lie apart without meaning anything."""
    found = times([100, 100], [90, 90], [100], [100, 130])
    found.samples = found.samples[:10]
    assert list(doubt_figures(found)) == []


def test_a_part_longer_than_the_whole_is_told() -> None:
    """A launch by the GPU's own clock cannot take longer than the step that waits for it."""
    reading = Reading("device time", 900.0, "ns", "measured")
    assert len(list(doubt_readings([reading], 800.0))) == 1
    assert list(doubt_readings([reading], 1000.0)) == []
