"""The errors that charrnn raises on purpose: each message says what is wrong and what to do."""

from collections.abc import Iterable, Mapping


def did_you_mean(word: str, choices: Iterable[str] | Mapping[str, str]) -> str:
    """The end of an error: the nearest of the choices; empty where none is near.

    Args:
        choices: a mapping says what to type for each.
    """
    from difflib import get_close_matches

    typed = choices if isinstance(choices, Mapping) else {choice: choice for choice in choices}
    by_lower = {choice.lower(): typed[choice] for choice in typed}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[near[0]]!r}?" if near else ""


class CharRNNError(Exception):
    """Base of all of them; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 1


class ConfigError(CharRNNError):
    """An option or a configuration value is out of range."""

    exit_code = 2


class CorpusError(CharRNNError):
    """A text cannot be read, decoded or learned from."""


class CheckpointError(CharRNNError):
    """A checkpoint cannot be found, read, trusted or written."""


class DivergedError(CharRNNError):
    """Training produced a loss or a gradient that is not a finite number."""


class MissingError(CharRNNError):
    """Something optional that is needed here is not installed."""
