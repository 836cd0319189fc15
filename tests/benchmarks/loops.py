"""How much of the text that a model draws repeats itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from charrnn.config import SampleConfig
from charrnn.inference.sampling import Sample, generate
from charrnn.mixing.mixed import Mixed
from charrnn.storage.checkpoint import load

_SAMPLES, _LENGTH = 16, 2000
_STRETCH = 30  # characters


def repeated(path: Path, temperature: float) -> tuple[float, float]:
    """Draw long texts from a mixture, and from its network and n-gram model alone.

    Returns:
        The share of the characters that lie in stretches which occur earlier in the same text.
    """
    checkpoint, config = load(path), SampleConfig(length=_LENGTH, temperature=temperature)
    assert isinstance(checkpoint.model, Mixed)
    shares = []
    for model in (checkpoint.model, checkpoint.model.base):
        samples = [Sample("", seed) for seed in range(_SAMPLES)]
        for _ in generate(replace(checkpoint, model=model), samples, config):
            pass
        shares.append(float(np.mean([_share(sample.text) for sample in samples])))
    return shares[0], shares[1]


def _share(text: str) -> float:
    seen, covered = set[str](), np.zeros(max(1, len(text)), bool)
    for place in range(len(text) - _STRETCH + 1):
        stretch = text[place : place + _STRETCH]
        covered[place : place + _STRETCH] |= stretch in seen
        seen.add(stretch)
    return float(covered.mean())
