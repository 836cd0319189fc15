"""A small text to train on."""

import numpy as np

from charrnn.config import LINES
from charrnn.text.corpus import Corpus, Split, split_corpus

_WORDS = ["the", "old", "well", "held", "a", "door", "and", "an", "apple", "fell", "into", "it"]


def lines() -> list[str]:
    """Lines of random words."""
    drawn = np.random.default_rng(0).choice(_WORDS, (60, 6))
    return [" ".join(words) for words in drawn]


def read() -> tuple[Corpus, Split]:
    """The lines as a corpus, split."""
    from charrnn.text.documents import END

    corpus = Corpus.collect("words", (line + END for line in lines()), LINES)
    return corpus, split_corpus(corpus)
