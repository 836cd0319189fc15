"""Baselines equal separate evaluations of the simpler models."""

import lzma
import math
import sys

import numpy as np
import pytest

from charrnn.config import LINES, WHOLE, VocabularyConfig
from charrnn.inference.evaluation import Evaluation, evaluate
from charrnn.mixing.mixed import LanguageModel
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.text.corpus import read_corpus, split_corpus
from charrnn.text.tokens import Encoded, encode_documents, learn_vocabulary, tokenize
from charrnn.training import baselines
from charrnn.training.preparing import RunRequest, prepare

pytestmark = pytest.mark.figures


def test_each_is_the_split_under_its_model(tmp_path) -> None:  # type: ignore[no-untyped-def]
    corpus = read_corpus(["english"])
    split = split_corpus(corpus)
    with Workers(1) as workers:
        run = prepare(
            corpus,
            split,
            RunRequest({"steps": 2, "ngram": 4}),
            output=tmp_path / "m.npz",
            workers=workers,
        )
        list(run.train())
        found = run.result().baselines
        vocabulary = learn_vocabulary(split.train, VocabularyConfig())
        train, val = tokenize(vocabulary, split.train), encode_documents(vocabulary, split.val)
        bits = [
            evaluate(model, val, workers, count_eos=True).bits_per_char
            for model in (run.trainer.model.ngram, run.trainer.model.network)  # type: ignore[union-attr]
        ]
    assert [found["ngram"], found["network"]] == bits
    counts = np.bincount(train.array(), minlength=len(vocabulary))
    probs = counts / counts.sum()
    unigram = -np.log2(probs[val.tokens]).mean()
    assert found["unigram"] == pytest.approx(unigram, abs=0.01)
    texts = ["\n".join([*documents, ""]).encode() for documents in (split.train, split.val)]
    size = len(lzma.compress(b"".join(texts))) - len(lzma.compress(texts[0]))
    assert found["xz"] == pytest.approx(8 * size / val.num_chars(eos=True))
    assert found["unigram"] > found["xz"] > found["ngram"]
    assert math.isfinite(found["network"])


@pytest.mark.parametrize("separator", [LINES, WHOLE])
def test_of_a_long_text_a_sample_says_about_the_same(
    monkeypatch: pytest.MonkeyPatch, workers: Workers, separator: str
) -> None:
    corpus = read_corpus(["english"], separator=separator)
    split = split_corpus(corpus, 0.4)
    run = prepare(corpus, split, RunRequest({"steps": 1, "ngram": 3}), output=None, workers=workers)
    whole, read, compress = run.record.baselines, list[bytes](), lzma.compress
    monkeypatch.setattr(baselines, "_MAX_SCORED", 20_000)
    monkeypatch.setattr(baselines, "_MAX_ADDED", 40_000)

    def spy(text: bytes, **_: object) -> bytes:
        read.append(text)
        return compress(text)

    monkeypatch.setattr(lzma, "compress", spy)
    run.record.baselines = {}
    run.compare()
    assert {*run.record.baselines} == {*whole} == {"unigram", "ngram", "xz"}
    for name, bits in run.record.baselines.items():
        assert bits == pytest.approx(whole[name], rel=0.1)
        assert bits != whole[name]
    assert abs(len(read[0]) - len(read[1])) <= 40_000  # once with the sample, once without


def test_the_network_alone_is_tried_on_less_the_larger_it_is(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
) -> None:
    corpus = read_corpus(["english"])
    run = prepare(
        corpus,
        split_corpus(corpus),
        RunRequest({"steps": 1, "ngram": 3}),
        output=None,
        workers=workers,
    )
    validation = run.data.validation
    assert validation is not None
    assert isinstance(run.model, ResidualRNN)
    alone = baselines.network_baseline(
        run.model.network, validation, count_eos=True, workers=workers
    )
    assert alone == {}
    sizes = []

    def spy(model: LanguageModel, split: Encoded, workers: Workers, **_: bool) -> Evaluation:
        sizes.append(len(split.tokens))
        return Evaluation(1.0, 1, 0, 1)

    monkeypatch.setattr(baselines, "evaluate", spy)
    for work in (10**12, 3000 * run.model.size):
        monkeypatch.setattr(baselines, "_MAX_WORK", work)
        baselines.network_baseline(run.model, validation, count_eos=True, workers=workers)
    assert sizes[0] == len(validation.tokens)
    assert 2000 < sizes[1] <= 3000


def test_without_memory_for_xz_there_is_no_figure_of_it(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
) -> None:
    def too_large(*args: object, **options: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(lzma, "compress", too_large)
    corpus = read_corpus(["english"])
    run = prepare(
        corpus,
        split_corpus(corpus),
        RunRequest({"steps": 1, "ngram": 0}),
        output=None,
        workers=workers,
    )
    assert {*run.record.baselines} == {"unigram", "ngram"}


def test_ppmd_takes_the_place_of_xz_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
) -> None:
    monkeypatch.delitem(sys.modules, "pyppmd")
    pyppmd = pytest.importorskip("pyppmd")
    corpus = read_corpus(["english"])
    split = split_corpus(corpus)
    request = RunRequest({"steps": 1, "ngram": 3})
    run = prepare(corpus, split, request, output=None, workers=workers)
    assert {*run.record.baselines} == {"unigram", "ngram", "ppmd"}
    texts = ["\n".join([*documents, ""]).encode() for documents in (split.train, split.val)]
    both, train = (
        len(pyppmd.compress(text, max_order=8, mem_size=1 << 26, variant="H"))
        for text in (b"".join(texts), texts[0])
    )
    assert run.data.validation is not None
    chars = run.data.validation.num_chars(eos=True)
    assert run.record.baselines["ppmd"] == pytest.approx(8 * (both - train) / chars)
    assert run.record.baselines["ppmd"] < run.record.baselines["ngram"]
