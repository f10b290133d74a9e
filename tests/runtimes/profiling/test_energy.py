"""The energy of a step from known watts is exactly what arithmetic says, whatever tells the watts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import sleep, time

import pytest

from astroedge.profile_parts import Energy
from astroedge.runtimes.profiling.doubts import doubt_energy
from astroedge.runtimes.profiling.energy import as_reading, energy_of, measure_energy
from astroedge.runtimes.profiling.meter import MeterFile
from astroedge.runtimes.profiling.power_sources import PowerSample, PowerSource, find_source
from astroedge.step_profile import Reading
from tests.support.machine_files import install_vcgencmd, put


class Recorded(PowerSource):
    """A source whose samples were taken already."""

    def collect(self, stop: Event, samples: list[PowerSample]) -> None:
        """Nothing more comes."""


def samples(*watts: float) -> list[PowerSample]:
    """One reading a second."""
    return [PowerSample(float(second), float(second), value) for second, value in enumerate(watts)]


def collect_until(source: PowerSource, enough: Callable[[list[PowerSample]], bool]) -> list[PowerSample]:
    """What a source collects in its thread until it is enough."""
    stop, found = Event(), list[PowerSample]()
    thread = Thread(target=source.collect, args=(stop, found), daemon=True)
    thread.start()
    for _ in range(3000):
        if enough(found):
            break
        sleep(0.01)
    stop.set()
    thread.join()
    assert enough(found)
    return found


def test_energy_is_the_power_above_idle_over_the_steps() -> None:
    """(6 − 2) W for 10 s in 1,000 steps are 40 mJ a step, without an error where nothing varies."""
    energy = energy_of(samples(2, 2, 2), samples(6, 6, 6), samples(2, 2, 2), 10.0, 1000, Recorded())
    assert (energy.joules_per_step, energy.error) == (0.04, 0.0)
    assert (energy.idle_watts, energy.busy_watts, energy.seconds, energy.steps) == (2, 6, 10, 1000)


def test_the_error_has_the_spread_and_the_drift_of_the_idle_power() -> None:
    """Busy 5 and 7 W in turns, or twice each, which is half as many readings; idle 2 W before and 3 W after."""
    varied = energy_of(samples(2, 2, 2), samples(5, 7, 5, 7), samples(2, 2, 2), 1.0, 1, Recorded())
    assert varied.error == pytest.approx((4 / 3) ** 0.5 / 2)
    stale = energy_of(samples(2, 2, 2), samples(5, 5, 7, 7), samples(2, 2, 2), 1.0, 1, Recorded())
    assert stale.error == pytest.approx((4 / 3) ** 0.5 / 2**0.5)
    drifted = energy_of(samples(2, 2, 2), samples(6, 6, 6), samples(3, 3, 3), 1.0, 1, Recorded())
    assert (drifted.joules_per_step, drifted.error) == (3.5, 0.5)


def test_a_meters_file_gives_the_energy_of_its_watts(tmp_path: Path) -> None:
    """Rows of 2 W at rest and 6 W while 50 steps are made: exactly 4 W over the time of the steps, by 50."""
    path = tmp_path / "power.csv"
    path.write_text("time,watts\n")

    def write(watts: float) -> None:
        for _ in range(4):
            sleep(0.002)
            with path.open("a") as file:
                file.write(f"{time()!r},{watts}\n")
        sleep(0.002)

    def spend(seconds: float) -> int:
        write(6.0)
        return 50

    found = measure_energy(
        MeterFile(str(path), patience=0.0), spend, 1.0, rest=lambda seconds: write(2.0), settling=0.0
    )
    assert isinstance(found, Energy)
    assert found.joules_per_step == 4.0 * found.seconds / 50
    assert (found.idle_watts, found.busy_watts, found.error) == (2.0, 6.0, 0.0)
    assert (found.label, found.sensor) == ("measured", "external meter, power.csv")
    assert as_reading(found).value == found.joules_per_step


def test_rows_of_another_time_are_told(tmp_path: Path) -> None:
    """A file whose rows are an hour old gives no energy but the numbers of readings there were."""
    path = tmp_path / "power.csv"
    path.write_text("".join(f"{time() - 3600 + second},1,2\n" for second in range(20)))
    found = measure_energy(
        MeterFile(str(path), patience=0.0), lambda seconds: 1, 1.0, rest=lambda seconds: None, settling=0.0
    )
    assert isinstance(found, Reading)
    assert found.label == "unavailable"
    assert "0, 0, 0 readings" in found.note


def test_what_a_source_raises_is_raised_where_it_was_asked(tmp_path: Path) -> None:
    """A meter's file that vanishes meanwhile is not passed over in its thread."""
    path = tmp_path / "power.csv"
    path.write_text("")
    source = MeterFile(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError):
        measure_energy(source, lambda seconds: 1, 1.0, rest=lambda seconds: None)


def test_a_jetsons_rails_are_polled(tmp_path: Path) -> None:
    """5 V at 1.2 A of VDD_IN are 6 W in every reading, named with its rail."""
    put(tmp_path, "sys/bus/i2c/devices/1-0040/name", "ina3221\n")
    folder = "sys/bus/i2c/devices/1-0040/hwmon/hwmon4"
    for name, text in (("in1_label", "VDD_IN"), ("in1_input", "5000"), ("curr1_input", "1200")):
        put(tmp_path, f"{folder}/{name}", text + "\n")
    source = find_source(tmp_path, hertz=200.0)
    assert isinstance(source, PowerSource)
    assert source.sensor == "INA3221, VDD_IN: the whole board"
    found = collect_until(source, lambda found: len(found) >= 3)
    assert {round(sample.watts, 9) for sample in found} == {6.0}
    assert all(sample.start <= sample.end for sample in found)


def test_a_raspberry_pis_pmic_is_an_estimate(tmp_path: Path) -> None:
    """Its power is corrected by a fit, so the energy is estimated too."""
    install_vcgencmd(tmp_path, {"pmic_read_adc": "VDD_CORE_A=2.0A\nVDD_CORE_V=0.75V"})
    source = find_source(tmp_path)
    assert isinstance(source, PowerSource)
    assert source.label == "estimated"


def test_the_processors_counters_lose_no_energy(tmp_path: Path) -> None:
    """Power times time of all samples is what the counter grew by, across its wrap: 500 + 700 µJ."""
    folder = tmp_path / "sys/class/powercap/intel-rapl:0"
    put(folder, "name", "package-0\n")
    put(folder, "max_energy_range_uj", "1000\n")
    put(folder, "energy_uj", "400\n")
    source = find_source(tmp_path, hertz=500.0)
    assert isinstance(source, PowerSource)
    assert source.sensor.startswith("RAPL")

    def joules(found: list[PowerSample]) -> float:
        return sum(sample.watts * (sample.end - sample.start) for sample in found)

    put(folder, "energy_uj", "900\n")
    collect_until(source, lambda found: joules(found) == pytest.approx(500e-6))
    put(folder, "energy_uj", "600\n")
    collect_until(source, lambda found: joules(found) == pytest.approx(700e-6))


def test_counters_that_only_root_may_read_are_explained(tmp_path: Path) -> None:
    """Without sensors and with a counter that cannot be read, the reason and the cure are in the reading."""
    put(tmp_path, "sys/class/powercap/intel-rapl:0/name", "package-0\n")
    reading = find_source(tmp_path)
    assert isinstance(reading, Reading)
    assert "no INA3221" in reading.note
    assert "chmod a+r" in reading.note


def test_an_energy_that_is_no_more_than_its_error_is_doubted() -> None:
    """Power that does not rise, and an error of more than half; a clear one is not doubted."""
    found = Energy(0.04, 0.001, 2.0, 6.0, 10.0, "meter", "measured", 1000)
    assert list(doubt_energy(found)) == []
    assert len(list(doubt_energy(Energy(-0.01, 0.001, 2.0, 1.9, 10.0, "meter", "measured", 1000)))) == 1
    assert len(list(doubt_energy(Energy(0.04, 0.03, 2.0, 6.0, 10.0, "meter", "measured", 1000)))) == 1
