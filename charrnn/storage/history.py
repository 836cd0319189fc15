"""The course of a training run: one entry a validation, as a checkpoint tells it.

A checkpoint is not trusted, so that what is no number, or far from any that training knows, is left
out here, and whoever shows a history need not look for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LARGEST = 1e15  # no step, second or bit is more


@dataclass(frozen=True)
class Validation:
    """Where a run stood; None for what it did not say."""

    step: int
    epochs: float | None
    seconds: float | None  # since the start of the run
    learning_rate: float | None
    train: float | None  # bits per character
    val: float | None
    best: bool  # of all so far


def history(training: dict[str, Any]) -> list[Validation]:
    """The validations of a run in their order.

    Args:
        training: that part of a checkpoint's metadata.
    """
    entries = training.get("history")
    found = [_validation(entry) for entry in entries] if isinstance(entries, list) else []
    return [validation for validation in found if validation is not None]


def best(validations: Sequence[Validation]) -> Validation | None:
    """The one whose weights were kept, where the run held something out."""
    kept = [each for each in validations if each.best and each.val is not None]
    return kept[-1] if kept else None


def _validation(entry: Any) -> Validation | None:
    if not isinstance(entry, dict) or (step := _number(entry.get("step"))) is None:
        return None
    return Validation(
        step=int(step),
        epochs=_number(entry.get("epochs")),
        seconds=_number(entry.get("seconds")),
        learning_rate=_number(entry.get("learning_rate")),
        train=_number(entry.get("train_bits_per_char")),
        val=_number(entry.get("val_bits_per_char")),
        best=entry.get("best") is True,
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _LARGEST else None
