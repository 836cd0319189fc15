"""charrnn's side: training, sampling and scoring as its commands run them."""

import contextlib
import ctypes
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from charrnn.config import LINES, WHOLE, ModelConfig, SampleConfig, TrainConfig
from charrnn.ids import EOS, NUM_SPECIAL
from charrnn.inference.evaluation import token_log_probs
from charrnn.inference.sampling import Sample, complete, generate
from charrnn.mixing.mixed import Mixed
from charrnn.mixing.stream import stream_of
from charrnn.network.model import CharRNN
from charrnn.network.stream import NetworkStream
from charrnn.ngrams.residual import Network, ResidualRNN
from charrnn.parallel.processes import world
from charrnn.parallel.threads import Workers
from charrnn.resources import bundled_corpus
from charrnn.storage.checkpoint import Checkpoint, load
from charrnn.text.sources import read_source, split_source
from charrnn.text.vocabulary import Vocabulary
from charrnn.training.preparing import RunRequest, prepare
from tests.benchmarks.side import CHARS, Facts, Step, Task, line_lengths

_SETTINGS = {f.name for kind in (ModelConfig, TrainConfig) for f in fields(kind)} - {"vocab_size"}
_CONFIG = [prefix + "openblas_get_config" + end for prefix in ("scipy_", "") for end in ("64_", "")]
_EXTENSION = "numpy._core._multiarray_umath"  # linked to NumPy's BLAS
_ROOF = 2048  # rows and columns of the product that measures the roof


@contextlib.contextmanager
def prepared(task: Task) -> Iterator[tuple[Step, Facts]]:
    """A step of the task, by all cores unless `threads` says otherwise."""
    with Workers(task.get("threads"), world(), forks=True) as workers:
        step, flop = _KINDS[task["kind"]](task, workers)
        yield (
            step,
            {
                "numpy": np.__version__,
                "blas": blas(),
                "threads": workers.threads,
                "flop": flop,
            },
        )


def blas() -> str:
    """What OpenBLAS says of itself: version, options and the kernel that it uses."""
    library = ctypes.CDLL(sys.modules[_EXTENSION].__file__)
    for name in _CONFIG:
        if function := getattr(library, name, None):
            function.restype = ctypes.c_char_p
            return str(function().decode())
    return "not OpenBLAS"


def training(task: Task, workers: Workers) -> tuple[Step, float]:
    """A step of `charrnn train`, and the flop of a character, one-hot columns counted in full.

    The task names the text, or the size of the vocabulary of a random one.
    """
    text = task.get("text") or _random_text(task["vocab_size"])
    corpus = read_source(text, None if "text" in task else WHOLE)
    options = {name: value for name, value in task.items() if name in _SETTINGS}
    request = RunRequest(options | {"steps": 10**9})
    run = prepare(corpus, split_source(corpus, None, 0), request, output=None, workers=workers)
    assert isinstance(run.model, Network)
    steps, tokens = run.train(), run.trainer.config.tokens_per_step

    def step() -> float:
        next(steps)
        return tokens

    return step, 6.0 * _multiplied(run.model)


def _random_text(vocab_size: int) -> str:
    first = ord("!") if vocab_size < 90 else 0x4E00  # ASCII, or Chinese characters
    number = vocab_size - NUM_SPECIAL
    codes = np.append(np.arange(number), np.random.default_rng(0).integers(number, size=200_000))
    return "".join(map(chr, first + codes))


def _multiplied(model: Network) -> int:
    """The weights of a model that are factors in products."""
    return model.size - model.config.vocab_size * model.config.embedding_size


def sampling(task: Task, workers: Workers) -> tuple[Step, float]:
    """Draw CHARS characters of each stream as `charrnn sample` does, and the flop of one.

    The sizes are those of a random model that never ends a text.
    """
    streams, model = task["streams"], _random_model(task)
    model.parameters["head.weight"][EOS, 0] = -1e9
    vocabulary = Vocabulary([chr(0x100 + i) for i in range(model.vocab_size - NUM_SPECIAL)])
    checkpoint = Checkpoint(model, vocabulary, LINES)
    config = SampleConfig(length=CHARS, temperature=1)  # as PyTorch draws

    def step() -> float:
        samples = [Sample("", seed) for seed in range(streams)]
        if streams > 1:
            complete(checkpoint, samples, config, workers)
        else:
            for _ in generate(checkpoint, samples, config):
                pass
        return float(CHARS * streams)

    return step, 2.0 * _multiplied(model)


def reading(task: Task, workers: Workers) -> tuple[Step, float]:
    """Predict one text character by character, as sampling it does, with one part of a model.

    The task names a checkpoint, and its network, its network with n-grams, or all of it.
    """
    model = load(Path(task["checkpoint"])).model
    if task["part"] != "mixture" and isinstance(model, Mixed):
        model = model.base
    if task["part"] == "network" and isinstance(model, ResidualRNN):
        model = model.network
    stream = stream_of(model, model.zero_state(1))
    tokens = cycle(_encoded(task))

    def step() -> float:
        for token in islice(tokens, CHARS):
            stream.step(token)
        return CHARS

    return step, 2.0 * getattr(model, "size", 0)


def _encoded(task: Task) -> list[int]:
    """The start of a bundled text, as a checkpoint numbers its tokens."""
    path = bundled_corpus(task["text"])
    assert path is not None
    text = path.read_text(encoding="utf-8")[:100_000].replace("\n", " ")
    return load(Path(task["checkpoint"])).vocabulary.encode(text).tolist()


def _random_model(task: Task) -> CharRNN:
    names = (f.name for f in fields(ModelConfig))
    config = ModelConfig(**{name: task[name] for name in names if name in task})
    return CharRNN(config).initialize(np.random.default_rng(0))


def products(task: Task, workers: Workers) -> tuple[Step, float]:
    """Nothing but the matrix products of sampling one text, on one core: the least it can cost."""
    model = _random_model(task)
    stream = model.stream(model.zero_state(1))
    assert isinstance(stream, NetworkStream)

    def step() -> float:
        for _ in range(CHARS):
            for layer in stream.layers:
                layer.multiply()
        return CHARS

    return step, 2.0 * _multiplied(model)


def scoring(task: Task, workers: Workers) -> tuple[Step, float]:
    """log P of every token of every line as `charrnn score` finds it, and the flop of one."""
    model, rng = _random_model(task), np.random.default_rng(0)
    lengths = line_lengths(task["lines"])
    lines = [rng.integers(NUM_SPECIAL, model.vocab_size, length) for length in lengths]

    def step() -> float:
        token_log_probs(model, lines, workers)
        return sum(lengths)

    return step, 2.0 * _multiplied(model)


def roof(task: Task, workers: Workers) -> tuple[Step, float]:
    """One float32 product of 2048³, its columns shared out among threads; a unit is a flop."""
    threads = workers.threads
    a, b = np.random.default_rng(0).standard_normal((2, _ROOF, _ROOF)).astype(np.float32)
    parts = [part.copy() for part in np.array_split(b, threads, axis=1)]
    pool = ThreadPoolExecutor(threads)

    def step() -> float:
        list(pool.map(lambda part: a @ part, parts))
        return 2.0 * _ROOF**3

    return step, 1.0


_KINDS: dict[str, Callable[[Task, Workers], tuple[Step, float]]] = {
    "training": training,
    "sampling": sampling,
    "reading": reading,
    "products": products,
    "scoring": scoring,
    "roof": roof,
}
