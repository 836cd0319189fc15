"""Sampling: draw one character after another from what the model predicts.

Letters: V vocabulary size, B batch size (samples side by side).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextvars import copy_context
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice

import numpy as np

from charrnn.config import SampleConfig
from charrnn.ids import EOS, UNK
from charrnn.inference.choosing import Chooser, choose, log_softmax
from charrnn.inference.constraints import (
    Constrain,
    Constraints,
    constraints_of,
    impossible,
)
from charrnn.inference.evaluation import chunk_shape
from charrnn.mixing.mixed import step_apart
from charrnn.mixing.stream import MixedStream, stream_of
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.unicode import Composer, normalize
from charrnn.text.vocabulary import EOS_NAME, UNK_CHARACTER, UNK_NAME, Vocabulary

Array = np.ndarray

_GROUP = 32  # samples drawn side by side in a thread
_COMPARED = 1024  # samples ranked at a time
_PROMPT_STEPS = 128  # tokens of a prompt in a chunk


@dataclass
class Sample:
    """A text while it is drawn, and after."""

    prompt: str
    seed: int | None = None  # None where nothing is random
    log_prob: float = 0.0  # nats of the tokens drawn whole, a drawn <EOS> included
    drawn_log_prob: float = 0.0  # of all that was drawn, a stop text or a word left out included
    stop: str | None = None  # why it ended: "eos", "length", "stop" or "regex"
    retries: int = 0  # how many texts of this seed were not wanted
    constraints: Constraints | None = None  # on the next token
    pieces: list[tuple[str, float]] | None = None  # each token written with its log P, if wanted
    _held: list[tuple[str, float]] = field(default_factory=list)  # may begin the stop text
    _composer: Composer | None = None  # where tokens are decomposed characters
    _parts: list[str] = field(default_factory=list)  # of the text: growing a string copies it
    _size: int = 0  # characters in them

    @property
    def text(self) -> str:
        """Prompt and continuation, without the stop text."""
        self._parts[:] = ["".join(self._parts)]
        return self._parts[0]

    @property
    def drawn(self) -> str:
        """The continuation alone."""
        return self.text[len(self.prompt) :]

    def generator(self) -> np.random.Generator:
        """Return the random numbers of this sample, others for each retry."""
        if self.retries and self.seed is not None:
            return np.random.default_rng([self.seed, self.retries])
        return np.random.default_rng(self.seed)

    def copy(self) -> "Sample":
        """Return a copy that continues independently."""
        return replace(
            self,
            constraints=copy(self.constraints),
            _held=[*self._held],
            _composer=deepcopy(self._composer),
            _parts=[self.text],
        )

    @property
    def allowed(self) -> Array | None:
        """Whether each token may come next (V,); None means all of them."""
        return None if self.constraints is None else self.constraints.allowed

    def begin(
        self, vocabulary: Vocabulary, config: SampleConfig, constrain: Constrain | None = None
    ) -> str:
        """Begin with the prompt, and return the part that no drawn token can change.

        Args:
            constrain: see `constraints_of`.

        Raises:
            ConfigError: neither a token nor the end may follow.
        """
        self.prompt = normalize(self.prompt)
        self.stop = None if config.length else "length"
        if vocabulary.config.normalize == "nfd" and config.length:
            self._composer = Composer()
            for character in vocabulary.split(self.prompt):
                self._write(_joined(self._composer.push(character, 0.0)))
        else:
            self._write(self.prompt)
        if constrain is not None:
            held = vocabulary.split(self._composer.held) if self._composer else ""
            self.constraints = constrain(self.text, "".join(held), self._room(config))
            if self.constraints.is_stuck:
                raise impossible("", config)
            self._end_if_complete(config)
        return self.text

    def take(self, id: int, log_prob: float, vocabulary: Vocabulary, config: SampleConfig) -> str:
        """Take in a drawn token or <EOS>, and return what can be shown of the text by now."""
        if id == EOS:
            return self.end(log_prob, config)
        token = vocabulary.token(id)
        shown = self.add(token, log_prob, config)
        if self.constraints is not None and self.stop is None:
            self.constraints.push(token, self._room(config))
            shown += self._end_if_complete(config)
        return shown

    def _end_if_complete(self, config: SampleConfig) -> str:
        """End the text if a pattern lets nothing follow it, and return what was held back."""
        if config.regex is None or self.constraints is None or self.stop is not None:
            return ""
        if not self.constraints.is_over and self.constraints.is_complete:
            self._held += self._composer.flush() if self._composer else []
        elif not self.constraints.is_over:
            return ""
        self.stop = "regex"
        return self._release(len(_joined(self._held)))

    def add(self, token: str, log_prob: float, config: SampleConfig) -> str:
        """Append a drawn token, and return the text that can be shown by now."""
        self.drawn_log_prob += log_prob
        composer = self._composer
        if composer is None and not config.stops and len(token) < self._room(config):
            self.log_prob += log_prob  # as nearly always, there is nothing to wait for
            self._write(token)
            if self.pieces is not None:
                self.pieces.append((token, log_prob))
            return token
        self._held += composer.push(token, log_prob) if composer else [(token, log_prob)]
        if composer and len(composer.held) > self._room(config):  # marks may follow without end
            self._held += composer.flush()
        return self._settle(config)

    def end(self, log_prob: float, config: SampleConfig) -> str:
        """End at a drawn <EOS>, and return the text that was held back."""
        self.drawn_log_prob += log_prob
        if self._composer:
            self._held += self._composer.flush()
        shown = self._settle(config)
        if self.stop is None:
            shown += self._release(len(_joined(self._held)))
            self.stop = "eos"
            self.log_prob += log_prob
        return shown

    def _room(self, config: SampleConfig) -> int:
        """How many characters the text may still grow by."""
        return len(self.prompt) + config.length - self._size

    def _settle(self, config: SampleConfig) -> str:
        """Look for the stop text and the length in what is held, and release what is settled."""
        held, room = _joined(self._held), self._room(config)
        drawn = max(0, len(self.prompt) - self._size)  # where the prompt ends in it
        found = ((held.find(stop, drawn), len(stop)) for stop in config.stops)
        place, size = min((pair for pair in found if pair[0] >= 0), default=(-1, 0))
        place += size * config.keep_stop
        if 0 <= place <= room:
            self.stop = "stop"
            shown = self._release(place)
            rest = held[len(shown) : place]  # a word that is cut
            self._write(rest)
            return shown + rest
        if len(held) >= room:
            self.stop = "length"
            return self._release(room)
        overlaps = (_overlap(held, stop) for stop in config.stops)
        return self._release(len(held) - max(overlaps, default=0))

    def _release(self, room: int) -> str:
        """Move as many of the tokens held back to the text as have at most `room` characters."""
        sizes = accumulate(len(token) for token, _ in self._held)
        count = sum(size <= room for size in sizes)
        out, self._held = self._held[:count], self._held[count:]
        if self.pieces is not None:
            self.pieces += out
        self.log_prob += sum(log_prob for _, log_prob in out)
        shown = _joined(out)
        self._write(shown)
        return shown

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self._size += len(text)


def _joined(tokens: Sequence[tuple[str, float]]) -> str:
    return "".join(token for token, _ in tokens)


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0


def generate(
    checkpoint: Checkpoint, samples: Sequence[Sample], config: SampleConfig
) -> Iterator[tuple[int, str]]:
    """Draw the texts of all samples side by side, each from its own generator.

    A prompt starts a document; without one, the first character is drawn from zero input and zero
    state. A sample ends at <EOS>, at its maximal length or at a stop text. A word that would exceed
    the length is left out.

    Args:
        samples: fresh ones; they hold the results afterwards.

    Yields:
        (which sample, its next characters): the prompt, and then what is drawn.

    Raises:
        CorpusError: a prompt is not valid Unicode.
        CheckpointError: the model predicts nothing.
        ConfigError: nothing may follow that meets all constraints.
    """
    constrain = constraints_of(checkpoint.vocabulary, config)
    for index, sample in enumerate(samples):
        if shown := sample.begin(checkpoint.vocabulary, config, constrain):
            yield index, shown
    live = [index for index, sample in enumerate(samples) if sample.stop is None]
    if not live:
        return
    rngs = [sample.generator() for sample in samples]
    inputs, state = read_prompts(checkpoint, [samples[index].prompt for index in live])
    while len(live) > 1:
        unrolled, going = checkpoint.model.unroll(1, len(live)), [*range(len(live))]
        while len(going) == len(live):
            logits, memory, state = step_apart(unrolled, inputs, state)
            uniforms = np.array([rngs[index].random() for index in live])
            masks = [found.allowed for index in live if (found := samples[index].constraints)]
            allowed = np.stack(masks, axis=1) if masks else None
            inputs, log_probs = choose(logits, config, uniforms, allowed, memory)
            drawn = zip(live, inputs.tolist(), log_probs.tolist(), strict=True)
            for index, token, log_prob in drawn:
                if shown := _take(checkpoint, samples[index], token, log_prob, config):
                    yield index, shown
            going = [column for column, index in enumerate(live) if samples[index].stop is None]
        live = [live[column] for column in going]
        inputs, state = inputs[going], state[..., going]
    for index in live:  # the last one
        sample, rng = samples[index], rngs[index]
        for shown in _follow(checkpoint, sample, config, inputs.item(), state, rng):
            yield index, shown


def _follow(
    checkpoint: Checkpoint,
    sample: Sample,
    config: SampleConfig,
    token: int,
    state: Array,
    rng: np.random.Generator,
) -> Iterator[str]:
    """Draw one sample to its end, after a token and from a state on; yields what can be shown."""
    choose_one, random = Chooser(len(checkpoint.vocabulary), config).choose, rng.random
    silent = copy_context()  # where NumPy does not warn; cheaper than `errstate` at every step
    silent.run(np.seterr, all="ignore")
    stream = silent.run(stream_of, checkpoint.model, state)
    mixed = stream if isinstance(stream, MixedStream) else None

    def draw(token: int) -> tuple[int, float]:
        logits, memory = stream.step(token), None if mixed is None else mixed.memory
        return choose_one(logits, random(), sample.allowed, memory)

    while sample.stop is None:
        token, log_prob = silent.run(draw, token)
        if shown := _take(checkpoint, sample, token, log_prob, config):
            yield shown


def _take(
    checkpoint: Checkpoint, sample: Sample, token: int, log_prob: float, config: SampleConfig
) -> str:
    """Add a drawn token to its sample; returns what can be shown."""
    check_finite(log_prob)
    if token == UNK:
        log_prob -= checkpoint.vocabulary.unknown_nats([UNK_CHARACTER], np.array([UNK])).item()
    shown = sample.take(token, log_prob, checkpoint.vocabulary, config)
    if sample.constraints is not None and sample.stop is None and sample.constraints.is_stuck:
        raise impossible(sample.drawn, config)
    return shown


def complete(
    checkpoint: Checkpoint, samples: Sequence[Sample], config: SampleConfig, workers: Workers
) -> None:
    """Draw the whole texts of many samples, _GROUP side by side in each thread; see `generate`."""
    groups = [samples[first : first + _GROUP] for first in range(0, len(samples), _GROUP)]

    def run(group: Sequence[Sample]) -> None:
        for _ in generate(checkpoint, group, config):
            workers.check()

    workers.map(run, groups)


def most_probable(samples: Iterable[Sample], count: int) -> list[Sample]:
    """Return the most probable of finished samples of one prompt, the best first, each text once.

    Samples are ranked by the log P of all that was drawn, the end included, not by log P per
    character. Only about `count` of them are in memory at a time.
    """
    found: list[Sample] = []
    samples = iter(samples)
    while block := [*islice(samples, _COMPARED)]:
        distinct: dict[str, Sample] = {}
        for sample in sorted([*found, *block], key=lambda sample: -sample.drawn_log_prob):
            distinct.setdefault(sample.text, sample)
        found = [*distinct.values()][:count]
    return found


def next_tokens(checkpoint: Checkpoint, prompt: str) -> list[tuple[str, float]]:
    """Rank what may follow a prompt, the likeliest first: (token, its log P in nats).

    <EOS> and <UNK> are among them, so that the probabilities sum to one.

    Raises:
        CorpusError: the prompt is not valid Unicode.
        CheckpointError: the model predicts nothing.
    """
    inputs, state = read_prompts(checkpoint, [normalize(prompt)])
    logits, _ = checkpoint.model.unroll(1, 1).forward(inputs[None], state)
    with np.errstate(all="ignore"):
        log_probs = log_softmax(logits[0, :, 0].astype(np.float64))
    check_finite(float(log_probs.sum()))
    return ranked(checkpoint.vocabulary, log_probs)


def ranked(vocabulary: Vocabulary, log_probs: Array) -> list[tuple[str, float]]:
    """Name all tokens with their log P (V,), the likeliest first."""
    order = np.argsort(-log_probs, kind="stable")
    names = [EOS_NAME, UNK_NAME, *vocabulary.tokens]
    return list(zip(map(names.__getitem__, order.tolist()), log_probs[order].tolist(), strict=True))


def read_prompts(checkpoint: Checkpoint, prompts: Sequence[str]) -> tuple[Array, Array]:
    """Run each prompt but its last token; return that token (B,) and the states (…, B).

    Prompts of one length are read side by side, and the same prompt once.
    """
    model = checkpoint.model
    encoded = {prompt: np.append(EOS, checkpoint.vocabulary.encode(prompt)) for prompt in prompts}
    by_length: dict[int, list[str]] = {}
    for prompt, tokens in encoded.items():
        by_length.setdefault(len(tokens), []).append(prompt)
    found = {}
    for group in by_length.values():
        tokens = np.stack([encoded[prompt] for prompt in group], axis=1)  # (steps, prompts)
        last, B = len(tokens) - 1, len(group)
        steps, _ = chunk_shape(model, max(1, min(_PROMPT_STEPS, last)), B)
        unrolled, state = model.unroll(steps, B), model.zero_state(B)
        for start in range(0, last, steps):
            state = unrolled.run(tokens[start : min(start + steps, last)], state)
        for column, prompt in enumerate(group):
            found[prompt] = tokens[last, column], state[..., column]
    inputs = np.array([found[prompt][0] for prompt in prompts])
    return inputs, np.stack([found[prompt][1] for prompt in prompts], axis=-1)
