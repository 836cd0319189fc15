import pytest

from charrnn.config import SampleConfig
from charrnn.errors import CorpusError
from charrnn.inference.novelty import complete_novel
from charrnn.inference.sampling import Sample, complete
from charrnn.parallel.threads import Workers
from tests.conftest import MakeCheckpoint

pytestmark = pytest.mark.figures

CONFIG = SampleConfig(length=3, temperature=1)


def samples(prompt: str = "") -> list[Sample]:
    return [Sample(prompt, seed) for seed in range(40)]


def test_known_texts_are_drawn_again_and_others_stay(
    make_checkpoint: MakeCheckpoint, workers: Workers
) -> None:
    checkpoint, before, found = make_checkpoint(), samples("a"), samples("a")
    complete(checkpoint, before, CONFIG, workers)
    known = {sample.text for sample in before[::2]}
    complete_novel(checkpoint, found, CONFIG, workers, known)
    again = samples("a")
    complete_novel(checkpoint, again, CONFIG, workers, known)
    assert [sample.text for sample in again] == [sample.text for sample in found]
    for old, new in zip(before, found, strict=True):
        assert new.text not in known
        assert (new.seed, new.prompt) == (old.seed, "a")
        assert (new.text == old.text) == (old.text not in known)
        assert bool(new.retries) == (old.text in known)
    assert len({sample.text for sample in found}) > 5


def test_tries_end_in_an_error(make_checkpoint: MakeCheckpoint, workers: Workers) -> None:
    class Everything(list[str]):
        def __contains__(self, item: object) -> bool:
            self.append(str(item))
            return True

    everything = Everything()
    with pytest.raises(CorpusError, match=r"^all of 100 tries stand in .* raise temperature$"):
        complete_novel(make_checkpoint(), [Sample("", 1)], CONFIG, workers, everything)
    assert len(everything) == 100
    assert len({*everything}) > 5
    greedy = SampleConfig(length=3, temperature=0)
    with pytest.raises(CorpusError, match="temperature 0 writes nothing else"):
        complete_novel(make_checkpoint(), [Sample("", 1)], greedy, workers, everything)
    assert len(everything) == 101
