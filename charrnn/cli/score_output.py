"""Print scores: as lines, JSON, TSV, a table or totals."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tqdm import tqdm

from charrnn.cli.options import as_line, as_row, printable
from charrnn.cli.score_input import Given, Sources
from charrnn.cli.score_surprise import (
    fields_of_each,
    header_of_each,
    lines_of_each,
    rows_of_each,
    show_surprise,
    show_words,
    write_pictures,
)
from charrnn.config import VocabularyConfig, check_float

if TYPE_CHECKING:
    from charrnn.inference.scores import Score, Tally, Total
    from charrnn.inference.surprise import Surprise

    Figures = tuple[Given, Score | Tally]

T = TypeVar("T")

BAR_DELAY = 2.0  # seconds until the bar shows
_ROWS = 1000  # most rows of a table
_MANY_UNKNOWN = 0.1  # share of unknown tokens in a text that is worth a warning
_COLUMNS = ("log_prob", "bits_per_char", "perplexity", "chars", "unk", "eos", "text")


@dataclass
class Watch:
    """Counts unreadable texts and scores above the limit, and reports them on stderr.

    Args:
        bits: limit in bits per character; None: no limit.

    Raises:
        ConfigError: the limit is out of range.
    """

    bits: float | None
    above: int = 0  # texts or totals above the limit
    texts: int = 0  # seen
    strange: int = 0  # texts with many unknown tokens
    tokens: int = 0  # tokens of the strange texts
    unk: int = 0  # unknown tokens of the strange texts

    def __post_init__(self) -> None:
        if self.bits is not None:
            check_float("fail_over", self.bits, 0, math.inf)

    def see(self, score: "Score | Tally") -> None:
        """Record how much of a text the model knows."""
        tokens = score.num_tokens - score.eos
        self.texts += 1
        if score.unk > _MANY_UNKNOWN * tokens:
            self.strange += 1
            self.tokens += tokens
            self.unk += score.unk

    def limit(self, bits: float | None) -> None:
        """Compare a text or total with the limit; one without characters passes."""
        if self.bits is not None and bits is not None and bits > self.bits:
            self.above += 1

    def report(self, unit: str) -> None:
        """Report on stderr texts that the model cannot read, and scores above the limit.

        Args:
            unit: what a token is, such as "character".
        """
        from charrnn.render.display import message, quantity

        if self.strange:
            unknown = f"{self.unk:,} of {quantity(self.tokens, unit)}"
            where = "" if self.texts == 1 else f" in {self.strange:,} of {self.texts:,} texts"
            message(f"warning: the model does not know {unknown}{where}; try another model")
        if self.above:
            message(f"{quantity(self.above, 'result')} above {self.bits:g} bits per character")


@dataclass(frozen=True)
class Output:
    """Which scores to print and how, and which pictures to write."""

    as_json: bool = False  # one object per text
    tsv: bool = False  # columns with a header
    sort: bool = False  # the most surprising first; holds all of them until the end
    unit: str = ""  # "char" or "word": show every one
    total: bool = False  # one total instead of each text
    html: Path | None = None
    svg: Path | None = None

    def check(self, inputs: Sequence[Path]) -> None:
        """Raise an error if a picture cannot be written, before anything is scored."""
        from charrnn.storage.files import PAGE, SVG, check

        for path, kind in ((self.html, PAGE), (self.svg, SVG)):
            if path is not None:
                check(path, kind, inputs)


@dataclass
class Printer:
    """Prints scores.

    Args:
        tokens: what the model reads.
        watch: gets all scores.
    """

    tokens: VocabularyConfig
    output: Output
    watch: Watch

    def each(self, scored: Iterable["Figures"], *, soon: bool = True) -> None:
        """Print every text in input order or sorted; on a terminal, a few as a table.

        Args:
            soon: whether all scores are ready in a moment; if not, each is printed as it comes.
        """
        scored = self._watched(scored)
        output = self.output
        plain = not (output.as_json or output.tsv or output.sort)
        if plain and soon and sys.stdout.isatty():
            first = list(islice(scored, _ROWS + 1))
            if 0 < len(first) <= _ROWS:
                _show(first)
                return
            scored = chain(first, scored)
        if output.tsv:
            print("\t".join(_COLUMNS))
        for line in self._sorted(scored) if output.sort else map(self._line, scored):
            print(line)

    def total(self, scored: Iterable["Figures"]) -> None:
        """Print the total as one JSON object, or one line per value."""
        from charrnn.inference.scores import Total

        total = Total()
        for _, score in scored:
            self.watch.see(score)
            total.add([score])
        self.watch.limit(total.bits_per_char)
        self._figures(_sums(total))

    def adapted(self, scored: Iterable[tuple[Given, "Tally", "Tally"]]) -> None:
        """Print static and adapted scores of each text, or their total, as JSON or lines."""
        from charrnn.inference.scores import Total

        static, adapted = Total(), Total()
        for given, score, learned in scored:
            self.watch.see(score)
            static.add([score])
            adapted.add([learned])
            if not self.output.total:
                print(self._adapted_line(given, score, learned), flush=True)
        if self.output.total:
            sums, learned_sums = _sums(static), _sums(adapted)
            for name in ("log_prob", "bits_per_char", "perplexity"):
                sums[f"adapted_{name}"] = learned_sums[name]
            self._figures(sums)

    def pictures(self, found: Iterable[tuple[Given, "Surprise"]]) -> None:
        """Write the coloured texts as pictures, and print the scores."""
        found = [*found]
        write_pictures([surprise for _, surprise in found], self.output.html, self.output.svg)
        if self.output.unit:
            self.each_place(found)
        else:
            self.each((given, surprise.score) for given, surprise in found)

    def each_place(self, found: Iterable[tuple[Given, "Surprise"]]) -> None:
        """Print every character or word of each text, in colours on a terminal."""
        output, found = self.output, self._watched_places(found)
        name = output.unit if self.tokens.tokens == "char" else "word"
        if output.as_json:
            for given, surprise in found:
                fields = self._fields(given, surprise.score)
                print(as_line(fields | fields_of_each(surprise, output.unit, self.tokens)))
        elif output.tsv:
            print(header_of_each(name))
            for place, (_, surprise) in enumerate(found, 1):
                for row in rows_of_each(place, surprise, output.unit):
                    print(row)
        elif sys.stdout.isatty():
            show = show_words if output.unit == "word" else show_surprise
            show(surprise for _, surprise in found)
        else:
            for _, surprise in found:
                for line in lines_of_each(surprise, output.unit):
                    print(line)

    def _watched_places(
        self, found: Iterable[tuple[Given, "Surprise"]]
    ) -> Iterator[tuple[Given, "Surprise"]]:
        for given, surprise in found:
            self._watch(surprise.score)
            yield given, surprise

    def _watch(self, score: "Score | Tally") -> None:
        self.watch.see(score)
        self.watch.limit(score.bits_per_char)

    def _watched(self, scored: Iterable["Figures"]) -> Iterator["Figures"]:
        for given, score in scored:
            self._watch(score)
            yield given, score

    def _sorted(self, scored: Iterable["Figures"]) -> Iterator[str]:
        """Return the lines of all texts, the most surprising first, empty texts last."""
        found = []
        for pair in scored:
            bits = pair[1].bits_per_char
            found.append((-math.inf if bits is None else bits, self._line(pair)))
        found.sort(key=lambda row: -row[0])
        return (line for _, line in found)

    def _line(self, pair: "Figures") -> str:
        given, score = pair
        if self.output.as_json:
            return as_line(self._fields(given, score))
        return _columns(given, score) if self.output.tsv else _short_line(given, score)

    def _fields(self, given: Given, score: "Score | Tally") -> dict[str, Any]:
        fields = given.object | {
            "log_prob": score.log_prob,
            "prob": math.exp(score.log_prob),
            "bits_per_char": score.bits_per_char,
            "perplexity": score.perplexity,
            "chars": score.chars,
            "unk": score.unk,
            "eos": score.eos,
            "token_log_prob": score.token_log_prob,
        }
        if self.tokens.unit != "character":
            fields["tokens"] = score.num_tokens
        return fields

    def _adapted_line(self, given: Given, score: "Tally", learned: "Tally") -> str:
        from charrnn.render.display import unknown

        bits, learned_bits = score.bits_per_char, learned.bits_per_char
        if not self.output.as_json:
            figures = f"{score.log_prob:.6f}", rounded(bits), rounded(learned_bits)
            return as_row(*figures, name_of(given), unknown(score.unk))
        fields = given.object | {"log_prob": score.log_prob, "bits_per_char": bits}
        fields |= {"adapted_log_prob": learned.log_prob, "adapted_bits_per_char": learned_bits}
        return as_line(fields | {"chars": score.chars, "unk": score.unk, "eos": score.eos})

    def _figures(self, fields: dict[str, Any]) -> None:
        """Print one JSON object, or one line per value."""
        if self.output.as_json:
            print(as_line(fields))
            return
        for name, value in fields.items():
            print(f"{name}\t{rounded(value)}")


def _sums(total: "Total") -> dict[str, Any]:
    """Return what --total prints."""
    return {
        "texts": total.texts,
        "log_prob": total.log_prob,
        "chars": total.chars,
        "unk": total.unk,
        "bits_per_char": total.bits_per_char,
        "perplexity": total.perplexity,
        "token_log_prob": total.token_log_prob,
    }


def _short_line(given: Given, score: "Score | Tally") -> str:
    from charrnn.render.display import unknown

    bits = rounded(score.bits_per_char)
    return as_row(f"{score.log_prob:.6f}", bits, name_of(given), unknown(score.unk))


def _columns(given: Given, score: "Score | Tally") -> str:
    """Return the columns of --tsv; a missing value is empty."""
    values = (score.bits_per_char, score.perplexity)
    figures = ("" if value is None else rounded(value) for value in values)
    counts = (score.chars, score.unk, int(score.eos))
    return "\t".join([f"{score.log_prob:.6f}", *figures, *map(str, counts), name_of(given)])


def name_of(given: Given) -> str:
    """What a text is called, on one line."""
    from charrnn.render.display import spelled_out

    return printable(spelled_out(given.name))


def rounded(value: float | None) -> str:
    """A figure, or a dash where there is none."""
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _show(scored: list["Figures"]) -> None:
    """Print scores on a terminal: details of one text, a table of several."""
    from charrnn.render.display import score_details, score_table

    named = [(given.name, score) for given, score in scored]
    if len(named) == 1:
        score_details(*named[0])
    else:
        score_table(named)


def with_bar(
    scored: Iterable[tuple[Given, T]], sources: Sources, printed: bool
) -> Iterator[tuple[Given, T]]:
    """Yield the scores while a bar shows how many bytes are done.

    Args:
        printed: whether scores are printed as they come; on a terminal, they show the progress.
    """
    shown = sys.stderr.isatty() and not (printed and sys.stdout.isatty())
    with tqdm(
        total=sources.num_bytes(),
        unit="B",
        unit_scale=True,
        disable=not shown,
        delay=BAR_DELAY,
        leave=False,
        dynamic_ncols=True,
    ) as bar:
        for given, score in scored:
            yield given, score
            bar.update(given.num_bytes)
