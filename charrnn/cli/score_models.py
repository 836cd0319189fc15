"""Score the texts of `charrnn score`, by the method that its options choose."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from charrnn.cli.score_input import STDIN, Given, Sources, blocks
from charrnn.config import WHOLE
from charrnn.parallel.processes import World

if TYPE_CHECKING:
    from charrnn.inference.scores import Score, Tally
    from charrnn.inference.surprise import Surprise
    from charrnn.storage.checkpoint import Checkpoint

T = TypeVar("T")


@dataclass(frozen=True)
class Scorer:
    """A model and how to score with it.

    Args:
        eos: whether the end of a text counts; None: unless the model was trained on whole files.
        threads: most cores to use; None: all.
        world: the MPI processes that share the work.
        given: the prefix that each text continues.
    """

    model: "Checkpoint"
    eos: bool | None
    threads: int | None
    world: World
    given: str = ""

    def each(self, texts: Iterable[Given | None]) -> Iterator[tuple[Given, "Score"]]:
        """Yield scores in input order; the texts of a block are scored in parallel.

        MPI processes share the blocks, and rank 0 gets all scores.
        """
        from charrnn.inference.scoring import score

        return self._in_blocks(texts, score)

    def surprises(self, texts: Iterable[Given | None]) -> Iterator[tuple[Given, "Surprise"]]:
        """How each text surprises the model, character by character; see `each`."""
        from charrnn.inference.surprise import surprises

        return self._in_blocks(texts, surprises)

    def _in_blocks(
        self, texts: Iterable[Given | None], function: Callable[..., list[T]]
    ) -> Iterator[tuple[Given, T]]:
        """What the function finds in each text; it is called with the texts of a block."""
        from charrnn.parallel.threads import Workers

        with Workers(self.threads, self.world) as workers:

            def found(block: list[Given]) -> list[T]:
                wanted = [given.text for given in block]
                return function(self.model, wanted, given=self.given, eos=self.eos, workers=workers)

            for block, results in self.world.map(found, blocks(texts)):
                yield from zip(block, results, strict=True)

    def whole(self, sources: Sources, streams: int) -> Iterator[tuple[Given, "Tally"]]:
        """Yield scores of whole files of any length, the same in all MPI processes."""
        from charrnn.inference.scoring import score_in_streams, score_pieces
        from charrnn.parallel.threads import Workers
        from charrnn.text.corpus import read_documents

        with Workers(self.threads, self.world) as workers:
            for file in sources.files:
                if streams > 1:
                    documents = read_documents(file, WHOLE, sources.encoding, sources.max_size)
                    found = score_in_streams(
                        self.model, documents, streams, eos=self.eos, workers=workers
                    )
                else:
                    found = score_pieces(self.model, sources.pieces(file), eos=self.eos)
                if not _is_nothing(file, found):
                    yield Given(str(file), ""), found

    def adapted(self, texts: Iterable[Given]) -> Iterator[tuple[Given, "Tally", "Tally"]]:
        """Yield static scores and those of dynamic evaluation."""
        from charrnn.inference.scoring import score_pieces
        from charrnn.text.unicode import normalize

        for given in texts:
            static, adapted = (
                score_pieces(self.model, [normalize(given.text)], eos=self.eos, adapt=adapt)
                for adapt in (False, True)
            )
            yield given, static, adapted


def _is_nothing(file: Path, found: "Tally") -> bool:
    return file == STDIN and found.chars == found.eos
