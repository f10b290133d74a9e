"""Pages in a real browser, without a network: what it reports, what it draws, and how it is used."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.browser import Browser, browser, find_chromium
from tests.support.graphs import recurrent_net
from tests.support.pages import page_of_two

pytest.importorskip("vl_convert", reason="pages need astroedge[report]")
if find_chromium() is None:
    pytest.skip("no Chromium on this machine; `make browser` installs one", allow_module_level=True)

from astroedge.workflows.pages.step_view import step_page

# Contrast of a text's colour with what it stands on, by WCAG; all of a page's backgrounds are opaque.
CONTRASTS = """(() => {
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number).slice(0, 3).map((v) => {
      const s = v / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const back = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/^rgba.*, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest("script, style")) continue;
    const style = getComputedStyle(element);
    const colour = element.closest("svg") ? style.fill : style.color;
    const stands = element.closest("svg") ? element.closest("svg").parentElement : element;
    const [a, b] = [light(colour), light(back(stands))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
})()"""
MARKS = """[...document.querySelectorAll("figure")].filter((figure) => {
  const seen = [...figure.querySelectorAll(".plot")].filter((plot) => plot.getClientRects().length);
  return seen.length !== 1 || seen[0].querySelectorAll("path, rect, line").length < 2
    || seen[0].getBoundingClientRect().width < 200;
}).map((figure) => figure.id)"""
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests here."""
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two profiles."""
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(page_of_two(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a step."""
    path = tmp_path_factory.mktemp("pages") / "step.html"
    path.write_bytes(step_page(recurrent_net()))
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_pages_are_whole_at_every_width(opened: Browser, report: Path, picture: Path, width: int, dark: bool) -> None:
    """Nothing is reported or asked for, every chart is drawn, nothing is wider than the window, all text is legible."""
    for page in (report, picture):
        opened.open(page, width=width, dark=dark)
        opened.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        assert opened.reports == []
        assert opened.requests == [page.resolve().as_uri()]
        assert opened.evaluate(MARKS) == []
        assert opened.evaluate(TOO_WIDE) is False
        assert opened.evaluate(CONTRASTS) == []


def test_theme_can_be_chosen(opened: Browser, report: Path) -> None:
    """The button changes the colours of page and charts against the system's, and back."""
    look = """[document.body, document.querySelector('.wide text')].map(
        (element) => getComputedStyle(element).fill + getComputedStyle(element).color)"""
    opened.open(report, width=1400)
    light = opened.evaluate(look)
    opened.evaluate("document.getElementById('theme').click()")
    dark = opened.evaluate(look)
    assert all(before != after for before, after in zip(light, dark, strict=True))
    opened.evaluate("document.getElementById('theme').click()")
    assert opened.evaluate(look) == light


def test_keys_reach_what_there_is_in_order(opened: Browser, report: Path) -> None:
    """Tab goes first to the link past the head, then through buttons and sections; headings skip no level."""
    opened.open(report, width=1400)
    names = []
    for _ in range(4):
        opened.key("Tab")
        names.append(opened.evaluate("document.activeElement.textContent.trim()"))
    assert names[:3] == ["To the figures", "Save JSON", "Dark theme"]
    levels = opened.evaluate("[...document.querySelectorAll('h1,h2,h3')].map((e) => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_step_is_drawn_and_used_with_keys(opened: Browser, picture: Path) -> None:
    """Arrows go from node to node, Enter says more of one, modules open and close, and the picture zooms."""
    opened.open(picture, width=1400)
    count = "document.querySelectorAll('#canvas .node:not(.frame)').length"
    assert opened.evaluate(count) > 10
    opened.evaluate("document.querySelector('#canvas [tabindex=\"0\"]').focus()")
    first = opened.evaluate("document.activeElement.textContent")
    opened.key("ArrowRight")
    assert opened.evaluate("document.activeElement.textContent") != first
    opened.key("Enter")
    assert opened.evaluate("document.querySelectorAll('#facts dd').length") > 1
    whole = opened.evaluate(count)
    opened.evaluate("document.getElementById('close-all').click()")
    closed = opened.evaluate(count)
    assert closed < whole
    opened.evaluate("document.querySelector('#canvas .k-module').focus()")
    opened.key("Enter")
    assert opened.evaluate(count) > closed
    opened.key("Backspace")
    assert opened.evaluate(count) == closed
    before = opened.evaluate("document.querySelector('#canvas svg > g').getAttribute('transform')")
    opened.evaluate("document.getElementById('closer').click()")
    assert opened.evaluate("document.querySelector('#canvas svg > g').getAttribute('transform')") != before
    assert opened.reports == []
