"""The documents that `charrnn sample --novel-only` does not write."""

import shlex
from collections.abc import Container
from typing import TYPE_CHECKING, Any

import typer

from charrnn.cli.help import Command
from charrnn.cli.sample_drawing import Copies
from charrnn.errors import CorpusError

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint
    from charrnn.text.corpus import Corpus


def known_documents(model: "Checkpoint", copies: Copies | None) -> Container[str]:
    """The documents that --novel names, else those of the text that the model was trained on.

    Raises:
        CorpusError: the text cannot be found where it was, or has changed.
    """
    if copies is not None:
        return copies.documents
    from charrnn.inference.verbatim import whole_documents

    try:
        return whole_documents(_training_text(model).documents)
    except CorpusError as error:
        raise CorpusError(
            f"--novel-only needs the training text, or --novel CORPUS: {error.message}"
        ) from None


def _training_text(model: "Checkpoint") -> "Corpus":
    """Read what a model was trained on once more, as its command did."""
    from charrnn.storage.checkpoint import text_hash
    from charrnn.text.corpus import read_corpus

    options = _options(str(model.training.get("command", "")))
    corpus = read_corpus(
        options["corpus"],
        separator=model.separator,
        **{name: options[name] for name in ("encoding", "max_size", "field", "glob")},
    )
    if corpus.sha256 != text_hash(model.training):
        raise CorpusError(f"{corpus.name} is not the text that the model was trained on")
    return corpus


def _options(command: str) -> dict[str, Any]:
    """The values that a command line gives to the options of `charrnn train`.

    Raises:
        CorpusError: it is another command, or reads standard input.
    """
    from typer.main import get_command

    from charrnn.cli.train import train

    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if words[:2] != ["charrnn", "train"] or "-" in words:
        raise CorpusError("the model does not say where it is")
    parser = typer.Typer()
    parser.command("train", cls=Command)(train)
    context = get_command(parser).make_context("train", words[2:], resilient_parsing=True)
    return context.params
