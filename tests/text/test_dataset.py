import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charrnn.config import VocabularyConfig
from charrnn.errors import CorpusError
from charrnn.ids import EOS, IGNORE
from charrnn.text import corpus as module
from charrnn.text.corpus import split_corpus
from charrnn.text.dataset import Dataset
from charrnn.text.tokens import split_documents
from charrnn.text.unicode import normalize
from tests.conftest import CHARACTERS, JAMO, WORDS, corpus_of

quick = settings(deadline=None, max_examples=60, derandomize=True)
texts = st.lists(st.text("각aé \n'", min_size=1, max_size=30).map(normalize), max_size=6)
LONG = "a document that is enough to learn from"


def made(texts: list[str], fraction: float = 0.0, kind: VocabularyConfig = CHARACTERS) -> Dataset:
    corpus = corpus_of(texts)
    return Dataset.of(corpus, split_corpus(corpus, fraction), kind)


@pytest.mark.parametrize("kind", [CHARACTERS, JAMO, WORDS])
@quick
@given(texts, st.sampled_from([0.0, 0.1, 0.4]))
def test_the_tokens_of_both_splits_are_those_of_their_documents(
    kind: VocabularyConfig, texts: list[str], fraction: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MIN_VALIDATION_CHARS", 1)
        data = made([*texts, LONG], fraction, kind)
    arrays = [data.train.array(), data.validation.tokens if data.validation else np.array([])]
    for documents, tokens in zip((data.split.train, data.split.val), arrays, strict=True):
        if not documents:
            assert not tokens.size
            continue
        ends = [
            IGNORE if documents.cut and n == len(documents) else EOS
            for n in range(1, len(documents) + 1)
        ]
        found = split_documents(tokens)
        assert [int(each[-1]) for each in found] == ends
        for ids, text in zip(found, documents, strict=True):
            np.testing.assert_array_equal(ids[:-1], data.vocabulary.encode(text))
    chars = sum(map(len, data.split.train)) + np.count_nonzero(arrays[0] == EOS)
    assert data.chars_per_token * np.count_nonzero(arrays[0] != IGNORE) == pytest.approx(chars)


def test_two_runs_that_hold_out_other_tokens_are_told_apart() -> None:
    one, same, other = (
        made([*"abcdefgh" * 200, last], 0.1).val_sha256 for last in ("x", "x", "y" * 150)
    )
    assert one == same != other
    assert made(["ab"]).val_sha256 == ""


def test_a_text_of_which_no_token_is_left_is_refused() -> None:
    with pytest.raises(CorpusError, match=re.escape("no word occurs 3 times")):
        made(["ab cd", "ab ef"], kind=VocabularyConfig("word", min_count=3))
