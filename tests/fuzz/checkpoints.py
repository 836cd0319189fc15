"""Hostile checkpoints: genuine ones of many kinds, and what can be wrong with no other file."""

import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from charrnn.config import CELLS, LINES, ModelConfig, VocabularyConfig
from charrnn.ids import NUM_SPECIAL
from charrnn.mixing.fitting import count_contexts
from charrnn.mixing.inputs import NUM_INPUTS, num_rows
from charrnn.mixing.mixed import LanguageModel, Mixed
from charrnn.mixing.mixer import Mixer
from charrnn.network.model import CharRNN
from charrnn.network.parameters import parameter_shapes
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import ResidualRNN, ngram_config
from charrnn.storage.checkpoint import Checkpoint, load, save
from charrnn.text.vocabulary import Vocabulary
from tests.fuzz.files import Content, npy_of
from tests.fuzz.harness import Kind
from tests.fuzz.mutations import CONTROLS, MUTATIONS, VALUES, Rng, choice, size

Array = np.ndarray

TRAINING = {
    "command": "charrnn train x --steps 5",
    "settings": {"steps": 5, "learning_rate": 0.01},
    "corpus": {"name": "x", "sha256": "0" * 64},
    "history": [{"step": 5, "loss": 1.5, "val_bits_per_char": None}],
}
_WORDS = VocabularyConfig("word")
_JAMO = VocabularyConfig(normalize="nfd")
_COMMANDS = [
    ("inspect",),
    ("inspect", "--json"),
    ("sample", "ab", "--length", "20", "--seed", "1"),
    ("sample", "ab", "--next"),
    ("score", "ab \uac01"),
    ("score", "ab c", "--per-char", "--json"),
]


def _content(
    config: ModelConfig,
    tokens: list[str],
    kind: VocabularyConfig | None = None,
    mixed: bool = False,
) -> Content:
    """A random model of that configuration, saved by charrnn itself."""
    rng = np.random.default_rng(0)
    model: LanguageModel = _network(config, rng) if config.cell != "ngram" else _ngram(config, rng)
    if isinstance(model, CharRNN) and config.ngram:
        model = ResidualRNN(model, _ngram(ngram_config(config), rng))
        model = _mixed(model, rng) if mixed else model
    made = Checkpoint(model, Vocabulary(tokens, kind or VocabularyConfig()), LINES, TRAINING)
    with tempfile.TemporaryDirectory() as folder:
        save(made, Path(folder, "a.npz"))
        return Content.read(Path(folder, "a.npz"))


def _network(config: ModelConfig, rng: Rng) -> CharRNN:
    model = CharRNN(config)
    model.parameters.flat[:] = rng.standard_normal(model.size, np.float32) / 10
    return model


def _mixed(base: ResidualRNN, rng: Rng) -> Mixed:
    V = base.vocab_size
    words = rng.integers(NUM_SPECIAL, V, (6, 5))
    counts = count_contexts(V, words[rng.integers(0, 6, 100)].ravel())
    mixer = Mixer.initial(num_rows(V, base.ngram.config.order), NUM_INPUTS)
    mixer.sets += rng.normal(0, 0.2, mixer.sets.shape).astype(np.float32)
    return Mixed(base, counts, mixer)


def _ngram(config: ModelConfig, rng: Rng) -> NGram:
    text = rng.integers(NUM_SPECIAL, config.vocab_size, 20 * config.vocab_size)
    return fit(config, count_ngrams(config, np.append(text, 0)))


def _characters(number: int) -> list[str]:
    """So many distinct characters, a and b among them."""
    return [chr(code) for code in range(97, 97 + number + 0x800) if not 0xD800 <= code < 0xE000][
        :number
    ]


def _base(
    tokens: list[str], kind: VocabularyConfig | None = None, mixed: bool = False, **config: Any
) -> Content:
    config["vocab_size"] = NUM_SPECIAL + len(tokens)
    return _content(ModelConfig(**config), tokens, kind, mixed)


_BASES: list[Callable[[], Content]] = [
    *(partial(_base, ["a", "b", "c"], cell=cell, hidden_size=4) for cell in CELLS),
    partial(_base, ["a", "b"], cell="rnn", hidden_size=3, activation="relu", num_layers=3),
    partial(_base, ["a", "b"], cell="jordan", hidden_size=3, feedback="target"),
    partial(_base, _characters(50), hidden_size=8, embedding_size=5),
    partial(_base, ["a", "b", "c"], hidden_size=4, ngram=3),
    partial(_base, _characters(9), mixed=True, hidden_size=4, ngram=3),
    partial(_base, ["a", "b", " c"], _WORDS, cell="gru", hidden_size=4),
    partial(_base, ["a", "\u1100", "\u1161", "\u11a8"], _JAMO, hidden_size=4, ngram=2),
    partial(_base, _characters(300), cell="ngram", order=4),
]
_LARGE: list[Callable[[], Content]] = [
    partial(_base, _characters(100), hidden_size=1000),
    partial(_base, _characters(20_000), hidden_size=16, embedding_size=64),
    lambda: _trie(_base(["a", "b"], cell="ngram", order=9), 250, 10_000_000),
]
_bases = [cache(base) for base in _BASES]


def _base_of(rng: Rng) -> Content:
    """A genuine file, one in a hundred of some tens of megabytes."""
    made = choice(rng, _LARGE)() if rng.random() < 0.01 else choice(rng, _bases)()
    assert isinstance(made, Content)
    return made.copy()


# Mutations


def configuration(content: Content, rng: Rng) -> bytes:
    """Other values of what is in the configuration, sensible and not."""
    part = content.metadata[choice(rng, ["model", "model", "tokens"])]
    for _ in range(rng.integers(1, 3)):
        name = choice(rng, [*part, "other"])
        part[name] = choice(rng, [*VALUES, *CELLS, *[1, 2, 3, 0.5, part.get(name)] * 5])
    return content.pack()


def claimed_arrays(content: Content, rng: Rng) -> bytes:
    """A huge configuration, and arrays whose headers agree with it while their data do not."""
    model = content.metadata["model"]
    name = choice(rng, ["hidden_size", "num_layers", "embedding_size", "hidden_size"])
    model[name] = {"num_layers": 1000}.get(name, choice(rng, [10**4, 2**20]))
    if model["cell"] in ("ngram", "jordan"):
        model |= {"cell": "lstm", "order": 6, "feedback": "logits", "ngram": 0}
    for array, shape in parameter_shapes(ModelConfig(**model)).items():
        content.members[f"{array}.npy"] = npy_of(bytes(64), "'<f4'", str(shape))
    return content.pack()


def other_sizes(content: Content, rng: Rng) -> bytes:
    """A working network of unusual sizes, with numbers that may be large."""
    sizes: dict[str, Any] = {
        "num_layers": size(rng, 1, 1000) if rng.random() < 0.3 else 1,
        "hidden_size": size(rng, 1, 2000) if rng.random() < 0.3 else 2,
        "embedding_size": size(rng, 1, 2000) if rng.random() < 0.3 else 0,
    }
    if sizes["num_layers"] * sizes["hidden_size"] ** 2 > 3e6:
        sizes["num_layers"] = 1
    tokens = _characters(size(rng, 1, 1e5) if rng.random() < 0.3 else 3)
    if len(tokens) * sizes["hidden_size"] > 3e6:
        sizes["hidden_size"] = 1
    cell = choice(rng, ["rnn", "lstm", "gru"])
    config = ModelConfig(vocab_size=NUM_SPECIAL + len(tokens), cell=cell, **sizes)
    scale = choice(rng, [0.1, 1, 1e3, 1e30])
    content.arrays = {
        name: np.float32(scale) * rng.standard_normal(shape, np.float32)
        for name, shape in parameter_shapes(config).items()
    }
    content.metadata |= {"vocabulary": tokens, "tokens": {}}
    content.metadata["model"] = {"vocab_size": config.vocab_size, "cell": cell, **sizes}
    return content.pack()


def vocabulary(content: Content, rng: Rng) -> bytes:
    """Tokens twice, too many, of a wrong type, or such as drive a terminal."""
    tokens = content.metadata["vocabulary"]
    kind = rng.integers(4)
    if kind == 0:
        tokens[rng.integers(len(tokens))] = choice(rng, [*tokens, *VALUES])
    elif kind == 1:
        content.metadata["vocabulary"] = tokens * size(rng, 2, 1e7 / len(tokens))
    elif kind == 2:
        content.metadata["vocabulary"] = [str(n) for n in range(size(rng, 1, 3e6))]
        content.metadata["model"]["vocab_size"] = len(content.metadata["vocabulary"]) + 2
        content.metadata["tokens"] = {"tokens": "word"}
    else:
        content.metadata["tokens"] = {"tokens": "word"}
        tokens[rng.integers(len(tokens))] = choice(rng, CONTROLS) * size(rng, 1, 1e6)
    return content.pack()


def training(content: Content, rng: Rng) -> bytes:
    """What `inspect` shows, of unexpected types and sizes, and such as drives a terminal."""
    found: dict[str, Any] = content.metadata["training"]
    value = choice(rng, [*CONTROLS, *VALUES])
    nested: Any = value
    for _ in range(rng.integers(1, 60)):
        nested = choice(rng, [[nested], {str(value): nested}])
    number = size(rng, 1, 1e6 / max(100, len(str(value))))
    choices = [
        {"command": nested},
        {"command": str(value) * number},
        {"history": nested},
        {"history": [nested] * number},
        {"history": [{str(value): nested, "step": value}] * 3},
        {str(value): nested},
    ]
    found |= choice(rng, choices)
    content.metadata["separator"] = choice(rng, ["\n", "", "\n\n", str(value), str(value) * number])
    return content.pack()


def trie(content: Content, rng: Rng) -> bytes:
    """Arrays of an n-gram model that agree in size, of any shape: wide, deep, full of zeros."""
    content = _base(["a", "b"], cell="ngram", order=int(choice(rng, [2, 6, 100])))
    V = size(rng, 2, 300)
    return _trie(content, V, size(rng, 10, 2e7 if rng.random() < 0.02 else 1e5), rng).pack()


def _trie(content: Content, V: int, number: int, rng: Rng | None = None) -> Content:
    """An n-gram model of about so many k-grams; a random one may be none."""
    number = max(number, V)
    kind = -1 if rng is None else int(rng.integers(4))
    if rng is None or kind == 0:  # each context is followed by all tokens
        children = np.full(number // V, V)
    elif kind == 1:  # a chain
        children = np.append(V, np.ones(number - V, int))
        children[1:V] = 0
    elif kind == 2:  # a chain of which each node is followed by all tokens
        children = np.zeros(max(1, number // V) * V, int)
        children[::V] = V
    else:
        children = np.append(V, rng.integers(0, choice(rng, [2, 3, V]) + 1, number // V))
    firsts = np.cumsum(children) - children
    tokens = np.arange(children.sum()) - np.repeat(firsts, children)
    alpha = np.full(len(tokens), 0.9 / V, np.float16)
    if rng is not None:
        with np.errstate(all="ignore"):
            alpha *= np.float16(choice(rng, [1, 1, 1, 0, 1.2, -1, -1000]))
            alpha[0] *= np.float16(choice(rng, [1, -1000]))
    content.arrays = {
        "ngram.tokens": tokens.astype(np.min_scalar_type(V - 1)),
        "ngram.children": children.astype(np.min_scalar_type(V)),
        "ngram.alpha": alpha,
    }
    content.metadata["vocabulary"] = _characters(V - NUM_SPECIAL)
    content.metadata["model"]["vocab_size"] = V
    return content


def damaged_trie(content: Content, rng: Rng) -> bytes:
    """A few numbers of an n-gram model changed so that the arrays may still fit together."""
    content = choice(rng, [_bases[4], _bases[8], _bases[-1]])().copy()
    arrays = {name: array.copy() for name, array in content.arrays.items()}
    children, tokens = arrays["ngram.children"], arrays["ngram.tokens"]
    alpha = arrays["ngram.alpha"]
    one, other = rng.integers(len(children), size=2)
    place, value = rng.integers(len(alpha)), choice(rng, [0, 1, 0.5, -1, 6e4, -6e4, 1e-7])
    kind = rng.integers(5)
    if kind == 0:  # the sum stays
        children[[one, other]] += np.array([1, -1]).astype(children.dtype)
    elif kind == 1:
        rng.shuffle(children[1:])
    elif kind == 2:
        tokens[rng.integers(len(tokens))] = rng.integers(256)
    elif kind == 3:
        alpha[place] = value
    else:
        alpha *= np.float16(choice(rng, [2, -1, -50, 0]))
    content.arrays = arrays
    name = "order" if content.metadata["model"]["cell"] == "ngram" else "ngram"
    content.metadata["model"][name] = choice(rng, [2, 3, 4, 6, 100])
    return content.pack()


CHECKPOINTS = Kind(
    base=_base_of,
    mutations=[
        *MUTATIONS,
        configuration,
        claimed_arrays,
        other_sizes,
        vocabulary,
        training,
        trie,
        damaged_trie,
    ],
    load=load,
    commands=_COMMANDS,
)
