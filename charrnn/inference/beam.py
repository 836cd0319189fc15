"""Beam search: the most probable continuations of a prompt, found without drawing.

Letters: V vocabulary size, B unfinished beams, side by side.
"""

from collections.abc import Sequence

import numpy as np

from charrnn.config import SampleConfig
from charrnn.ids import UNK
from charrnn.inference.choosing import log_softmax
from charrnn.inference.constraints import constraints_of, impossible
from charrnn.inference.sampling import Sample, read_prompts
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.vocabulary import UNK_CHARACTER

Array = np.ndarray


def beam_search(
    checkpoint: Checkpoint, prompt: str, config: SampleConfig, width: int, count: int = 1
) -> list[Sample]:
    """Find the most probable texts that begin with the prompt, the best first, each once.

    After every token the `width` most probable beginnings are kept. Texts that have ended stay and
    compete with those that continue, which can only become less probable. So a width of 1 is
    sampling at temperature 0, and a width that keeps everything finds the most probable texts of
    all.

    Args:
        config: length, stop text and whether <UNK> is allowed; the rest is for drawing.
        width: beginnings to keep, the beam width.
        count: how many texts to return at most, up to `width`.

    Returns:
        Finished samples without a seed, in the order of their `drawn_log_prob`.

    Raises:
        CorpusError: the prompt is not valid Unicode.
        CheckpointError: the model predicts nothing.
        ConfigError: nothing may follow that meets all constraints.
    """
    first = Sample(prompt)
    first.begin(checkpoint.vocabulary, config, constraints_of(checkpoint.vocabulary, config))
    beams, model = [first], checkpoint.model
    if first.stop is not None:
        return beams
    inputs, state = read_prompts(checkpoint, [first.prompt])
    unrolled, B = model.unroll(1, 1), 1
    while any(beam.stop is None for beam in beams[:count]):
        if state.shape[-1] != B:
            B = state.shape[-1]
            unrolled = model.unroll(1, B)
        logits, state = unrolled.forward(inputs[None], state)
        log_probs = _allowed_log_probs(checkpoint, logits[0].astype(np.float64), config)
        going = [beam for beam in beams if beam.stop is None]
        for column, beam in enumerate(going):
            if beam.allowed is not None:
                log_probs[~beam.allowed, column] = -np.inf
        beams, parents, inputs = _extend(checkpoint, beams, log_probs, config, width)
        state = state[..., parents]
    if not beams:
        raise impossible("", config)
    return beams[:count]


def _allowed_log_probs(checkpoint: Checkpoint, logits: Array, config: SampleConfig) -> Array:
    """log P (V, B) of every token under the plain model, -inf where it may not be drawn.

    <UNK>, which is printed as one character, costs what that does.
    """
    with np.errstate(all="ignore"):
        log_probs = log_softmax(logits)
    drawn = np.array([UNK])
    cost = (
        checkpoint.vocabulary.unknown_nats([UNK_CHARACTER], drawn) if config.allow_unk else np.inf
    )
    log_probs[UNK] -= cost
    check_finite(float(log_probs.max(axis=0).sum()))
    return log_probs


def _extend(
    checkpoint: Checkpoint,
    beams: Sequence[Sample],
    log_probs: Array,
    config: SampleConfig,
    width: int,
) -> tuple[list[Sample], Array, Array]:
    """Return the best of the finished beams and of all continuations of the others.

    Args:
        log_probs: (V, B) of each token after each beam that has not ended.

    Returns:
        The new beams, the best first; of those of them that go on, the column of the beam that
        each was and the token that it got (both (B,)).
    """
    ended = [beam for beam in beams if beam.stop is not None]
    going = [beam for beam in beams if beam.stop is None]
    extended = log_probs + [beam.drawn_log_prob for beam in going]
    values = np.append([beam.drawn_log_prob for beam in ended], extended.T)
    found: list[Sample] = []
    sources: list[tuple[int, int]] = []
    texts: set[str] = set()  # of those that have ended
    for place in _highest(values, width):
        if place < len(ended):
            beam = ended[place]
        else:
            column, token = divmod(place - len(ended), len(log_probs))
            beam = going[column].copy()
            beam.take(token, float(log_probs[token, column]), checkpoint.vocabulary, config)
            if beam.stop is None:
                sources.append((column, token))
        if beam.stop is None or beam.text not in texts:
            found.append(beam)
        if beam.stop is not None:
            texts.add(beam.text)
    parents, inputs = np.array(sources, np.int64).reshape(-1, 2).T
    return found, parents, inputs


def _highest(values: Array, count: int) -> list[int]:
    """Return the places of the highest values, highest first, ties in order, without -inf."""
    places = np.flatnonzero(values > -np.inf)
    if count < len(places):
        least = np.partition(values[places], -count)[-count]
        places = places[values[places] >= least]
    order = np.argsort(-values[places], kind="stable")
    found: list[int] = places[order][:count].tolist()
    return found
