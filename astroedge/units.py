"""Times, sizes and shares as people read them, with the unit that fits."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes for people: 512 B, 4.2 kB, 1.7 MB; powers of 1000."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError


def percent(fraction: float) -> str:
    """A fraction as a percentage with two significant digits below 10 %."""
    return f"{100 * fraction:.2g} %" if fraction < 0.0995 else f"{100 * fraction:.0f} %"


def duration(nanoseconds: float) -> str:
    """A time with its fitting unit: 350 ns, 12.3 µs, 1.20 ms."""
    value = nanoseconds
    for unit in ("ns", "µs", "ms", "s"):
        if value < 999.5 or unit == "s":
            return f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def joules(energy: float) -> str:
    """An energy with its fitting unit: 350 nJ, 12.3 µJ, 1.2 mJ."""
    for unit, factor in (("nJ", 1e9), ("µJ", 1e6), ("mJ", 1e3)):
        if abs(energy) * factor < 999.5:
            return f"{energy * factor:.3g} {unit}"
    return f"{energy:.3g} J"
