"""Sampling: characters drawn one after another from what the model predicts.

Letters: V vocabulary size, B batch size (samples side by side).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from charrnn.checkpoint import Checkpoint
from charrnn.config import SampleConfig
from charrnn.vocabulary import EOS, EOS_NAME, UNK, UNK_NAME, normalize

Array = np.ndarray

_PROMPT_STEPS = 128  # a prompt is read in chunks of so many characters


@dataclass
class Sample:
    """A text while it is drawn, and after."""

    prompt: str
    seed: int
    drawn: str = ""  # what follows the prompt, without the stop text
    log_prob: float = 0.0  # nats of what was drawn, a drawn <EOS> included
    stop: str | None = None  # why it ended: "eos", "length" or "stop"
    _held: list[tuple[str, float]] = field(default_factory=list)  # may begin the stop text

    @property
    def text(self) -> str:
        """Prompt and continuation."""
        return self.prompt + self.drawn

    def add(self, character: str, log_prob: float, config: SampleConfig) -> str:
        """Take in a drawn character, and return what can be shown of the text by now."""
        self._held.append((character, log_prob))
        held = "".join(character for character, _ in self._held)
        if config.stop and held.endswith(config.stop):
            shown = self._release(len(held) - len(config.stop))
            self.stop, self._held = "stop", []
        elif len(self.drawn) + len(held) >= config.length:
            shown = self.end("length")
        else:
            shown = self._release(len(held) - _overlap(held, config.stop))
        return shown

    def end(self, reason: str, log_prob: float = 0.0) -> str:
        """End the text, and return what was still held back."""
        self.stop = reason
        shown = self._release(len(self._held))
        self.log_prob += log_prob
        return shown

    def _release(self, count: int) -> str:
        out, self._held = self._held[:count], self._held[count:]
        self.log_prob += sum(log_prob for _, log_prob in out)
        shown = "".join(character for character, _ in out)
        self.drawn += shown
        return shown


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` may be the beginning of `stop`."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)


def generate(
    checkpoint: Checkpoint, samples: Sequence[Sample], config: SampleConfig
) -> Iterator[tuple[int, str]]:
    """Draw the continuations of all samples side by side, each from its own generator.

    A prompt starts a document: without one, the first character is drawn from zero input and zero
    state. A sample ends at <EOS>, at the length or at the stop text.

    Args:
        samples: fresh ones; they hold the results afterwards.

    Yields:
        (which sample, its next characters) as they are drawn.

    Raises:
        CorpusError: a prompt is not valid Unicode.
    """
    if config.length == 0:
        for sample in samples:
            sample.stop = "length"
    live = [index for index, sample in enumerate(samples) if sample.stop is None]
    rngs = {index: np.random.default_rng(samples[index].seed) for index in live}
    if not live:
        return
    prompts = [normalize(samples[index].prompt) for index in live]
    inputs, state = _read_prompts(checkpoint, prompts)
    unrolled = checkpoint.model.unroll(1, len(live))
    while live:
        logits, state = unrolled.forward(inputs[None], state)
        uniforms = np.array([rngs[index].random() for index in live])
        inputs, log_probs = choose(logits[0].astype(np.float64), config, uniforms)
        for index, token, log_prob in zip(live, inputs, log_probs, strict=True):
            sample = samples[index]
            if token == EOS:
                shown = sample.end("eos", log_prob)
            else:
                shown = sample.add(checkpoint.vocabulary.decode([token]), log_prob, config)
            if shown:
                yield index, shown
        going = [column for column, index in enumerate(live) if samples[index].stop is None]
        if len(going) < len(live):
            live = [live[column] for column in going]
            inputs, state = inputs[going], state[..., going]
            unrolled = checkpoint.model.unroll(1, len(live))


def next_characters(checkpoint: Checkpoint, prompt: str) -> list[tuple[str, float]]:
    """What may follow a prompt, the likeliest first: (character, its log P in nats).

    <EOS> and <UNK> go by these names; nothing is removed, so that the probabilities add up to one.

    Raises:
        CorpusError: the prompt is not valid Unicode.
    """
    inputs, state = _read_prompts(checkpoint, [normalize(prompt)])
    logits, _ = checkpoint.model.unroll(1, 1).forward(inputs[None], state)
    with np.errstate(all="ignore"):
        log_probs = log_softmax(logits[0, :, 0].astype(np.float64))
    order = np.argsort(-log_probs, kind="stable")
    names = [EOS_NAME, UNK_NAME, *checkpoint.vocabulary.characters]
    return [(names[token], float(log_probs[token])) for token in order]


def _read_prompts(checkpoint: Checkpoint, prompts: Sequence[str]) -> tuple[Array, Array]:
    """Feed each prompt but its last character; return that one (B,) and the states (…, B).

    Prompts of one length are read side by side, and the same prompt once.
    """
    model = checkpoint.model
    by_length: dict[int, list[str]] = {}
    for prompt in dict.fromkeys(prompts):
        by_length.setdefault(len(prompt), []).append(prompt)
    found = {}
    for group in by_length.values():
        texts = [np.append(EOS, checkpoint.vocabulary.encode(prompt)) for prompt in group]
        tokens = np.stack(texts, axis=1)  # (steps, prompts)
        last, B = len(tokens) - 1, len(group)
        unrolled, state = model.unroll(max(1, min(_PROMPT_STEPS, last)), B), model.zero_state(B)
        for start in range(0, last, _PROMPT_STEPS):
            _, state = unrolled.forward(tokens[start : min(start + _PROMPT_STEPS, last)], state)
        for column, prompt in enumerate(group):
            found[prompt] = tokens[last, column], state[..., column]
    inputs = np.array([found[prompt][0] for prompt in prompts])
    return inputs, np.stack([found[prompt][1] for prompt in prompts], axis=-1)


def choose(logits: Array, config: SampleConfig, uniforms: Array) -> tuple[Array, Array]:
    """One token for each column: <UNK> is removed, then temperature, top-k and top-p apply.

    Args:
        logits: (V, B) float64.
        uniforms: (B,) random numbers from 0 to 1, which decide.

    Returns:
        Tokens (B,) and their log-probabilities (B,) in nats under the plain model.
    """
    with np.errstate(all="ignore"):
        plain = log_softmax(logits)
        logits = plain.copy()
        if not config.allow_unk:
            logits[UNK] = -np.inf
        if config.temperature == 0:
            tokens = logits.argmax(axis=0)
        else:
            probs = np.exp((logits - logits.max(axis=0)) / config.temperature)
            if config.top_k is not None or config.top_p < 1:
                probs = _truncate(probs, config)
            cumulative = np.cumsum(probs, axis=0)
            tokens = (cumulative <= uniforms * cumulative[-1]).sum(axis=0)
            last = len(probs) - 1 - (probs[::-1] > 0).argmax(axis=0)
            tokens = np.minimum(tokens, last)  # rounding may leave a sum below every uniform
    return tokens, np.take_along_axis(plain, tokens[None], axis=0)[0]


def log_softmax(logits: Array) -> Array:
    """log P of each token from its logits (V, ...), in nats."""
    logits = logits - logits.max(axis=0)
    shifted: Array = logits - np.log(np.exp(logits).sum(axis=0))
    return shifted


def _truncate(probs: Array, config: SampleConfig) -> Array:
    """Zero all but the top k, then all but the fewest that reach the share top_p of what is left.

    Args:
        probs: (V, B), not necessarily adding up to one.
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
