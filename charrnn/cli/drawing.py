"""Samples for `charrnn sample`, drawn as its options say."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from charrnn.config import SampleConfig
from charrnn.errors import ConfigError

if TYPE_CHECKING:
    from charrnn.checkpoint import Checkpoint
    from charrnn.documents import Documents
    from charrnn.parallel import Workers
    from charrnn.sampling import Sample
    from charrnn.verbatim import Stretch

MAX_SEED = 2**62


@dataclass(frozen=True)
class Drawing:
    """How samples of a prompt are drawn: several, or by beam search, at one temperature or more."""

    config: SampleConfig = field(default_factory=SampleConfig)
    temperatures: Sequence[float] = (SampleConfig.temperature,)
    num_samples: int = 1
    best: int | None = None  # keep the most probable so many only
    beam: int | None = None  # the width

    @property
    def is_single(self) -> bool:
        """Whether it is one text that is drawn."""
        alone = self.num_samples == len(self.temperatures) == 1
        return alone and self.best is None and self.beam is None

    def configs(self) -> list[SampleConfig]:
        """One a temperature."""
        return [replace(self.config, temperature=value) for value in self.temperatures]


@dataclass
class Drawn:
    """A finished sample, and what else is said of it."""

    sample: "Sample"
    temperature: float
    copied: "Sequence[Stretch] | None" = None  # of the continuation, the longest first

    @property
    def num_copied(self) -> int:
        """How many of the characters drawn are in a copied stretch."""
        from charrnn.verbatim import covered

        return sum(map(len, covered(self.copied or [])))

    def share(self, size: int) -> float | None:
        """So many characters as a share of those drawn."""
        return size / len(self.sample.drawn) if self.sample.drawn else None

    def fields(self) -> dict[str, Any]:
        """What --json always prints."""
        sample = self.sample
        return {
            "text": sample.text,
            "prompt": sample.prompt,
            "log_prob": sample.log_prob,
            "stop": sample.stop,
            "seed": sample.seed,
        }

    def copied_fields(self) -> dict[str, Any]:
        """What --novel adds, nothing without it."""
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
    """One temperature, or several with commas between.

    Raises:
        ConfigError: they are no numbers, or out of range.
    """
    try:
        values = tuple(map(float, text.split(",")))
    except ValueError:
        raise ConfigError(
            f"temperature must be a number, or several with commas, not {text!r}"
        ) from None
    for value in values:
        SampleConfig(temperature=value)
    return values


def draw(
    model: "Checkpoint", prompts: Sequence[str], seed: int, drawing: Drawing, workers: "Workers"
) -> list[list[Drawn]]:
    """The samples of all prompts, a list a temperature; in each, sample j has the seed + j."""
    return [
        [
            Drawn(sample, config.temperature)
            for sample in _draw_at(model, prompts, seed, config, drawing, workers)
        ]
        for config in drawing.configs()
    ]


def _draw_at(
    model: "Checkpoint",
    prompts: Sequence[str],
    seed: int,
    config: SampleConfig,
    drawing: Drawing,
    workers: "Workers",
) -> list["Sample"]:
    from charrnn.beam import beam_search
    from charrnn.sampling import Sample, complete, most_probable

    if drawing.beam:
        found, count = [], drawing.best or 1
        for prompt in prompts:
            found += beam_search(model, prompt, config, drawing.beam, count)
        return found
    starts = [prompt for prompt in prompts for _ in range(drawing.num_samples)]
    samples = [Sample(start, seed + index) for index, start in enumerate(starts)]
    complete(model, samples, config, workers)
    return most_probable(samples, drawing.best) if drawing.best else samples


def mark_copied(drawn: Sequence[Drawn], corpus: "Documents", min_chars: int) -> None:
    """Find out what of the continuations stands in the corpus."""
    from charrnn.verbatim import copied_stretches

    texts = [item.sample.drawn for item in drawn]
    for item, stretches in zip(drawn, copied_stretches(texts, corpus, min_chars), strict=True):
        item.copied = stretches
