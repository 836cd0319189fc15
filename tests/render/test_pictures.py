"""Pages and pictures of surprise: whole, harmless, and as a real browser shows them."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charrnn.inference.surprise import Surprise
from charrnn.render.pictures import html_page, svg_picture
from charrnn.render.shading import SHADES
from tests.browser import Browser, with_a_browser
from tests.conftest import JAMO, WORDS, MakeCheckpoint, surprise

HOSTILE = (
    "</title></style></span><script>document.title = 'owned'</script>"
    "<img src=//example.org/x onerror=\"document.title='owned'\">' data-x='1\" &amp; &#10;"
    "]]><!-- <![CDATA[ --> \x00\x1b[2J\ufffe\uffff\u202e\ud7ff\U0010ffff\n\ta"
)
SVG = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.tips: list[str] = []
        self.shown = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.tips += [value or "" for name, value in attributes if name == "data-tip"]

    def handle_data(self, data: str) -> None:
        self.shown += data


@pytest.fixture
def surprises(make_checkpoint: MakeCheckpoint) -> list[Surprise]:
    model = make_checkpoint("abc <>&", hidden_size=4)
    return [surprise(model, text) for text in (HOSTILE, "", "한국어 e\u0301\u0323 abc")]


def page(surprises: list[Surprise]) -> str:
    return "".join(html_page(surprises, surprises[0].worst(5)))


def picture(surprises: list[Surprise]) -> str:
    return "".join(svg_picture(surprises, surprises[0].worst(5)))


def test_a_page_holds_the_texts_and_no_markup_of_theirs(surprises: list[Surprise]) -> None:
    found = Page(page(surprises))
    assert {*found.tags} <= {
        "html", "head", "meta", "title", "style", "body", "p", "span", "table", "tr", "th", "td",
    }  # fmt: skip
    assert "<script>document.title = 'owned'</script>" in found.shown
    assert r"\x00\x1b[2J\ufffe\uffff\u202e" in found.shown
    assert "한국어" in found.shown


def test_every_character_tells_its_probability_and_the_likeliest(
    surprises: list[Surprise],
) -> None:
    tips = Page(page(surprises[2:])).tips
    assert len(tips) == len("한국어 é abc") + 1  # two marks compose with one letter; the end
    pattern = r".+  P \S+  \S+ bits  rank \d+  expected: (\S+ \S+  ){4}\S+ \S+"
    assert all(re.fullmatch(rf"({pattern}\n?)+", tip) for tip in tips)
    assert tips[0].startswith("한 (outside the vocabulary)  P ")
    assert tips[3].startswith("␣  P ")


def test_a_picture_is_xml_that_fetches_nothing(surprises: list[Surprise]) -> None:
    root = ElementTree.fromstring(picture(surprises))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "style", "rect", "g", "text", "title"}
    words = "".join(element.text or "" for element in root.iter(f"{SVG}text"))
    assert "<script>document.title" in words
    links = [name for element in root.iter() for name in element.attrib if "href" in name]
    assert not links
    assert "url(" not in picture(surprises)


def test_a_picture_has_room_for_all_it_shows(surprises: list[Surprise]) -> None:
    root = ElementTree.fromstring(picture(surprises))
    rects = [*root.iter(f"{SVG}rect")][1:]
    ends = [float(rect.attrib["x"]) + float(rect.attrib["width"]) for rect in rects]
    assert max(ends) <= 80 * 9


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_a_text_holds_page_and_picture_are_well_formed(
    make_checkpoint: MakeCheckpoint, text: str
) -> None:
    found = [surprise(make_checkpoint("abc", hidden_size=2), text)]
    ElementTree.fromstring(picture(found))
    assert Page(page(found)).tips


@pytest.mark.parametrize("kind", [WORDS, JAMO])
def test_words_and_composed_characters_have_one_tip_each(
    make_checkpoint: MakeCheckpoint, kind: object
) -> None:
    tokens = [" 국", "한국"] if kind is WORDS else "\u1100\u1161\u11ab"
    found = surprise(make_checkpoint(tokens, kind, hidden_size=2), "한국 국")
    tips = Page(page([found])).tips
    assert len(tips) == (3 if kind is WORDS else 5)
    assert len(tips[0].splitlines()) == (1 if kind is WORDS else 4)  # its three jamo


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_shade_is_legible_and_darker_than_the_one_before() -> None:
    backgrounds = [luminance(shade.background) for shade in SHADES[1:]]
    foregrounds = [luminance(shade.foreground) for shade in SHADES[1:]]
    assert backgrounds == sorted(backgrounds, reverse=True)
    for pair in zip(backgrounds, foregrounds, strict=True):
        assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def file(surprises: list[Surprise], tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text(page(surprises), encoding="utf-8")
    (tmp_path / "picture.svg").write_text(picture(surprises), encoding="utf-8")
    return tmp_path / "page.html"


@with_a_browser
def test_a_browser_shows_hostile_text_as_text_and_fetches_nothing(
    browser: Browser, file: Path
) -> None:
    for path in (file, file.with_name("picture.svg")):
        browser.open(path)
        assert browser.evaluate("document.title") != "owned"
        assert browser.evaluate("document.querySelectorAll('script, img').length") == 0
        assert browser.requests() == [path.as_uri()]
        assert not [event for event in browser.events if event["method"] == "Log.entryAdded"]


@with_a_browser
def test_in_a_browser_the_page_holds_the_text_itself(browser: Browser, file: Path) -> None:
    browser.open(file)
    shown = browser.evaluate("document.querySelectorAll('.text')[2].textContent")
    assert shown == "한국어 ẹ\u0301 abc<EOS>"
    shown = browser.evaluate("document.querySelectorAll('.text')[0].textContent")
    assert shown.endswith("\n\ta<EOS>")  # the end of a line is drawn, and is no part of the text


@with_a_browser
def test_hovering_a_character_tells_its_probability(browser: Browser, file: Path) -> None:
    browser.open(file)
    last = ".text:nth-of-type(6) span:nth-child(1)"
    content = f"getComputedStyle(document.querySelector('{last}'), '::after').content"
    assert browser.evaluate(content) == "none"
    browser.hover(last)
    assert browser.evaluate(content).startswith('"한 (outside the vocabulary)  P ')
    box = browser.evaluate(
        f"getComputedStyle(document.querySelector('{last}'), '::after').position"
    )
    assert box == "fixed"


@with_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_and_picture_are_legible_in_light_and_dark(
    browser: Browser, file: Path, scheme: str
) -> None:
    def level(colour: str) -> float:
        parts = [int(part) for part in re.findall(r"\d+", colour)[:3]]
        return luminance("#" + "".join(f"{part:02x}" for part in parts))

    browser.open(file, prefers_color_scheme=scheme)
    browser.evaluate("document.body.style.background = 'Canvas'")
    style = "getComputedStyle(document.body)"
    page = (
        level(browser.evaluate(f"{style}.color")),
        level(browser.evaluate(f"{style}.backgroundColor")),
    )
    browser.open(file.with_name("picture.svg"), prefers_color_scheme=scheme)
    fill = "getComputedStyle(document.querySelector('{}')).fill"
    drawn = tuple(level(browser.evaluate(fill.format(name))) for name in ("text", ".back"))
    for words, ground in (page, drawn):
        assert (max(words, ground) + 0.05) / (min(words, ground) + 0.05) >= 7
        assert (words < ground) == (scheme == "light")


@with_a_browser
def test_no_line_of_a_page_is_wider_than_the_window(browser: Browser, file: Path) -> None:
    browser.open(file)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 800
