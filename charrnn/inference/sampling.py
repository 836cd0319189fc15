"""Sampling: draw one character after another from what the model predicts.

Letters: V vocabulary size, B batch size (samples side by side).
"""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import accumulate, islice

import numpy as np

from charrnn.config import SampleConfig
from charrnn.ids import EOS, UNK
from charrnn.inference.evaluation import chunk_shape
from charrnn.network.functional import sample_categorical
from charrnn.parallel.threads import Workers
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.text.unicode import Composer, normalize
from charrnn.text.vocabulary import EOS_NAME, UNK_CHARACTER, UNK_NAME, Vocabulary

Array = np.ndarray

_GROUP = 32  # samples drawn side by side
_COMPARED = 1024  # samples ranked at a time
_PROMPT_STEPS = 128  # a prompt is read in chunks of so many tokens


@dataclass
class Sample:
    """A text while it is drawn, and after."""

    prompt: str
    seed: int | None = None  # None where nothing is random
    log_prob: float = 0.0  # nats of the tokens drawn whole, a drawn <EOS> included
    drawn_log_prob: float = 0.0  # of all that was drawn, a stop text or a word left out included
    stop: str | None = None  # why it ended: "eos", "length" or "stop"
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

    def copy(self) -> "Sample":
        """Return a copy that continues independently."""
        composer = deepcopy(self._composer)
        return replace(self, _held=[*self._held], _composer=composer, _parts=[self.text])

    def begin(self, vocabulary: Vocabulary, config: SampleConfig) -> str:
        """Take in the prompt, and return what of it no drawn token can change."""
        self.prompt = normalize(self.prompt)
        self.stop = None if config.length else "length"
        if vocabulary.config.normalize == "nfd" and config.length:
            self._composer = Composer()
            for character in vocabulary.split(self.prompt):
                self._write(_joined(self._composer.push(character, 0.0)))
        else:
            self._write(self.prompt)
        return self.text

    def add(self, token: str, log_prob: float, config: SampleConfig) -> str:
        """Take in a drawn token, and return what can be shown of the text by now."""
        self.drawn_log_prob += log_prob
        composer = self._composer
        self._held += composer.push(token, log_prob) if composer else [(token, log_prob)]
        if composer and len(composer.held) > self._room(config):  # marks may follow without end
            self._held += composer.flush()
        return self._settle(config)

    def end(self, log_prob: float, config: SampleConfig) -> str:
        """Take in a drawn <EOS>, and return what was still held back."""
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
        places = (held.find(stop, drawn) for stop in config.stops)
        place = min((place for place in places if place >= 0), default=-1)
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
    """
    for index, sample in enumerate(samples):
        if shown := sample.begin(checkpoint.vocabulary, config):
            yield index, shown
    if not samples or not config.length:
        return
    live = [*range(len(samples))]
    rngs = [np.random.default_rng(sample.seed) for sample in samples]
    inputs, state = read_prompts(checkpoint, [sample.prompt for sample in samples])
    unrolled = checkpoint.model.unroll(1, len(live))
    while True:
        logits, state = unrolled.forward(inputs[None], state)
        uniforms = np.array([rngs[index].random() for index in live])
        inputs, log_probs = choose(logits[0].astype(np.float64), config, uniforms)
        log_probs -= checkpoint.vocabulary.unknown_nats([UNK_CHARACTER] * len(live), inputs)
        drawn = zip(live, inputs.tolist(), log_probs.tolist(), strict=True)
        for index, token, log_prob in drawn:
            check_finite(log_prob)
            sample = samples[index]
            if token == EOS:
                shown = sample.end(log_prob, config)
            else:
                shown = sample.add(checkpoint.vocabulary.token(token), log_prob, config)
            if shown:
                yield index, shown
        going = [column for column, index in enumerate(live) if samples[index].stop is None]
        if not going:
            return
        if len(going) < len(live):
            live = [live[column] for column in going]
            inputs, state = inputs[going], state[..., going]
            unrolled = checkpoint.model.unroll(1, len(live))


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
    order = np.argsort(-log_probs, kind="stable")
    names = [EOS_NAME, UNK_NAME, *checkpoint.vocabulary.tokens]
    ranked = map(names.__getitem__, order.tolist())
    return list(zip(ranked, log_probs[order].tolist(), strict=True))


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


def choose(logits: Array, config: SampleConfig, uniforms: Array) -> tuple[Array, Array]:
    """Choose a token for each column: remove <UNK>, apply temperature, top-k and top-p, draw.

    Args:
        logits: (V, B) float64.
        uniforms: (B,) random numbers from 0 to 1 that decide.

    Returns:
        Tokens (B,) and their log P (B,) in nats under the unchanged model.
    """
    with np.errstate(all="ignore"):
        allowed = logits.copy()
        if not config.allow_unk:
            allowed[UNK] = -np.inf
        best = allowed.max(axis=0)
        allowed -= best
        probs = np.exp(allowed)
        total = probs.sum(axis=0)
        if not config.allow_unk:
            total += np.exp(logits[UNK] - best)
        if config.temperature == 0:
            tokens = allowed.argmax(axis=0)
        else:
            weights = probs
            if config.temperature != 1:
                weights = np.exp(allowed / config.temperature)
            if config.top_k is not None or config.top_p < 1:
                weights = _truncate(weights, config)
            tokens = sample_categorical(weights, uniforms)
        return tokens, allowed[tokens, np.arange(len(tokens))] - np.log(total)


def log_softmax(logits: Array) -> Array:
    """Return log P of each token in nats from its logits (V, ...)."""
    logits = logits - logits.max(axis=0)
    shifted: Array = logits - np.log(np.exp(logits).sum(axis=0))
    return shifted


def _truncate(probs: Array, config: SampleConfig) -> Array:
    """Zero all but the top k, then all but the nucleus: the fewest that reach the share top_p.

    Args:
        probs: (V, B); they need not sum to one.
    """
    order = np.argsort(-probs, axis=0, kind="stable")
    ranked = np.take_along_axis(probs, order, axis=0)
    if config.top_k is not None:
        ranked[config.top_k :] = 0
    before = np.cumsum(ranked, axis=0) - ranked
    ranked[before >= config.top_p * ranked.sum(axis=0)] = 0
    kept = np.empty_like(probs)
    np.put_along_axis(kept, order, ranked, axis=0)
    return kept
