from html.parser import HTMLParser
from pathlib import Path

import pytest

from charrnn.errors import CheckpointError, ConfigError
from charrnn.inference.neurons import Finding, Unit
from charrnn.render.neurons_html import Passage, findings_table, write_page

NASTY = "<script>&\"'</pre>\x1b\u202e\n\té"


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    passages = [
        Passage("", [(char, 0.25) for char in NASTY], 1.0),
        Passage(NASTY, [("a", -1.0), ("b", -0.9), ("c", 0.0), ("d", 1.0)], 1.0),
    ]
    findings = [(Finding(NASTY, Unit(0, 7), 0.5, None), "7"), (Finding("x", None, None, None), "-")]
    write_page(tmp_path / "a.html", NASTY, "note", passages, findings_table(findings))
    return Page((tmp_path / "a.html").read_text(encoding="utf-8"))


def test_a_page_holds_what_it_was_given_and_runs_nothing(page: Page) -> None:
    shown = "".join(page.texts)
    assert shown.count("<script>&\"'</pre>\\x1b\\u202e\n\té") == 5  # title, head, table, two texts
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe"}
    assert all(attribute in ("lang", "charset", "class") for _, a in page.tags for attribute in a)


def test_neighbours_of_one_shade_share_an_element(page: Page) -> None:
    classes = [attributes["class"] for tag, attributes in page.tags if tag == "span"]
    assert classes == ["a1", "b4", "a4"]
    assert "ab" in page.texts


def test_a_page_is_legible_in_the_dark(page: Page) -> None:
    style = next(text for text in page.texts if "color-scheme" in text)
    assert "light dark" in style
    for shade in range(1, 5):
        assert f".a{shade} {{ background: rgb(230 100 20 / {0.15 * shade:.2f}) }}" in style
        assert f".b{shade} {{" in style
    assert "color: " not in style.replace("color-scheme: ", "")  # letters as the browser has them


def test_the_table_says_what_is_not_known(page: Page) -> None:
    assert page.texts.count("-") == 4
    assert "+0.500" in page.texts


def test_a_page_is_written_under_names_of_pages_only(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"must end in \.html or \.htm, not .*text.txt"):
        write_page(tmp_path / "text.txt", "", "", [])
    with pytest.raises(CheckpointError, match="cannot write"):
        write_page(tmp_path / "text.txt" / "a.html", "", "", [])
    assert (tmp_path / "text.txt").read_text() == "mine"
