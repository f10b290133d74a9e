"""The page of profiles as a file: its parts, that it loads nothing, and what hostile texts come to."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from astroedge.errors import AstroEdgeError, InputError
from tests.support.pages import LONG_NAME, page_of_two, whole_page
from tests.support.places import ROOT
from tests.support.profiles import full_profile, plain_profile

pytest.importorskip("vl_convert", reason="pages need astroedge[report]")

from astroedge.workflows.pages.page import embed_json
from astroedge.workflows.pages.report import report_files, report_profiles

HOSTILE = "</script><script>alert(1)</script>\u2028<img src=x onerror=alert(2)>\"'&`{{7*7}}`"
VOID = {"meta", "link", "br", "img", "input"}
SECTIONS = {"latency", "beside", "course", "paced", "kernels", "roofline", "firing", "operations", "memory", "energy"}


class Page(HTMLParser):
    """The elements of a page with their attributes, their texts, and whether every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.texts.append(data)

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.elements if "id" in attributes]


def test_page_has_every_part_that_a_profile_has_data_for() -> None:
    """A full profile has all sections, each with charts, and each chart has a table; nothing is said to be missing."""
    whole = whole_page()
    page = Page(whole)
    assert page.open == []
    assert set(page.ids()) >= SECTIONS
    assert "missing" not in page.ids()
    figures = whole.count("<figure")
    assert figures > 12
    assert whole.count('class="plot wide"') == whole.count('class="plot narrow"') == figures
    assert len(re.findall(r"<figure.*?<table.*?</figure>", whole, re.DOTALL)) == figures
    assert len(set(page.ids())) == len(page.ids())
    for text in ("board-1", "SHA-256 1111", "310 µJ", "governor is ondemand", "slowed down"):
        assert text in whole, text


def test_parts_without_data_say_how_to_get_them() -> None:
    """Of what a profile has not, its page has a line with the command that measures it."""
    bare = plain_profile() | {"samples": [], "comparison": None}
    text = report_profiles([bare]).decode()
    page = Page(text)
    assert SECTIONS & set(page.ids()) == {"latency", "firing", "operations", "memory"}
    for option in ("--kernels", "--rate 100", "--duration 60", "--compare GRAPH.onnx", "--samples", "--raster"):
        assert option in text, option


def test_profiles_stand_beside_each_other() -> None:
    """Two profiles share charts under their letters; what one of them lacks is said with its letter."""
    both = page_of_two()
    page = Page(both)
    assert set(page.ids()) >= SECTIONS
    assert "Not measured for A" in both
    assert "memory 34 GB/s" in both  # from the board file of B's target
    for text in (f"A · {LONG_NAME} · raspberry-pi-5 · int8", "B · other · jetson-orin-nano-cuda · int8"):
        assert text in both


def test_page_loads_nothing() -> None:
    """No address outside the file stands in it, and its policy forbids to load one; only its own scripts may run."""
    whole = whole_page()
    page = Page(whole)
    policies = [a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert str(policies[0]).startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in str(policies[0])
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form"), tag
        assert not {"src", "srcset", "action", "style", "xlink:href"} & attributes.keys(), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("href", "#")).startswith("#")
    outside = re.findall(r"(?:https?:)?//[a-z][\w.-]+\.\w+|@import|url\((?!#)", re.sub(r"w3\.org/2000/svg", "", whole))
    assert outside == []


def test_data_in_a_page_is_the_profile() -> None:
    """The JSON that the page saves is that of the profile, with every text in it unharmed."""
    assert json.loads(Page(whole_page()).scripts[0]) == full_profile()
    assert json.loads(embed_json([HOSTILE, "\ud800", 1.5])) == [HOSTILE, "\ufffd", 1.5]
    assert not set("<>&\u2028\u2029") & set(embed_json(HOSTILE))


def _hostile(value: Any) -> Any:
    """A record whose every text that is no key is hostile, but for those that say what kind something is."""
    if isinstance(value, dict):
        kept = ("format", "version", "label", "kind")
        return {key: item if key in kept else _hostile(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hostile(item) for item in value]
    return f"{value}{HOSTILE}" if isinstance(value, str) else value


def _small_profile() -> dict[str, Any]:
    """A profile with a chart of every kind and little in each."""
    record = full_profile()
    record["samples"], record["timeline"] = record["samples"][:20], record["timeline"][:3]
    record["kernels"]["items"] = record["kernels"]["items"][:2]
    for item in record["raster"]:
        item["events"] = item["events"][:20]
    return record


@cache
def _small_page() -> bytes:
    return report_profiles([_small_profile()])


def test_hostile_texts_stay_texts() -> None:
    """Names that look like tags, scripts or templates are shown as they are and add no element."""
    hostile = _small_profile()
    for key in (
        "model",
        "target",
        "precision",
        "inputs",
        "warnings",
        "raster",
        "kernels",
        "host",
        "operations",
        "spikes",
    ):
        hostile[key] = _hostile(hostile[key])
    hostile["machine"] = {HOSTILE: HOSTILE, **_hostile(hostile["machine"])}
    text = report_profiles([hostile]).decode()
    page, usual = Page(text), Page(_small_page().decode())
    assert page.open == []
    for kind in ("script", "img", "style", "section", "figure", "table", "svg"):
        found, expected = (sum(tag == kind for tag, _ in item.elements) for item in (page, usual))
        assert found == expected, kind
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.scripts[1:] == usual.scripts[1:]
    assert "{{7*7}}" in text
    assert "speech</script>" not in text


def test_same_profiles_give_the_same_bytes() -> None:
    """A page depends on nothing but its profiles, not on what was written before it in the process."""
    assert report_profiles([_small_profile()]) == _small_page()
    assert len(whole_page()) < 1_000_000
    assert len(page_of_two()) < 1_500_000


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not an AstroEdge profile"),
        (b'{"format": "astroedge-profile", "version": 99}', "version 99"),
        (b'{"format": "astroedge-profile", "version": 1}', "damaged"),
    ],
)
def test_file_that_is_no_profile_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    """What is no profile is refused with the file's name and a reason."""
    (tmp_path / "p.json").write_bytes(content)
    with pytest.raises(AstroEdgeError, match=rf"p\.json: .*{says}"):
        report_files([tmp_path / "p.json"])


def test_values_of_another_kind_are_damage() -> None:
    """A text where a number belongs, in a key that only pages read, is one error and no traceback."""
    for key, value in (("kernels", {"items": [{"time": "long"}]}), ("timeline", [{}]), ("paced", 3), ("energy", [])):
        record = deepcopy(plain_profile()) | {key: value}
        with pytest.raises(AstroEdgeError, match="damaged"):
            report_profiles([record])


def test_the_file_of_a_damaged_profile_is_named(tmp_path: Path) -> None:
    """Of several files the one whose values no page can show is named, though each holds a profile's members."""
    kinds = ("t", "p50", "max", "clock", "temperature", "throttled", "load")
    for name, changed in (("good", {}), ("bad", {"timeline": [dict.fromkeys(kinds, "long")] * 3})):
        (tmp_path / name).write_text(json.dumps(deepcopy(plain_profile()) | changed))
    with pytest.raises(AstroEdgeError, match=r"bad: A profile is damaged"):
        report_files([tmp_path / "good", tmp_path / "bad"])


def test_profiles_of_the_tests_are_such_as_are_written() -> None:
    """What the tests show is what the schema allows, key by key."""
    schema = json.loads((ROOT / "astroedge" / "schemas" / "profile.schema.json").read_text(encoding="utf-8"))
    for record in (plain_profile(), full_profile()):
        jsonschema.validate({key: value for key, value in record.items() if key in schema["properties"]}, schema)


def test_number_of_profiles_is_limited() -> None:
    """No profile, and more than the alphabet has letters, are refused."""
    for count in (0, 27):
        with pytest.raises(InputError, match="1 to 26 profiles"):
            report_profiles([plain_profile()] * count)
