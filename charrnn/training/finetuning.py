"""Fine-tuning: start a run from a trained network, even if the vocabulary differs.

Letters: V tokens of the new vocabulary, D input size of the first layer.

Tokens of both vocabularies keep their weights. A new token gets those of <UNK>, which the network
was trained to expect in place of unknown tokens. An n-gram model beside the network is counted
again, which takes a second.
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

LEARNING_RATE = 3e-3  # lower than for fresh weights; measured in training/README.md
_SHAPE = ("cell", "activation", "feedback", "hidden_size", "num_layers", "embedding_size")
_TOKENS = ("tokens", "normalize")
_KEPT = ("ngram", "ngram_scale")  # unless given


@dataclass(frozen=True)
class Origin:
    """The model that a run started from, and how the vocabularies differ."""

    name: str
    corpus_sha256: str | None  # of the text that it was trained on
    kept: int  # tokens of both vocabularies
    new: int
    dropped: int


@dataclass(frozen=True)
class Pretrained:
    """A trained network to start a run from.

    Args:
        name: as the user wrote it.
        network: without the n-gram model beside it.
        vocabulary: of the network.
        corpus_sha256: of the text that it was trained on, if its file says so.
    """

    name: str
    network: CharRNN
    vocabulary: Vocabulary
    corpus_sha256: str | None = None

    @classmethod
    def load(cls, path: Path) -> "Pretrained":
        """Load the network of a checkpoint, given as a file or the name of a bundled model.

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
        """Return the options of a run, completed with the shape of the network.

        Args:
            options: fields of ModelConfig and TrainConfig by name; None means not given.

        Raises:
            ConfigError: an option asks for another shape.
        """
        given = {name: value for name, value in options.items() if value is not None}
        config = self.network.config
        for name in _SHAPE:
            self._check(name, given.get(name), getattr(config, name))
        settled = {name: getattr(config, name) for name in (*_SHAPE, *_KEPT)}
        return {"learning_rate": LEARNING_RATE, **settled, **given}

    def tokens(self, options: Mapping[str, Any]) -> VocabularyConfig:
        """Return the configuration of the new vocabulary: the network's tokens, the options' sizes.

        Args:
            options: fields of VocabularyConfig by name.

        Raises:
            ConfigError: an option asks for another kind of token, or is out of range.
        """
        kind = {name: getattr(self.vocabulary.config, name) for name in _TOKENS}
        for name, own in kind.items():
            self._check(name, options.get(name), own)
        return VocabularyConfig(**{**options, **kind})

    def _check(self, name: str, given: object, own: object) -> None:
        if given is not None and given != own:
            raise ConfigError(
                f"{setting(name)} must be {own}, as in {self.name}, not {given}; leave it out, or "
                f"train without {setting('init_from')}"
            )

    def start(self, config: ModelConfig, vocabulary: Vocabulary) -> CharRNN:
        """Return a network with these weights for a new vocabulary, of the shape in `settings`."""
        mapped = remap(self.network, self.vocabulary, vocabulary)
        return CharRNN.from_arrays(config, mapped.parameters)

    def origin(self, vocabulary: Vocabulary) -> Origin:
        """Return the origin of a run with a new vocabulary."""
        old, new = set(self.vocabulary.tokens), set(vocabulary.tokens)
        return Origin(
            name=self.name,
            corpus_sha256=self.corpus_sha256,
            kept=len(old & new),
            new=len(new - old),
            dropped=len(old - new),
        )


def remap(network: CharRNN, old: Vocabulary, new: Vocabulary) -> CharRNN:
    """Return a copy of a network for another vocabulary.

    On texts with tokens of both vocabularies, the logits are the same as before, and a new token
    has the logit of <UNK>. Only `jordan` loses the feedback of dropped tokens.

    Args:
        network: a network with the vocabulary `old`.
        old: its vocabulary.
        new: the vocabulary of the copy.
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
    """Return, for each new id (V,), the old id whose weights it gets."""
    ids = {token: id for id, token in enumerate(old.tokens, start=NUM_SPECIAL)}
    return np.array([EOS, UNK, *(ids.get(token, UNK) for token in new.tokens)])


def _first_layer(weights: Array, config: ModelConfig, origins: Array) -> Array:
    """Remap the columns of the first layer that belong to tokens: one-hot input, feedback."""
    D = input_size(config, 0)
    inputs, bias, feedback = np.split(weights, [D, D + 1], axis=1)
    if not config.embedding_size:
        inputs = inputs[:, origins]
    if config.cell == "jordan":
        feedback = feedback[:, origins]
        if config.feedback == "logits":  # new logits only repeat that of <UNK>
            feedback[:, NUM_SPECIAL:][:, origins[NUM_SPECIAL:] == UNK] = 0
    return np.concatenate([inputs, bias, feedback], axis=1)
