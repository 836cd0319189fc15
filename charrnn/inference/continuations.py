"""How probable given continuations of a prompt are.

Letters: T steps, B continuations side by side.
"""

from collections.abc import Sequence

import numpy as np

from charrnn.ids import EOS, IGNORE
from charrnn.inference.evaluation import chunk_shape
from charrnn.inference.sampling import read_prompts
from charrnn.inference.scores import Score
from charrnn.inference.scoring import scored
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.unicode import normalize

_STEPS, _SIDE_BY_SIDE = 64, 128


def ranked_continuations(checkpoint: Checkpoint, prompt: str, texts: Sequence[str]) -> list[Score]:
    """Rank continuations of a prompt, the most probable first: log P of each given the prompt.

    The end of a text does not count. The prompt is read once.

    Args:
        texts: each is cut into tokens by itself, as what is drawn after the prompt is.

    Raises:
        CorpusError: a text is not valid Unicode.
        CheckpointError: the model predicts nothing.
    """
    vocabulary = checkpoint.vocabulary
    (last,), state = read_prompts(checkpoint, [normalize(prompt)])
    texts = [*map(normalize, texts)]
    tokens = [vocabulary.split(text) for text in texts]
    ids = [vocabulary.ids([split]) for split in tokens]
    found: list[Score] = []
    order = sorted(range(len(texts)), key=lambda index: len(ids[index]))
    for start in range(0, len(order), _SIDE_BY_SIDE):
        group = order[start : start + _SIDE_BY_SIDE]
        log_probs = _log_probs(checkpoint, int(last), state, [ids[index] for index in group])
        for index, own in zip(group, log_probs, strict=True):
            found.append(scored(vocabulary, texts[index], tokens[index], ids[index], own, False))
    return sorted(found, key=lambda score: -score.log_prob)


def _log_probs(
    checkpoint: Checkpoint, last: int, state: np.ndarray, ids: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """log P in nats of each token of each text after a token and a state (…, 1)."""
    model, B, T = checkpoint.model, len(ids), max(map(len, ids))
    targets = np.full((T, B), IGNORE, np.int64)
    for column, own in enumerate(ids):
        targets[: len(own), column] = own
    inputs = np.concatenate([np.full((1, B), last), targets])[:T]
    inputs = np.where(inputs == IGNORE, EOS, inputs)
    steps, _ = chunk_shape(model, max(1, min(_STEPS, T)), B)
    unrolled, state = model.unroll(steps, B), np.repeat(state, B, axis=-1)
    found = np.zeros((T, B))
    for start in range(0, T, steps):
        part = slice(start, start + steps)
        found[part], state = unrolled.log_probs(inputs[part], targets[part], state)
    return [found[: len(own), column].copy() for column, own in enumerate(ids)]
