from typing import Any

import numpy as np
import pytest

from charrnn.config import ModelConfig
from charrnn.network.parameters import (
    Parameters,
    input_size,
    layers_of,
    parameter_shapes,
    state_shape,
    weights_of,
)

V, H, E = 7, 5, 3

SHAPES: list[tuple[dict[str, Any], int, tuple[int, int, int]]] = [
    ({"cell": "rnn"}, H, (1, 1, H)),
    ({"cell": "lstm", "num_layers": 2}, 4 * H, (2, 2, H)),
    ({"cell": "gru", "num_layers": 2}, 3 * H, (2, 1, H)),
    ({"cell": "jordan"}, H, (1, 1, V)),
    ({"cell": "jordan", "feedback": "target"}, H, (1, 0, V)),
]
networks = pytest.mark.parametrize(("network", "rows", "state"), SHAPES)


def config(network: dict[str, Any], embedding_size: int = E) -> ModelConfig:
    return ModelConfig(vocab_size=V, hidden_size=H, embedding_size=embedding_size, **network)


@networks
def test_shapes_are_those_of_the_equations(
    network: dict[str, Any], rows: int, state: tuple[int, int, int]
) -> None:
    for embedding_size, D in ((0, V), (E, E)):
        expected = {"embedding": (V, E)} if embedding_size else {}
        expected["layers.0.weight"] = rows, D + 1 + state[-1]
        if state[0] == 2:
            expected["layers.1.weight"] = rows, H + 1 + H
        expected["head.weight"] = V, 1 + H
        assert parameter_shapes(config(network, embedding_size)) == expected
    assert state_shape(config(network)) == state


@networks
def test_they_are_views_of_one_vector(
    network: dict[str, Any], rows: int, state: tuple[int, int, int]
) -> None:
    parameters = Parameters(config(network))
    for flat in (parameters.flat, np.empty_like(parameters.flat)):
        parameters.lie_in(flat)
        assert parameters.flat is flat
        flat[:] = np.arange(flat.size)
        in_order = np.concatenate([array.ravel() for array in parameters.values()])
        np.testing.assert_array_equal(in_order, flat)
        for array in parameters.values():
            assert np.shares_memory(array, flat)


@networks
def test_layers_are_one_part_of_all(
    network: dict[str, Any], rows: int, state: tuple[int, int, int]
) -> None:
    parameters = Parameters(config(network))
    parameters.flat[layers_of(parameters.config)] = 1
    assert all((array == name.startswith("layers")).all() for name, array in parameters.items())


@networks
def test_weight_decay_is_for_weights_and_not_for_biases(
    network: dict[str, Any], rows: int, state: tuple[int, int, int]
) -> None:
    parameters = Parameters(config(network))
    parameters["head.weight"][:, 0] = 1
    for layer in range(state[0]):
        bias = input_size(parameters.config, layer)
        parameters[f"layers.{layer}.weight"][:, bias] = 1
    mask = weights_of(parameters.config)
    np.testing.assert_array_equal(mask, parameters.flat == 0)
    assert np.count_nonzero(mask == 0) == V + state[0] * rows
