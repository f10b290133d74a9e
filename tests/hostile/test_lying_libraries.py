"""Libraries whose code is genuine and whose description lies: both hosts refuse them before they rely on a number."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from astroedge.bundle.container import Bundle
from astroedge.errors import BundleError
from astroedge.runtimes import load
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link import linker
from tests.support.bundles import TINY_TICK, make_bundle, tiny_manifest, weights_bytes

# What stands in the description's C source, and what the lie puts there.
LIES = {
    "dtype": (".dtype = ASTRO_FLOAT32", ".dtype = 99"),
    "draw": (".draw = ASTRO_DRAW_UNIFORM", ".draw = 99"),
    "draw parameter": (
        "ASTRO_DRAW_UNIFORM, .draw_parameter = INT64_C(0)",
        "ASTRO_DRAW_UNIFORM, .draw_parameter = 9999",
    ),
    "table of values": (".draw = ASTRO_DRAW_UNIFORM", ".draw = ASTRO_DRAW_VALUES"),
    "length of a table": (".value_count = 0u", ".value_count = 1099511627776u"),
    "rank": (".rank = 2u", ".rank = 65536u"),
    "largest rank": (".rank = 2u", ".rank = 2147483648u"),
    "empty field": ("state_shape_0[] = {INT64_C(1), INT64_C(32)}", "state_shape_0[] = {0, 0}"),
    "huge shape": ("state_shape_0[] = {INT64_C(1), INT64_C(32)}", "state_shape_0[] = {1099511627776, 1099511627776}"),
    "state outside": (".rank = 2u, .offset = 128u", ".rank = 2u, .offset = 1048576u"),
    "state overlaps": (".rank = 2u, .offset = 128u", ".rank = 2u, .offset = 64u"),
    "input size": (".offset = 64u, .nbytes = 32u, .check_nan", ".offset = 64u, .nbytes = 268435456u, .check_nan"),
    "initial value": (".initial_offset = 3584u", ".initial_offset = 1099511627776u"),
    "kind of initial value": (".initial = ASTRO_INITIAL_FILL", ".initial = 7"),
    "number of states": (".state = {384u, 4u,", ".state = {384u, 1099511627776u,"),
    "smaller state": (".state = {384u, 4u,", ".state = {64u, 4u,"),
    "endless outputs": (".outputs = {128u,", ".outputs = {1125899906842624u,"),
    "number of counters": (".activity_count = 1u", ".activity_count = 1099511627776u"),
    "counter outside": ('{"lif.spikes", 32u, 0u}', '{"lif.spikes", 32u, 4096u}'),
    "number of golden ticks": (".golden = {20240607u, 0u, 0}", ".golden = {20240607u, 1099511627776u, 0}"),
    "no name": ('.name = "x"', ".name = 0"),
    "no model": ('.model = "tiny"', ".model = 0"),
    "no device": ('.device = ""', ".device = 0"),
    "a device": ('.device = ""', '.device = "cuda"'),
    "another device": ('.device = ""', '.device = "abacus"'),
    "no digest": ("weights_sha256 = ", "weights_sha256 = (const char *)0 + 0 * (int)sizeof "),
    "range of nothing": (".high = INT64_C(16)", ".high = INT64_C(0)"),
    "workspace": (".workspace_size = 64u", ".workspace_size = 63u"),
}


def _lying(lie: str, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle whose library tells the lie; its manifest has the library's digest."""
    old, new = LIES[lie]
    render = linker.render_shim_data

    def lying(manifest: object) -> str:
        text = render(manifest)  # type: ignore[arg-type]  # a manifest
        assert old in text
        return text.replace(old, new, 1)

    monkeypatch.setattr(linker, "render_shim_data", lying)
    target = resolve_target("native")
    return make_bundle(tiny_manifest(target), TINY_TICK, weights_bytes(), target)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_by_both_hosts(
    lie: str, checked_host: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line and the code of a bad bundle; nothing is read outside a table, and no lying size is allocated."""
    bundle = _lying(lie, monkeypatch)
    bundle.save(tmp_path / "lying.astro")
    with pytest.raises(BundleError, match="disagree on"):
        load(bundle)
    result = subprocess.run(
        [checked_host, tmp_path / "lying.astro", "--hash", "3"], check=False, capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, len(result.stderr.splitlines())) == (BundleError.exit_code, 1), result.stderr
    words = ("contradicts itself", "belongs to other weights", "lacks an entry")
    assert any(text in result.stderr for text in words), result.stderr


def test_the_truth_is_believed(checked_host: Path, tmp_path: Path) -> None:
    """The same bundle without a lie runs in both."""
    target = resolve_target("native")
    bundle = make_bundle(tiny_manifest(target), TINY_TICK, weights_bytes(), target)
    bundle.save(tmp_path / "true.astro")
    load(bundle).close()
    result = subprocess.run([checked_host, tmp_path / "true.astro", "--hash", "3"], check=False, capture_output=True)
    assert result.returncode == 0, result.stderr
