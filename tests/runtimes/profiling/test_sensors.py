"""What boards show in /sys and through vcgencmd is read right, and what they hide is said to be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from astroedge.runtimes.profiling.sensors import (
    EnergyCounter,
    describe_machine,
    read_power,
    read_temperatures,
    read_throttling,
)
from tests.support.machine_files import install_vcgencmd, put


def test_a_machine_that_shows_nothing_gives_reasons_instead_of_numbers(tmp_path: Path) -> None:
    """An empty /sys yields readings labelled unavailable, each with a reason, and never a zero."""
    readings = (
        *read_temperatures(tmp_path),
        *read_throttling(tmp_path),
        read_power(tmp_path),
        EnergyCounter(tmp_path).read(),
    )
    assert len(readings) == 4
    for reading in readings:
        assert reading.label == "unavailable"
        assert reading.value is None
        assert len(reading.note) > 10


def test_hwmon_is_found_by_its_name_and_not_by_its_number(tmp_path: Path) -> None:
    """The processor's hwmon counts wherever it stands; a disk's does not."""
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "nvme\n")
    put(tmp_path, "sys/class/hwmon/hwmon0/temp1_input", "31000\n")
    put(tmp_path, "sys/class/hwmon/hwmon3/name", "coretemp\n")
    put(tmp_path, "sys/class/hwmon/hwmon3/temp1_input", "54500\n")
    put(tmp_path, "sys/class/hwmon/hwmon3/temp1_label", "Package id 0\n")
    (reading,) = read_temperatures(tmp_path)
    assert (reading.name, reading.value, reading.unit, reading.label) == (
        "temperature coretemp Package id 0",
        54.5,
        "°C",
        "measured",
    )


def test_thermal_zones_are_chosen_by_their_type(tmp_path: Path) -> None:
    """A Raspberry Pi's cpu-thermal is read; a battery's zone and a zone that cannot be read are not."""
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "48686\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/type", "battery\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "25000\n")
    put(tmp_path, "sys/class/thermal/thermal_zone2/type", "cpu1-thermal\n")
    (reading,) = read_temperatures(tmp_path)
    assert reading.name == "temperature cpu-thermal"
    assert reading.value == pytest.approx(48.686)


def test_the_throttling_bits_of_a_raspberry_pi_are_put_into_words(tmp_path: Path) -> None:
    """0x50005 is under-voltage and throttled, now and since boot."""
    install_vcgencmd(tmp_path, {"get_throttled": "throttled=0x50005"})
    (reading,) = read_throttling(tmp_path)
    assert reading.value == 0x50005
    assert reading.label == "measured"
    assert reading.note == "now: under-voltage, throttled; since boot: under-voltage, throttled"


def test_bits_since_boot_are_not_reported_as_present(tmp_path: Path) -> None:
    """0xE0000 is history only: nothing limits the board now."""
    install_vcgencmd(tmp_path, {"get_throttled": "throttled=0xe0000"})
    (reading,) = read_throttling(tmp_path)
    assert reading.note == "now: none; since boot: frequency capped, throttled, soft temperature limit"


def test_throttle_events_of_x86_cores_are_added_up(tmp_path: Path) -> None:
    """Two cores with 3 and 4 events make 7."""
    for core, count in enumerate((3, 4)):
        put(tmp_path, f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count", f"{count}\n")
    (reading,) = read_throttling(tmp_path)
    assert (reading.value, reading.unit) == (7, "events")


def put_ina3221(root: Path, rails: dict[int, tuple[str, int, int]]) -> None:
    """An INA3221 as current Jetsons show it: channel → label, mV, mA."""
    put(root, "sys/bus/i2c/devices/1-0040/name", "ina3221\n")
    for channel, (label, millivolts, milliamperes) in rails.items():
        folder = "sys/bus/i2c/devices/1-0040/hwmon/hwmon4"
        put(root, f"{folder}/in{channel}_label", label + "\n")
        put(root, f"{folder}/in{channel}_input", f"{millivolts}\n")
        put(root, f"{folder}/curr{channel}_input", f"{milliamperes}\n")


def test_a_jetsons_board_input_is_its_total(tmp_path: Path) -> None:
    """VDD_IN is the whole board; the rails behind it are parts of it and are not added."""
    put_ina3221(tmp_path, {1: ("VDD_IN", 5000, 1200), 2: ("VDD_CPU_GPU_CV", 5000, 400), 3: ("VDD_SOC", 5000, 300)})
    reading = read_power(tmp_path)
    assert reading.value == pytest.approx(6.0)
    assert reading.label == "measured"
    assert "VDD_IN" in reading.note


def test_jetson_rails_are_added_without_the_unconnected_and_the_chips_own_sum(tmp_path: Path) -> None:
    """Without a board input the rails are summed; NC and channel 7 are left out."""
    put_ina3221(
        tmp_path,
        {1: ("VDD_GPU_SOC", 12000, 500), 2: ("VDD_CPU_CV", 12000, 250), 3: ("NC", 12000, 900), 7: ("sum", 1, 9000000)},
    )
    assert read_power(tmp_path).value == pytest.approx(9.0)


def test_an_older_jetson_shows_its_rails_through_iio(tmp_path: Path) -> None:
    """JetPack 4 has in_powerN_input in mW, with POM_5V_IN for the whole board."""
    folder = "sys/bus/i2c/devices/6-0040/iio:device0"
    put(tmp_path, "sys/bus/i2c/devices/6-0040/name", "ina3221x\n")
    for channel, (label, milliwatts) in enumerate((("POM_5V_IN", 2400), ("POM_5V_GPU", 120), ("POM_5V_CPU", 480))):
        put(tmp_path, f"{folder}/rail_name_{channel}", label)
        put(tmp_path, f"{folder}/in_power{channel}_input", f"{milliwatts}\n")
    assert read_power(tmp_path).value == pytest.approx(2.4)


@pytest.mark.parametrize(
    "lines",
    [
        "     VDD_CORE_A current(7)=2.00000000A\n      3V3_SYS_A current(1)=0.10000000A\n"
        "     VDD_CORE_V volt(15)=0.75000000V\n      3V3_SYS_V volt(9)=3.30000000V\n        EXT5V_V volt(24)=5.1V",
        "VDD_CORE_A=2.0A\n3V3_SYS_A=0.1A\nVDD_CORE_V=0.75V\n3V3_SYS_V=3.3V\nEXT5V_V=5.1V",
    ],
    ids=["numbered", "short"],
)
def test_a_raspberry_pi_5s_power_is_an_estimate_from_both_formats(tmp_path: Path, lines: str) -> None:
    """(0.75 · 2 + 3.3 · 0.1) · 1.1451 + 0.5879 W, labelled estimated; a voltage without a current does not count."""
    install_vcgencmd(tmp_path, {"pmic_read_adc": lines})
    reading = read_power(tmp_path)
    assert reading.value == pytest.approx(1.83 * 1.1451 + 0.5879)
    assert reading.label == "estimated"


def test_a_raspberry_pi_4_has_no_power_sensor(tmp_path: Path) -> None:
    """A vcgencmd that refuses pmic_read_adc leaves the power unavailable."""
    install_vcgencmd(tmp_path, {"get_throttled": "throttled=0x0"})
    assert read_power(tmp_path).label == "unavailable"


def put_rapl(root: Path, domain: str, name: str, microjoules: int) -> None:
    """A RAPL domain whose counter wraps at 1000 µJ."""
    put(root, f"sys/class/powercap/{domain}/name", name + "\n")
    put(root, f"sys/class/powercap/{domain}/energy_uj", f"{microjoules}\n")
    put(root, f"sys/class/powercap/{domain}/max_energy_range_uj", "1000\n")


def test_rapl_adds_packages_once_and_follows_a_wrap(tmp_path: Path) -> None:
    """Two packages count, one of them across its wrap; core and psys, which overlap them, do not."""
    start = {"0": ("package-0", 900), "0:0": ("core", 10), "1": ("package-1", 100), "2": ("psys", 5)}
    end = {"0": 150, "0:0": 500, "1": 300, "2": 900}
    for domain, (name, value) in start.items():
        put_rapl(tmp_path, f"intel-rapl:{domain}", name, value)
    counter = EnergyCounter(tmp_path)
    for domain, value in end.items():
        put(tmp_path, f"sys/class/powercap/intel-rapl:{domain}/energy_uj", f"{value}\n")
    reading = counter.read()
    assert reading.value == pytest.approx((250 + 200) * 1e-6)
    assert reading.label == "measured"


def test_an_unreadable_rapl_counter_is_explained(tmp_path: Path) -> None:
    """A package whose counter cannot be read is unavailable because only root may read it."""
    put(tmp_path, "sys/class/powercap/intel-rapl:0/name", "package-0\n")
    assert "root" in EnergyCounter(tmp_path).read().note


def test_the_machine_is_described_from_its_own_files(tmp_path: Path) -> None:
    """A Raspberry Pi's device tree name (NUL-terminated), ARM part number and governor are in the description."""
    put(tmp_path, "proc/cpuinfo", "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n")
    put(tmp_path, "proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    machine = describe_machine(tmp_path)
    assert machine["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine["cpu"] == "ARM implementer 0x41 part 0xd08"
    assert machine["governor"] == "ondemand"
    assert int(machine["cores"]) >= 1
