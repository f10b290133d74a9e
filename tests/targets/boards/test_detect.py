from __future__ import annotations

import platform
from itertools import permutations
from pathlib import Path

import pytest

from astroedge.errors import TargetError
from astroedge.targets.boards.board_file import shipped_boards
from astroedge.targets.boards.detect import detect_board, detect_native, nearest_board
from astroedge.targets.boards.target import resolve_target, tvm_target
from astroedge.targets.families.machine import Machine, this_machine

ARMV8_0 = "fp asimd evtstrm crc32 cpuid"
ARMV7 = "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm"
ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
X86_V3 = " ".join(("fpu", "sse", "sse2", *shipped_boards()["x86-64-v3"].features))


def machine(root: Path, arch: str, cpuinfo: str, model: str = "", bits: int = 64) -> Machine:
    """A machine whose kernel shows these texts."""
    (root / "proc/device-tree").mkdir(parents=True)
    (root / "proc/cpuinfo").write_text(cpuinfo, encoding="utf-8")
    if model:
        (root / "proc/device-tree/model").write_bytes(model.encode() + b"\0")
    return Machine(arch=arch, bits=bits, root=root)


def arm_cpuinfo(*cores: tuple[str, str]) -> str:
    """/proc/cpuinfo of an ARM kernel for cores of the given (part, features)."""
    blocks = [
        f"processor\t: {index}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {part}\nCPU revision\t: 3\n\n"
        for index, (part, features) in enumerate(cores)
    ]
    return "".join(blocks)


def x86_cpuinfo(flags: str) -> str:
    """/proc/cpuinfo of an x86 kernel."""
    return f"processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nflags\t\t: {flags}\nbugs\t\t: avx512f\n\n"


@pytest.mark.parametrize(
    ("model", "board"),
    [
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberry-pi-3"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry-pi-zero-2w"),
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4"),
        ("Raspberry Pi 400 Rev 1.0", "raspberry-pi-4"),
        ("Raspberry Pi Compute Module 4 Rev 1.1", "raspberry-pi-4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5"),
        ("Raspberry Pi 500 Rev 1.0", "raspberry-pi-5"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "jetson-orin-nano"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", "jetson-orin-nano"),
        ("NVIDIA Jetson AGX Orin Developer Kit", "jetson-agx-orin"),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", "jetson-orin-nx"),
        ("NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
        ("NVIDIA Jetson Nano 2GB Developer Kit", "jetson-nano"),
        ("NVIDIA Jetson TX2 Developer Kit", "jetson-tx2"),
        ("quill", "jetson-tx2"),
        ("NVIDIA Jetson Xavier NX Developer Kit", "jetson-xavier-nx"),
        ("Jetson-AGX", "jetson-agx-xavier"),
        ("NVIDIA Jetson AGX Xavier Developer Kit", "jetson-agx-xavier"),
        ("Radxa ROCK 5B", "rk3588"),
        ("Orange Pi 5 Plus", "rk3588"),
        ("BeagleBoard.org BeaglePlay", "beagleplay"),
        ("Some Board nobody wrote a file for", "aarch64"),
        ("", "aarch64"),
    ],
)
def test_board_is_recognised_by_its_own_name(tmp_path: Path, model: str, board: str) -> None:
    """The device tree's model names the board; any other ARM machine is the generic target."""
    assert detect_board(machine(tmp_path, "aarch64", arm_cpuinfo(("0xd08", ARMV8_0)), model)).name == board


@pytest.mark.parametrize(
    ("model", "board"),
    [
        ("Raspberry Pi 2 Model B Rev 1.1", "raspberry-pi-2"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberry-pi-3-32bit"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry-pi-zero-2w-32bit"),
        ("TI AM335x BeagleBone Black", "armv7"),
    ],
)
def test_32_bit_board_is_recognised(tmp_path: Path, model: str, board: str) -> None:
    """Under a 32-bit kernel a board is the one for 32-bit programs."""
    assert detect_board(machine(tmp_path, "armv7l", arm_cpuinfo(("0xc07", ARMV7)), model, bits=32)).name == board


def test_board_without_a_device_tree_is_recognised_by_its_processor(tmp_path: Path) -> None:
    """An Intel N100 is one where the kernel shows all its flags, a level of x86-64 where a hypervisor masks some."""
    flags = f"{X86_V3} avx_vnni"
    shown = x86_cpuinfo(flags).replace("Some CPU @ 2.00GHz", "Intel(R) N100")
    assert detect_board(machine(tmp_path, "x86_64", shown)).name == "intel-n100"
    (tmp_path / "masked").mkdir()
    masked = shown.replace(" avx_vnni", "")
    assert detect_board(machine(tmp_path / "masked", "x86_64", masked)).name == "x86-64-v3"


def test_unknown_board_has_a_nearest_one(tmp_path: Path) -> None:
    """Of a board that nobody wrote a file for, the one with its processor is named; of known and nameless ones none."""
    cpuinfo = arm_cpuinfo(*[("0xd0b", ARMV8_2)] * 4)
    near = nearest_board(machine(tmp_path, "aarch64", cpuinfo, "Some Board nobody wrote a file for"))
    assert near is not None
    assert near.cpu == "cortex-a76"
    (tmp_path / "other").mkdir()
    strange = machine(tmp_path / "other", "aarch64", arm_cpuinfo(("0xfff", ARMV8_0)), "Some Board with a new processor")
    assert nearest_board(strange) == shipped_boards()["aarch64"]
    for name, model in (("known", "Raspberry Pi 5 Model B Rev 1.0"), ("nameless", "")):
        (tmp_path / name).mkdir()
        assert nearest_board(machine(tmp_path / name, "aarch64", cpuinfo, model)) is None


def test_no_board_answers_to_the_name_of_another() -> None:
    """The texts that the boards of an architecture are recognised by do not contain each other."""
    texts = [(board.arch, text) for board in shipped_boards().values() for text in board.device_tree]
    pairs = [(one, other) for one, other in permutations(texts, 2) if one[0] == other[0] and one[1] in other[1]]
    assert pairs == []


def test_x86_is_its_highest_complete_level(tmp_path: Path) -> None:
    """A machine with every flag of level 3 and some of level 4 is level 3."""
    flags = f"{X86_V3} avx512f avx512cd avx512dq avx512vl"
    assert detect_board(machine(tmp_path, "x86_64", x86_cpuinfo(flags))).name == "x86-64-v3"


def test_flag_masked_by_a_hypervisor_lowers_the_level(tmp_path: Path) -> None:
    """Without the fma flag a processor is level 2, whatever its name says."""
    flags = X86_V3.replace(" fma", "")
    found = detect_native(machine(tmp_path, "x86_64", x86_cpuinfo(flags)))
    assert (found.cpu, found.vector_bits) == ("x86-64-v2", 128)


def test_native_x86_uses_multiply_add_beyond_its_level(tmp_path: Path) -> None:
    """AVX-512 VNNI is used on a level 4 machine that has it, and asked for at load; the portable target has it not."""
    v4 = " ".join(("fpu", "sse", "sse2", *shipped_boards()["x86-64-v4"].features))
    found = detect_native(machine(tmp_path, "x86_64", x86_cpuinfo(f"{v4} avx512_vnni")))
    assert (found.cpu, found.attributes, found.features[-1]) == ("x86-64-v4", ("+avx512vnni",), "avx512_vnni")
    tvm_target(found)
    (tmp_path / "masked").mkdir()
    masked = detect_native(machine(tmp_path / "masked", "x86_64", x86_cpuinfo(f"{X86_V3} avx512_vnni avx_vnni")))
    assert (masked.cpu, masked.attributes) == ("x86-64-v3", ("+avxvnni",))


def test_x86_below_level_2_is_refused(tmp_path: Path) -> None:
    """A processor too old for every target is told what it lacks."""
    with pytest.raises(TargetError, match=r"lacks .*sse4_2"):
        detect_board(machine(tmp_path, "x86_64", x86_cpuinfo("fpu sse sse2")))


def test_native_arm_is_the_core_by_its_part_number(tmp_path: Path) -> None:
    """Four equal Cortex-A72 are compiled for as Cortex-A72, with the board's name as description."""
    cpuinfo = arm_cpuinfo(*[("0xd08", ARMV8_0)] * 4)
    found = detect_native(machine(tmp_path, "aarch64", cpuinfo, "Raspberry Pi 4 Model B Rev 1.4"))
    assert (found.name, found.cpu, found.features) == ("native", "cortex-a72", ("fp", "asimd"))
    assert "Raspberry Pi 4 Model B" in found.description


def test_native_arm_with_unlike_cores_uses_what_all_have(tmp_path: Path) -> None:
    """Cores of two kinds get generic code with the instructions that both have."""
    found = detect_native(machine(tmp_path, "aarch64", arm_cpuinfo(("0xd05", ARMV8_2), ("0xd0b", ARMV8_2))))
    assert (found.cpu, found.attributes) == ("generic", ("+rdm", "+fullfp16", "+dotprod"))
    assert set(found.features) == {"fp", "asimd", "asimdrdm", "fphp", "asimdhp", "asimddp"}
    tvm_target(found)
    (tmp_path / "mixed").mkdir()
    mixed = detect_native(machine(tmp_path / "mixed", "aarch64", arm_cpuinfo(("0xd03", ARMV8_0), ("0xd0b", ARMV8_2))))
    assert (mixed.attributes, mixed.features) == ((), ("fp", "asimd"))


def test_native_arm_whose_flags_contradict_its_name_is_generic(tmp_path: Path) -> None:
    """A Cortex-A76 whose kernel hides dot products is not compiled for as a Cortex-A76."""
    found = detect_native(machine(tmp_path, "aarch64", arm_cpuinfo(("0xd0b", ARMV8_2.replace(" asimddp", "")))))
    assert (found.cpu, found.attributes) == ("generic", ("+rdm", "+fullfp16"))


def test_caches_come_from_the_kernel(tmp_path: Path) -> None:
    """Data and unified caches are read, instruction caches are not."""
    found = machine(tmp_path, "x86_64", x86_cpuinfo(X86_V3))
    for index, (level, kind, size) in enumerate([(1, "Instruction", 64), (1, "Data", 48), (2, "Unified", 1280)]):
        folder = tmp_path / f"sys/devices/system/cpu/cpu0/cache/index{index}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", f"{size}K")):
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    native = detect_native(found)
    assert (native.l1_bytes, native.l2_bytes, native.l3_bytes) == (48 * 1024, 1280 * 1024, 0)


def test_32_bit_system_on_a_64_bit_kernel_is_one(tmp_path: Path) -> None:
    """A 32-bit Raspberry Pi OS, whose kernel says aarch64, gets 32-bit code, for its board where there is a file."""
    cpuinfo = arm_cpuinfo(("0xd03", ARMV8_0))
    found = machine(tmp_path, "aarch64", cpuinfo, "Raspberry Pi 3 Model B Plus Rev 1.3", bits=32)
    assert detect_board(found).name == "raspberry-pi-3-32bit"
    assert (detect_native(found).arch, detect_native(found).cpu) == ("armv7l", "generic")
    (tmp_path / "other").mkdir()
    other = machine(tmp_path / "other", "aarch64", cpuinfo, "Raspberry Pi 4 Model B Rev 1.4", bits=32)
    assert detect_board(other).name == "armv7"


def test_native_32_bit_arm_is_the_core_by_its_part_number(tmp_path: Path) -> None:
    """Cortex-A7 under a 32-bit kernel are compiled for as such, without the vector unit that changes bits."""
    cpuinfo = arm_cpuinfo(*[("0xc07", ARMV7)] * 4)
    found = detect_native(machine(tmp_path, "armv7l", cpuinfo, "Raspberry Pi 2 Model B Rev 1.1", bits=32))
    assert (found.arch, found.cpu, found.features) == (
        "armv7l",
        "cortex-a7",
        ("vfp", "vfpv3", "neon", "vfpv4", "idiva"),
    )
    assert list(tvm_target(found).attrs["mattr"]) == ["-neon"]


def test_64_bit_risc_v_is_compiled_for_as_any_such(tmp_path: Path) -> None:
    """Its vectors are not used, whatever the kernel shows: they have no fixed width."""
    cpuinfo = "processor\t: 0\nhart\t: 0\nisa\t: rv64imafdcv_zicbom_zfhmin\nmmu\t: sv39\n\n"
    found = machine(tmp_path, "riscv64", cpuinfo, "SpacemiT K1 deb1 board")
    assert detect_board(found).name == "riscv64"
    assert (detect_native(found).cpu, detect_native(found).features) == ("generic-rv64", tuple("imafdc"))
    assert list(tvm_target(detect_native(found)).attrs["mattr"]) == ["+m", "+a", "+f", "+d", "+c", "-v"]


def test_32_bit_python_on_a_64_bit_x86_kernel_is_refused(tmp_path: Path) -> None:
    """There are no bundles for 32-bit x86, so that a 64-bit Python is asked for."""
    with pytest.raises(TargetError, match="32-bit program on a x86_64 kernel"):
        detect_board(machine(tmp_path, "x86_64", x86_cpuinfo(X86_V3), bits=32))


def test_armv6_is_refused(tmp_path: Path) -> None:
    """Raspberry Pi 1 and Zero are named as what they are."""
    with pytest.raises(TargetError, match="This machine is armv6l"):
        detect_board(machine(tmp_path, "armv6l", "", "Raspberry Pi Zero W Rev 1.1", bits=32))


def test_other_architecture_is_refused(tmp_path: Path) -> None:
    """A machine no bundle is made for is named."""
    with pytest.raises(TargetError, match="This machine is ppc64le"):
        detect_board(machine(tmp_path, "ppc64le", ""))


def test_other_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bundles cannot run, compiling for a board by name is offered instead."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(TargetError, match="this is Darwin; compile for a board by its name"):
        resolve_target("native")


def test_native_is_stable_and_within_this_machine() -> None:
    """Asked twice, this machine gives the same target, and has every flag it names."""
    native = resolve_target("native")
    assert native == resolve_target("native")
    assert native.name == "native"
    assert this_machine().flags.issuperset(native.features)
    assert native.cores >= 1
    assert native.memory_bytes > 2**28
