"""Samples for `charrnn sample`, drawn as its options say."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from charrnn.config import SampleConfig
from charrnn.errors import ConfigError, setting

if TYPE_CHECKING:
    from charrnn.inference.sampling import Sample
    from charrnn.inference.verbatim import Stretch
    from charrnn.parallel.threads import Workers
    from charrnn.storage.checkpoint import Checkpoint
    from charrnn.text.documents import Documents

_SIDE_BY_SIDE = 1024  # samples drawn before they are printed


@dataclass(frozen=True)
class Drawing:
    """How to draw samples of a prompt: their number or a beam, and one or more temperatures."""

    config: SampleConfig = field(default_factory=SampleConfig)
    temperatures: Sequence[float] = (SampleConfig.temperature,)
    num_samples: int = 1
    best: int | None = None  # number of most probable samples to keep
    beam: int | None = None  # width
    avoid: Container[str] | None = None  # texts to draw again

    @property
    def is_single(self) -> bool:
        """Whether a single text is drawn."""
        alone = self.num_samples == len(self.temperatures) == 1
        return alone and self.best is None and self.beam is None and self.avoid is None

    def configs(self) -> list[SampleConfig]:
        """Return one configuration per temperature."""
        return [replace(self.config, temperature=value) for value in self.temperatures]


@dataclass
class Drawn:
    """A finished sample, its temperature and what it copied."""

    sample: "Sample"
    temperature: float
    copied: "Sequence[Stretch] | None" = None  # of the continuation, the longest first

    @property
    def num_copied(self) -> int:
        """Number of sampled characters in copied stretches."""
        from charrnn.inference.verbatim import covered

        return sum(map(len, covered(self.copied or [])))

    def share(self, size: int) -> float | None:
        """Return `size` characters as a share of those sampled, None if there are none."""
        return size / len(self.sample.drawn) if self.sample.drawn else None

    def fields(self) -> dict[str, Any]:
        """Return the fields that --json always prints."""
        sample = self.sample
        return {
            "text": sample.text,
            "prompt": sample.prompt,
            "log_prob": sample.log_prob,
            "stop": sample.stop,
            "seed": sample.seed,
        }

    def ranked_fields(self) -> dict[str, Any]:
        """Return the field that --best adds: the log P that ranks samples, stop text included."""
        return {"drawn_log_prob": self.sample.drawn_log_prob}

    def copied_fields(self) -> dict[str, Any]:
        """Return the fields that --novel adds, none without it."""
        if self.copied is None:
            return {}
        stretches = [
            {
                "text": self.sample.drawn[stretch.start : stretch.stop],
                "start": len(self.sample.prompt) + stretch.start,
                "length": len(stretch),
                "share": self.share(len(stretch)),
            }
            for stretch in self.copied
        ]
        return {"copied": stretches, "copied_share": self.share(self.num_copied)}


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Parse one temperature, or several separated by commas.

    Raises:
        ConfigError: they are not numbers, or out of range.
    """
    try:
        values = tuple(map(float, text.split(",")))
    except ValueError:
        raise ConfigError(
            f"{setting('temperature')} must be a number, or several separated by commas, "
            f"not {text!r}"
        ) from None
    for value in values:
        SampleConfig(temperature=value)
    return values


def draw(
    model: "Checkpoint", prompts: Sequence[str], seed: int, drawing: Drawing, workers: "Workers"
) -> list[Iterator[Drawn]]:
    """Return samples of all prompts, a group per temperature; sample j uses seed + j."""
    return [_draw(model, prompts, seed, drawing, each, workers) for each in drawing.configs()]


def _draw(
    model: "Checkpoint",
    prompts: Sequence[str],
    seed: int,
    drawing: Drawing,
    config: SampleConfig,
    workers: "Workers",
) -> Iterator[Drawn]:
    from charrnn.inference.beam import beam_search
    from charrnn.inference.sampling import most_probable

    found: Iterable[Sample]
    if drawing.beam:
        width, count = drawing.beam, drawing.best or 1
        searched = (beam_search(model, prompt, config, width, count) for prompt in prompts)
        found = chain.from_iterable(searched)
    else:
        found = _sampled(model, prompts, seed, replace(drawing, config=config), workers)
        if drawing.best:
            found = most_probable(found, drawing.best)
    for sample in found:
        yield Drawn(sample, config.temperature)


def _sampled(
    model: "Checkpoint",
    prompts: Sequence[str],
    seed: int,
    drawing: Drawing,
    workers: "Workers",
) -> Iterator["Sample"]:
    from charrnn.inference.novelty import complete_novel
    from charrnn.inference.sampling import Sample, complete

    num_samples, config = drawing.num_samples, drawing.config
    total = len(prompts) * num_samples
    for first in range(0, total, _SIDE_BY_SIDE):
        numbers = range(first, min(first + _SIDE_BY_SIDE, total))
        samples = [Sample(prompts[number // num_samples], seed + number) for number in numbers]
        if drawing.avoid is None:
            complete(model, samples, config, workers)
        else:
            complete_novel(model, samples, config, workers, drawing.avoid)
        yield from samples


@dataclass(frozen=True)
class Copies:
    """Finds copies for --novel: stretches of a corpus, and whole documents of any length."""

    corpus: "Documents"
    documents: Container[str]
    min_chars: int

    @classmethod
    def of(cls, corpus: "Documents", min_chars: int) -> "Copies":
        """Prepare to find copies of at least `min_chars` characters."""
        from charrnn.inference.verbatim import whole_documents

        return cls(corpus, whole_documents(corpus), min_chars)

    def marked(self, drawn: Iterable[Drawn]) -> Iterator[Drawn]:
        """Yield the samples with the copied stretches of their continuations."""
        from charrnn.inference.verbatim import Stretch, copied_stretches

        drawn = iter(drawn)
        while block := [*islice(drawn, _SIDE_BY_SIDE)]:
            texts = [item.sample.drawn for item in block]
            found = copied_stretches(texts, self.corpus, self.min_chars)
            for item, text, stretches in zip(block, texts, found, strict=True):
                sample = item.sample
                is_whole = text and sample.stop != "length" and sample.text in self.documents
                item.copied = [Stretch(0, len(text))] if is_whole else stretches
                yield item
