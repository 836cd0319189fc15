"""What a validation figure is worth: the same split under models that learn less.

All figures are bits per character over the split that the model is validated on, or over a sample
of it where it is long, so that each takes about a second at most.
"""

import contextlib
import lzma

from charrnn.config import ModelConfig
from charrnn.inference.evaluation import evaluate
from charrnn.mixing.mixed import LanguageModel
from charrnn.ngrams.kneser_ney import count_ngrams, fit
from charrnn.ngrams.residual import ResidualRNN
from charrnn.parallel.threads import Workers
from charrnn.text.corpus import Split
from charrnn.text.tokens import Encoded, Tokens, evenly_spaced

NAMES = ("unigram", "ngram", "network", "unmixed", "xz")  # in the order in which they are shown
_NGRAM_ORDER = 6
_MAX_COUNTED = 1 << 20  # tokens at the end of the training split that the n-gram models count
_MAX_SCORED = 1 << 18  # tokens of the validation split that they predict
_MAX_WORK = 20_000_000_000  # the same by the parameters of the network, for the network
_MAX_COMPRESSED = 1 << 20  # bytes at the end of the training split that xz sees
_DICTIONARY = 1 << 22  # bytes: all of both, at half of the memory that xz takes otherwise
_MAX_ADDED = 1 << 18  # bytes, about, of the validation split that it sees


def simple_baselines(
    model: LanguageModel,
    train: Tokens,
    validation: Encoded,
    split: Split,
    *,
    count_eos: bool,
    workers: Workers,
) -> dict[str, float]:
    """Bits per character of the validation split under models that are known before training.

    `unigram` knows how frequent each token is; `ngram` is Kneser-Ney of order 6, or the one that
    stands beside the network; `xz` is the size of both texts compressed together less that of the
    training text.

    Args:
        train: the tokens of `split.train`.
        validation: those of `split.val`.
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
    with contextlib.suppress(MemoryError):  # xz needs more than all else may
        found["xz"] = _compressed(split, workers) / validation.num_chars(eos=count_eos)
    return found


def network_baseline(
    model: LanguageModel, validation: Encoded, *, count_eos: bool, workers: Workers
) -> dict[str, float]:
    """`network`, that of a trained network without its n-gram model; nothing for other models."""
    if not isinstance(model, ResidualRNN):
        return {}
    scored = validation.sample(num_scored(model))
    found = evaluate(model.network, scored, workers, count_eos=count_eos)
    return {"network": found.bits_per_char}


def num_scored(model: ResidualRNN) -> int:
    """How many tokens of the validation split `network_baseline` predicts at most."""
    return max(1, _MAX_WORK // model.size)


def _compressed(split: Split, workers: Workers) -> float:
    """Bits that the validation text adds to the compressed training text; estimated from a sample
    where it is long."""
    text = split.train.end(_MAX_COMPRESSED)
    train, size = text.encode(), split.val.spans.size
    most = _MAX_ADDED * len(text) // max(1, len(train))
    train = train[-_MAX_COMPRESSED:]
    added = "".join(split.val.text(*part) for part in evenly_spaced(size, most))
    both = train + added.encode()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": _DICTIONARY}]
    longer, shorter = workers.map(
        lambda text: len(lzma.compress(text, filters=filters)), [both, train]
    )
    return 8.0 * (longer - shorter) * size / max(1, len(added))
