"""Tolerances: how much two ways to compute the same thing in float32 may differ.

BLAS kernels, batches of another width and texts scored alone or side by side add the same products
in another order. A sum of K products is then off by at most K · u · Σ|product| (Higham 2002,
*Accuracy and Stability of Numerical Algorithms*, section 3.1), u = 2⁻²⁴ being the unit roundoff.
"""

_ROUNDOFF = 2.0**-24
_LARGEST_LOGIT = 16.0  # upper bound of Σ|product| in the tests' models


def log_prob_tolerance(chars: int, terms: int) -> float:
    """Return by how many nats log P of `chars` characters may differ between summation orders.

    Args:
        terms: numbers in the longest sum of the model, D + 1 + H of its largest layer.
    """
    return 2 * chars * terms * _ROUNDOFF * _LARGEST_LOGIT
