"""Configurations of vocabulary, model, training and sampling: all defaults and limits."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from charrnn.errors import ConfigError, did_you_mean, setting

TOKENS = ("char", "word")
FORMS = ("nfc", "nfd")
CELLS = ("rnn", "lstm", "gru", "jordan", "ngram")
ACTIVATIONS = ("tanh", "relu", "sigmoid")
FEEDBACKS = ("logits", "target")
_DEFAULT_WORDS = 10_000
MAX_SIZE = 1 << 20  # of a layer, batch or chunk; keeps products of sizes far from overflow
MAX_SEED = 2**62  # of sampling, which counts up from the given seed
WHOLE, LINES = "", "\n"  # separators of documents; any other text will do


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in choices:
        hint = did_you_mean(str(value), choices)
        raise ConfigError(
            f"{setting(name)} must be one of {', '.join(choices)}, not {value!r}{hint}"
        )


def check_flag(name: str, value: object) -> None:
    """Raise ConfigError unless `value` is True or False: Python counts the string "no" as true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{setting(name)} must be True or False, not {value!r}")


def check_int(name: str, value: object, low: int, high: int = MAX_SIZE) -> None:
    """Raise ConfigError unless `value` is an int with low <= value <= high."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ConfigError(
            f"{setting(name)} must be a whole number from {low} to {high}, not {value!r}"
        )


def check_float(
    name: str, value: object, low: float, high: float, *, above: bool = False, below: bool = False
) -> None:
    """Raise ConfigError unless `value` is a finite number from low to high.

    `above` and `below` exclude the lower and the upper end of the range.
    """
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not abs(value) <= sys.float_info.max  # nan, inf, and integers too large for a float
    ):
        raise ConfigError(f"{setting(name)} must be a number, not {value!r}")
    if value < low or value > high or (above and value == low) or (below and value == high):
        span = f"{'above' if above else 'at least'} {low:g}"
        if high < math.inf:
            span += f" and {'below' if below else 'at most'} {high:g}"
        raise ConfigError(f"{setting(name)} must be {span}, not {value:g}")


@dataclass(frozen=True)
class VocabularyConfig:
    """What a token is, and which tokens a model knows; saved with the model.

    Raises:
        ConfigError: a value is out of range.
    """

    tokens: str = "char"  # "char" or "word"
    normalize: str = "nfc"  # Unicode form; "nfd" decomposes characters, Hangul into jamo
    min_count: int = 1  # tokens that occur less often become <UNK>
    vocab_size: int | None = None  # largest vocabulary; None: all characters, or 10,000 words

    def __post_init__(self) -> None:
        check_choice("tokens", self.tokens, TOKENS)
        check_choice("normalize", self.normalize, FORMS)
        check_int("min_count", self.min_count, 1, 10**12)
        if self.vocab_size is not None:
            check_int("vocab_size", self.vocab_size, 1)
        if self.tokens == "word" and self.normalize != "nfc":
            raise ConfigError(
                f"{setting('normalize')} {self.normalize} is for characters, not for words"
            )

    @property
    def unit(self) -> str:
        """The name of a token: character, decomposed character or word."""
        if self.tokens == "word":
            return "word"
        return "character" if self.normalize == "nfc" else "decomposed character"

    @property
    def max_size(self) -> int | None:
        """The largest number of tokens, None for no limit."""
        return self.vocab_size or (_DEFAULT_WORDS if self.tokens == "word" else None)


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a network; saved with its weights.

    Raises:
        ConfigError: a value is out of range.
    """

    vocab_size: int
    cell: str = "lstm"
    activation: str = "tanh"  # of the rnn cell
    feedback: str = "logits"  # of the jordan cell: its own output or the true one, "target"
    hidden_size: int = 256
    num_layers: int = 1
    embedding_size: int = 0  # 0: one-hot input
    dropout: float = 0.0  # dropout probability between layers and before the head
    recurrent_dropout: float = 0.0  # dropout probability of recurrent weights, one mask per chunk
    order: int = 6  # of cell "ngram", which predicts from the last order - 1 tokens
    ngram: int = 0  # order of the n-gram model beside the network; 0: none
    ngram_scale: float = 0.6  # weight of its log P in the logits

    def __post_init__(self) -> None:
        check_int("vocab_size", self.vocab_size, 2, 0x110000 + 2)
        check_choice("cell", self.cell, CELLS)
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("feedback", self.feedback, FEEDBACKS)
        check_int("hidden_size", self.hidden_size, 1)
        check_int("num_layers", self.num_layers, 1, 1000)
        check_int("embedding_size", self.embedding_size, 0)
        for name in ("dropout", "recurrent_dropout"):
            check_float(name, getattr(self, name), 0, 1, below=True)
        check_int("order", self.order, 1, 100)
        check_int("ngram", self.ngram, 0, 100)
        check_float("ngram_scale", self.ngram_scale, 0, 10)
        if self.activation != "tanh" and self.cell != "rnn":
            raise ConfigError(
                f"{setting('activation')} {self.activation} is for the rnn cell, not {self.cell}"
            )
        if self.feedback != "logits" and self.cell != "jordan":
            raise ConfigError(
                f"{setting('feedback')} {self.feedback} is for the jordan cell, not {self.cell}"
            )
        if self.num_layers > 1 and self.cell == "jordan":
            raise ConfigError(f"{setting('num_layers')} must be 1 for the jordan cell")
        if self.recurrent_dropout and self.cell == "jordan":
            raise ConfigError(f"{setting('recurrent_dropout')} must be 0 for the jordan cell")
        if self.ngram and self.cell in ("jordan", "ngram"):
            raise ConfigError(f"{setting('ngram')} must be 0 for the {self.cell} cell")


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained. Exactly one of `steps`, `epochs` and `minutes` is the budget.

    Raises:
        ConfigError: a value is out of range, or there is not exactly one budget.
    """

    steps: int | None = None  # updates
    epochs: float | None = None  # passes over the training split
    minutes: float | None = None  # wall-clock time
    batch_size: int = 64  # streams read side by side
    seq_len: int = 32  # time steps of a chunk, after which backpropagation is truncated
    accumulate: int = 1  # chunks to accumulate before each update
    learning_rate: float = 0.04  # peak; warms up from 0, then decays to 0
    warmup: float = 0.03  # fraction of the budget in which the learning rate rises
    weight_decay: float = 0.1  # decoupled, on matrices
    clip_norm: float = 1.0  # largest global norm of the gradient
    unk_rate: float = 0.0005  # fraction of training tokens replaced by <UNK>
    restart_rate: float = 0.05  # fraction of a stream's chunks in which its state is reset
    scheduled_sampling: float = 0.0  # fraction of inputs drawn by the model at the end of the run
    mix: bool = True  # add a memory of the text being read, if that predicts better
    max_ngrams: int | None = None  # most k-grams to keep, by pruning; None: by the corpus
    evaluations: int = 10  # validations in a run
    seed: int = 0

    def __post_init__(self) -> None:
        if sum(budget is not None for budget in (self.steps, self.epochs, self.minutes)) != 1:
            *others, last = map(setting, ("steps", "epochs", "minutes"))
            raise ConfigError(f"the budget is one of {', '.join(others)} and {last}: give one")
        if self.steps is not None:
            check_int("steps", self.steps, 1, 10**12)
        if self.epochs is not None:
            check_float("epochs", self.epochs, 0, 1e9, above=True)
        if self.minutes is not None:
            check_float("minutes", self.minutes, 0, 1e7, above=True)
        check_int("batch_size", self.batch_size, 1)
        check_int("seq_len", self.seq_len, 1)
        check_int("accumulate", self.accumulate, 1)
        check_float("learning_rate", self.learning_rate, 0, 100, above=True)
        check_float("warmup", self.warmup, 0, 1)
        check_float("weight_decay", self.weight_decay, 0, 100)
        check_float("clip_norm", self.clip_norm, 0, math.inf, above=True)
        check_float("unk_rate", self.unk_rate, 0, 1, below=True)
        check_float("restart_rate", self.restart_rate, 0, 1)
        check_float("scheduled_sampling", self.scheduled_sampling, 0, 1)
        if self.max_ngrams is not None:
            check_int("max_ngrams", self.max_ngrams, 1, 10**12)
        check_int("evaluations", self.evaluations, 1)
        check_flag("mix", self.mix)
        check_int("seed", self.seed, 0, 2**63 - 1)

    @property
    def tokens_per_step(self) -> int:
        """Tokens that an update reads."""
        return self.batch_size * self.seq_len * self.accumulate


@dataclass(frozen=True)
class SampleConfig:
    """How text is sampled.

    Raises:
        ConfigError: a value is out of range.
    """

    length: int = 500  # most characters to draw
    temperature: float = 0.8  # 1: the model's own distribution; 0: always the likeliest token
    top_k: int | None = None  # draw from the k likeliest tokens only
    top_p: float = 1.0  # nucleus sampling: the smallest set of tokens with this probability
    stop: str | Sequence[str] = ()  # stop before this text, or before any of these
    allow_unk: bool = False  # whether <UNK> may be drawn
    min_p: float = 0.0  # keep tokens at least this share as probable as the most probable one
    keep_stop: bool = False  # stop after the stop text instead
    ban: str = ""  # characters that are never written
    no_repeat: int | None = None  # length of stretches that are never repeated, prompt included
    regex: str | None = None  # pattern of the whole continuation, as for `re.fullmatch`

    def __post_init__(self) -> None:
        check_int("length", self.length, 0, 10**12)
        check_float("temperature", self.temperature, 0, math.inf)
        if self.top_k is not None:
            check_int("top_k", self.top_k, 1, 10**9)
        check_float("top_p", self.top_p, 0, 1, above=True)
        check_float("min_p", self.min_p, 0, 1)
        check_flag("allow_unk", self.allow_unk)
        check_flag("keep_stop", self.keep_stop)
        if not isinstance(self.ban, str):
            raise ConfigError(f"{setting('ban')} must be characters in a string, not {self.ban!r}")
        if self.no_repeat is not None:
            check_int("no_repeat", self.no_repeat, 1)
        if not isinstance(self.regex, str | None):
            raise ConfigError(f"{setting('regex')} must be a string, not {self.regex!r}")
        for other in ("stop", "no_repeat"):
            if self.regex is not None and getattr(self, other):
                raise ConfigError(f"{setting('regex')} and {setting(other)} cannot be combined")
        stop = self.stop
        if not isinstance(stop, Sequence) or not all(isinstance(text, str) for text in stop):
            raise ConfigError(f"{setting('stop')} must be a text or a list of texts, not {stop!r}")

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """The stop texts, without empty ones."""
        texts = (self.stop,) if isinstance(self.stop, str) else self.stop
        return tuple(filter(None, texts))

    @property
    def truncates(self) -> bool:
        """Whether the least likely tokens are left out."""
        return self.top_k is not None or self.top_p < 1 or self.min_p > 0
