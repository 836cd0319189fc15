"""What `charrnn score` prints of the texts it has scored: lines, JSON, TSV, a table, sums."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from charrnn.cli.options import as_line, as_row, printable
from charrnn.cli.score_input import Given, Sources
from charrnn.cli.score_per_char import (
    fields_of_each,
    lines_of_each,
    show_surprise,
    write_pictures,
)
from charrnn.config import VocabularyConfig, check_float

if TYPE_CHECKING:
    from charrnn.inference.scores import Score, Tally, Total
    from charrnn.inference.surprise import Surprise

    Figures = tuple[Given, Score | Tally]

BAR_DELAY = 2.0  # seconds before the bar shows
_ROWS = 1000  # that a table has at most
_MANY_UNKNOWN = 0.1  # share of the tokens of a text above which there is a warning
_COLUMNS = ("log_prob", "bits_per_char", "perplexity", "chars", "unk", "eos", "text")


@dataclass
class Watch:
    """What is said on stderr after all scores.

    Args:
        bits: per character that nothing may be above; None means no limit.

    Raises:
        ConfigError: the limit is out of range.
    """

    bits: float | None
    above: int = 0  # texts, or sums, that are
    texts: int = 0  # read
    strange: int = 0  # of them with many unknown tokens
    tokens: int = 0  # of these
    unk: int = 0  # of them unknown

    def __post_init__(self) -> None:
        if self.bits is not None:
            check_float("fail_over", self.bits, 0, sys.float_info.max)

    def see(self, score: "Score | Tally") -> None:
        """Look whether the model can read a text."""
        tokens = score.num_tokens - score.eos
        self.texts += 1
        if score.unk > _MANY_UNKNOWN * tokens:
            self.strange += 1
            self.tokens += tokens
            self.unk += score.unk

    def limit(self, bits: float | None) -> None:
        """Hold a text, or a sum, against the limit; one without characters is above nothing."""
        if self.bits is not None and bits is not None and bits > self.bits:
            self.above += 1

    def report(self, unit: str) -> None:
        """Say on stderr how many were above the limit, and which texts the model cannot read.

        Args:
            unit: what a token is.
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
    """What is printed of the scores and how, and the pictures that are written."""

    as_json: bool = False  # an object a text
    tsv: bool = False  # columns with a header
    sort: bool = False  # the most surprising first; all of them are held until the end
    per_char: bool = False  # every character too
    total: bool = False  # a sum instead
    html: Path | None = None
    svg: Path | None = None

    def check(self, inputs: Sequence[Path]) -> None:
        """Raise an error where a picture may not be written, before anything is scored."""
        from charrnn.storage.files import PAGE, SVG, check

        for path, kind in ((self.html, PAGE), (self.svg, SVG)):
            if path is not None:
                check(path, kind, inputs)


@dataclass
class Printer:
    """How scores are printed.

    Args:
        tokens: what the model reads.
        watch: sees all scores.
    """

    tokens: VocabularyConfig
    output: Output
    watch: Watch

    def each(self, scored: Iterable["Figures"]) -> None:
        """Print every text in the order given, or sorted; a few on a terminal as a table."""
        scored = self._watched(scored)
        output = self.output
        plain = not (output.as_json or output.tsv or output.sort or output.per_char)
        if plain and sys.stdout.isatty():
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
        """Print one object, or a line a figure, for all."""
        from charrnn.inference.scores import Total

        total = Total()
        for _, score in scored:
            self.watch.see(score)
            total.add([score])
        self.watch.limit(total.bits_per_char)
        self._figures(_sums(total))

    def sums(
        self, name: str, numbers: Sequence[int], scored: Iterable[tuple[int, "Score | Tally"]]
    ) -> None:
        """Print an object or a line for all scores that come with one of the numbers."""
        from charrnn.inference.scores import Total
        from charrnn.render.display import unknown

        totals = {number: Total() for number in numbers}
        for number, score in scored:
            totals[number].add([score])
            if number == numbers[0]:
                self.watch.see(score)
        for number, total in totals.items():
            self.watch.limit(total.bits_per_char)
            if self.output.as_json:
                print(as_line({name: number} | _sums(total)))
            else:
                bits = _number(total.bits_per_char)
                print(as_row(f"{name} {number}", bits, unknown(total.unk)))

    def adapted(self, scored: Iterable[tuple[Given, "Tally", "Tally"]]) -> None:
        """Print an object or a line a text, or one for all: the figures while learning beside the
        static ones."""
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
        """Write the pictures of texts in the colours of their surprise, and print the texts."""
        found = [*found]
        write_pictures([surprise for _, surprise in found], self.output.html, self.output.svg)
        if self.output.per_char and not self.output.as_json and sys.stdout.isatty():
            self.coloured(found)
        else:
            self.each((given, surprise.score) for given, surprise in found)

    def coloured(self, found: Iterable[tuple[Given, "Surprise"]]) -> None:
        """Print texts in the colours of their surprise."""

        def watched() -> "Iterator[Surprise]":
            for _, surprise in found:
                self._watch(surprise.score)
                yield surprise

        show_surprise(watched())

    def _watch(self, score: "Score | Tally") -> None:
        self.watch.see(score)
        self.watch.limit(score.bits_per_char)

    def _watched(self, scored: Iterable["Figures"]) -> Iterator["Figures"]:
        for given, score in scored:
            self._watch(score)
            yield given, score

    def _sorted(self, scored: Iterable["Figures"]) -> Iterator[str]:
        """The lines of all texts, the most surprising first and those without characters last."""
        found = []
        for pair in scored:
            bits = pair[1].bits_per_char
            found.append((-math.inf if bits is None else bits, self._line(pair)))
        found.sort(key=lambda row: -row[0])
        return (line for _, line in found)

    def _line(self, pair: "Figures") -> str:
        given, score = pair
        if self.output.as_json:
            fields = self._fields(given, score)
            if self.output.per_char:
                fields |= fields_of_each(score, self.tokens)  # type: ignore[arg-type]
            return as_line(fields)
        if self.output.per_char:
            return "\n".join(lines_of_each(score, self.tokens))  # type: ignore[arg-type]
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
            figures = f"{score.log_prob:.6f}", _number(bits), _number(learned_bits)
            return as_row(*figures, _name(given), unknown(score.unk))
        fields = given.object | {"log_prob": score.log_prob, "bits_per_char": bits}
        fields |= {"adapted_log_prob": learned.log_prob, "adapted_bits_per_char": learned_bits}
        return as_line(fields | {"chars": score.chars, "unk": score.unk, "eos": score.eos})

    def _figures(self, fields: dict[str, Any]) -> None:
        """Print one object, or a line a figure."""
        if self.output.as_json:
            print(as_line(fields))
            return
        for name, value in fields.items():
            print(f"{name}\t{_number(value)}")


def _sums(total: "Total") -> dict[str, Any]:
    """What --total prints of all texts together."""
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

    bits = _number(score.bits_per_char)
    return as_row(f"{score.log_prob:.6f}", bits, _name(given), unknown(score.unk))


def _columns(given: Given, score: "Score | Tally") -> str:
    """The columns of --tsv; a figure of nothing is empty."""
    values = (score.bits_per_char, score.perplexity)
    figures = ("" if value is None else _number(value) for value in values)
    counts = (score.chars, score.unk, int(score.eos))
    return "\t".join([f"{score.log_prob:.6f}", *figures, *map(str, counts), _name(given)])


def _name(given: Given) -> str:
    from charrnn.render.display import spelled_out

    return printable(spelled_out(given.name))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def _show(scored: list["Figures"]) -> None:
    """Scores for people."""
    from charrnn.render.display import score_details, score_table

    named = [(given.name, score) for given, score in scored]
    if len(named) == 1:
        score_details(*named[0])
    else:
        score_table(named)


def with_bar(
    scored: Iterable[tuple[Given, "Score"]], sources: Sources, printed: bool
) -> Iterator[tuple[Given, "Score"]]:
    """The same scores, with a bar that moves by the bytes of the texts that are done.

    Args:
        printed: whether the scores are printed as they come, which shows on a terminal how far
            they are.
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
