"""Units of a prediction: from nats to bits, and to perplexity."""

import math

_MAX_EXPONENT = 700  # exp of more does not fit a float


def bits(nats: float) -> float:
    """Convert nats to bits."""
    return nats / math.log(2)


def perplexity(nats: float) -> float | None:
    """Convert nats per token to perplexity; None where no float holds it."""
    return math.exp(nats) if nats < _MAX_EXPONENT else None
