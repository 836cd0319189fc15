"""What `charrnn score` does with several models: say which one a text comes from."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.cli.options import BLOCK, as_line, load_checkpoint, printable
from charrnn.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    from charrnn.classification import Classification


def classify_texts(
    paths: Sequence[Path],
    texts: Sequence[str],
    labels: Path | None,
    *,
    eos: bool | None,
    encoding: str,
    max_size: int | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Print the label and the posterior of every text; with a labelled file, the accuracy.

    Args:
        labels: a file of lines with a text, a tab and its true label.

    Raises:
        ConfigError: two models have one name.
        CorpusError: a line of `labels` has no tab.
    """
    from charrnn.classification import Classification, Confusions, classify
    from charrnn.parallel import Workers

    models = {path.stem: load_checkpoint(path) for path in paths}
    if len(models) < len(paths):
        raise ConfigError("the models to choose from must have different names")
    labelled = _labelled(labels, encoding, max_size) if labels else []
    texts = [*texts, *(text for text, _ in labelled)]
    found: list[Classification] = []
    with Workers(threads) as workers:
        for first in range(0, len(texts), BLOCK):
            block = texts[first : first + BLOCK]
            found += classify(models, block, eos=eos, workers=workers)
    if labels is None:
        for item in found:
            print(_object(item) if as_json else _line(item))
        return
    confusions = Confusions.count([label for _, label in labelled], [item.label for item in found])
    if as_json:
        print(as_line(asdict(confusions) | confusions.figures()))
    else:
        from charrnn.display import confusion_table

        confusion_table(confusions, list(models))


def _labelled(path: Path, encoding: str, max_size: int | None) -> list[tuple[str, str]]:
    """(text, label) of each line that is not empty."""
    from charrnn.reading import read_text, split_lines

    found = []
    for number, line in enumerate(split_lines(read_text(path, encoding, max_size)), start=1):
        text, tab, label = line.rpartition("\t")
        if line and not tab:
            raise CorpusError(f"line {number} of {path} is no text, tab and label")
        if line:
            found.append((text, label))
    return found


def _object(item: "Classification") -> str:
    fields: dict[str, Any] = {"text": item.text, "label": item.label}
    return as_line(
        fields | {"posterior": item.posterior, "log_prob": item.log_probs, "eos": item.eos}
    )


def _line(item: "Classification") -> str:
    from charrnn.display import spelled_out

    label, text = (printable(spelled_out(name)) for name in (item.label, item.text))
    return f"{label}\t{item.posterior[item.label]:.6g}\t{text}"
