"""The clock of a processor, from the files of its kernel."""

from __future__ import annotations

from pathlib import Path

from astroedge.runtimes.profiling.processor_clock import processor_clock


def test_the_fastest_core_counts(tmp_path: Path) -> None:
    """cpufreq is asked first, in kHz; a core without a number is passed over."""
    for core, text in enumerate(("600000\n", "1800000\n", "<unknown>\n")):
        folder = tmp_path / f"cpu{core}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(text)
    assert processor_clock(tmp_path, tmp_path / "cpuinfo") == 1.8e9


def test_cpuinfo_is_next(tmp_path: Path) -> None:
    """/proc/cpuinfo has MHz on x86 and nothing on ARM, where the clock is then not known."""
    info = tmp_path / "cpuinfo"
    assert processor_clock(tmp_path, info) is None
    info.write_text("processor\t: 0\nBogoMIPS\t: 108.00\n")
    assert processor_clock(tmp_path, info) is None
    info.write_text("cpu MHz\t\t: 2600.000\n\ncpu MHz\t\t: 800.123\n")
    assert processor_clock(tmp_path, info) == 2.6e9
