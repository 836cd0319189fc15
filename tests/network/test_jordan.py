"""Output recurrence against an oracle that computes one step of one column at a time.

What holds for every network, gradients among it, stands in test_unrolled.py.
"""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from charrnn.config import ModelConfig, SampleConfig
from charrnn.errors import ConfigError
from charrnn.ids import EOS
from charrnn.inference.sampling import Sample, generate
from charrnn.inference.scoring import score
from charrnn.network.model import CharRNN
from charrnn.parallel.threads import Workers
from charrnn.storage import checkpoint as checkpoints
from charrnn.text.vocabulary import UNK_CHARACTER
from tests.conftest import MakeCheckpoint
from tests.network.test_unrolled import B, T, V, chunk_with_boundaries, make, random_state

pytestmark = pytest.mark.figures

Array = np.ndarray

feedbacks = pytest.mark.parametrize("feedback", ["logits", "target"])


def oracle_step(model: CharRNN, token: int, o: Array) -> Array:
    """Compute the output after the input `token` from the output `o` before."""
    W, head = model.parameters["layers.0.weight"], model.parameters["head.weight"]
    starts, one_hot = token <= EOS, np.eye(V)[token]
    x = model.parameters["embedding"][token] if "embedding" in model.parameters else one_hot
    before = one_hot if model.config.feedback == "target" else o
    if starts:
        x, before = np.zeros_like(x), np.zeros(V)
    D = len(x)
    h = np.tanh(W[:, :D] @ x + W[:, D] + W[:, D + 1 :] @ before)
    output: Array = head[:, 0] + head[:, 1:] @ h
    return output


@pytest.mark.parametrize("embedding_size", [0, 3])
@feedbacks
def test_forward_agrees_with_the_oracle(feedback: str, embedding_size: int) -> None:
    model = make(cell="jordan", feedback=feedback, embedding_size=embedding_size)
    (inputs, _), state = chunk_with_boundaries(), random_state(model)
    logits, last = model.unroll(T, B, training=True).forward(inputs, state)
    for b in range(B):
        o = state[0, 0, :, b] if feedback == "logits" else np.zeros(V)
        for t in range(T):
            o = oracle_step(model, inputs[t, b], o)
            np.testing.assert_allclose(logits[t, :, b], o, atol=1e-12)
        for found in last[0, :, :, b]:
            np.testing.assert_allclose(found, o, atol=1e-12)


@feedbacks
def test_the_state_is_the_last_output_where_that_is_fed_back(feedback: str) -> None:
    model, (inputs, _) = make(cell="jordan", feedback=feedback), chunk_with_boundaries()
    logits, state = model.unroll(T, B, training=True).forward(inputs, model.zero_state(B))
    if feedback == "target":
        assert state.shape == (1, 0, V, B)
    else:
        np.testing.assert_allclose(state, logits[None, -1:], atol=1e-12)


@feedbacks
def test_only_outputs_that_are_fed_back_tell_of_the_past(feedback: str) -> None:
    model = make(cell="jordan", feedback=feedback)
    inputs = np.random.default_rng(6).integers(1, V, (T, B))
    inputs[-1] = 3  # the same last token after different ones
    logits, _ = model.unroll(T, B, training=True).forward(inputs, model.zero_state(B))
    spread = np.ptp(logits[-1], axis=1).max()
    assert spread > 1e-3 if feedback == "logits" else spread < 1e-12


@feedbacks
def test_only_outputs_that_are_fed_back_send_gradients_to_the_past(feedback: str) -> None:
    model, (inputs, targets) = make(cell="jordan", feedback=feedback), chunk_with_boundaries()
    whole, one, state = model.unroll(T, B, training=True), model.unroll(1, B), random_state(model)
    whole.gradient(inputs, targets, state)
    alone = np.zeros_like(model.parameters.flat)
    for t in range(T):
        _, state, _ = one.gradient(inputs[t : t + 1], targets[t : t + 1], state)
        alone += one.gradients.flat
    assert np.allclose(whole.gradients.flat, alone, atol=1e-12) == (feedback == "target")


def test_it_has_one_layer_and_no_other_cell_has_feedback() -> None:
    with pytest.raises(ConfigError, match="num_layers must be 1"):
        ModelConfig(vocab_size=V, cell="jordan", num_layers=2)
    with pytest.raises(ConfigError, match="feedback must be one of logits, target"):
        ModelConfig(vocab_size=V, cell="jordan", feedback="hidden")
    for cell in ("rnn", "lstm", "gru", "ngram"):
        with pytest.raises(ConfigError, match="feedback target is for the jordan cell"):
            ModelConfig(vocab_size=V, cell=cell, feedback="target")


@feedbacks
def test_it_is_saved_sampled_and_scored_like_any_other(
    make_checkpoint: MakeCheckpoint, workers: Workers, tmp_path: Path, feedback: str
) -> None:
    made, path = make_checkpoint("ab", cell="jordan", feedback=feedback), tmp_path / "x.npz"
    checkpoints.save(made, path)
    loaded = checkpoints.load(path)
    assert loaded.model.config == made.model.config
    drawn, scores = [], []
    for checkpoint in (made, loaded):
        sample = Sample("ab", 0)
        for _ in generate(checkpoint, [sample], SampleConfig(length=20, temperature=0)):
            pass
        drawn.append((sample.text, sample.log_prob))
        scores.append(score(checkpoint, ["abba"], workers=workers)[0].log_prob)
    assert drawn[0] == drawn[1]
    assert scores[0] == scores[1]


@feedbacks
def test_all_texts_up_to_a_length_with_their_ends_add_up_to_one(
    make_checkpoint: MakeCheckpoint, workers: Workers, feedback: str
) -> None:
    checkpoint, longest = make_checkpoint("ab", cell="jordan", feedback=feedback), 3
    total = 0.0
    for size in range(longest + 1):
        texts = map("".join, itertools.product("ab" + UNK_CHARACTER, repeat=size))
        scores = score(checkpoint, [*texts], eos=size < longest, workers=workers)
        total += sum(math.exp(found.token_log_prob) for found in scores)
    assert total == pytest.approx(1, abs=1e-6)
