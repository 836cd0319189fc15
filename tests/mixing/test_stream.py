"""A stream of a mixture computes the same logits as the general code."""

import numpy as np
import pytest

from charrnn.ids import EOS
from charrnn.mixing.mixer import log_softmax
from charrnn.mixing.stream import stream_of
from tests.mixing.test_mixed import B, T, chunk, make
from tests.rounding import log_prob_tolerance

pytestmark = pytest.mark.figures


@pytest.mark.parametrize("read", [0, 25])
@pytest.mark.parametrize("column", range(B))
def test_a_mixture(column: int, read: int) -> None:
    model = make()
    inputs, _ = chunk(model)
    tokens = inputs[:, [column]]
    # A stream reads one document, so what starts another one becomes an ordinary token.
    tokens[1:] = np.where(tokens[1:] > EOS, tokens[1:], EOS + 1)
    state = model.zero_state(1)
    if read:
        state = model.unroll(T, 1).run(tokens[:read], state)
    expected, _ = model.unroll(T, 1).forward(tokens[read:], state)
    stream = stream_of(model, state)
    found = np.stack([stream.step(token) for token in tokens[read:, 0].tolist()])
    np.testing.assert_allclose(
        log_softmax(found), log_softmax(expected[..., 0].copy()), atol=log_prob_tolerance(1, 100)
    )


def test_a_model_without_a_mixture() -> None:
    model = make().base
    tokens = chunk(make())[0][:1, :1]
    expected, _ = model.unroll(1, 1).forward(tokens, model.zero_state(1))
    found = stream_of(model, model.zero_state(1)).step(tokens.item())
    np.testing.assert_allclose(found, expected[0, :, 0], atol=log_prob_tolerance(1, 100))
