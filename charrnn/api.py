"""The Python interface: models that write and score text, and how to train them.

Nothing here prints. The names are those of the command line.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from secrets import randbelow
from typing import Any, TypedDict, Unpack

from charrnn.config import MAX_SEED, SampleConfig, VocabularyConfig, check_flag, check_int
from charrnn.errors import ConfigError, did_you_mean
from charrnn.inference.novelty import complete_novel
from charrnn.inference.sampling import Sample, next_tokens
from charrnn.inference.scores import Score
from charrnn.inference.scoring import score
from charrnn.inference.state import State
from charrnn.inference.verbatim import whole_documents
from charrnn.parallel.threads import Workers, one_blas_thread
from charrnn.storage import checkpoint
from charrnn.storage.checkpoint import Checkpoint
from charrnn.text.sources import Source, names_of, read_source, separator, split_source
from charrnn.text.unicode import normalize
from charrnn.training.finetuning import Pretrained
from charrnn.training.preparing import RunRequest, claimed, prepare
from charrnn.training.progress import Progress
from charrnn.training.resuming import Text

_MAX_THREADS = 1024
_OF_VOCABULARY = VocabularyConfig.__dataclass_fields__.keys()
_PLAIN = SampleConfig()


class Settings(TypedDict, total=False):
    """Settings of `train`: the fields of VocabularyConfig, ModelConfig and TrainConfig.

    What is missing or None follows from the text and the budget.
    """

    # The budget, one of them.
    steps: int | None
    epochs: float | None
    minutes: float | None
    # What a token is.
    tokens: str | None
    normalize: str | None
    min_count: int | None
    vocab_size: int | None
    # The model.
    cell: str | None
    activation: str | None
    feedback: str | None
    hidden_size: int | None
    num_layers: int | None
    embedding_size: int | None
    dropout: float | None
    recurrent_dropout: float | None
    order: int | None
    ngram: int | None
    ngram_scale: float | None
    mix: bool | None
    max_ngrams: int | None
    # How it is trained.
    batch_size: int | None
    seq_len: int | None
    accumulate: int | None
    learning_rate: float | None
    warmup: float | None
    weight_decay: float | None
    clip_norm: float | None
    unk_rate: float | None
    restart_rate: float | None
    scheduled_sampling: float | None
    evaluations: int | None
    seed: int | None


class SampleSettings(TypedDict, total=False):
    """Settings of `Model.sample`: the fields of SampleConfig, which has their defaults."""

    length: int  # characters to draw at most; the text may end before
    temperature: float  # 0.8 unless given; 1 is the model's own distribution, 0 the likeliest
    top_k: int | None  # draw from the k likeliest tokens only
    top_p: float  # nucleus sampling: the smallest set of tokens with this total probability
    min_p: float  # draw from tokens at least this share as probable as the likeliest
    stop: str | Sequence[str]  # end before this text, or before the first of several
    keep_stop: bool  # end after it instead
    ban: str  # characters that are not drawn
    no_repeat: int | None  # length of a stretch that may not occur twice, prompt included
    regex: str | None  # what the whole continuation matches
    allow_unk: bool  # draw <UNK> too, as U+FFFD


class Model:
    """A trained model, ready to write and to score text.

    Args:
        checkpoint: the network or the n-gram model, its vocabulary and how it was trained.
        threads: cores to use at most, which changes no result; None means all.
    """

    def __init__(self, checkpoint: Checkpoint, *, threads: int | None = None) -> None:
        self.checkpoint, self.threads = checkpoint, threads

    def __repr__(self) -> str:
        model, tokens = self.checkpoint.model, self.checkpoint.vocabulary
        size = f"{model.size:,} parameters, {len(tokens):,} tokens"
        return f"<charrnn.Model: {model.config.cell}, {size}>"

    def sample(
        self,
        prompt: str = "",
        *,
        seed: int | None = None,
        novel: Source | None = None,
        **settings: Unpack[SampleSettings],
    ) -> str:
        """Write a text that begins with the prompt, as `charrnn sample` prints it.

        Args:
            seed: random seed; None is another one each time.
            novel: documents not to write, as for `train`: what is one of them is drawn again.
            settings: see `SampleSettings`; temperature is 0.8 unless given, 1 is the model's own
                distribution.

        Raises:
            ConfigError: a value is out of range, or nothing that can be written matches.
            CorpusError: the prompt is not valid Unicode, or 100 tries are not novel.
        """
        _check_text("prompt", prompt, "samples")
        _check_settings("sample", settings, SampleSettings)
        return self.samples([prompt], SampleConfig(**settings), seed=seed, novel=novel)[0].text

    def samples(
        self,
        prompts: Sequence[str],
        config: SampleConfig = _PLAIN,
        *,
        seed: int | None = None,
        novel: Source | None = None,
    ) -> list[Sample]:
        """Write texts for many prompts, with their log-probabilities and why they ended.

        Args:
            seed: random seed of the first; prompt j uses seed + j. None is another one each time.
            novel: documents not to write; see `sample`.

        Raises:
            ConfigError: a value is out of range.
            CorpusError: a prompt is not valid Unicode, or 100 tries are not novel.
        """
        if not isinstance(config, SampleConfig):
            raise ConfigError(f"config must be a SampleConfig, not {_kind(config)}")
        prompts = _checked_texts("prompts", prompts, "sample")
        if seed is not None:
            check_int("seed", seed, 0, MAX_SEED)
        first = randbelow(1 << 32) if seed is None else seed
        config = replace(config, stop=[*map(normalize, config.stops)])
        found = [Sample(prompt, first + number) for number, prompt in enumerate(prompts)]
        of = self.checkpoint.separator
        known = {} if novel is None else whole_documents(read_source(novel, of).documents)
        with _working(self.threads) as workers:
            complete_novel(self.checkpoint, found, config, workers, known)
        return found

    def next(self, prompt: str = "") -> list[tuple[str, float]]:
        """Predict what follows the prompt, likeliest first: (token, log-probability in nats).

        The list includes <EOS>, the end, and <UNK>, so that the probabilities add up to one.

        Raises:
            CorpusError: the prompt is not valid Unicode.
        """
        _check_text("prompt", prompt)
        with one_blas_thread():
            return next_tokens(self.checkpoint, prompt)

    def choices(self, prompt: str, texts: Sequence[str]) -> list[tuple[str, float]]:
        """Rank texts as continuations of the prompt, likeliest first: (text, log P in nats).

        The ends of the texts do not count.
        """
        _check_text("prompt", prompt)
        texts = _checked_texts("texts", texts, "score")
        found = (score.log_prob for score in self.scores(texts, given=prompt, eos=False))
        return sorted(zip(texts, found, strict=True), key=lambda pair: -pair[1])

    def state(self) -> State:
        """Begin to read a text in steps: `feed` it, ask what comes `next`, `copy` it to branch."""
        return State(self.checkpoint)

    def score(self, text: str, *, given: str = "", eos: bool | None = None) -> Score:
        """Score how probable a text is, as `charrnn score` does; see `scores`."""
        _check_text("text", text, "scores")
        _check_text("given", given, "scores")
        return self.scores([text], given=given, eos=eos)[0]

    def scores(
        self, texts: Sequence[str], *, given: str | Sequence[str] = "", eos: bool | None = None
    ) -> list[Score]:
        """Score how probable texts are, each by itself.

        Unknown characters share the probability of <UNK>, so that texts and models compare;
        `Score.token_log_prob` counts P(<UNK>) itself.

        Args:
            given: what the texts continue, one for all or one for each: log P is that of the
                continuation alone. A word that it begins and the text ends counts as a whole where
                the model reads words.
            eos: whether the end of each counts; None means unless the model was trained on whole
                files.

        Raises:
            ConfigError: `texts` is not a list of strings, or another value is wrong.
            CorpusError: a text is not valid Unicode.
        """
        texts = _checked_texts("texts", texts, "score")
        if not isinstance(given, str):
            given = _checked_texts("given", given)
            if len(given) != len(texts):
                counts = f"not {len(given)} for {len(texts)} texts"
                raise ConfigError(f"given must be one string, or one for each text, {counts}")
        if eos not in (None, True, False):
            raise ConfigError(f"eos must be True, False or None, not {eos!r}")
        with _working(self.threads) as workers:
            return score(self.checkpoint, texts, given=given, eos=eos, workers=workers)

    def save(self, path: str | Path) -> None:
        """Write the model to an .npz file, whole or not at all.

        Raises:
            ConfigError: the name does not end in .npz, or is none.
            CheckpointError: it cannot be written, or an unfinished run writes it; an older file is
                intact.
        """
        file = _path("path", path)
        with claimed(file):
            checkpoint.save(self.checkpoint, file)


def load(path: str | Path | None = None, *, threads: int | None = None) -> Model:
    """Load a model from a file, or one of the bundled ones, `everyday` and `ilsang`.

    Args:
        path: None means the newest in ./checkpoints, else the first bundled one.
        threads: cores to use at most; None means all.

    Raises:
        ConfigError: the path is none.
        CheckpointError: the file is missing, or is not a model.
    """
    found = checkpoint.locate(None if path is None else _path("path", path))
    return Model(checkpoint.load(found), threads=threads)


def train(
    text: Source,
    *,
    output: str | Path | None = None,
    val: Source | None = None,
    val_fraction: float | None = None,
    lines: bool | None = None,
    split_on: str | None = None,
    encoding: str = "utf-8",
    max_size: int | None = None,
    field: str | None = None,
    glob: str | None = None,
    init_from: str | Path | None = None,
    force: bool = False,
    threads: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    **settings: Unpack[Settings],
) -> Model:
    """Train a model; its figures are in `model.checkpoint.training["result"]`.

    Args:
        text: a string is the text itself, or the name of a bundled corpus; a Path is a file or a
            folder, and so is each of a list of them; a list of strings is one of documents. A
            string that is the name of a file is an error, unless a newline ends it.
        output: file of the model, written as `charrnn train` does; None writes nothing.
        val: text to validate on, instead of a part of `text`.
        val_fraction: share of the characters held out for validation; None means a tenth.
        lines: whether each line is a document; None means for bundled corpora only.
        split_on: text to cut documents at instead.
        encoding: encoding of files.
        max_size: largest file to read, in MB after unpacking.
        field: field of JSON Lines, CSV or TSV files whose texts are the documents.
        glob: files to read of a folder; None means `*.txt`.
        init_from: model to start from, as for `load`.
        force: replace an unfinished run of the output.
        threads: cores to use at most, which changes no result; None means all.
        progress: called after every step.
        settings: see `Settings`.

    Raises:
        ConfigError: a setting is out of range, or a text or a path is none.
        TypeError: there is no such setting.
        CorpusError: a text cannot be read, or there is nothing to learn from.
        CheckpointError: a model cannot be read or written.
        DivergedError: the loss was not finite again and again.
    """
    started = time.perf_counter()
    _check_settings("train", settings, Settings)
    check_flag("force", force)
    file = None if output is None else _path("output", output)
    given = {name: value for name, value in settings.items() if value is not None}
    kind: dict[str, Any] = {name: given[name] for name in given.keys() & _OF_VOCABULARY}
    pretrained = None if init_from is None else Pretrained.load(_path("init_from", init_from))
    tokens = VocabularyConfig(**kind) if pretrained is None else pretrained.tokens(kind)
    cut = separator(lines, split_on, field)
    corpus = read_source(text, cut, encoding, max_size, field=field, glob=glob)
    split = split_source(corpus, val, val_fraction, encoding, max_size, field=field, glob=glob)
    names, val_name = names_of(text) or [], str(val) if isinstance(val, Path) else None
    request = RunRequest(
        {name: value for name, value in given.items() if name not in kind},
        tokens=tokens,
        init_from=pretrained,
        text=Text(names, encoding, corpus.separator, val_name, val_fraction, max_size, field, glob),
        given=given,
        command=_command(given),
        started=started,
    )
    with contextlib.ExitStack() as stack:
        workers = stack.enter_context(_working(threads))
        if file is not None:
            stack.enter_context(claimed(file, force=force))
        run = prepare(corpus, split, request, output=file, workers=workers)
        for step in run.train():
            if progress is not None:
                progress(step)
    return Model(run.checkpoint(), threads=threads)


def _check_settings(function: str, settings: Mapping[str, object], known: type) -> None:
    """Raise TypeError where a setting is none of those that a function takes."""
    for name in settings.keys() - known.__annotations__.keys():
        hint = did_you_mean(name, list(known.__annotations__))
        raise TypeError(f"{function}() knows no setting {name!r}{hint}")


def _check_text(name: str, text: object, several: str = "") -> None:
    """Raise ConfigError where a text is none.

    Args:
        several: the method for a list of them, if there is one.
    """
    if isinstance(text, str):
        return
    listed = several and isinstance(text, Iterable) and not isinstance(text, bytes)
    hint = f"; {several}() takes a list" if listed else ""
    raise ConfigError(f"{name} must be a string, not {_kind(text)}{hint}")


def _checked_texts(name: str, texts: object, single: str = "") -> list[str]:
    """A list of texts.

    Args:
        single: the method for one of them; empty where this one takes one too.

    Raises:
        ConfigError: it is something else.
    """
    if isinstance(texts, str):
        raise ConfigError(f"{name} must be a list of strings; {single}() takes one string")
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        kind = "a list of strings" if single else "a string or a list of strings"
        raise ConfigError(f"{name} must be {kind}, not {_kind(texts)}")
    found = [*texts]
    for number, text in enumerate(found):
        _check_text(f"{name}[{number}]", text)
    return found


def _path(name: str, value: object) -> Path:
    """A path that was given as a string or a path; ConfigError where it is neither."""
    if not isinstance(value, str | os.PathLike):
        raise ConfigError(f"{name} must be a string or a Path, not {_kind(value)}")
    return Path(value)


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _command(given: Mapping[str, object]) -> str:
    """The call of `train`, for the metadata."""
    return f"charrnn.train({', '.join(['...', *(f'{name}={given[name]!r}' for name in given)])})"


@contextlib.contextmanager
def _working(threads: int | None) -> Iterator[Workers]:
    """Threads that share the work, while BLAS keeps to one in each of them."""
    if threads is not None:
        check_int("threads", threads, 1, _MAX_THREADS)
    with one_blas_thread(), Workers(threads) as workers:
        yield workers
