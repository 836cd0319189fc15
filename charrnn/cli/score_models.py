"""Score the texts of `charrnn score`, by the method that its options choose."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from charrnn.cli.score_input import STDIN, Given, Sources, blocks
from charrnn.config import WHOLE
from charrnn.parallel.processes import World

if TYPE_CHECKING:
    from charrnn.inference.scores import Score, Tally
    from charrnn.inference.surprise import Surprise
    from charrnn.storage.checkpoint import Checkpoint


@dataclass(frozen=True)
class Scorer:
    """A model and how to score with it.

    Args:
        eos: whether the end of a text counts; None: unless the model was trained on whole files.
        threads: most cores to use; None: all.
        world: the MPI processes that share the work.
    """

    model: "Checkpoint"
    eos: bool | None
    threads: int | None
    world: World

    def each(self, texts: Iterable[Given | None]) -> Iterator[tuple[Given, "Score"]]:
        """Yield scores in input order; the texts of a block are scored in parallel.

        MPI processes share the blocks, and rank 0 gets all scores.
        """
        from charrnn.inference.scoring import score
        from charrnn.parallel.threads import Workers

        with Workers(self.threads, self.world) as workers:

            def scores(block: list[Given]) -> "list[Score]":
                wanted = [given.text for given in block]
                return score(self.model, wanted, eos=self.eos, workers=workers)

            for block, found in self.world.map(scores, blocks(texts)):
                yield from zip(block, found, strict=True)

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

    def surprises(self, texts: Iterable[Given]) -> Iterator[tuple[Given, "Surprise"]]:
        """Yield how surprising each character of each text is."""
        from charrnn.inference.surprise import surprise

        for given in texts:
            yield given, surprise(self.model, given.text, eos=self.eos)


def _is_nothing(file: Path, found: "Tally") -> bool:
    return file == STDIN and found.chars == found.eos
