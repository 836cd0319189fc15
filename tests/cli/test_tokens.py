"""Tokens other than composed characters, as every command knows them."""

import math
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.commands import RESULT_FIELDS, SCORE_FIELDS, TINY, Run

pytestmark = pytest.mark.figures

MIXED = "한글은 좋다.\nthe cafe\u0301 and the cat\n가각 the 한글은\n"
UNSEEN = "the 각 dog"


@pytest.fixture(
    params=["--tokens word", "--tokens word --vocab-size 4", "--normalize nfd"], ids=str.split
)
def other(run: Run, folder: Path, request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The options of a model that was trained on other tokens, m.npz, and what training printed."""
    (folder / "mixed.txt").write_text(MIXED * 3, encoding="utf-8")
    (folder / "val.txt").write_text(UNSEEN, encoding="utf-8")
    options: str = request.param
    command = ("train", "mixed.txt", "--lines", *TINY, "-o", "m.npz", "--val", "val.txt", "--json")
    result = run(*command, *options.split())
    unit = "decomposed characters" if "nfd" in options else "words"
    (fields,) = result.objects()
    assert f"({fields['vocab_size'] - 2} different {unit})" in result.err
    return options, fields


def test_inspect_says_what_tokens_are(run: Run, other: tuple[str, dict[str, Any]]) -> None:
    options, result = other
    (fields,) = run("inspect", "-c", "m.npz", "--json").objects()
    name, value = options.split()[:2]
    assert fields["tokens"][name[2:]] == value
    assert fields["tokens"]["vocab_size"] == (4 if "4" in options else None)
    assert len(fields["vocabulary"]) == result["vocab_size"] - 2
    assert ("\u1161" if "nfd" in options else " the") in fields["vocabulary"]
    assert run("inspect", "-c", "m.npz").code == 0


def test_bits_are_by_the_character_in_train_and_score(
    run: Run, other: tuple[str, dict[str, Any]]
) -> None:
    _, result = other
    (scored,) = run("score", UNSEEN, "-c", "m.npz", "--json").objects()
    assert list(scored) == [*SCORE_FIELDS, "tokens"]
    assert scored["chars"] == len(UNSEEN) + 1
    of_tokens = -scored["token_log_prob"] / scored["chars"] / math.log(2)
    assert of_tokens == pytest.approx(result["val_bits_per_char"], abs=1e-5)
    assert scored["bits_per_char"] > of_tokens + 1  # as some tokens are unknown
    assert list(result) == [*RESULT_FIELDS, "val_unk_share", "baselines"]
    assert scored["unk"] == result["val_unk"] > 0
    assert result["val_unk_share"] == pytest.approx(scored["unk"] / scored["tokens"])


def test_per_char_has_tokens_and_the_characters_that_have_a_probability(
    run: Run, other: tuple[str, dict[str, Any]]
) -> None:
    options, _ = other
    (scored,) = run("score", UNSEEN, "-c", "m.npz", "--json", "--per-char").objects()
    tokens = [entry["token"] for entry in scored["per_token"]]
    characters = [entry["char"] for entry in scored.get("per_char", [])]
    if "nfd" in options:
        assert tokens == [*unicodedata.normalize("NFD", UNSEEN), "<EOS>"]
        assert characters == [*UNSEEN, "<EOS>"]
    else:
        assert tokens == ["the", " 각", " dog", "<EOS>"]
        assert "per_char" not in scored
    lines = run("score", UNSEEN, "-c", "m.npz", "--per-char").out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [*(characters or tokens), ""]


def test_next_has_tokens(run: Run, other: tuple[str, dict[str, Any]]) -> None:
    options, result = other
    (found,) = run("sample", "가", "-c", "m.npz", "--next", "--json").objects()
    names = {entry["char" if "nfd" in options else "token"] for entry in found["next"]}
    assert len(names) == result["vocab_size"]
    assert {"<EOS>", "<UNK>"} < names


def test_what_is_printed_of_any_tokens_is_composed(
    run: Run, other: tuple[str, dict[str, Any]]
) -> None:
    command = ("sample", "하", "-c", "m.npz", "--length", "40")
    samples = run(*command, "--num-samples", 9, "--seed", "2", "--json").objects()
    drawn = "".join(fields["text"][1:] for fields in samples)
    assert any("가" <= char <= "힣" or char == "é" for char in drawn)
    assert all(unicodedata.is_normalized("NFC", fields["text"]) for fields in samples)
    assert run(*command, "--seed", "2").out == samples[0]["text"] + "\n"
