"""What a training run counts, and the snapshot that it resumes from."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

Array = np.ndarray

_LARGEST = 10**15  # number that a run counts to


@dataclass
class Counters:
    """What a run counts from its first step on."""

    step: int = 0
    chars: float = 0.0  # predicted
    seconds: float = 0.0  # spent in steps
    validations: int = 0
    validation_seconds: float = 0.0
    best_loss: float = math.inf  # nats per character of validation; inf: there was none
    nats_since: float = 0.0  # of training, since the last validation
    chars_since: float = 0.0  # the same
    much_worse: int = 0  # validations in a row
    recent_loss: float = 0.0  # nats per token, by that of a guess among all tokens
    rate_factor: float = 1.0  # on the learning rate, halved at each trouble
    troubles: int = 0

    def to_json(self) -> dict[str, float | None]:
        """The counters by name; None for a loss that there is none of."""
        best = self.best_loss if math.isfinite(self.best_loss) else None
        return asdict(self) | {"best_loss": best}

    @classmethod
    def from_json(cls, numbers: Mapping[str, Any]) -> "Counters":
        """Read the counters from a file that may say anything.

        Raises:
            KeyError, TypeError, ValueError: they are not those of a run.
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
    """What a run needs to go on as if it had never stopped.

    Args:
        counters: a copy.
        arrays: vectors by name: the latest and the best weights, the two moments of Adam, and the
            carried state; views, of which the next step overwrites some.
        updates: how many Adam has made.
        generators: the states of the random generators, by the shard, as JSON can hold them.
    """

    counters: Counters
    arrays: Mapping[str, Array] = field(default_factory=dict)
    updates: int = 0
    generators: Mapping[str, Any] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """All but the arrays, as JSON can hold it."""
        return {
            **self.counters.to_json(),
            "updates": self.updates,
            "generators": dict(self.generators),
        }

    @classmethod
    def read(cls, arrays: Mapping[str, Array], numbers: Mapping[str, Any]) -> "Snapshot":
        """The snapshot of these arrays and `numbers`, which may be from a file.

        Raises:
            ValueError: the numbers are not those of a run.
        """
        try:
            counters = Counters.from_json(numbers)
            updates = _number("updates", numbers["updates"], int)
            return cls(counters, arrays, updates, numbers["generators"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"its numbers are not those of a run: {error}") from None


def _number(name: str, value: Any, kind: type[int] | type[float]) -> Any:
    """A number of this kind from a file.

    Raises:
        TypeError, ValueError: it is of another kind, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | kind):
        raise TypeError(f"{name} is no {kind.__name__}")
    number = kind(value)
    if not 0 <= number <= _LARGEST:
        raise ValueError(f"{name} is out of range")
    return number
