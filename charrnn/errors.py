"""The errors that charrnn raises on purpose: each message says what is wrong and what to do."""


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
