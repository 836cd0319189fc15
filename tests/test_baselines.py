"""Baselines are what simpler models really reach on the same split."""

import lzma
import math

import numpy as np
import pytest

from charrnn.config import VocabularyConfig
from charrnn.corpus import read_corpus, split_corpus
from charrnn.evaluation import evaluate
from charrnn.parallel import Workers
from charrnn.preparing import prepare
from charrnn.tokens import encode_documents, learn_vocabulary, tokenize

pytestmark = pytest.mark.figures


def test_each_is_the_split_under_its_model(tmp_path) -> None:  # type: ignore[no-untyped-def]
    corpus = read_corpus(["english"])
    split = split_corpus(corpus)
    with Workers(1) as workers:
        run = prepare(
            corpus, split, {"steps": 2, "ngram": 4}, output=tmp_path / "m.npz", workers=workers
        )
        list(run.train())
        found = run.result()["baselines"]
        vocabulary = learn_vocabulary(split.train, VocabularyConfig())
        train, val = tokenize(vocabulary, split.train), encode_documents(vocabulary, split.val)
        bits = [
            evaluate(model, val, workers, count_eos=True).bits_per_char
            for model in (run.model.ngram, run.model.network)  # type: ignore[union-attr]
        ]
    assert [found["ngram"], found["network"]] == bits
    counts = np.bincount(train.array(), minlength=len(vocabulary))
    probs = counts / counts.sum()
    unigram = -np.log2(probs[val.tokens]).mean()
    assert found["unigram"] == pytest.approx(unigram, abs=0.01)
    texts = ["\n".join([*documents, ""]).encode() for documents in (split.train, split.val)]
    size = len(lzma.compress(b"".join(texts))) - len(lzma.compress(texts[0]))
    assert found["xz"] == pytest.approx(8 * size / val.count(eos=True))
    assert found["unigram"] > found["xz"] > found["ngram"]
    assert math.isfinite(found["network"])
