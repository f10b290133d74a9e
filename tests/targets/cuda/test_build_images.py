"""What NVRTC makes of CUDA C passes the gates, or is refused; no GPU is needed."""

from __future__ import annotations

import locale
from pathlib import Path

import pytest

from astroedge.errors import CompileError, MissingDependencyError
from astroedge.targets.cuda.build_images import STRICT, build_images
from astroedge.targets.cuda.device_code import Image
from astroedge.targets.cuda.nvrtc import LIBRARY_VARIABLE, Nvrtc, find_nvrtc, load_nvrtc
from astroedge.targets.cuda.sass_gate import check_sass, code_sections

pytestmark = pytest.mark.compiles

KERNEL = """
static __device__ __noinline__ float twice(float x) { return __fmul_rn(x, 2.0f); }
extern "C" __global__ void run(const float *x, float *y)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = twice(x[i]) + __fdiv_rn(x[i], 3.0f);
    EXTRA
}
"""


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    """The compiler from the package."""
    return load_nvrtc(find_nvrtc())


@pytest.fixture(scope="module")
def images(nvrtc: Nvrtc) -> tuple[Image, ...]:
    """The images for three chips."""
    return build_images(KERNEL.replace("EXTRA", ""), ["sm_90", "sm_72", "sm_87", "sm_87"], nvrtc)


def test_each_chip_has_its_code_and_newer_ones_text(images: tuple[Image, ...]) -> None:
    """Machine code of each, ascending, and PTX of the oldest, which ends with a zero byte as the driver wants it."""
    assert [(image.capability, image.kind) for image in images] == [
        *((72, "cubin"), (87, "cubin"), (90, "cubin")),
        (72, "ptx"),
    ]
    assert all(".text.run" in code_sections(image.data) for image in images[:3])
    text = images[-1].data
    assert text.startswith(b".version 7.4\n.target sm_72\n")
    assert text.endswith(b"}\n\0")


def test_same_text_gives_the_same_bytes(nvrtc: Nvrtc, images: tuple[Image, ...]) -> None:
    """In a process that has compiled others before, too: NVRTC numbers all the calls it has seen."""
    nvrtc.compile(KERNEL.replace("EXTRA", "y[i] = twice(y[i]);"), "compute_72", STRICT)
    assert build_images(KERNEL.replace("EXTRA", ""), ["sm_72", "sm_87", "sm_90"], nvrtc) == images


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        pytest.param("y[i] = x[0] * x[1] + x[2];", r"\.text\.run for sm_87 depends on whether", id="contracts"),
        pytest.param("y[i] = fmaf(x[0], x[1], x[2]);", "holds fma.rn.f32", id="fused"),
        pytest.param("y[i] = __expf(x[0]);", "holds ex2.approx.f32", id="approximate"),
        pytest.param("atomicAdd(y, x[0]);", "holds atom.global.add.f32", id="any order"),
        pytest.param("y[i] = nothing;", r'identifier "nothing" is undefined', id="no CUDA C"),
    ],
)
def test_text_whose_bits_could_differ_is_refused(nvrtc: Nvrtc, extra: str, reason: str) -> None:
    """Contraction, fused and approximate functions, sums in no order; and what does not compile, with its message."""
    with pytest.raises(CompileError, match=reason):
        build_images(KERNEL.replace("EXTRA", extra), ["sm_87"], nvrtc)


def test_unknown_chip_is_refused_with_the_known(nvrtc: Nvrtc) -> None:
    """A chip that this NVRTC does not build for is named, with those it does."""
    with pytest.raises(CompileError, match=r"builds nothing for sm_63; it knows sm_60, .*sm_72.*sm_87"):
        build_images(KERNEL, ["sm_63"], nvrtc)


def test_chip_of_the_future_gets_text_of_the_newest_known(nvrtc: Nvrtc) -> None:
    """Which its driver compiles; the text says the version that knows its chip."""
    (image,) = build_images(KERNEL.replace("EXTRA", ""), ["sm_999"], nvrtc)
    assert (image.capability, image.kind) == (max(nvrtc.capabilities), "ptx")
    assert image.data.startswith(b".version 7.8\n.target sm_90\n")


def test_damaged_machine_code_is_told(images: tuple[Image, ...]) -> None:
    """One other byte in a function, and what is no ELF file."""
    cubin = images[1].data
    start = cubin.index(code_sections(cubin)[".text.run"])
    other = cubin[: start + 3] + bytes([cubin[start + 3] ^ 1]) + cubin[start + 4 :]
    check_sass(cubin, cubin, "sm_87")
    with pytest.raises(CompileError, match="depends on whether"):
        check_sass(cubin, other, "sm_87")
    for broken in (b"", b"\x7fELF\x02", cubin[:100], b"PTX"):
        with pytest.raises(CompileError, match="cannot be read"):
            code_sections(broken)


def test_compiling_leaves_the_locale_alone(nvrtc: Nvrtc) -> None:
    """NVRTC sets that of its thread to "C", after which Python would read what other programs print as ASCII."""
    before = locale.nl_langinfo(locale.CODESET)
    nvrtc.compile(KERNEL.replace("EXTRA", ""), "compute_87", STRICT)
    assert locale.nl_langinfo(locale.CODESET) == before != "ANSI_X3.4-1968"


def test_missing_compiler_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path that holds no library, and an environment without the package."""
    monkeypatch.setenv(LIBRARY_VARIABLE, str(tmp_path / "libnvrtc.so"))
    with pytest.raises(MissingDependencyError, match=r'cannot be loaded from .*libnvrtc.*"astroedge\[cuda\]"'):
        load_nvrtc(find_nvrtc())
    monkeypatch.delenv(LIBRARY_VARIABLE)
    monkeypatch.setattr("astroedge.targets.cuda.nvrtc.PACKAGES", ("no-such-package",))
    with pytest.raises(MissingDependencyError, match=r'NVRTC is not installed .*"astroedge\[cuda\]"'):
        find_nvrtc()
