"""Texts that are none of a corpus: what is one of its documents is drawn again."""

from collections.abc import Container

from charrnn.config import SampleConfig
from charrnn.errors import CorpusError, setting
from charrnn.inference.sampling import Sample, complete
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint

TRIES = 100  # texts drawn for a sample at most


def complete_novel(
    checkpoint: Checkpoint,
    samples: list[Sample],
    config: SampleConfig,
    workers: Workers,
    known: Container[str],
) -> None:
    """Draw many samples to their ends, and draw those again that are known texts.

    Args:
        samples: fresh ones; they are replaced by those that were drawn last.

    Raises:
        CorpusError: all tries for a sample are known texts.
    """
    drawn, tries = [*range(len(samples))], TRIES if config.temperature else 1
    for attempt in range(tries):
        fresh = [
            Sample(samples[index].prompt, samples[index].seed, retries=attempt) for index in drawn
        ]
        complete(checkpoint, fresh, config, workers)
        for index, sample in zip(drawn, fresh, strict=True):
            samples[index] = sample
        drawn = [index for index in drawn if samples[index].text in known]
        if not drawn:
            return
    text = samples[drawn[0]].text
    raise CorpusError(
        f"all of {tries} tries stand in the corpus, the last one '{text}'; "
        f"raise {setting('temperature')}"
        if tries > 1
        else f"'{text}' stands in the corpus, and {setting('temperature')} 0 writes nothing else"
    )
