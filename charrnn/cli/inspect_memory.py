"""`charrnn inspect --memory`: how well a model predicts a text of which it sees only so much."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli.options import as_line
from charrnn.config import check_int
from charrnn.errors import ConfigError, setting

if TYPE_CHECKING:
    from charrnn.inference.scores import Total
    from charrnn.parallel.threads import Workers
    from charrnn.storage.checkpoint import Checkpoint
    from charrnn.text.documents import Documents

_CONTEXTS = "1,2,4,8,16,32,64"
_BLOCK = 4096  # texts scored side by side


@dataclass(frozen=True)
class Memory:
    """What a model may remember: the last tokens, or what came since its state was last reset.

    Args:
        contexts: tokens that each token is predicted from.
        resets: characters after which the state is reset; if there are any, contexts do not count.
    """

    contexts: Sequence[int]
    resets: Sequence[int]

    @classmethod
    def of(cls, context: str | None, reset: str | None) -> "Memory":
        """From lists with commas as they are typed; ConfigError where one is none."""
        contexts = _numbers("context", context or _CONTEXTS)
        return cls(contexts, _numbers("reset", reset) if reset is not None else [])

    @property
    def name(self) -> str:
        """What the numbers are."""
        return "reset" if self.resets else "context"


def _numbers(name: str, text: str) -> list[int]:
    """The numbers of a list with commas."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        needed = "must be whole numbers with commas"
        raise ConfigError(f"{setting(name)} {needed}, not {text!r}") from None
    for number in found:
        check_int(name, number, 1)
    return found


def show_memory(
    path: Path, loaded: "Checkpoint", documents: "Documents", memory: Memory, as_json: bool
) -> None:
    """Print the bits per character by what the model sees, at last those with all of it.

    Yields each figure when it is known, because large contexts take long.

    Raises:
        ConfigError: contexts are asked of an n-gram model, which has its own, or resets within
            the tokens of a model of words.
    """
    from charrnn.ngrams.ngram import NGram
    from charrnn.parallel.threads import Workers
    from charrnn.render.inspection import show_by_sight

    if isinstance(loaded.model, NGram) and not memory.resets:
        raise ConfigError(
            "--memory needs a network; an n-gram model sees the last "
            f"{loaded.model.config.order - 1} tokens"
        )
    if memory.resets and loaded.vocabulary.config.tokens == "word":
        raise ConfigError("--reset would cut words apart; a model of words takes --context")
    with Workers() as workers:
        totals = _totals(loaded, documents, memory, workers)
        if as_json:
            for number, total in totals:
                fields = {"checkpoint": str(path), memory.name: number} | _fields(total)
                print(as_line(fields), flush=True)
        else:
            show_by_sight(memory.name, totals)


def _fields(total: "Total") -> dict[str, object]:
    return {
        "bits_per_char": total.bits_per_char,
        "log_prob": total.log_prob,
        "chars": total.chars,
        "unk": total.unk,
    }


def _totals(
    loaded: "Checkpoint", documents: "Documents", memory: Memory, workers: "Workers"
) -> "Iterator[tuple[int | None, Total]]":
    """The figures of all documents by how much the model sees of them; None: all."""
    from charrnn.inference.scores import Total
    from charrnn.inference.scoring import score

    def total(texts: Iterable[str], context: int | None, eos: bool | None) -> Total:
        found, left = Total(), iter(texts)
        while block := [*islice(left, _BLOCK)]:
            found.add(score(loaded, block, eos=eos, context=context, workers=workers))
        return found

    for number in (*(memory.resets or memory.contexts), None):
        if memory.resets:  # a part of a text has no end that could count
            yield number, total(_parts(documents, number), None, eos=False)
        else:
            yield number, total(documents, number, None)


def _parts(documents: "Documents", size: int | None) -> Iterator[str]:
    """Yield the documents in parts of `size` characters; None cuts nothing."""
    for document in documents:
        step = size or len(document)
        yield from (document[start : start + step] for start in range(0, len(document), step))
