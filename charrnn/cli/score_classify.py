"""`charrnn score` with several models: say which one a text comes from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.cli.options import as_line, as_row, load_checkpoint, printable
from charrnn.cli.score_input import Given, Sources, blocks
from charrnn.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from charrnn.inference.classification import Classification


def classify_texts(
    paths: Sequence[Path],
    sources: Sources,
    labels: Path | None,
    *,
    eos: bool | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print label and posterior of every text, or the accuracy on a labelled file.

    Args:
        labels: a file of lines TEXT, tab, true label, to use instead of the sources.

    Raises:
        ConfigError: two models have the same name.
        CorpusError: a line of `labels` has no tab.
    """
    from charrnn.inference.classification import Classification, Confusions, classify
    from charrnn.parallel.threads import Workers

    models = {path.stem: load_checkpoint(path) for path in paths}
    if len(models) < len(paths):
        raise ConfigError("the models to choose from must have different names")

    def found(texts: Iterable[Given | None]) -> Iterator[Classification]:
        with Workers(threads) as workers:
            for block in blocks(texts):
                wanted = [given.text for given in block]
                yield from classify(models, wanted, eos=eos, workers=workers)

    if labels is None:
        for item in found(sources.arriving()):
            print(_object(item) if as_json else _line(item))
        return
    labelled = _labelled(labels, sources.encoding, sources.max_size)
    given = [item.label for item in found(Given(text, text) for text, _ in labelled)]
    confusions = Confusions.count([label for _, label in labelled], given)
    if as_json:
        figures = {"texts": confusions.texts, "accuracy": confusions.accuracy}
        print(as_line(asdict(confusions) | figures))
    else:
        from charrnn.render.display import confusion_table

        confusion_table(confusions, list(models))


def _labelled(path: Path, encoding: str, max_size: int | None) -> list[tuple[str, str]]:
    """Read (text, label) of each line that is not empty."""
    from charrnn.text.reading import read_text, split_lines

    found = []
    for number, line in enumerate(split_lines(read_text(path, encoding, max_size)), start=1):
        text, tab, label = line.rpartition("\t")
        if line and not tab:
            raise CorpusError(f"line {number} of {path} must be TEXT, a tab and LABEL")
        if line:
            found.append((text, label))
    return found


def _object(item: "Classification") -> str:
    fields: dict[str, Any] = {"text": item.text, "label": item.label}
    fields |= {"posterior": item.posterior, "log_prob": item.log_probs}
    return as_line(fields | {"unk": item.unk, "eos": item.eos})


def _line(item: "Classification") -> str:
    """Return label, posterior, text and the number of unknown tokens, separated by tabs."""
    from charrnn.render.display import spelled_out, unknown

    label, text = (printable(spelled_out(name)) for name in (item.label, item.text))
    return as_row(label, f"{item.posterior[item.label]:.6g}", text, unknown(item.unk[item.label]))
