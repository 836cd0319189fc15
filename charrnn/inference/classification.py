"""Which of several models a text comes from: Bayes' rule over their probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from charrnn.inference.scores import Score
from charrnn.inference.scoring import score
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint


@dataclass(frozen=True)
class Classification:
    """log P of a text under several models, by their labels."""

    text: str
    log_probs: dict[str, float]  # nats
    eos: bool  # whether the end of the text counts
    unk: dict[str, int] = field(default_factory=dict)  # tokens of it that each model does not know

    @property
    def posterior(self) -> dict[str, float]:
        """P(label | text) from equal priors."""
        best = max(self.log_probs.values())
        shares = {label: math.exp(p - best) for label, p in self.log_probs.items()}
        total = math.fsum(shares.values())
        return {label: share / total for label, share in shares.items()}

    @property
    def label(self) -> str:
        """The most probable one, the first of equals."""
        return max(self.log_probs, key=self.log_probs.__getitem__)


def compare(
    checkpoints: Mapping[str, Checkpoint],
    texts: Sequence[str],
    *,
    eos: bool | None = None,
    workers: Workers,
) -> list[dict[str, Score]]:
    """Score texts under every model, with equal treatment of the end of each text.

    Unknown characters cost what `Vocabulary.unknown_nats` says.

    Args:
        checkpoints: models by label.
        eos: whether the end counts; None means if no model was trained on whole files.

    Returns:
        The scores of each text, by label.

    Raises:
        CorpusError: a text is not valid Unicode.
    """
    if eos is None:
        eos = all(checkpoint.count_eos for checkpoint in checkpoints.values())
    found = [
        score(checkpoint, texts, eos=eos, workers=workers) for checkpoint in checkpoints.values()
    ]
    return [dict(zip(checkpoints, scores, strict=True)) for scores in zip(*found, strict=True)]


def classify(
    checkpoints: Mapping[str, Checkpoint],
    texts: Sequence[str],
    *,
    eos: bool | None = None,
    workers: Workers,
) -> list[Classification]:
    """Say which model each text comes from; see `compare`."""
    compared = compare(checkpoints, texts, eos=eos, workers=workers)
    return [
        Classification(
            text,
            {label: found.log_prob for label, found in scores.items()},
            any(found.eos for found in scores.values()),
            {label: found.unk for label, found in scores.items()},
        )
        for text, scores in zip(texts, compared, strict=True)
    ]


@dataclass
class Confusions:
    """How often each true label was given each label."""

    confusions: dict[str, dict[str, int]]  # of the true label, then of the given one

    @classmethod
    def count(cls, true: Sequence[str], given: Sequence[str]) -> "Confusions":
        """Count pairs of a true and a given label."""
        counts: dict[str, dict[str, int]] = {}
        for right, found in zip(true, given, strict=True):
            row = counts.setdefault(right, {})
            row[found] = row.get(found, 0) + 1
        return cls(counts)

    @property
    def texts(self) -> int:
        """How many there were."""
        return sum(sum(row.values()) for row in self.confusions.values())

    @property
    def accuracy(self) -> float | None:
        """The share that got their true label, None without any."""
        right = sum(row.get(label, 0) for label, row in self.confusions.items())
        return right / self.texts if self.texts else None
