"""The counters of a training run, and the snapshot that it resumes from."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

Array = np.ndarray

_LARGEST = 10**15  # limit of every counter


@dataclass
class Counters:
    """The counters of a run since its first step."""

    step: int = 0  # steps done
    chars: float = 0.0  # characters predicted
    seconds: float = 0.0  # spent in steps
    validations: int = 0
    validation_seconds: float = 0.0
    best_loss: float = math.inf  # best validation loss in nats per character; inf for none
    nats_since: float = 0.0  # training loss since the last validation
    chars_since: float = 0.0  # characters predicted since the last validation
    much_worse: int = 0  # consecutive validations that were much worse than the best
    recent_loss: float = 0.0  # running mean, relative to the loss of a uniform guess
    rate_factor: float = 1.0  # factor of the learning rate, halved at each trouble
    troubles: int = 0  # times that training diverged

    def to_json(self) -> dict[str, float | None]:
        """Return the counters by name; None if there is no best loss."""
        best = self.best_loss if math.isfinite(self.best_loss) else None
        return asdict(self) | {"best_loss": best}

    @classmethod
    def from_json(cls, numbers: Mapping[str, Any]) -> "Counters":
        """Read the counters from an untrusted file.

        Raises:
            KeyError, TypeError, ValueError: they are invalid.
        """
        fresh = cls()
        found = {each.name: numbers[each.name] for each in fields(cls)}
        if found["best_loss"] is None:
            del found["best_loss"]
        return cls(
            **{
                name: _number(name, value, type(getattr(fresh, name)))
                for name, value in found.items()
            }
        )


@dataclass(frozen=True)
class Snapshot:
    """What a run needs to resume as if it had never stopped.

    Args:
        counters: a copy.
        arrays: vectors by name: the latest and the best weights, the two moments of Adam, and the
            recurrent state. Views, some of which the next step overwrites.
        updates: number of Adam's steps.
        generators: states of the random generators by shard, in JSON types.
    """

    counters: Counters
    arrays: Mapping[str, Array] = field(default_factory=dict)
    updates: int = 0
    generators: Mapping[str, Any] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """Return everything but the arrays, in JSON types."""
        return {
            **self.counters.to_json(),
            "updates": self.updates,
            "generators": dict(self.generators),
        }

    @classmethod
    def read(cls, arrays: Mapping[str, Array], numbers: Mapping[str, Any]) -> "Snapshot":
        """Build a snapshot from arrays and `numbers`, which may come from an untrusted file.

        Raises:
            ValueError: the numbers are invalid.
        """
        try:
            counters = Counters.from_json(numbers)
            updates = _number("updates", numbers["updates"], int)
            return cls(counters, arrays, updates, numbers["generators"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"its numbers are not those of a run: {error}") from None


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    """Check a number from a file.

    Raises:
        TypeError, ValueError: it is of another type, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    number = kind(value)
    if not 0 <= number <= _LARGEST:
        raise ValueError(f"{name} is out of range")
    return number
