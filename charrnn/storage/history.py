"""The history of a training run in a checkpoint: one row per validation.

A checkpoint is not trusted: values that are not numbers, or absurdly large, are dropped here, so
that code that shows a history need not check them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

_LARGEST = 1e15  # above any number of steps, seconds or bits


@dataclass(frozen=True, kw_only=True)
class Validation:
    """A validation, with the field names of the file; None for missing values."""

    step: int
    epochs: float | None = None
    seconds: float | None = None  # since the start of the run
    learning_rate: float | None = None
    train_bits_per_char: float | None = None
    val_bits_per_char: float | None = None
    val_unk: int | None = None  # unknown tokens of the validation split
    val_tokens: int | None = None  # all tokens of the validation split
    best: bool = False  # the best one so far
    mixed: bool = False  # of the mixture or blend, made after the network was trained


_NUMBERS = {each.name for each in fields(Validation)} - {"step", "best", "mixed"}


def history(training: Mapping[str, Any]) -> list[Validation]:
    """Return the validations of a run in order.

    Args:
        training: that part of a checkpoint's metadata.
    """
    entries = training.get("history")
    found = [_validation(entry) for entry in entries] if isinstance(entries, list) else []
    return [validation for validation in found if validation is not None]


def best(validations: Iterable[Validation]) -> Validation | None:
    """Return the validation whose weights were kept, None without held-out text."""
    kept = [each for each in validations if each.best and each.val_bits_per_char is not None]
    return kept[-1] if kept else None


def _validation(entry: Any) -> Validation | None:
    if not isinstance(entry, dict) or (step := _number(entry.get("step"))) is None:
        return None
    numbers = {name: _number(entry.get(name)) for name in _NUMBERS}
    flags = {name: entry.get(name) is True for name in ("best", "mixed")}
    return Validation(step=int(step), **numbers, **flags)


def _number(value: Any) -> Any:
    """Return the value if it is a plausible number, else None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= _LARGEST else None
