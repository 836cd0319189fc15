"""The input terms of a layer equal x·Uᵀ + b."""

import numpy as np
import pytest

from charrnn.ids import EOS
from charrnn.network.layer_weights import LayerWeights

pytestmark = pytest.mark.figures

T, B, D, H, G = 3, 2, 4, 5, 3
W = np.random.default_rng(0).standard_normal((G * H, D + 1 + H))
BY_GATE = W.reshape(G, H, -1)
HALVED = np.array([0.5, 0.5, 1.0])[:, None, None, None]  # two gates have a sigmoid


def weights(*, one_hot: bool, steps: int = T) -> LayerWeights:
    return LayerWeights.of(W, D, G, sigmoids=2, one_hot=one_hot, chunk=(steps, B))


@pytest.mark.parametrize("T", [1, T])
def test_inputs_are_multiplied_and_the_bias_is_added(T: int) -> None:
    x = np.random.default_rng(1).standard_normal((T, B, D))
    found = weights(one_hot=False, steps=T).receive(x, np.empty(G * T * B * H + 1))
    expected = np.einsum("tbd,ghd->gtbh", x, BY_GATE[:, :, :D]) + BY_GATE[:, None, None, :, D]
    np.testing.assert_allclose(found, HALVED * expected, atol=1e-12)


def test_ids_are_looked_up_and_the_start_of_a_document_adds_the_bias_alone() -> None:
    ids = np.array([[2, 3], [EOS, 1], [3, 3]])
    found = weights(one_hot=True).receive(ids, np.empty(G * T * B * H))
    added = BY_GATE[:, :, :D].copy()
    added[:, :, EOS] = 0
    expected = added.transpose(0, 2, 1)[:, ids] + BY_GATE[:, None, None, :, D]
    np.testing.assert_allclose(found, HALVED * expected, atol=1e-12)


def test_the_state_is_multiplied_gate_by_gate() -> None:
    found = weights(one_hot=False)
    recurrent = found.recurrent.swapaxes(-3, -2).reshape(G, H, H)
    expected = HALVED[..., 0] * BY_GATE[:, :, D + 1 :].transpose(0, 2, 1)
    np.testing.assert_array_equal(recurrent, expected)
    assert found.matrix is W
