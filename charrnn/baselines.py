"""What a validation figure is worth: the same split under models that learn less.

All figures are bits per character over the split that the model is validated on.
"""

import lzma

from charrnn.config import ModelConfig
from charrnn.corpus import Split
from charrnn.evaluation import Model, evaluate
from charrnn.kneser_ney import count, fit
from charrnn.parallel import Workers
from charrnn.residual import ResidualRNN
from charrnn.tokens import Encoded, Tokens

_NGRAM_ORDER = 6
_MAX_COUNTED = 1 << 20  # tokens at the end of the training split that the n-gram models count
_MAX_COMPRESSED = 1 << 20  # characters at its end that xz sees
_SECONDS_PER_CHAR = 3e-6


def baselines(
    model: Model,
    train: Tokens,
    validation: Encoded,
    split: Split,
    *,
    count_eos: bool,
    workers: Workers,
) -> dict[str, float]:
    """Bits per character of the validation split under simpler models.

    `unigram` knows how frequent each token is; `ngram` is Kneser-Ney of order 6, or the one that
    stands beside the network; `network` is the network without it; `xz` is the size of both texts
    compressed together less that of the training text.

    Args:
        train: the tokens of `split.train`.
        validation: those of `split.val`.
    """
    tokens = train.read(max(0, len(train) - _MAX_COUNTED), len(train))

    def counted(order: int) -> Model:
        config = ModelConfig(vocab_size=model.vocab_size, cell="ngram", order=order)
        return fit(config, count(config, tokens))

    models = {"unigram": counted(1)}
    if isinstance(model, ResidualRNN):
        models |= {"ngram": model.ngram, "network": model.network}
    else:
        models["ngram"] = counted(_NGRAM_ORDER)
    found = {
        name: evaluate(each, validation, workers, count_eos=count_eos).bits_per_char
        for name, each in models.items()
    }
    return found | {"xz": _compressed(split, workers) / validation.count(eos=count_eos)}


def expected_seconds(split: Split) -> float:
    """How long `baselines` takes, beside evaluating the network, on a machine that is not slow."""
    return _SECONDS_PER_CHAR * (min(split.train.chars, _MAX_COMPRESSED) + split.val.chars)


def _compressed(split: Split, workers: Workers) -> float:
    """Bits that the validation text adds to the compressed training text."""
    train = split.train.end(_MAX_COMPRESSED).encode()
    both = train + split.val.end(len(split.val.codes)).encode()
    longer, shorter = workers.map(lambda text: len(lzma.compress(text)), [both, train])
    return 8.0 * (longer - shorter)
