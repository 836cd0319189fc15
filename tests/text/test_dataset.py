import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from charrnn.config import WHOLE, TrainConfig, VocabularyConfig
from charrnn.parallel.processes import ALONE, World
from charrnn.text import corpus, documents, spread
from charrnn.text.corpus import Corpus, split_corpus
from charrnn.text.dataset import Dataset
from charrnn.text.documents import END, LINE_END
from charrnn.text.vocabulary import normalize
from charrnn.training.batches import Batches
from tests.conftest import CHARACTERS, JAMO, WORDS, marked
from tests.ranks import at_all_ranks

Array = np.ndarray

quick = settings(deadline=None, max_examples=60, derandomize=True)
texts = st.lists(st.text("각aé \n'", min_size=1, max_size=30).map(normalize), max_size=6)
LONG = "a document that is enough to learn from"


def shares_of(text: str, cuts: list[int]) -> list[list[str]]:
    """A marked text for each of several processes, cut after marks and newlines."""
    places = [found.end() for found in re.finditer(f"[\n{END}{LINE_END}]", text)]
    edges = [0, *sorted(places[cut % len(places)] for cut in cuts), len(text)]
    return [[text[start:stop]] for start, stop in pairwise(edges)]


def made(
    shares: list[list[str]], fraction: float, kind: VocabularyConfig, world: World = ALONE
) -> tuple[Dataset, tuple[Array, ...]]:
    """A dataset, and its vocabulary, tokens and end, all as one process has them."""
    whole = Corpus.collect("x", shares[world.rank], WHOLE, world)
    data = Dataset.of(whole, split_corpus(whole, fraction), kind)
    return data, (
        np.array(data.vocabulary.tokens),
        data.train.array(),
        data.validation.tokens if data.validation else np.array([]),
        np.array([data.chars_per_token, whole.chars]),
        np.array([whole.sha256, data.split.train.end(20), *whole.documents]),
    )


@pytest.mark.parametrize("kind", [CHARACTERS, JAMO, WORDS])
@quick
@given(
    texts,
    st.lists(st.integers(0, 99), min_size=1, max_size=3),
    st.sampled_from([0.0, 0.1, 0.4]),
    st.integers(1, 9),
)
@example(3 * ["ab ab ab ab ab"], [0, 1], 0.1, 9)  # the second of four is cut, and comes last
def test_a_dataset_is_the_same_for_any_number_of_processes(
    kind: VocabularyConfig, texts: list[str], cuts: list[int], fraction: float, size: int
) -> None:
    text = "".join(marked([*texts, LONG]))
    shares = shares_of(text, cuts)
    B, T, number = len(shares) + 1, 3, len(shares)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "MIN_VALIDATION_CHARS", 1)
        for module in (documents, spread):
            patch.setattr(module, "_PART", size)
        data, expected = made([[text]], fraction, kind)
        rates = TrainConfig(steps=1, batch_size=B, seq_len=T, unk_rate=0.1, restart_rate=0.0)
        batches = [*Batches(data.train, rates).epoch(0)]

        def run(world: World) -> tuple[tuple[Array, ...], list[tuple[Array, Array]]]:
            data, found = made(shares, fraction, kind, world)
            own = Batches(data.train, rates, streams=world.share(B))
            return found, [*own.epoch(0)]

        at_ranks = at_all_ranks(number, run)
    for found, _ in at_ranks:
        for array, other in zip(found, expected, strict=True):
            assert array.dtype == other.dtype
            np.testing.assert_array_equal(array, other)
    columns = [np.concatenate(own, axis=-1) for own in zip(*(b for _, b in at_ranks), strict=True)]
    np.testing.assert_array_equal(columns, batches)


def test_each_process_holds_its_part_of_the_text_only() -> None:
    shares = [["ab\n"], ["cd" + END], [], ["e" + END]]

    def sizes(world: World) -> tuple[int, int]:
        data, _ = made(shares, 0.0, CHARACTERS, world)
        return len(data.corpus.documents.share().codes), len(data.corpus.documents.codes)

    assert at_all_ranks(4, sizes) == [(3, 8), (3, 8), (0, 8), (2, 8)]
