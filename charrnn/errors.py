"""The errors of charrnn; each message says what is wrong and what to do."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

# Names that other tools use, by the setting or command they mean (the first that exists here).
SYNONYMS = {
    typed: names.split()
    for names, words in {
        "accumulate": "grad-accum gradient-accumulation gradient-accumulation-steps",
        "activation": "nonlinearity",
        "adapt": "dynamic dynamic-evaluation",
        "batch-size": "batch bs",
        "beam": "beam-size beam-width beams num-beams",
        "cell": "arch architecture cell-type rnn-type",
        "checkpoint": "ckpt load weights",
        "classify": "identify label predict",
        "clip-norm": "clip grad-clip gradient-clip max-norm",
        "corpus": "data dataset input train text",
        "dry-run": "plan",
        "embedding-size": "emb emb-size embed-size embedding-dim n-embd",
        "encoding": "charset codec",
        "epochs": "max-epochs n-epochs num-epochs passes",
        "evaluations": "eval-every eval-interval validations",
        "force": "overwrite",
        "hidden-size": "d-model hidden-dim n-hidden num-hidden rnn-size units",
        "init-from": "fine-tune finetune pretrained start-from",
        "inspect": "info list ls show",
        "interactive": "chat repl",
        "json": "jsonl",
        "learning-rate": "lr rate",
        "length": "chars len max-length max-new-tokens max-tokens n num-chars num-tokens",
        "minutes": "duration time",
        "normalize": "unicode-form",
        "num-layers": "depth layers n-layer n-layers nlayers rnn-layers",
        "num-samples": "count n-samples nsamples samples",
        "output": "file-out out-dir output-file save save-to",
        "prompt given": "prefix prime primetext seed-text start start-text",
        "quiet": "silent",
        "resume": "continue",
        "sample": "complete generate write",
        "score": "eval evaluate perplexity ppl test",
        "seed": "random-seed",
        "seq-len context": "block-size bptt context-length seq-length sequence-length unroll",
        "split-on": "delimiter sep separator",
        "steps": "iterations iters max-iters max-steps num-iters train-steps updates",
        "stop": "end stop-at stop-sequence stop-text until",
        "temperature": "temp",
        "threads": "cores cpus jobs num-threads num-workers workers",
        "top-k": "k",
        "top-p": "nucleus p",
        "val": "dev val-file valid validation validation-file",
        "val-fraction": "holdout val-size val-split validation-split",
        "vocab-size": "max-vocab num-words vocab",
        "weight-decay": "decay l2 wd",
    }.items()
    for typed in words.split()
}
_LONG_ENOUGH = 4  # letters; shorter words are not searched for typing errors
_MOST = 2  # completions to suggest for a word
_MARK = "\0"  # around a setting in a message; no argument or file name contains it
_SETTING = re.compile(f"{_MARK}([a-z_]+){_MARK}")


def did_you_mean(word: str, choices: Iterable[str] | Mapping[str, str]) -> str:
    """Return "; did you mean ...?" for the end of an error, or "" if nothing is close.

    Args:
        choices: valid words; a mapping gives what to type for each.
    """
    typed = choices if isinstance(choices, Mapping) else {choice: choice for choice in choices}
    by_lower = {_plain(choice): typed[choice] for choice in typed}
    near = [repr(by_lower[choice]) for choice in _nearest(_plain(word), list(by_lower))]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _nearest(word: str, choices: Sequence[str]) -> list[str]:
    meant = [choice for choice in (word, *SYNONYMS.get(word, [])) if choice in choices]
    begun = [choice for choice in choices if len(word) > 2 and choice.startswith(word)]
    if len(begun) > _MOST:
        begun = []
    return meant[:1] or begun or [choice for choice in choices if _is_slip(word, choice)][:1]


def _is_slip(word: str, choice: str) -> bool:
    """Return whether the parts between hyphens are equal up to one typing error each.

    Strict, as a wrong suggestion does more harm than none.
    """
    parts, others = word.split("-"), choice.split("-")
    replaced = len(word) > _LONG_ENOUGH  # step and stop are two words
    return len(parts) == len(others) and all(
        _one_slip(part, other, replaced) for part, other in zip(parts, others, strict=True)
    )


def _one_slip(word: str, other: str, replaced: bool) -> bool:
    """Return whether one letter is missing, extra, swapped or, if allowed, replaced."""
    short, long = sorted((word, other), key=len)
    if short == long:
        return True
    if len(long) < _LONG_ENOUGH or len(long) > len(short) + 1:
        return False
    place = next(
        (i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short)
    )
    if len(short) < len(long):
        return short[place:] == long[place + 1 :]
    swapped = short[:place] + short[place : place + 2][::-1] + short[place + 2 :]
    return swapped == long or (replaced and short[place + 1 :] == long[place + 1 :])


def _plain(word: str) -> str:
    return word.lower().replace("_", "-")


def setting(name: str) -> str:
    """Name a setting in an error: a field to Python programs, an option on the command line."""
    return f"{_MARK}{name}{_MARK}"


class CharRNNError(Exception):
    """Base of all errors; the command line prints it as one line and exits with `exit_code`."""

    exit_code = 1

    @property
    def message(self) -> str:
        """The text with settings still marked, to build another error from."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        return _SETTING.sub(r"\1", self.message)

    def with_options(self, option: Callable[[str], str]) -> str:
        """Return the message with each setting spelled by `option`, for the command line."""
        return _SETTING.sub(lambda found: option(found[1]), self.message)


class ConfigError(CharRNNError):
    """An option or a setting has an invalid value."""

    exit_code = 2


class CorpusError(CharRNNError):
    """A text cannot be read, decoded or trained on."""


class CheckpointError(CharRNNError):
    """A checkpoint cannot be found, read or written, or is damaged."""


class UnfinishedError(CheckpointError):
    """A run is unfinished; the command line adds how to resume it."""


class DivergedError(CharRNNError):
    """Training produced a loss or gradient that is not finite."""


class MissingError(CharRNNError):
    """An optional dependency is not installed."""
