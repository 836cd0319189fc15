"""Units of a network: their activations while it reads a text, and the properties they track.

Letters: N tokens, T steps, B streams side by side, L layers, H hidden size, U = L·H units,
P properties.

The activation of a unit after a token is tanh(C) in an lstm: what the cell remembers, whether or
not its output gate shows it at the moment. In every other cell it is h. Looking at single units
follows Karpathy (2015), The unreasonable effectiveness of recurrent neural networks.
"""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from charrnn.errors import ConfigError, setting
from charrnn.ids import EOS
from charrnn.inference.evaluation import BURN_IN, chunk_shape, stream_chunks
from charrnn.inference.properties import PROPERTIES
from charrnn.mixing.mixed import LanguageModel, Mixed
from charrnn.network.cells import LSTM
from charrnn.network.jordan import UnrolledJordan
from charrnn.network.model import CharRNN
from charrnn.network.unrolled import Unrolled
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import ResidualRNN
from charrnn.storage.checkpoint import check_finite
from charrnn.text.vocabulary import Vocabulary

Array = np.ndarray
Document = tuple[Sequence[str], Array]
"""The tokens of a document, and a value after each."""

LEVELS = 4  # shades of a colour
MAX_CHARS = 1_000_000  # that are read of a text
_STEPS = 32  # of a stream at a time, to keep the work buffers small
_STREAMS, _STREAM_TOKENS = 32, 4096  # most streams, and fewest tokens of a stream
_JOINER = "\u200d"
_CONSTANT = 1e-9  # a variance below this share of the mean square is rounding


@dataclass(frozen=True)
class Unit:
    """A unit of a network: its layer, and its index in the layer."""

    layer: int
    index: int

    @classmethod
    def named(cls, name: str, model: CharRNN) -> "Unit":
        """Return the unit with this name: N in the top layer, or LAYER.UNIT, counted from 0.

        Raises:
            ConfigError: there is no such unit.
        """
        layers, size = model.config.num_layers, model.config.hidden_size
        layer, _, index = name.rpartition(".")
        parts = [layer or str(layers - 1), index]
        if all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            unit = cls(*map(int, parts))
            if unit.layer < layers and unit.index < size:
                return unit
        units = f"a number from 0 to {size - 1}"
        if layers > 1:
            units += f", or LAYER.UNIT with a layer from 0 to {layers - 1}"
        raise ConfigError(f"{setting('neuron')} must be {units}, not {name!r}")

    def name(self, model: CharRNN) -> str:
        """Return the shortest name that `named` understands."""
        return f"{self.layer}.{self.index}" if model.config.num_layers > 1 else str(self.index)


@dataclass(frozen=True)
class Finding:
    """The unit that tracks a property best in the first half of a text, checked on the second."""

    property: str
    unit: Unit | None  # None: the property is constant in the first half
    chosen: float | None  # correlation in the first half
    held_out: float | None  # correlation in the second half; None: a constant


def network_of(model: LanguageModel) -> CharRNN:
    """Return the network of a model.

    Raises:
        ConfigError: it is an n-gram model.
    """
    if isinstance(model, NGram):
        raise ConfigError("only a network has units; this is an n-gram model")
    base = model.base if isinstance(model, Mixed) else model
    return base.network if isinstance(base, ResidualRNN) else base


def state_name(model: CharRNN) -> str:
    """Return what the activations are, in words."""
    return "tanh(C)" if model.config.cell == "lstm" else "h"


def read_activations(model: CharRNN, tokens: Array) -> Iterator[tuple[Array, Array]]:
    """Yield the activations of all units after each token of a text, in chunks of bounded size.

    A text of fewer than 8,192 tokens is read from beginning to end, a longer one in streams side by
    side, each with a burn-in of 256 tokens.

    Args:
        model: the network.
        tokens: (N,) ids, documents separated by <EOS>.

    Yields:
        Places (n,) in the text and the activations (U, n) there, fresh arrays. The places of a long
        text are not in order.

    Raises:
        CheckpointError: an activation is not finite.
    """
    B = max(1, min(_STREAMS, len(tokens) // _STREAM_TOKENS))
    edges = np.linspace(0, len(tokens), B + 1).astype(np.int64)
    steps, _ = chunk_shape(model, _STEPS, B)
    unrolled, state = model.unroll(steps, B), model.zero_state(B)
    burn_in = BURN_IN if B > 1 else 1  # <EOS> stands before the text
    for places, counted in stream_chunks(edges, steps, burn_in):
        inputs = np.where(places < 0, EOS, tokens[np.clip(places, 0, len(tokens) - 1)])
        state = unrolled.run(inputs, state)
        if counted.any():
            found = activations(unrolled)[:, counted]
            with np.errstate(invalid="ignore"):
                check_finite(float(found.sum(dtype=np.float64)))
            yield places[counted], found


def activations(unrolled: Unrolled) -> Array:
    """Return all units (U, T, B) after each step of the last `run`, lower layers first."""
    if isinstance(unrolled, UnrolledJordan):
        return unrolled.h.transpose(2, 0, 1)
    return np.concatenate([_activations(unrolled, layer) for layer in range(len(unrolled.cells))])


def _activations(unrolled: Unrolled, layer: int) -> Array:
    """Return the units (H, T, B) of a layer; not its state, which document starts clear."""
    cell = unrolled.cells[layer]
    if isinstance(cell, LSTM):
        return cell.tanh_C.transpose(2, 0, 1)
    return [*unrolled.x, unrolled.top][layer].transpose(2, 0, 1)


def follow(model: CharRNN, tokens: Array, units: Sequence[Unit]) -> Array:
    """Return the activations (len(units), N) of some units after each token of a text."""
    rows = [unit.layer * model.config.hidden_size + unit.index for unit in units]
    found = np.empty((len(units), len(tokens)), np.float32)
    for places, values in read_activations(model, tokens):
        found[:, places] = values[rows]
    return found


@dataclass
class _Sums:
    """Sums from which the correlation of every unit with every property follows."""

    size: int = 0
    sums: dict[str, Array] = field(default_factory=dict)

    def add(self, units: Array, properties: Array) -> None:
        """Add the values of units (U, n) and properties (P, n) at some places."""
        self.size += units.shape[1]
        for name, part in (
            ("u", units.sum(axis=1)),
            ("uu", np.square(units).sum(axis=1)),
            ("p", properties.sum(axis=1)),
            ("pp", np.square(properties).sum(axis=1)),
            ("pu", properties @ units.T),
        ):
            self.sums[name] = self.sums.get(name, 0) + part

    def correlations(self) -> Array:
        """Return the correlations (P, U), nan where one of the two is constant."""
        means = {name: part / max(1, self.size) for name, part in self.sums.items()}
        u, p = (_deviation(means[name], means[2 * name]) for name in "up")
        covariance = means["pu"] - np.outer(means["p"], means["u"])
        found: Array = covariance / np.outer(p, u)
        return found


def _deviation(mean: Array, mean_square: Array) -> Array:
    """Return standard deviations, nan where they are only rounding errors."""
    variance = mean_square - np.square(mean)
    return np.sqrt(np.where(variance > _CONSTANT * mean_square, variance, np.nan))


def best_units(model: CharRNN, tokens: Array, properties: Mapping[str, Array]) -> list[Finding]:
    """Find for each property the unit with the largest absolute correlation.

    The unit is chosen on the first half of the tokens and measured on both, because the best of
    many units always does well on the text it was chosen on.

    Args:
        model: the network.
        tokens: (N,) ids, documents separated by <EOS>.
        properties: value (N,) of each property after each token, by name.
    """
    values, half = np.array([*properties.values()]), len(tokens) // 2
    sums = _Sums(), _Sums()
    for places, units in read_activations(model, tokens):
        in_text = tokens[places] > EOS
        for part, inside in zip(sums, (places < half, places >= half), strict=True):
            counted = in_text & inside
            part.add(units[:, counted].astype(np.float64), values[:, places[counted]])
    first, second = (part.correlations() for part in sums)
    return [
        _best(name, model, *rows) for name, *rows in zip(properties, first, second, strict=True)
    ]


def _best(name: str, model: CharRNN, first: Array, second: Array) -> Finding:
    """Return the best unit of the first half, by the correlations (U,) in both halves."""
    if np.isnan(first).all():
        return Finding(name, None, None, None)
    best = int(np.nanargmax(np.abs(first)))
    unit = Unit(*divmod(best, model.config.hidden_size))
    held_out = None if np.isnan(second[best]) else float(second[best])
    return Finding(name, unit, float(first[best]), held_out)


@dataclass(frozen=True)
class Reading:
    """A text as a network reads it."""

    documents: list[Sequence[str]]  # the tokens of each; a string if they are characters
    ids: Array  # (N,), documents separated by <EOS>
    whole: bool  # False if the text was cut at MAX_CHARS

    @classmethod
    def of(cls, texts: Iterable[str], vocabulary: Vocabulary) -> "Reading":
        """Read the first MAX_CHARS characters of documents, one of which must not be empty."""
        documents, ids, room = [], [], MAX_CHARS
        for text in texts:
            if room > 0:
                documents.append(vocabulary.split(text[:room]))
                ids += [vocabulary.ids(documents[-1:]), np.array([EOS])]
            room -= len(text)
        return cls(documents, np.concatenate(ids[:-1]).astype(np.int64), room >= 0)

    def properties(self) -> dict[str, Array]:
        """Return the value (N,) of each of PROPERTIES after each token, by name; 0 at <EOS>."""
        return {
            name: np.concatenate([_after_tokens(tokens, follow) for tokens in self.documents])[:-1]
            for name, follow in PROPERTIES.items()
        }

    def parts(self, values: Array, first: int = 0) -> Iterator[Document]:
        """Yield the documents with their part of the values (N,), from place `first` on."""
        start = 0
        for tokens in self.documents:
            skipped = max(0, first - start)
            if skipped < len(tokens):
                yield tokens[skipped:], values[start + skipped : start + len(tokens)]
            start += len(tokens) + 1


def _after_tokens(tokens: Sequence[str], follow: Callable[[str], Iterator[int]]) -> Array:
    """Return a property after each token of a document, and 0 for the <EOS> that follows."""
    values = np.fromiter(follow("".join(tokens)), np.int32)
    if not isinstance(tokens, str):
        values = values[np.cumsum([len(token) for token in tokens]) - 1]
    return np.append(values, 0)


def as_read(tokens: Sequence[str], values: Array) -> Iterator[tuple[str, float]]:
    """Yield the pieces that a reader sees as one, each with the value after its last token.

    Decomposed characters are composed again; combining marks and joiners stay with their base.
    """
    pieces = list(tokens)
    if isinstance(tokens, str) and (text := unicodedata.normalize("NFC", tokens)) != tokens:
        sizes = [len(unicodedata.normalize("NFD", char)) for char in text]
        pieces, values = [*text], values[np.cumsum(sizes) - 1]
    held, last = "", 0.0
    for piece, value in zip(pieces, values.tolist(), strict=True):
        if held and not _belongs(piece, held):
            yield held, last
            held = ""
        held, last = held + piece, value
    if held:
        yield held, last


def _belongs(piece: str, before: str) -> bool:
    """Whether a piece is displayed as one with the piece before it."""
    is_mark = unicodedata.category(piece[0]) in ("Mn", "Me", "Mc") or piece == _JOINER
    return is_mark or before.endswith(_JOINER)


def largest(values: Array) -> float:
    """Return the largest absolute value."""
    return float(np.abs(values).max())


def shades(pieces: Iterable[tuple[str, float]], largest: float) -> Iterator[tuple[int, str]]:
    """Yield a text in runs of one shade, from -LEVELS to LEVELS, 0 for no colour.

    Args:
        pieces: pieces of the text with their activations.
        largest: the absolute value that gets the strongest colour.
    """

    def shade(piece: tuple[str, float]) -> int:
        return round(LEVELS * piece[1] / largest) if largest else 0

    for number, run in groupby(pieces, shade):
        yield number, "".join(piece for piece, _ in run)


def signed(correlation: float | None) -> str:
    """Format a correlation."""
    return "-" if correlation is None else f"{correlation:+.3f}"
