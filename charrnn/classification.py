"""Which of several models a text comes from: Bayes' rule over their probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charrnn.checkpoint import Checkpoint
from charrnn.errors import ConfigError
from charrnn.parallel import Workers
from charrnn.scoring import Score, score

_CODE_POINTS = 0x110000 - 0x800  # all of Unicode but the surrogates


@dataclass(frozen=True)
class Classification:
    """A text under several models, each known by its label."""

    text: str
    log_probs: dict[str, float]  # nats
    eos: bool  # whether the end of the text counts

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


def classify(
    checkpoints: Mapping[str, Checkpoint],
    texts: Sequence[str],
    *,
    eos: bool | None = None,
    workers: Workers,
) -> list[Classification]:
    """Score texts under every model, all of them the same event.

    A character outside a model's vocabulary costs that model P(<UNK>) and an equal share among all
    code points outside, so that the probabilities of all texts add up to one under each model. The
    words outside a vocabulary have no number, so that P(<UNK>) cannot be shared out among them.

    Args:
        checkpoints: models by label.
        eos: whether the end counts; None means if no model was trained on whole files.

    Raises:
        CorpusError: a text is not valid Unicode.
        ConfigError: a text has a word that a model of words does not know.
    """
    if eos is None:
        eos = all(checkpoint.count_eos for checkpoint in checkpoints.values())
    found: list[dict[str, float]] = [{} for _ in texts]
    for label, checkpoint in checkpoints.items():
        share = math.log(_CODE_POINTS - len(checkpoint.vocabulary.tokens))
        scores = score(checkpoint, texts, eos=eos, workers=workers)
        if checkpoint.vocabulary.config.tokens == "word":
            _check_same_event(label, scores)
        for log_probs, scored in zip(found, scores, strict=True):
            log_probs[label] = scored.log_prob - scored.unk * share
    return [
        Classification(text, log_probs, eos) for text, log_probs in zip(texts, found, strict=True)
    ]


def _check_same_event(label: str, scores: Sequence[Score]) -> None:
    for scored in scores:
        if scored.unk:
            raise ConfigError(
                f"{label} is a model of words and does not know {scored.unk} of those "
                f"in {scored.text[:60]!r}: what it scores is not this text but any with unknown "
                "words there, which no model of characters can be compared with; leave one of "
                "them out"
            )


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

    def figures(self) -> dict[str, float | None]:
        """`texts` and `accuracy`."""
        return {"texts": self.texts, "accuracy": self.accuracy}
