"""What a board says about itself: its processor, temperatures, throttling, power and energy, each with its standing.

Everything is read from files of Linux (`root` is where they start, "/" but for tests) and, on a Raspberry Pi, from its
`vcgencmd`. What the system does not show is reported as unavailable with the reason, never guessed. Sources: the
kernel's thermal, hwmon, powercap and cpufreq documentation, Raspberry Pi's `vcgencmd`, NVIDIA's Jetson power guide.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from astroedge.step_profile import Reading

ROOT = Path("/")
RAPL_REFUSED = (
    "RAPL counters are readable by root only since Linux 5.10: be root, or let "
    "sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj show them to everybody"
)
CPU_ZONE = re.compile(r"cpu|pkg|soc|^tj|acpitz", re.IGNORECASE)  # thermal zone types that follow the processor
CPU_HWMON = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal")
THROTTLE_BITS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
PI5_SLOPE, PI5_OFFSET = 1.1451, 0.5879  # published fit from the sum over the Pi 5's rails to what its plug draws, W
# "VDD_CORE_A current(7)=1.5742A" or, from other firmware, "VDD_CORE_A=1.5742A".
ADC_LINE = re.compile(r"(\w+)_([AV])(?:\s+\w+\(\d+\))?=([0-9.]+)[AV]")


def describe_machine(root: Path = ROOT) -> dict[str, str]:
    """Board, processor, architecture, cores this process may use, frequency governor, kernel and Python, as text."""
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "board": read_text(root / "proc/device-tree/model")
        or read_text(root / "sys/class/dmi/id/product_name")
        or "unknown",
        "cpu": _cpu_model(root),
        "architecture": platform.machine(),
        "cores": str(len(cpus)),
        "governor": read_governor(root) or "not shown",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def read_governor(root: Path = ROOT) -> str | None:
    """The frequency governor of the first core; None where none is shown."""
    return read_text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or None


def read_temperatures(root: Path = ROOT) -> tuple[Reading, ...]:
    """Temperature in °C of every processor sensor: hwmon by its name, thermal zones by their type."""
    found = [*_hwmon_temperatures(root), *_zone_temperatures(root)]
    reason = "no thermal zone or hwmon of a processor in /sys; virtual machines and containers usually hide them"
    return tuple(found) or (Reading.unavailable("temperature", "°C", reason),)


def read_throttling(root: Path = ROOT) -> tuple[Reading, ...]:
    """Whether the processor is or was slowed down.

    On a Raspberry Pi the bits of `vcgencmd get_throttled`: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
    temperature limit, the same + 16 since boot. On x86 how many times the cores were throttled since boot.
    """
    output = _vcgencmd(root, "get_throttled")
    bits = re.fullmatch(r"throttled=(0x[0-9a-fA-F]+)", output or "")
    if bits:
        value = int(bits.group(1), 16)
        return (Reading("throttling", float(value), "bits", "measured", _explain_throttling(value)),)
    counts = [
        read_number(path)
        for path in _glob(root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count")
    ]
    if counts and None not in counts:
        total = sum(count for count in counts if count is not None)
        return (Reading("throttling", total, "events", "measured", "summed over the cores, since boot"),)
    return (Reading.unavailable("throttling", "", "neither vcgencmd nor core_throttle_count on this system"),)


def read_power(root: Path = ROOT) -> Reading:
    """What the board draws now, in W: a Jetson's INA3221 or iio, or a Raspberry Pi 5's PMIC (an estimate)."""
    for source in (_ina3221_power, _iio_power, _pmic_power):
        reading = source(root)
        if reading is not None:
            return reading
    return Reading.unavailable("power", "W", "no INA3221, in_power or Raspberry Pi 5 PMIC on this system")


class EnergyCounter:
    """The processor package's energy counters (RAPL) between construction, or the last `read`, and `read`.

    Packages are added up; their sub-domains are parts of them and the platform domain (psys) contains them, so both
    are left out.
    """

    def __init__(self, root: Path = ROOT) -> None:
        """Note where every package's counter stands."""
        self._packages = [
            path
            for path in _glob(root, "sys/class/powercap/intel-rapl:*")
            if (read_text(path / "name") or "").startswith("package")
        ]
        self._start = [read_number(path / "energy_uj") for path in self._packages]

    def read(self) -> Reading:
        """Energy in J since then, of all packages together; a counter that wrapped around once is followed."""
        if not self._packages:
            return Reading.unavailable("energy", "J", "no RAPL package counters in /sys/class/powercap")
        total, now = 0.0, [read_number(path / "energy_uj") for path in self._packages]
        for path, start, end in zip(self._packages, self._start, now, strict=True):
            wrap = read_number(path / "max_energy_range_uj")
            if start is None or end is None or wrap is None:
                return Reading.unavailable("energy", "J", RAPL_REFUSED)
            total += end - start if end >= start else end - start + wrap
        self._start = now
        return Reading(
            "energy", total * 1e-6, "J", "measured", "RAPL packages: everything that ran on them, idle power included"
        )


def _hwmon_temperatures(root: Path) -> Iterator[Reading]:
    for device in _glob(root, "sys/class/hwmon/hwmon*"):
        name = read_text(device / "name")
        if name not in CPU_HWMON:
            continue
        for path in sorted(device.glob("temp*_input")):
            value = read_number(path)
            label = read_text(path.with_name(path.name.replace("_input", "_label"))) or path.name.removesuffix("_input")
            if value is not None:
                yield Reading(f"temperature {name} {label}", value / 1000, "°C", "measured", "hwmon")


def _zone_temperatures(root: Path) -> Iterator[Reading]:
    for zone in _glob(root, "sys/class/thermal/thermal_zone*"):
        kind, value = read_text(zone / "type"), read_number(zone / "temp")
        if kind and value is not None and CPU_ZONE.search(kind):
            yield Reading(f"temperature {kind}", value / 1000, "°C", "measured", zone.name)


def _explain_throttling(bits: int) -> str:
    now = [text for bit, text in THROTTLE_BITS.items() if bits >> bit & 1]
    before = [text for bit, text in THROTTLE_BITS.items() if bits >> (bit + 16) & 1]
    return f"now: {', '.join(now) or 'none'}; since boot: {', '.join(before) or 'none'}"


def _ina3221_power(root: Path) -> Reading | None:
    """Σ V·I over the INA3221 channels, or the one channel that is the board's whole input."""
    rails: dict[str, float] = {}
    for device in _glob(root, "sys/bus/i2c/devices/*"):
        if "ina3221" not in (read_text(device / "name") or ""):
            continue
        for label_path in sorted(device.glob("hwmon/hwmon*/in*_label")):
            channel = label_path.name.removeprefix("in").removesuffix("_label")
            label = read_text(label_path) or ""
            millivolts = read_number(label_path.with_name(f"in{channel}_input"))
            milliamperes = read_number(label_path.with_name(f"curr{channel}_input"))
            # Channel 7 is the chip's own sum of shunt voltages, and NC marks a rail that is not connected.
            if channel != "7" and "NC" not in label and millivolts is not None and milliamperes is not None:
                rails[f"{device.name} {label}"] = millivolts * milliamperes * 1e-6
    return _total_power(rails, "INA3221")


def _iio_power(root: Path) -> Reading | None:
    """The INA3221 as JetPack 4 and older show it: mW by rail."""
    rails: dict[str, float] = {}
    for path in _glob(root, "sys/bus/i2c/devices/*/iio:device*/in_power[0-9]*_input"):
        channel = path.name.removeprefix("in_power").removesuffix("_input")
        label, milliwatts = read_text(path.with_name(f"rail_name_{channel}")) or path.name, read_number(path)
        if "NC" not in label and milliwatts is not None:
            rails[f"{path.parent.name} {label}"] = milliwatts * 1e-3
    return _total_power(rails, "INA3221 (iio)")


def _total_power(rails: dict[str, float], source: str) -> Reading | None:
    if not rails:
        return None
    for name, watts in rails.items():
        if name.endswith((" VDD_IN", " POM_5V_IN")):
            return Reading("power", watts, "W", "measured", f"{source}, {name.split()[-1]}: the whole board")
    return Reading("power", sum(rails.values()), "W", "measured", f"{source}, sum of {len(rails)} rails")


def _pmic_power(root: Path) -> Reading | None:
    """Σ V·I over the Raspberry Pi 5's rails, corrected by a published fit; `vcgencmd` prints one of two formats."""
    output = _vcgencmd(root, "pmic_read_adc") or ""
    volts: dict[str, float] = {}
    amperes: dict[str, float] = {}
    for rail, quantity, number in ADC_LINE.findall(output):
        (volts if quantity == "V" else amperes)[rail] = float(number)
    rails = volts.keys() & amperes.keys()
    if not rails:
        return None
    watts = sum(volts[rail] * amperes[rail] for rail in rails) * PI5_SLOPE + PI5_OFFSET
    return Reading("power", watts, "W", "estimated", f"PMIC, {len(rails)} rails × {PI5_SLOPE} + {PI5_OFFSET} W (fit)")


def _cpu_model(root: Path) -> str:
    """The processor's name from /proc/cpuinfo, in the words x86 ("model name") or ARM ("CPU part") use there."""
    lines = (read_text(root / "proc/cpuinfo") or "").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return f"ARM implementer {fields.get('CPU implementer', '?')} part {fields['CPU part']}"
    return platform.processor() or "unknown"


def _vcgencmd(root: Path, command: str) -> str | None:
    """What the Raspberry Pi's firmware answers, None where the tool is missing or refuses."""
    tool = root / "usr/bin/vcgencmd"
    if not tool.is_file():
        return None
    try:
        done = subprocess.run([str(tool), command], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _glob(root: Path, pattern: str) -> list[Path]:
    return sorted(root.glob(pattern))


def read_text(path: Path) -> str | None:
    """A file's text without the trailing newline or NUL (device tree), None when it cannot be read."""
    try:
        return path.read_text(errors="replace").strip("\0\n \t")
    except OSError:
        return None


def read_number(path: Path) -> float | None:
    """The number in a file, None when there is none to be read."""
    try:
        return float(read_text(path) or "")
    except ValueError:
        return None
