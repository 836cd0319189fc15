"""A language model with a memory of the text that it reads.

Letters: T steps, B streams, N = T·B positions, V vocabulary size, L tokens that a stream remembers.

The state is one array (rows of the base's state + L, B). Below the base's state are the last L
tokens, the last one first, as id + 1; 0 means no token. The start of a document clears them.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from charrnn.ids import IGNORE
from charrnn.mixing.counts import Counts
from charrnn.mixing.inputs import LENGTHS, NUM_INPUTS, REMEMBERED, TAIL, Evidence, num_rows
from charrnn.mixing.mixer import LEVELS, Inputs, Mixer, log_softmax, target_log_probs
from charrnn.mixing.recall import Index, read, recall
from charrnn.network.unrolled import Unrolled
from charrnn.ngrams.ngram import NONE, NGram
from charrnn.ngrams.residual import Network, ResidualRNN, UnrolledResidual

Array = np.ndarray

MEMORY = 1 << 14  # L
_NARROWEST = 64  # searching fewer tokens is no faster
NUMBERS = 1 << 20  # logits mixed at a time


class Mixed:
    """A network and its n-gram model, mixed with counts and with a memory of the text.

    Args:
        base: the network and its n-gram model.
        counts: what followed the contexts of `charrnn.mixing.inputs` in the training text.
        mixer: the weights.

    Raises:
        ValueError: the weights do not fit the base.
    """

    def __init__(self, base: ResidualRNN, counts: Counts, mixer: Mixer) -> None:
        rows = num_rows(base.vocab_size, base.ngram.config.order)
        shapes = (rows, NUM_INPUTS), (NUM_INPUTS, LEVELS)
        if (mixer.sets.shape, mixer.own.shape) != shapes:
            raise ValueError("the weights of the mixture do not fit the model")
        self.base, self.counts, self.mixer = base, counts, mixer
        self.config, self.evidence = base.config, Evidence(counts)

    @classmethod
    def from_arrays(cls, base: ResidualRNN, arrays: Mapping[str, Array]) -> "Mixed":
        """Build a mixture from its base and its `mixing_arrays` by name.

        Raises:
            ValueError: the arrays do not describe a mixture for this base.
        """
        own = {name.removeprefix("mixing."): array for name, array in arrays.items()}
        return cls(base, Counts.from_arrays(base.vocab_size, own), Mixer.from_arrays(own))

    @property
    def vocab_size(self) -> int:
        """V."""
        return self.base.vocab_size

    @property
    def size(self) -> int:
        """Number of parameters of the network."""
        return self.base.size

    @property
    def mixing_arrays(self) -> dict[str, Array]:
        """The arrays of the mixture alone, by their names in a checkpoint."""
        own = {**self.counts.arrays, **self.mixer.arrays}
        return {f"mixing.{name}": array for name, array in own.items()}

    @property
    def arrays(self) -> dict[str, Array]:
        """The arrays of a checkpoint by name."""
        return {**self.base.arrays, **self.mixing_arrays}

    def zero_state(self, batch_size: int) -> Array:
        """Return the state of B streams before a document."""
        base = self.base.zero_state(batch_size)
        return joined(base, np.empty((batch_size, 0)))

    def remembering(self, texts: Sequence[Array]) -> Array:
        """Return the state of streams that remember these texts, while the base starts afresh."""
        recent = np.full((len(texts), MEMORY), IGNORE)  # the last token first
        for own, text in zip(recent, texts, strict=True):
            last = text[-MEMORY:]
            own[: len(last)] = last[::-1]
        return joined(self.base.zero_state(len(texts)), recent)

    def check_state(self, state: Array) -> None:
        """Raise ValueError unless an array can be a state."""
        base, recent = state[:-MEMORY], state[-MEMORY:]
        self.base.check_state(base)
        within = (recent >= 0) & (recent <= self.vocab_size) & (recent == np.floor(recent))
        if not within.all():
            raise ValueError("its state holds no tokens of its memory")

    def unroll(self, seq_len: int, batch_size: int) -> "UnrolledMixed":
        """Return the model with work buffers for at most T steps and exactly B streams."""
        return UnrolledMixed(self, self.base.unroll(seq_len, batch_size))


class UnrolledMixed:
    """A mixture over at most T steps of B streams; the interface is that of `Unrolled`."""

    def __init__(self, model: Mixed, unrolled: UnrolledResidual) -> None:
        self.model, self.unrolled = model, unrolled
        self._index = Index(LENGTHS, MEMORY)  # of a single stream,
        self._indexed: Array | None = None  # in this state

    def run(self, inputs: Array, state: Array) -> Array:
        """Return the state after inputs (T, B), without predicting anything."""
        base, recent = self._split(state, len(inputs))
        for after in read(recent, inputs):
            recent = after
        return joined(self.unrolled.run(inputs, base), recent)

    def forward(self, inputs: Array, state: Array) -> tuple[Array, Array]:
        """Compute the logits (T, V, B) after each input, and the state after the last step."""
        logits, _, state = self.forward_apart(inputs, state)
        return logits, state

    def forward_apart(self, inputs: Array, state: Array) -> tuple[Array, Array, Array]:
        """Do what `forward` does; also return what the memory adds to the logits (T, V, B)."""
        found, shares = np.empty((2, inputs.size, self.model.vocab_size), state.dtype)
        mixed, state = self.inputs(inputs, state)
        for part, each in mixed:
            with np.errstate(all="ignore"):
                found[part], shares[part] = self.model.mixer.logits_apart(each, REMEMBERED)
        shape = *inputs.shape, -1
        return *(each.reshape(shape).transpose(0, 2, 1) for each in (found, shares)), state

    def log_probs(self, inputs: Array, targets: Array, state: Array) -> tuple[Array, Array]:
        """Compute log P (T, B) of each target in nats, 0 for IGNORE, and the state after them."""
        found, flat = np.empty(targets.size, state.dtype), targets.reshape(-1)
        mixed, state = self.inputs(inputs, state)
        for part, each in mixed:
            with np.errstate(all="ignore"):
                log_probs = log_softmax(self.model.mixer.logits(each))
                found[part] = target_log_probs(log_probs, flat[part])
        return found.reshape(targets.shape), state

    def inputs(self, inputs: Array, state: Array) -> tuple[Iterator[tuple[slice, Inputs]], Array]:
        """Return what is mixed at the N positions, and the state after the last step.

        Returns:
            An iterator over slices of the positions with their inputs, and the state.
        """
        if inputs.shape[1] == 1 < len(inputs):
            return self._inputs_of_one(inputs, state)
        base, recent = self._split(state, len(inputs))
        found = np.empty((len(LENGTHS), 2, *inputs.shape), np.int32)
        tail = np.empty((TAIL, *inputs.shape), recent.dtype)
        for step, after in enumerate(read(recent, inputs)):
            found[:, :, step], tail[:, step] = recall(after, LENGTHS), after[:, :TAIL].T
            recent = after
        mixed, base = self.collect(inputs, base, tail, found)
        return mixed, joined(base, recent)

    def _inputs_of_one(
        self, inputs: Array, state: Array
    ) -> tuple[Iterator[tuple[slice, Inputs]], Array]:
        """Do what `inputs` does for one stream, whose index is kept from call to call."""
        if state is not self._indexed:
            self._index.reset(remembered(state))
        tail, found = self._index.read(inputs[:, 0], TAIL)
        mixed, base = self.collect(inputs, state[:-MEMORY], tail, found)
        self._indexed = joined(base, np.array([self._index.last(MEMORY)]))
        return mixed, self._indexed

    def collect(
        self, inputs: Array, base: Array, tail: Array, found: Array
    ) -> tuple[Iterator[tuple[slice, Inputs]], Array]:
        """Return what `inputs` does, for a memory that has been searched already.

        Args:
            inputs: (T, B) ids, the token before each step.
            base: the base's state before the first step.
            tail: (TAIL, T, B) the last tokens after each input, the very last first.
            found: (len(LENGTHS), 2, T, B) histories after each input.

        Returns:
            As `inputs`, but with the base's state.
        """
        logits, contexts, base = self.unrolled.parts(inputs, base)
        contexts = contexts.reshape(len(contexts), -1)
        tail, found = tail.reshape(TAIL, -1), found.reshape(*found.shape[:2], -1)
        longest = (contexts != NONE).sum(axis=0) - 1
        rows = np.ascontiguousarray(logits.transpose(0, 2, 1)).reshape(inputs.size, -1)
        size = max(1, NUMBERS // self.model.vocab_size)

        def parts() -> Iterator[tuple[slice, Inputs]]:
            for start in range(0, inputs.size, size):
                part = slice(start, start + size)
                with np.errstate(all="ignore"):
                    ngram = self.unrolled.ngram.distributions(contexts[:, part]).T
                    base_logits = rows[part] + self.model.config.ngram_scale * ngram
                    dense = np.stack([log_softmax(base_logits), ngram])
                    own = tail[:, part], found[..., part], longest[part]
                    yield part, self.model.evidence.collect(dense, *own)

        return parts(), base

    def _split(self, state: Array, steps: int) -> tuple[Array, Array]:
        """Split a state into the base's part and the memory (B, L or less), the last token first.

        If all streams have read little, the empty rest of the memory is cut off, except for the
        room that `steps` more tokens need.
        """
        base, recent, used = state[:-MEMORY], state[-MEMORY:], MEMORY
        while used > 1 and not recent[used // 2].any():
            used //= 2
        kind = np.int16 if self.model.vocab_size < 1 << 15 else np.int32
        width = max(_NARROWEST, used + steps)
        tokens: Array = np.ascontiguousarray(recent[:width].T, kind)
        tokens -= 1
        return base, tokens


def step_apart(
    unrolled: Unrolled | UnrolledResidual | NGram | UnrolledMixed, inputs: Array, state: Array
) -> tuple[Array, Array | None, Array]:
    """Read one token in each stream of any model.

    Args:
        unrolled: the model.
        inputs: (B,) ids.
        state: before them.

    Returns:
        The logits (V, B) in float64, what a memory adds to them (V, B) or None for a model without
        one, and the state after the inputs.
    """
    if isinstance(unrolled, UnrolledMixed):
        logits, memory, state = unrolled.forward_apart(inputs[None], state)
        return logits[0].astype(float), memory[0], state
    logits, state = unrolled.forward(inputs[None], state)
    return logits[0].astype(float), None, state


def remembered(state: Array) -> list[int]:
    """Return the tokens that the state of one stream remembers, the last one last."""
    recent = state[-MEMORY:, 0].astype(np.int64)
    found: list[int] = (recent[recent > 0][::-1] - 1).tolist()
    return found


def joined(base: Array, recent: Array) -> Array:
    """Return a state from the base's part and the memory (B, L or less), padded to L."""
    state = np.zeros((len(base) + MEMORY, len(recent)), base.dtype)
    own = state[len(base) :][: recent.shape[1]]
    state[: len(base)], own[:] = base, recent.T
    own += 1
    return state


LanguageModel = Network | NGram | Mixed
