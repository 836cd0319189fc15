"""The documents that `charrnn sample --novel-only` does not write."""

import shlex
from collections.abc import Container
from itertools import takewhile
from typing import TYPE_CHECKING

from charrnn.cli.sample_drawing import Copies
from charrnn.errors import CorpusError

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint


def known_documents(
    model: "Checkpoint", copies: Copies | None, encoding: str, max_size: int | None
) -> Container[str]:
    """The documents that --novel names, else those of the text that the model was trained on.

    Raises:
        CorpusError: the text cannot be found where it was, or has changed.
    """
    if copies is not None:
        return copies.documents
    from charrnn.inference.verbatim import whole_documents
    from charrnn.storage.checkpoint import text_hash
    from charrnn.text.corpus import read_corpus

    try:
        sources = _sources(str(model.training.get("command", "")))
        corpus = read_corpus(
            sources, separator=model.separator, encoding=encoding, max_size=max_size
        )
    except CorpusError as error:
        raise CorpusError(f"{error.message}; --novel names the text to compare with") from None
    if corpus.sha256 != text_hash(model.training):
        raise CorpusError(
            f"the model was trained on another text than {corpus.name} is now; "
            "--novel names the text to compare with"
        )
    return whole_documents(corpus.documents)


def _sources(command: str) -> list[str]:
    """What a command line names to train on.

    Raises:
        CorpusError: it is none, or names standard input.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    sources = [*takewhile(lambda word: word[:1] != "-", words[2:])]
    if words[:2] != ["charrnn", "train"] or "-" in words:
        raise CorpusError("the model does not say where its training text is")
    return sources
