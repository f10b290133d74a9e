"""The floor plan: which room lies above which, and that imports, C includes and the rooms' own words keep to it."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.source_tree import STAGES, imported_modules, modules

# Floors from the ground up, and the rooms of each in the same order. What lies higher may import what lies lower; the
# three stages lie side by side. A floor's own name among its rooms stands for the files that lie in no room of it.
PLAN = {
    "nouns": (
        *(
            "errors",
            "main_interpreter",
            "host_package",
            "nearest_name",
            "units",
            "strict_json",
            "scratch",
            "serial_line",
            "regular_file",
            "replace_file",
            "abi",
            "parity",
            "lempel_ziv",
            "readout",
            "zoo_record",
            "step",
            "session",
            "bundle",
            *("measuring", "profile_parts", "kernel_profile", "step_profile", "trace_events"),
        ),
        "models",
    ),
    "exporters": (
        *("exporters.shared", "exporters.step_call", "exporters.state", "exporters.nir", "exporters.frameworks"),
        *("exporters.wrapping", "exporters.tracing", "exporters.graph", "exporters.parity", "exporters.from_onnx"),
        "exporters",
    ),
    "targets": (
        *("targets.families", "targets.boards", "targets.precision", "targets.compile_request", "targets.pass_list"),
        *(
            "targets.tir_builder",
            "targets.exact",
            "targets.cuda",
            "targets.schedule",
            "targets.kernels",
            "targets.kernels.products",
        ),
        *(
            "targets.kernels.convolutions",
            "targets.kernels.cuda",
            "targets.compiler.expand",
            "targets.compiler.lower.lowerings",
            "targets.compiler.lower",
            "targets.compiler.program",
        ),
        *("targets.compiler.select", "targets.compiler.threads", "targets.compiler.emit", "targets.compiler.cuda"),
        "targets.compiler",
        *("targets.link", "targets"),
    ),
    "runtimes": (
        *(
            "runtimes.library",
            "runtimes.session",
            "runtimes",
            "runtimes.generation",
            "runtimes.checking",
            "runtimes.profiling",
            "runtimes.remote",
        ),
    ),
    "workflows": (
        "workflows.inputs",
        "workflows.evaluation",
        "workflows.doctor",
        "workflows.live",
        "workflows.pages",
        "workflows.devices",
        "workflows",
    ),
    "public names": ("astroedge",),
    "cli": ("cli.shared", "cli", "__main__"),
    "benchmarks": (
        *("benchmarks.places", "benchmarks.processes", "benchmarks.networks", "benchmarks.peers"),
        *("benchmarks.timing", "benchmarks.report", "benchmarks.arm", "benchmarks.llama"),
        *("benchmarks.sections", "benchmarks.studies", "benchmarks"),
    ),
    "examples": (
        *("examples.char_lm", "examples.bpe_lm", "examples.voice_activity"),
        *("examples.zoo.astroedge_zoo", "examples.zoo.frame", "examples.zoo.recipes", "examples.zoo"),
    ),
}
FLOOR = {room: floor for floor, rooms in PLAN.items() for room in rooms}
# Words for several rooms at once, as the rooms' docstrings have them; quoted names stand for one.
WORDS = {
    "nouns": PLAN["nouns"],
    "stages": tuple(room for stage in STAGES for room in PLAN[stage]),
    "exporters": PLAN["exporters"],
    "workflows": PLAN["workflows"],
}

# The same for C: a file and its header are one, and include those before them.
C_PLAN = {
    "targets/link/shim": (
        *(
            "astro_abi",
            "fp_mode",
            "memory",
            "halves",
            "arm32_calls",
            "riscv_calls",
            "checks",
            "clock",
            "team",
            "shim",
            "streams",
        ),
        *("device_code", "cuda_driver", "cuda_gpu", "cuda_stream", "cuda"),
    ),
    "runtimes/c": (
        *(
            "astro_abi",
            "huge_pages",
            "entries",
            "failure",
            "sha256",
            "description",
            "manifest",
            "bundle_reader",
            "weights",
            "processor",
            "library",
            "astro",
            "threads",
            "gpu",
            "golden",
            "session",
            "open_bundle",
        ),
        "astro-run",
    ),
    "runtimes/c/executable": (
        *("program", "json", "timing", "stop", "sensors", "frames", "request", "pace", "measure", "report"),
        *("info", "profile_json", "profile_text", "arguments", "main"),
    ),
}
# What a folder's C may include of the folder above it.
C_ABOVE = {"runtimes/c/executable": ("session", "processor", "sha256", "failure", "astro", "huge_pages", "astro_abi")}


def room_of(module: str) -> str | None:
    """The room that a module lies in; None for a place that is not in the plan, or not in this repository."""
    short = module.removeprefix("astroedge.")
    return next((name for name in (short, short.rpartition(".")[0]) if name in FLOOR), None)


def may_import(room: str, other: str) -> bool:
    """Whether a room lies above another."""
    floor, below = FLOOR[room], FLOOR[other]
    if floor == below:
        return PLAN[floor].index(other) < PLAN[floor].index(room)
    order = list(PLAN)
    return order.index(below) < order.index(floor) and not {floor, below} <= set(STAGES)


def imported_rooms(module: str) -> dict[str, str]:
    """The other rooms that a module imports from, each with a module there."""
    imported = {room: name for name in imported_modules(modules()[module]) if (room := room_of(name)) is not None}
    return {room: name for room, name in imported.items() if room != room_of(module)}


def rooms_with_words() -> list[str]:
    """The rooms of the package that are folders, each of which says in its `__init__` what it is."""
    folders = {name.removeprefix("astroedge.") for name, path in modules().items() if path.name == "__init__.py"}
    return sorted(
        folder for folder in folders if FLOOR.get(folder) not in (None, "public names", "benchmarks", "examples")
    )


def promised_rooms(room: str) -> set[str]:
    """What a room's docstring says that it imports: the sentence that begins with "Imports", to its first stop."""
    docstring = ast.get_docstring(ast.parse(modules()[f"astroedge.{room}"].read_text(encoding="utf-8"))) or ""
    sentence = re.search(r"\bImports ((?:`[^`]*`|[^`.;:])*)", docstring)
    assert sentence, f"{room}: the docstring of __init__ has no sentence that begins with Imports"
    words = re.sub(r"\s+", " ", sentence[1])
    found: set[str] = set()
    for below in re.findall(r"what lies below `(\w+)`", words):
        rooms = PLAN[FLOOR[room]]
        found |= set(rooms[: min(rooms.index(name) for name in rooms if f".{below}" in name)])
    words = re.sub(r"what lies below `\w+`", "", words)
    if "its rooms" in words:
        found |= {name for name in FLOOR if name.startswith(f"{room}.")}
    for name in re.findall(r"`([\w.]+)`", words):
        found.add(_resolve(room, name))
    words = re.sub(r"`[^`]*`", "", words)
    return found.union(*(rooms for word, rooms in WORDS.items() if re.search(rf"\b{word}\b", words)))


def named_rooms(room: str) -> set[str]:
    """The rooms that the docstring names one by one, each of which the room must import from."""
    docstring = ast.get_docstring(ast.parse(modules()[f"astroedge.{room}"].read_text(encoding="utf-8"))) or ""
    sentence = re.search(r"\bImports ((?:`[^`]*`|[^`.;:])*)", docstring)
    words = re.sub(r"what lies below\s+`\w+`", "", sentence[1] if sentence else "")
    return {_resolve(room, name) for name in re.findall(r"`([\w.]+)`", words)}


def _resolve(room: str, name: str) -> str:
    """The room that a docstring names: beside it, on its floor, or by its full name."""
    near = (f"{place}.{name}" for place in (room.rpartition(".")[0], FLOOR[room]))
    found = next((candidate for candidate in near if candidate in FLOOR), room_of(name))
    assert found, f"{room}: its docstring names {name}, which is no room"
    return found


def test_every_module_has_a_place() -> None:
    """No file lies outside the rooms of the plan."""
    assert [module for module in modules() if room_of(module) is None] == []


@pytest.mark.parametrize("floor", PLAN)
def test_imports_go_downwards(floor: str) -> None:
    """No room imports from one above it or from another stage, not even in a function or for types alone."""
    upwards = [
        f"{module} imports {name}"
        for module in modules()
        if FLOOR[room := str(room_of(module))] == floor
        for other, name in imported_rooms(module).items()
        if not may_import(room, other)
    ]
    assert upwards == []


def test_only_workflows_join_stages() -> None:
    """Below the command line only the workflows and the public names use a stage that is not their own."""
    floors = {FLOOR[str(room_of(module))] for module in modules() if _uses_foreign_stage(module)}
    assert floors <= {"workflows", "public names", "benchmarks", "examples"}


def _uses_foreign_stage(module: str) -> bool:
    own = FLOOR[str(room_of(module))]
    return any(FLOOR[room] in STAGES and FLOOR[room] != own for room in imported_rooms(module))


def test_modules_form_no_circle() -> None:
    """No module reaches itself by what it imports, inside a room either."""
    graph = {
        name: {found for found in imported_modules(path) if found in modules()} for name, path in modules().items()
    }
    TopologicalSorter(graph).prepare()


def test_nothing_imports_the_tests() -> None:
    """Package, benchmarks and examples work without the tests."""
    assert [name for name, path in modules().items() if "tests" in _first_names(path)] == []


def _first_names(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported_modules(path)}


@pytest.mark.parametrize("room", rooms_with_words())
def test_a_room_imports_what_its_docstring_says(room: str) -> None:
    """A docstring names rooms that lie below and are used, and no file in the room imports from another."""
    promised = promised_rooms(room)
    assert [other for other in promised if not may_import(room, other)] == []
    files = [module for module in modules() if room_of(module) == room]
    assert [
        f"{module} imports {name}"
        for module in files
        for other, name in imported_rooms(module).items()
        if other not in promised
    ] == []
    used = {other for module in files for other in imported_rooms(module)}
    assert {other for other in named_rooms(room) if not any(name.startswith(other) for name in used)} == set()


@pytest.mark.parametrize("folder", C_PLAN)
def test_c_includes_go_downwards(folder: str) -> None:
    """C of a stage includes what lies before it in its folder, and the binary interface, which includes nothing."""
    order, above = C_PLAN[folder], C_ABOVE.get(folder, ())
    header = [] if above else [ROOT / "astroedge" / "abi" / "astro_abi.h"]
    files = [*header, *sorted((ROOT / folder).glob("*.[ch]"))]
    assert {path.stem for path in files} == set(order)
    upwards = [
        f"{path.name} includes {header}"
        for path in files
        for header in re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        if header not in _headers((*above, *order[: order.index(path.stem)])) and header != f"{path.stem}.h"
    ]
    assert upwards == []


def _headers(units: tuple[str, ...]) -> set[str]:
    return {f"{unit}.h" for unit in units}
