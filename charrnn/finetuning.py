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

from charrnn import checkpoint
from charrnn.checkpoint import Checkpoint
from charrnn.config import ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.model import CharRNN
from charrnn.ngram import NGram
from charrnn.parameters import input_size
from charrnn.residual import ResidualRNN
from charrnn.vocabulary import EOS, NUM_SPECIAL, UNK, Vocabulary

Array = np.ndarray

LEARNING_RATE = 3e-3  # lower than for fresh weights; see charrnn/README.md
_SHAPE = ("cell", "activation", "feedback", "hidden_size", "num_layers", "embedding_size")
_KEPT = ("ngram", "ngram_scale")  # unless others are asked for


@dataclass(frozen=True)
class Pretrained:
    """A trained model that a run starts from.

    Args:
        name: what the user calls it.
    """

    name: str
    checkpoint: Checkpoint

    @classmethod
    def load(cls, path: Path) -> "Pretrained":
        """The model in a file, or the bundled one of that name.

        Raises:
            CheckpointError: there is none, it is damaged, or it has no weights to start from.
        """
        found = checkpoint.load(checkpoint.find(path))
        if isinstance(found.model, NGram):
            raise CheckpointError(
                f"{path} holds counts and no weights to start from; leave out --init-from, as "
                "counting a text anew takes a second"
            )
        return cls(str(path), found)

    @property
    def network(self) -> CharRNN:
        """The trained network, without the n-gram model beside it."""
        model = self.checkpoint.model
        assert not isinstance(model, NGram)  # `load` has refused it
        return model.network if isinstance(model, ResidualRNN) else model

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a run, completed by what the network settles and the learning rate.

        Args:
            options: fields of ModelConfig and TrainConfig; None is as good as missing.

        Raises:
            ConfigError: one asks for a network of another shape.
        """
        given = {name: value for name, value in options.items() if value is not None}
        config = self.network.config
        self._check(given, config, _SHAPE)
        settled = {name: getattr(config, name) for name in (*_SHAPE, *_KEPT)}
        return {"learning_rate": LEARNING_RATE, **settled, **given}

    def tokens(self, options: Mapping[str, Any]) -> VocabularyConfig:
        """What a token is to the network, and of `options` how many of them there shall be.

        Args:
            options: fields of VocabularyConfig.

        Raises:
            ConfigError: they ask for other tokens, or are out of range.
        """
        config = self.checkpoint.vocabulary.config
        self._check(options, config, ("tokens", "normalize"))
        return VocabularyConfig(
            **{**options, "tokens": config.tokens, "normalize": config.normalize}
        )

    def _check(
        self,
        given: Mapping[str, Any],
        config: ModelConfig | VocabularyConfig,
        names: tuple[str, ...],
    ) -> None:
        for name in names:
            own = getattr(config, name)
            if given.get(name, own) != own:
                raise ConfigError(
                    f"{name} must be {own}, as in {self.name}, not {given[name]}; leave out this "
                    "option, or --init-from to start afresh"
                )

    def start(self, config: ModelConfig, vocabulary: Vocabulary) -> CharRNN:
        """A network of its weights for these tokens, of the shape that `settings` settles."""
        mapped = remap(self.network, self.checkpoint.vocabulary, vocabulary)
        return CharRNN.from_arrays(config, mapped.parameters)

    def summary(self, vocabulary: Vocabulary) -> dict[str, Any]:
        """Where a network for these tokens comes from: names, and how many tokens it shares."""
        corpus = self.checkpoint.training.get("corpus")
        sha256 = corpus.get("sha256") if isinstance(corpus, dict) else None
        old, new = set(self.checkpoint.vocabulary.tokens), set(vocabulary.tokens)
        return {
            "name": self.name,
            "corpus_sha256": sha256 if isinstance(sha256, str) else None,
            "kept": len(old & new),
            "new": len(new - old),
            "dropped": len(old - new),
        }


def remap(network: CharRNN, old: Vocabulary, new: Vocabulary) -> CharRNN:
    """The same network for the tokens of another vocabulary.

    Args:
        network: one of the tokens `old`.

    Returns:
        A network of its own, which predicts any text of tokens that both vocabularies have as
        before, but for the logits of new tokens, which are those of <UNK>.
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
