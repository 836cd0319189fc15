"""The course of a training run: one row a validation, as a checkpoint tells it.

A checkpoint is not trusted, so that what is no number, or far from any that training knows, is left
out here, and whoever shows a history need not look for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

_LARGEST = 1e15  # no step, second or bit is more


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Where a run stood, with the names that the file has; None for what it did not say."""

    step: int
    epochs: float | None = None
    seconds: float | None = None  # since the start of the run
    learning_rate: float | None = None
    train_bits_per_char: float | None = None
    val_bits_per_char: float | None = None
    val_unk: int | None = None  # tokens of the validation split that the model does not know
    val_tokens: int | None = None  # all of them
    best: bool = False  # of all so far
    mixed: bool = False  # the mixture or blend that was made of the trained network


_NUMBERS = {each.name for each in fields(Validation)} - {"step", "best", "mixed"}


def history(training: Mapping[str, Any]) -> list[Validation]:
    """The validations of a run in their order.

    Args:
        training: that part of a checkpoint's metadata.
    """
    entries = training.get("history")
    found = [_validation(entry) for entry in entries] if isinstance(entries, list) else []
    return [validation for validation in found if validation is not None]


def best(validations: Iterable[Validation]) -> Validation | None:
    """The one whose weights were kept, where the run held something out."""
    kept = [each for each in validations if each.best and each.val_bits_per_char is not None]
    return kept[-1] if kept else None


def _validation(entry: Any) -> Validation | None:
    if not isinstance(entry, dict) or (step := _number(entry.get("step"))) is None:
        return None
    numbers = {name: _number(entry.get(name)) for name in _NUMBERS}
    flags = {name: entry.get(name) is True for name in ("best", "mixed")}
    return Validation(step=int(step), **numbers, **flags)


def _number(value: Any) -> Any:
    """The value where it is a number that training knows, else None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _LARGEST else None
