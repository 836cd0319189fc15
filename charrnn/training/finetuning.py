"""Fine-tuning: a new run that starts from a trained network, whatever its tokens are.

Letters: V tokens of the new vocabulary, D input size of the first layer.

A token that both vocabularies have keeps its weights, a new one gets those of <UNK>, which the
network was trained to expect in the place of tokens that it does not know. An n-gram model beside
the network is counted anew, as that takes a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.config import ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError, setting
from charrnn.ids import EOS, NUM_SPECIAL, UNK
from charrnn.mixing.mixed import Mixed
from charrnn.network.model import CharRNN
from charrnn.network.parameters import input_size
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import ResidualRNN
from charrnn.storage import checkpoint
from charrnn.text.vocabulary import Vocabulary

Array = np.ndarray

LEARNING_RATE = 3e-3  # lower than for fresh weights; see the README beside
_SHAPE = ("cell", "activation", "feedback", "hidden_size", "num_layers", "embedding_size")
_TOKENS = ("tokens", "normalize")
_KEPT = ("ngram", "ngram_scale")  # unless others are asked for


@dataclass(frozen=True)
class Origin:
    """Where the first weights of a run come from: the model, and how many tokens it shares."""

    name: str
    corpus_sha256: str | None
    kept: int
    new: int
    dropped: int


@dataclass(frozen=True)
class Pretrained:
    """A trained network that a run starts from.

    Args:
        name: what the user calls it.
        network: without the n-gram model beside it.
        corpus_sha256: of the text that it was trained on, where its file says so.
    """

    name: str
    network: CharRNN
    vocabulary: Vocabulary
    corpus_sha256: str | None = None

    @classmethod
    def load(cls, path: Path) -> "Pretrained":
        """The network in a checkpoint, a file or the name of a bundled model.

        Raises:
            CheckpointError: it cannot be read, or has no weights to start from.
        """
        found = checkpoint.load(checkpoint.locate(path))
        if isinstance(found.model, NGram):
            raise CheckpointError(
                f"{path} holds counts and no weights to start from; leave out "
                f"{setting('init_from')}, as counting anew takes a second"
            )
        model = found.model.base if isinstance(found.model, Mixed) else found.model
        network = model.network if isinstance(model, ResidualRNN) else model
        return cls(str(path), network, found.vocabulary, checkpoint.text_hash(found.training))

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a run, with all that follows from the network's shape.

        Args:
            options: fields of ModelConfig and TrainConfig; None is as good as missing.

        Raises:
            ConfigError: one asks for another shape.
        """
        given = {name: value for name, value in options.items() if value is not None}
        config = self.network.config
        for name in _SHAPE:
            self._check(name, given.get(name), getattr(config, name))
        settled = {name: getattr(config, name) for name in (*_SHAPE, *_KEPT)}
        return {"learning_rate": LEARNING_RATE, **settled, **given}

    def tokens(self, options: Mapping[str, Any]) -> VocabularyConfig:
        """What a token is to the network, and of the options how many of them there are.

        Args:
            options: fields of VocabularyConfig.

        Raises:
            ConfigError: they ask for tokens of another kind, or are out of range.
        """
        kind = {name: getattr(self.vocabulary.config, name) for name in _TOKENS}
        for name, own in kind.items():
            self._check(name, options.get(name), own)
        return VocabularyConfig(**{**options, **kind})

    def _check(self, name: str, given: object, own: object) -> None:
        if given is not None and given != own:
            raise ConfigError(
                f"{setting(name)} must be {own}, as in {self.name}, not {given}; leave it out, or "
                f"{setting('init_from')} to start afresh"
            )

    def start(self, config: ModelConfig, vocabulary: Vocabulary) -> CharRNN:
        """A network for these tokens with its weights; `settings` has settled the shape."""
        mapped = remap(self.network, self.vocabulary, vocabulary)
        return CharRNN.from_arrays(config, mapped.parameters)

    def origin(self, vocabulary: Vocabulary) -> Origin:
        """Where the first weights of a run for these tokens come from."""
        old, new = set(self.vocabulary.tokens), set(vocabulary.tokens)
        return Origin(
            name=self.name,
            corpus_sha256=self.corpus_sha256,
            kept=len(old & new),
            new=len(new - old),
            dropped=len(old - new),
        )


def remap(network: CharRNN, old: Vocabulary, new: Vocabulary) -> CharRNN:
    """The same network for the tokens of another vocabulary.

    Args:
        network: one of the tokens `old`.

    Returns:
        A network with parameters of its own. On texts of tokens that both vocabularies have its
        logits are as before, and those of new tokens are that of <UNK>; only what `jordan` was fed
        back of dropped tokens is missing.
    """
    origins = _origins(old, new)
    mapped = CharRNN(replace(network.config, vocab_size=len(new)), network.dtype)
    for name, array in mapped.parameters.items():
        weights = network.parameters[name]
        if name in ("embedding", "head.weight"):
            array[:] = weights[origins]
        elif name == "layers.0.weight":
            array[:] = _first_layer(weights, network.config, origins)
        else:
            array[:] = weights
    return mapped


def _origins(old: Vocabulary, new: Vocabulary) -> Array:
    """For each new id (V,) the old one whose weights it gets."""
    ids = {token: id for id, token in enumerate(old.tokens, start=NUM_SPECIAL)}
    return np.array([EOS, UNK, *(ids.get(token, UNK) for token in new.tokens)])


def _first_layer(weights: Array, config: ModelConfig, origins: Array) -> Array:
    """The matrix of the first layer: a column a token in one-hot input and in jordan's feedback."""
    D = input_size(config, 0)
    inputs, bias, feedback = np.split(weights, [D, D + 1], axis=1)
    if not config.embedding_size:
        inputs = inputs[:, origins]
    if config.cell == "jordan":
        feedback = feedback[:, origins]
        if config.feedback == "logits":  # those of new tokens repeat <UNK>'s, which is fed back
            feedback[:, NUM_SPECIAL:][:, origins[NUM_SPECIAL:] == UNK] = 0
    return np.concatenate([inputs, bias, feedback], axis=1)
