"""What the commands share: options, and how JSON and texts are printed."""

import math
import sys
from pathlib import Path

import pytest
import typer

from charrnn import cli
from charrnn.cli.options import (
    PARTS,
    as_line,
    as_row,
    as_text,
    chosen_separator,
    corpora,
    load_checkpoint,
    models,
    one_of,
    printable,
    refuse_file_name,
    refuse_together,
    typed,
    unescaped,
)
from charrnn.config import LINES, WHOLE
from charrnn.errors import ConfigError
from charrnn.resources import BUNDLED_MODELS, bundled_corpora, bundled_model
from charrnn.storage import checkpoint


def test_the_newest_model_here_is_used_and_else_the_bundled_one(
    folder: Path, trained: Path
) -> None:
    assert (
        load_checkpoint(None).vocabulary.tokens
        == checkpoint.load(bundled_model()).vocabulary.tokens
    )
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "m.npz").write_bytes(trained.read_bytes())
    assert load_checkpoint(None).vocabulary.tokens == checkpoint.load(trained).vocabulary.tokens


def test_a_terminal_is_told_which_model_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    for path in (bundled_model(), None):
        load_checkpoint(path)
        assert "model: everyday (lstm 1x256, trained on stories)" in capfd.readouterr().err


def test_a_part_of_a_model_is_its_network_or_its_ngrams(trained: Path) -> None:
    base = load_checkpoint(bundled_model()).model.base  # type: ignore[union-attr]
    parts = [load_checkpoint(bundled_model(), part).model for part in PARTS[1:]]
    kinds = [type(base), type(base.network), type(base.ngram)]
    assert [type(part) for part in parts] == kinds
    with pytest.raises(ConfigError, match="part"):
        load_checkpoint(bundled_model(), "half")
    with pytest.raises(ConfigError, match="part ngram needs a network with n-grams"):
        load_checkpoint(trained, "ngram")


@pytest.mark.parametrize(
    ("lines", "split_on", "separator"),
    [(None, None, None), (True, None, LINES), (False, None, WHOLE), (None, r"\n\n", "\n\n")],
)
def test_where_texts_are_cut(
    lines: bool | None, split_on: str | None, separator: str | None
) -> None:
    assert chosen_separator(lines, split_on) == separator


@pytest.mark.parametrize(("lines", "split_on"), [(True, ";"), (False, ";"), (None, "")])
def test_a_text_to_cut_at_is_one_and_the_only_one(lines: bool | None, split_on: str) -> None:
    with pytest.raises(ConfigError):
        chosen_separator(lines, split_on)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (r"a\nb\tc", "a\nb\tc"),
        (r"\r\n", "\n"),
        (r"\\n", r"\n"),
        (r"\u0041\u00e9", "Aé"),
        (r"\x \u12", r"\x \u12"),
        ("a\rb", "a\nb"),
        (r"\ud83d\ude00", "\U0001f600"),
        (r"\ud83d", "\ud83d"),  # whoever reads it says that it is no text
    ],
)
def test_escapes_stand_for_characters(typed: str, text: str) -> None:
    assert unescaped(typed) == text


def test_a_text_that_is_typed_is_composed() -> None:
    assert as_text(r"e\u0301\n") == "é\n"


def test_the_name_of_a_file_is_no_text(folder: Path) -> None:
    for name in ("a.txt", "m.npz"):
        (folder / name).touch()
    refuse_file_name("the old well", "--file")
    with pytest.raises(ConfigError, match=r"did you mean --file a\.txt\?"):
        refuse_file_name("a.txt", "--file")
    with pytest.raises(ConfigError, match=r"did you mean --checkpoint m\.npz\?"):
        refuse_file_name("m.npz", "--file")


def test_json_is_one_line_without_what_json_does_not_know() -> None:
    assert as_line({"a": [math.nan, {"b": -math.inf}], "c": 1.5}) == (
        '{"a": [null, {"b": null}], "c": 1.5}'
    )
    assert as_line("é\n\x1b\x7f\x9b\u202e\u2028") == r'"é\n\u001b\u007f\u009b\u202e\u2028"'


def test_rows_have_no_empty_end() -> None:
    assert as_row("a", "", "b") == "a\t\tb"
    assert as_row("a", "b", "") == "a\tb"


def test_a_terminal_gets_controls_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printable("a\x1b") == "a\x1b"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert printable("a\x1b") == r"a\x1b"


# What a shell offers to complete


def test_texts_of_the_folder_that_is_typed_are_offered(folder: Path) -> None:
    (folder / "texts").mkdir()
    for name in ("a.txt", "texts/b.txt", "texts/c.txt.gz", "texts/d.npz"):
        (folder / name).touch()
    assert corpora("") == [*bundled_corpora(), "a.txt"]
    typed = [str(Path("texts", name)) for name in ("b.txt", "c.txt.gz")]
    assert corpora(str(Path("texts", "b"))) == [*bundled_corpora(), *typed]
    assert corpora(str(Path("nothing", "b"))) == bundled_corpora()


def test_models_are_offered_with_those_of_the_folder_that_is_typed(folder: Path) -> None:
    for name in ("checkpoints/m.npz", "checkpoints/m.resume.npz", "texts/n.npz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert models("") == [*BUNDLED_MODELS, "m"]
    assert models(str(Path("texts", "")) + "/") == [
        *BUNDLED_MODELS,
        "m",
        str(Path("texts", "n.npz")),
    ]


def test_choices_are_offered_as_they_are() -> None:
    assert one_of(("lstm", "gru"))() == ["lstm", "gru"]


# What goes together


def parsed(command: str, *arguments: str) -> typer.Context:
    """The context of a command line, whose command is not run."""
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    context: typer.Context = commands[command].make_context(command, [*arguments])
    return context


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("score", set()),
        ("score a b -c m.npz --no-eos --whole", {"TEXT", "--checkpoint", "--no-eos", "--whole"}),
        ("score --streams 1 --part all --lines", {"--lines"}),
        ("sample -t 0.5 -i --stop x --stop y", {"--temperature", "--interactive", "--stop"}),
        ("inspect f.txt --neuron 1 --over steps", {"MODEL", "--neuron"}),
    ],
)
def test_what_is_typed_has_the_name_that_help_gives_it(line: str, found: set[str]) -> None:
    assert typed(parsed(*line.split())) == found


def test_what_does_not_go_together_is_named() -> None:
    apart = {"--sort": ("--total", "TEXT")}
    refuse_together({"--sort"}, apart)
    refuse_together({"--total", "TEXT"}, apart)
    with pytest.raises(ConfigError, match=r"^--sort and TEXT cannot be combined$"):
        refuse_together({"--sort", "TEXT"}, apart)
