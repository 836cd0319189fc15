"""What comes with the package, seen from a folder that knows nothing of the source tree."""

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import charrnn
from charrnn.config import LINES
from charrnn.inference.evaluation import evaluate
from charrnn.parallel.threads import Workers
from charrnn.resources import bundled_corpora, bundled_corpus, bundled_model
from charrnn.storage.checkpoint import load, locate
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.text.tokens import encode_documents

SCORED_ONLY = (
    "The apple and pear salad",
    "The apple and pair salad",
    "Cats average 15 hours of sleep a day",
)


def test_the_public_names_are_there() -> None:
    for name in charrnn.__all__:
        assert getattr(charrnn, name).__name__ == name
    with pytest.raises(AttributeError):
        charrnn.nothing  # type: ignore[attr-defined] # noqa: B018 - the look-up is the test


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(charrnn.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {
        alias.asname: node.module
        for node in imports
        for alias in node.names
        if alias.asname is not None
    }
    assert seen == {name: getattr(charrnn, name).__module__ for name in charrnn.__all__}


def test_the_wheel_says_that_it_is_typed() -> None:
    assert (Path(charrnn.__file__).parent / "py.typed").is_file()
    files = [str(file) for file in importlib.metadata.files("charrnn") or []]
    if "charrnn/__init__.py" not in files:
        pytest.skip("charrnn is not installed from a wheel")
    assert "charrnn/py.typed" in files


def test_the_module_runs_from_anywhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "charrnn", "sample", "The", "-n", "20", "--seed", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("The")
    assert not list(tmp_path.iterdir())


def test_the_bundled_corpora_are_what_they_should_be() -> None:
    assert bundled_corpora() == ["english", "hello", "korean", "stories"]
    assert [*read_corpus(["hello"]).documents] == ["hello"]
    for name, size in (("english", 40_000), ("korean", 450_000), ("stories", 800_000)):
        path = bundled_corpus(name)
        assert path is not None
        assert path.stat().st_size >= size
        lines = [*read_corpus([name]).documents]
        assert len(set(lines)) == len(lines)
        assert all(line == line.strip() for line in lines)
        assert not [line for line in lines for text in SCORED_ONLY if text.lower() in line.lower()]


def test_the_stories_are_simple_enough_for_a_small_model() -> None:
    lines = [*read_corpus(["stories"]).documents]
    words = [re.findall(r"[a-z]+(?:'[a-z]+)*", line.lower()) for line in lines]
    assert all(3 <= len(line) <= 16 for line in words)
    assert len({word for line in words for word in line}) <= 2_200
    assert len({*map(tuple, words)}) == len(lines)  # none differs in capitals or marks alone
    assert all(re.fullmatch(r"""["A-Z][A-Za-z .,?!'"-]+[.?!]"?""", line) for line in lines)
    assert min(Counter("".join(lines)).values()) >= 20  # of a rarer one it learns nothing
    for close in ("apple pear salad", "apple pair salad", "cats hours sleep"):  # to SCORED_ONLY
        assert not [line for line in words if {*close.split()} <= {*line}]


def test_the_korean_stories_keep_to_common_words_and_plain_marks() -> None:
    lines = [*read_corpus(["korean"]).documents]
    words = [re.findall("[가-힣]+", line) for line in lines]
    assert len(lines) >= 7_500
    assert all(6 <= len(line) <= 48 for line in lines)
    assert all(re.fullmatch(r"""["가-힣][가-힣 .,?!"]+[.?!]"?""", line) for line in lines)
    assert all(line.count('"') % 2 == 0 and "  " not in line for line in lines)
    assert len({*map(tuple, words)}) == len(lines)  # none differs in marks alone
    # 13,865 with their particles and endings, 49,494 in all
    assert len({word for line in words for word in line}) <= 13_900


@pytest.mark.parametrize(
    ("name", "corpus", "size"),
    [("everyday", "stories", 4_000_000), ("ilsang", "korean", 3_000_000)],
)
def test_a_bundled_model_is_small_and_as_good_as_it_says(
    name: str, corpus: str, size: int, workers: Workers
) -> None:
    path = bundled_model(name)
    assert locate(Path(name)) == path
    assert path.stat().st_size <= size
    assert path.stem not in bundled_corpora()
    checkpoint = load(path)
    assert checkpoint.separator == LINES
    training, text = checkpoint.training, read_corpus([corpus])
    assert training["command"].startswith(f"charrnn train {corpus} --steps ")
    assert training["corpus"]["sha256"] == text.sha256
    validation = encode_documents(checkpoint.vocabulary, split_corpus(text).val)
    found = evaluate(checkpoint.model, validation, workers, count_eos=True)
    assert found.bits_per_char == pytest.approx(training["result"]["val_bits_per_char"], abs=1e-3)
    assert training["result"]["baselines"]["ngram"] > found.bits_per_char
