"""Baselines: the validation split under simpler models, to judge the network's figure by.

All figures are bits per character of the validation split, or of a sample if it is long, so each
takes about a second at most.
"""

import contextlib
import lzma
from collections.abc import Callable
from functools import partial

from charrnn.config import ModelConfig
from charrnn.inference.evaluation import evaluate
from charrnn.mixing.mixed import LanguageModel
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.text.corpus import Split
from charrnn.text.tokens import Encoded, Tokens, evenly_spaced

NAMES = ("unigram", "ngram", "network", "unmixed", "xz", "ppmd")  # in display order
_NGRAM_ORDER = 6
_MAX_COUNTED = 1 << 20  # tokens at the end of the training split that n-gram models count
_MAX_SCORED = 1 << 18  # tokens of the validation split that n-gram models predict
_MAX_WORK = 20_000_000_000  # tokens of the validation split times parameters, for the network
_MAX_COMPRESSED = 1 << 20  # bytes at the end of the training split that a compressor sees
_DICTIONARY = 1 << 22  # bytes, enough for both texts; half the memory of xz's default
_MAX_ADDED = 1 << 18  # bytes of the validation split that a compressor sees, about
_PPMD_ORDER = 8
_PPMD_MEMORY = 1 << 26  # bytes, enough for both texts


def simple_baselines(
    model: LanguageModel,
    train: Tokens,
    validation: Encoded,
    split: Split,
    *,
    count_eos: bool,
    workers: Workers,
) -> dict[str, float]:
    """Compute the baselines that need no trained network.

    `unigram` predicts each token by its frequency; `ngram` is the n-gram model beside the network,
    or Kneser-Ney of order 6; `xz` is the size of training and validation text compressed together
    minus that of the training text. Where pyppmd is installed, `ppmd` stands in the place of `xz`:
    a stronger compressor (Cleary & Witten 1984; Shkarin 2002).

    Args:
        model: the model to be trained.
        train: the tokens of `split.train`.
        validation: the tokens of `split.val`.
        split: the texts.
        count_eos: whether the ends of documents count.
        workers: threads that share the work.

    Returns:
        Bits per character by name.
    """
    tokens = train.slice(max(0, len(train) - _MAX_COUNTED), len(train))

    def counted(order: int) -> LanguageModel:
        config = ModelConfig(vocab_size=model.vocab_size, cell="ngram", order=order)
        return fit(config, count_ngrams(config, tokens))

    ngram = model.ngram if isinstance(model, ResidualRNN) else counted(_NGRAM_ORDER)
    scored = validation.sample(_MAX_SCORED)
    found = {
        name: evaluate(each, scored, workers, count_eos=count_eos).bits_per_char
        for name, each in (("unigram", counted(1)), ("ngram", ngram))
    }
    with contextlib.suppress(MemoryError):  # it may need more memory than everything else
        name, compress = _compressor()
        bits = _compressed(split, compress, workers)
        found[name] = bits / validation.num_chars(eos=count_eos)
    return found


def network_baseline(
    model: LanguageModel, validation: Encoded, *, count_eos: bool, workers: Workers
) -> dict[str, float]:
    """Compute `network`, a trained network without its n-gram model; nothing for other models."""
    if not isinstance(model, ResidualRNN):
        return {}
    scored = validation.sample(num_scored(model))
    found = evaluate(model.network, scored, workers, count_eos=count_eos)
    return {"network": found.bits_per_char}


def num_scored(model: ResidualRNN) -> int:
    """Return how many tokens of the validation split `network_baseline` predicts at most."""
    return max(1, _MAX_WORK // model.size)


def _compressor() -> tuple[str, Callable[[bytes], bytes]]:
    """Return the name of the best compressor there is, and its function."""
    try:
        import pyppmd
    except ImportError:
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": _DICTIONARY}]
        return "xz", lambda text: lzma.compress(text, filters=filters)
    order, memory = _PPMD_ORDER, _PPMD_MEMORY
    return "ppmd", partial(pyppmd.compress, max_order=order, mem_size=memory, variant="H")


def _compressed(split: Split, compress: Callable[[bytes], bytes], workers: Workers) -> float:
    """Return the bits that the validation text adds to the compressed training text.

    Estimated from a sample if the text is long.
    """
    text = split.train.end(_MAX_COMPRESSED)
    train, size = text.encode(), split.val.spans.size
    most = _MAX_ADDED * len(text) // max(1, len(train))
    train = train[-_MAX_COMPRESSED:]
    added = "".join(split.val.text(*part) for part in evenly_spaced(size, most))
    both = train + added.encode()
    longer, shorter = workers.map(lambda text: len(compress(text)), [both, train])
    return 8.0 * (longer - shorter) * size / max(1, len(added))
