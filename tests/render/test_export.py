"""The page of a model: what it holds, and that its JavaScript predicts what NumPy does."""

import json
import re
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charrnn.config import LINES, WHOLE, ModelConfig, SampleConfig
from charrnn.errors import CheckpointError
from charrnn.ids import EOS, NUM_SPECIAL
from charrnn.inference.sampling import Sample, complete
from charrnn.inference.scoring import score
from charrnn.mixing.mixed import LanguageModel
from charrnn.network.model import CharRNN
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.parallel.threads import Workers
from charrnn.render.export import MODEL_SCRIPTS, SCRIPTS, about, in_16_bits, packed, page, source
from charrnn.resources import bundled_model
from charrnn.storage.checkpoint import Checkpoint, load
from charrnn.text.vocabulary import Vocabulary
from tests.browser import Browser, with_a_browser
from tests.conftest import CHARACTERS, JAMO, WORDS, MakeCheckpoint
from tests.mixing.test_mixed import make as make_mixture
from tests.render.test_pictures import HOSTILE
from tests.rounding import log_prob_tolerance

NODE = shutil.which("node")
with_node = pytest.mark.skipif(NODE is None, reason="needs Node.js")
HOSTILE_TOKENS = ["</script><script>document.title='owned'</script>", "<img src=x onerror=x>", "a"]
WITHIN = 2e-3  # nats: weights of 16 bits say the same so far
CONFIGS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "rnn of relu": {"cell": "rnn", "activation": "relu", "num_layers": 2},
    "rnn of sigmoid": {"cell": "rnn", "activation": "sigmoid", "hidden_size": 7},
    "lstm": {"cell": "lstm", "num_layers": 2},
    "lstm with an embedding": {"cell": "lstm", "embedding_size": 5},
    "gru": {"cell": "gru", "num_layers": 2},
    "jordan": {"cell": "jordan"},
    "jordan of targets": {"cell": "jordan", "feedback": "target", "embedding_size": 5},
}


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes), ""))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("", {}, ""))  # what follows is not of the element

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def rounded(model: CharRNN) -> CharRNN:
    """A network whose weights a page holds as they are, so that only sums differ."""
    for array in model.parameters.values():
        scale, numbers = in_16_bits(array)
        array[:] = numbers * scale[:, None]
    return model


def in_node(checkpoint: Checkpoint, text: str, greedy: int = 0) -> dict[str, Any]:
    """What the page's scripts make of a text."""
    assert NODE
    scripts = "\n".join(source(f"{name}.js") for name in MODEL_SCRIPTS)
    model = b64encode(packed(checkpoint, "x")).decode()
    asked = {"scripts": scripts, "model": model, "text": text, "greedy": greedy}
    done = subprocess.run(
        [NODE, str(Path(__file__).with_name("run_page.js"))],
        input=json.dumps(asked).encode(),
        capture_output=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def assert_same(
    checkpoint: Checkpoint, text: str, tolerance: float, workers: Workers
) -> dict[str, Any]:
    """Compare the scores of a text by token, and return what else the page's scripts found."""
    (expected,) = score(checkpoint, [text], workers=workers)
    found = in_node(checkpoint, text, greedy=40)
    assert [*filter(None, found["tokens"])] == [*expected.tokens]
    np.testing.assert_allclose(found["logProbs"], expected.log_probs, rtol=1e-12, atol=tolerance)
    return found


# The page itself


def test_its_policy_allows_its_own_scripts_and_style_alone(make_checkpoint: MakeCheckpoint) -> None:
    found = Page(page(make_checkpoint(), "x"))
    ((_, style),) = found.all("style")
    scripts = [text for attributes, text in found.all("script") if "type" not in attributes]
    assert len(scripts) == len(SCRIPTS)
    (policy,) = (
        str(attributes["content"])
        for attributes, _ in found.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )

    def hashed(text: str) -> str:
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "style-src": hashed(style),
        "script-src": " ".join(map(hashed, scripts)),
    }


def test_it_refers_to_nothing_outside_and_sets_no_html() -> None:
    for name in ("page.html", "page.css", *(f"{script}.js" for script in SCRIPTS)):
        text = source(name)
        assert not re.search(r"://|url\(|@import|innerHTML|outerHTML|insertAdjacent|eval\(", text)
        assert not re.search(r"\s(on\w+|style|src|href)=", text), name
        if name.endswith("js"):
            assert "</script" not in text
            assert text.startswith('"use strict";\n// ')


def test_what_a_model_says_of_itself_is_no_markup(make_checkpoint: MakeCheckpoint) -> None:
    plain = Page(page(make_checkpoint("abc", WORDS), "x"))
    checkpoint = replace(make_checkpoint(HOSTILE_TOKENS, WORDS), training={"corpus": HOSTILE})
    hostile = Page(page(checkpoint, HOSTILE))
    assert [tag for tag, _, _ in hostile.found] == [tag for tag, _, _ in plain.found]
    ((_, title),) = hostile.all("title")
    assert "<script>document.title = 'owned'</script>" in title


def test_a_line_says_what_the_model_is(make_checkpoint: MakeCheckpoint) -> None:
    checkpoint = make_checkpoint("abc", JAMO)
    assert about(checkpoint).startswith("A recurrent network (lstm) of ")
    assert "decomposed character by decomposed character" in about(checkpoint)
    assert "a memory of what it has read" in about(load(bundled_model()))


def test_the_page_of_the_bundled_model_is_small() -> None:
    assert len(page(load(bundled_model()), "everyday").encode()) <= 3_000_000


def test_16_bits_hold_weights_of_any_size() -> None:
    weight = np.array([[0, 0], [1e-6, -3e-7], [1e30, -5e29], [0.1, 1 / 3]], np.float32)
    scale, numbers = in_16_bits(weight)
    assert numbers.dtype == np.int16
    error = np.abs(numbers * scale[:, None] - weight)
    assert (error <= scale[:, None] * 0.51).all()
    for wrong in (np.inf, np.nan):
        with pytest.raises(CheckpointError, match="not finite"):
            in_16_bits(np.array([[0, wrong]], np.float32))


# Its scripts, in Node.js


@with_node
@pytest.mark.figures
@pytest.mark.parametrize("name", CONFIGS)
def test_scripts_predict_what_each_cell_does(
    name: str, make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("abc \n", separator=WHOLE, **CONFIGS[name])
    assert isinstance(checkpoint.model, CharRNN)
    rounded(checkpoint.model)
    assert_same(checkpoint, "abc cab\nxa bb" * 3, log_prob_tolerance(1, 100), workers)


@with_node
@pytest.mark.figures
@pytest.mark.parametrize("part", ["ngram", "base", "mixture"])
def test_scripts_predict_what_n_grams_and_mixtures_do(part: str, workers: Workers) -> None:
    mixture = make_mixture()
    rounded(mixture.base.network)
    models: dict[str, LanguageModel] = {
        "ngram": mixture.base.ngram, "base": mixture.base, "mixture": mixture,
    }  # fmt: skip
    letters = "abcdefghijklmnopqrstuvwxyz"[: mixture.vocab_size - NUM_SPECIAL]
    checkpoint = Checkpoint(models[part], Vocabulary(letters), LINES)
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice([*letters], 7)) for _ in range(4)]
    text = "".join(words[place] for place in rng.integers(0, 4, 20)) + "?" + words[0]
    found = assert_same(checkpoint, text, log_prob_tolerance(1, 200), workers)
    (expected,) = greedy(checkpoint, [""], 40, workers)
    drawn = checkpoint.vocabulary.decode(token for token in found["drawn"] if token != EOS)
    assert drawn == expected


@with_node
def test_an_n_gram_model_of_single_tokens(workers: Workers) -> None:
    tokens = np.array([2, 3, 3, 2, EOS, 4, 3, EOS])
    config = ModelConfig(vocab_size=5, cell="ngram", order=1)
    ngram = fit(config, count_ngrams(config, tokens))
    assert_same(Checkpoint(ngram, Vocabulary("abc"), LINES), "abc?", 1e-6, workers)


@with_node
@pytest.mark.parametrize(
    ("kind", "tokens", "text"),
    [
        (CHARACTERS, "ab한\U0001f600", "a\U0001f600b한글\ufeff e\u0301\n\tz"),
        (JAMO, "\u1112\u1161\u11ab\u0301e", "한하 e\u0301\u0323 각"),
        (WORDS, [" the", "\n"], "cat  the\tcat's o’c,\n\n 中文 e\u0301x\u200dy __proto__ ½\x1c!"),
        (WORDS, [*HOSTILE_TOKENS, "__proto__", "constructor"], "a __proto__ constructor toString"),
    ],
    ids=["characters", "jamo", "words", "odd words"],
)  # fmt: skip
def test_scripts_split_texts_as_python_does(
    kind: Any, tokens: Any, text: str, make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    assert_same(make_checkpoint(tokens, kind, hidden_size=4), text, WITHIN, workers)


def greedy(checkpoint: Checkpoint, prompts: list[str], length: int, workers: Workers) -> list[str]:
    samples = [Sample(prompt) for prompt in prompts]
    complete(checkpoint, samples, SampleConfig(length=length, temperature=0), workers)
    return [sample.drawn for sample in samples]


# In a browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def opened(browser: Browser, file: Path, checkpoint: Checkpoint, name: str = "model") -> None:
    file.write_text(page(checkpoint, name), encoding="utf-8")
    browser.open(file)
    assert browser.evaluate("started.then(() => 'ready')") == "ready"


def assert_harmless(browser: Browser, file: Path) -> None:
    """Nothing was fetched, and nothing was against the policy."""
    assert browser.requests() == [file.as_uri()]
    assert not [event for event in browser.events if event["method"] == "Log.entryAdded"]


def wait_for(browser: Browser, expression: str) -> None:
    """Wait until something is true on the page."""
    end = time.monotonic() + 20
    while not browser.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def type_into(browser: Browser, name: str, text: str) -> None:
    browser.evaluate(
        f"$('{name}').value = {json.dumps(text)}; $('{name}').dispatchEvent(new Event('input'))"
    )


@pytest.mark.slow
@with_a_browser
def test_in_a_browser_the_bundled_model_says_what_it_says_here(
    browser: Browser, tmp_path: Path, workers: Workers
) -> None:
    checkpoint = load(bundled_model())
    opened(browser, tmp_path / "a.html", checkpoint)
    text = "The old man found a letter in the snow, and he read it by the fire. " * 3
    text += "A woman came in from the rain and asked for soup, bread and a chair by the stove. " * 4
    (expected,) = score(checkpoint, [text[:500]], workers=workers)
    found = browser.evaluate(_SCORED % json.dumps(text[:500]))
    assert len(found) == 501
    np.testing.assert_allclose(found, expected.log_probs, atol=WITHIN)
    prompts = ["", "The", "She said", "One morning", "In the garden", "When", "A boy", "Snow"]
    drawn = greedy(checkpoint, prompts, 200, workers)
    assert len("".join(drawn)) >= 200
    assert drawn == browser.evaluate(_GREEDY % json.dumps(prompts))
    print(f"\n{browser.evaluate(_SPEED):,.0f} characters a second in the browser")
    assert_harmless(browser, tmp_path / "a.html")


_SCORED = """started.then((model) =>
  Array.from(scored(model, %s, 8), ({ logProb }) => logProb))"""
_GREEDY = """started.then((model) => %s.map((prompt) => {
  const reader = new Reader(model);
  for (const token of model.vocabulary.split(prompt)) reader.read(model.vocabulary.id(token));
  let text = "";
  for (let token; (token = draw(reader, 0)) !== EOS; reader.read(token)) {
    text += model.vocabulary.names[token];
  }
  return text;
}))"""
_SPEED = """started.then((model) => {
  const start = performance.now();
  let reader = new Reader(model);
  for (let count = 0; count < 1000; count++) {
    const token = draw(reader, 0.8);
    if (token === EOS) reader = new Reader(model);
    else reader.read(token);
  }
  return 1e6 / (performance.now() - start);
})"""


@with_a_browser
def test_a_click_branches_and_undo_returns(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    opened(browser, tmp_path / "a.html", make_checkpoint("abc", separator=WHOLE, seed=3))
    shown = "$('written').textContent"
    type_into(browser, "prompt", "abcabc")
    wait_for(browser, f"{shown} === 'abcabc'")
    assert browser.evaluate("$('choices').textContent").startswith("What may come next")
    browser.evaluate("$('continue').click()")  # a choice puts one character
    browser.evaluate("document.querySelector('#choices button').click()")
    assert len(browser.evaluate(shown)) >= 7
    assert browser.evaluate("document.activeElement.className") == "choice"
    browser.evaluate("document.querySelectorAll('#written span')[2].click()")
    assert browser.evaluate("$('choices').textContent").startswith("In place of “c”")
    names = "[...document.querySelectorAll('#choices .token')].map((each) => each.textContent)"
    assert {*browser.evaluate(names)} == {"a", "b", "c", "<EOS>", "<UNK>"}
    browser.evaluate(
        "[...document.querySelectorAll('#choices button')]"
        ".find((each) => each.textContent.startsWith('b')).click()"
    )
    assert browser.evaluate(shown) == "abb"
    browser.evaluate("$('undo').click()")
    assert browser.evaluate(shown).startswith("abcabc")
    browser.evaluate("$('undo').click()")
    assert browser.evaluate(shown) == "abcabc"
    (expected,) = browser.evaluate(_LIKELIEST)
    assert browser.evaluate(names)[:3] == expected  # as if the reader had never been elsewhere
    assert_harmless(browser, tmp_path / "a.html")


_LIKELIEST = """started.then((model) => {
  const reader = new Reader(model);
  for (const letter of "abcabc") reader.read(model.vocabulary.id(letter));
  return [likeliest(reader.logProbs, 3).map(([token]) => model.vocabulary.names[token])];
})"""


@with_a_browser
def test_it_writes_and_stops(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    checkpoint = make_checkpoint("abc", separator=WHOLE)
    assert isinstance(checkpoint.model, CharRNN)
    checkpoint.model.parameters["head.weight"][EOS, 0] = -1e6  # no text ever ends
    opened(browser, tmp_path / "a.html", checkpoint)
    browser.evaluate("$('writing').requestSubmit()")
    wait_for(browser, "$('written').textContent.length === 500")
    wait_for(browser, "$('said').textContent.length > 500")
    browser.evaluate("$('on').click()")
    browser.evaluate("$('stop').click()")
    assert 500 < browser.evaluate("$('written').textContent.length") <= 1000
    assert browser.evaluate("[$('stop').hidden, $('on').hidden]") == [True, False]


@with_a_browser
def test_keys_select_characters_and_tabs(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    opened(browser, tmp_path / "a.html", make_checkpoint("abc"))
    type_into(browser, "prompt", "ab c")
    wait_for(browser, "$('written').textContent === 'ab c'")

    def press(name: str, key: str) -> None:
        browser.evaluate(
            f"$('{name}').dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}' }}))"
        )

    chosen = "document.querySelector('#written [aria-selected=true]')?.getAttribute('aria-label')"
    press("written", "ArrowLeft")
    assert browser.evaluate(chosen).startswith("“c”, ")
    press("written", "ArrowLeft")
    assert browser.evaluate(chosen).startswith("“␣”, ")
    press("written", "Escape")
    assert browser.evaluate(chosen) is None
    press("tab-write", "ArrowRight")
    assert browser.evaluate("document.activeElement.id") == "tab-score"
    assert browser.evaluate("[$('write').hidden, $('score').hidden]") == [True, False]
    unnamed = (
        "[...document.querySelectorAll('button, input, textarea, [role=listbox]')].filter((each) =>"
        " !(each.labels?.length || each.textContent || each.ariaLabel)).length"
    )
    assert browser.evaluate(unnamed) == 0


@with_a_browser
def test_texts_are_ranked_by_their_log_p(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint = make_checkpoint("abc \u1112\u1161\u11ab", JAMO)
    opened(browser, tmp_path / "a.html", checkpoint)
    texts = ["abc", "한 하", "a z"]
    type_into(browser, "typed", "\n".join(texts))
    wait_for(browser, "$('results').children.length === 3")
    scores = sorted(score(checkpoint, texts, workers=workers), key=lambda each: -each.log_prob)
    shown = "[...document.querySelectorAll('#results .figures')].map((each) => each.textContent)"
    for figures, expected in zip(browser.evaluate(shown), scores, strict=True):
        found = re.match(r"log P (−[\d.]+) · ([\d.]+) bits per character", figures)
        assert found
        assert float(found[1].replace("−", "-")) == pytest.approx(expected.log_prob, abs=0.02)
        assert float(found[2]) == pytest.approx(expected.bits_per_char, abs=0.02)
    place = [each.text for each in scores].index("한 하")
    spans = f"$('results').children[{place}].querySelectorAll('.text span')"
    assert browser.evaluate(f"[...{spans}].map((each) => each.textContent)") == [*"한 하", "<EOS>"]
    browser.evaluate(f"{spans}[0].click()")
    assert browser.evaluate("document.querySelectorAll('.panel .choices').length") == 1 + 3


@with_a_browser
def test_a_long_text_is_cut_between_characters_and_said_to_be(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    opened(browser, tmp_path / "a.html", make_checkpoint("abc", hidden_size=2))
    type_into(browser, "typed", "a" + 20_000 * "\U0001f600")
    note = "Only the first 20,000 characters are scored."
    wait_for(browser, f"$('noted').textContent === 'Reading… {note}'")
    assert browser.evaluate("beginning($('typed').value)") == "a" + 19_999 * "\U0001f600"
    type_into(browser, "typed", "ab" * 600)
    wait_for(browser, "$('noted').textContent === '' && $('results').children.length === 1")


@with_a_browser
def test_a_hostile_model_is_shown_as_text(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint
) -> None:
    file = tmp_path / "a.html"
    opened(browser, file, make_checkpoint(HOSTILE_TOKENS, WORDS), HOSTILE)
    type_into(browser, "prompt", HOSTILE)
    wait_for(browser, "$('written').textContent.includes('<script>document')")
    browser.evaluate("document.querySelectorAll('#written span')[3].click()")
    type_into(browser, "typed", HOSTILE)
    wait_for(browser, "$('results').children.length")
    names = "[...document.querySelectorAll('#choices .token')].map((each) => each.textContent)"
    shown = browser.evaluate(names)
    assert {each.replace(" ", "␣") for each in HOSTILE_TOKENS} < {*shown}
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.querySelectorAll('script').length") == len(SCRIPTS) + 1
    assert "owned" not in browser.evaluate("window.name + typeof owned")
    assert_harmless(browser, file)


@with_a_browser
@pytest.mark.parametrize("width", [320, 1100])
def test_nothing_is_wider_than_the_window(
    browser: Browser, tmp_path: Path, make_checkpoint: MakeCheckpoint, width: int
) -> None:
    opened(browser, tmp_path / "a.html", make_checkpoint(["w" * 60, "a"], WORDS), "n" * 80)
    size = {"width": width, "height": 600, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    type_into(browser, "prompt", "w" * 60)
    wait_for(browser, "$('written').textContent.length === 60")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.call("Emulation.clearDeviceMetricsOverride")
