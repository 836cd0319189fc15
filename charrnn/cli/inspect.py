"""`charrnn inspect`: show what a model contains."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from charrnn.cli import inspect_options as option
from charrnn.cli.inspect_memory import Memory, show_memory
from charrnn.cli.inspect_neurons import read_for_units, show_neuron, show_neurons
from charrnn.cli.options import (
    AsJson,
    Encoding,
    MaxSize,
    as_line,
    refuse_together,
    typed,
)
from charrnn.config import LINES
from charrnn.errors import ConfigError, CorpusError
from charrnn.resources import bundled_corpora, model_names

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint
    from charrnn.text.documents import Documents

_DISTANCE, _POSITIONS = 100, 256  # characters a gradient is followed back, and from how many places
_VIEWS = ("--list", "--plot", "--neuron", "--neurons", "--memory", "--gradient-flow")
_GOES_WITHOUT = {view: _VIEWS[:place] for place, view in enumerate(_VIEWS)}
_NEEDS = {  # options of some views
    "--html": ("--neuron", "--neurons"),
    "--context": ("--memory",),
    "--reset": ("--memory",),
}


def inspect(
    ctx: typer.Context,
    names: option.Names = None,
    checkpoints: option.Checkpoints = None,
    everything: option.Everything = False,
    plot: option.Plot = None,
    over: option.Over = "steps",
    neuron: option.Neuron = None,
    neurons: option.Neurons = None,
    memory: option.Memory = None,
    context: option.Context = None,
    reset: option.Reset = None,
    html: option.Html = None,
    gradient_flow: option.GradientFlow = None,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in a model.

    Without options: its configuration, size, vocabulary and training history.

    --neuron takes UNIT of the top layer, or LAYER.UNIT, counted from 0; in a pipe, it prints a line
    a token. --neurons finds units that track quotes, brackets, the position in the line and in the
    word, indentation and capitals. --memory prints bits per character by how many tokens before
    each the model sees. --gradient-flow shows the median norm of the gradient of a loss with
    respect to the state k characters before.
    """
    from charrnn.storage import checkpoint

    _check_together(typed(ctx))
    named, file = _apart(names or [], neuron)
    checkpoints = [*(checkpoints or []), *named]
    inputs = [name for name in (file, neurons, memory, gradient_flow, *checkpoints) if name]
    _check_outputs(html, plot, inputs)
    if everything:
        _list(as_json)
        return
    if plot is not None:
        _plot(checkpoints, plot, over, as_json)
        return
    if len(checkpoints) > 1:
        raise ConfigError("only --plot takes several models")
    path = checkpoint.locate(checkpoints[0] if checkpoints else None)
    loaded = checkpoint.load(path)
    read = partial(read_for_units, loaded, neurons or file or "", encoding, max_size)
    if memory is not None:
        seen = Memory.of(context, reset)
        show_memory(path, loaded, _documents(loaded, memory, encoding, max_size), seen, as_json)
    elif neuron is not None:
        show_neuron(path, loaded, neuron, read, html, as_json)
    elif neurons is not None:
        show_neurons(path, loaded, read, html, as_json)
    elif gradient_flow is not None:
        _show_flow(path, _flow(loaded, gradient_flow, encoding, max_size), as_json)
    else:
        _show(path, loaded, as_json)


def _documents(loaded: "Checkpoint", file: str, encoding: str, max_size: int | None) -> "Documents":
    """A text cut as the model was trained."""
    from charrnn.text.corpus import read_corpus

    cut = loaded.separator
    return read_corpus([file], separator=cut, encoding=encoding, max_size=max_size).documents


def _apart(names: Sequence[str], neuron: str | None) -> tuple[list[Path], str | None]:
    """Split the arguments into models and the text of --neuron, which comes last."""
    if neuron is None:
        return [*map(Path, names)], None
    if not names or names[-1] in {*model_names()} - {*bundled_corpora()}:
        raise ConfigError("--neuron needs a text: add a file, or '-' for stdin")
    return [*map(Path, names[:-1])], names[-1]


def _check_together(options: Collection[str]) -> None:
    """Raise ConfigError where options do not go together."""
    refuse_together(options, {**_GOES_WITHOUT, "--context": ("--reset",)})
    for name, views in _NEEDS.items():
        if name in options and not {*views} & {*options}:
            raise ConfigError(f"{name} needs {' or '.join(views)}")


def _check_outputs(html: Path | None, plot: Path | None, inputs: Sequence[Path | str]) -> None:
    """Raise an error if a page or picture cannot be written, before anything is read."""
    from charrnn.render.plot import check_picture
    from charrnn.storage.files import PAGE, check

    if html is not None:
        check(html, PAGE, inputs)
    if plot is not None:
        check_picture(plot, inputs)


def _show(path: Path, loaded: "Checkpoint", as_json: bool) -> None:
    """Print what a checkpoint contains."""
    import numpy as np

    from charrnn.mixing.mixed import Mixed
    from charrnn.mixing.trust import trust
    from charrnn.render.inspection import show_checkpoint

    if not as_json:
        show_checkpoint(path, loaded)
        return
    model, vocabulary = loaded.model, loaded.vocabulary
    fields = {
        "checkpoint": str(path),
        "model": asdict(model.config),
        "parameters": model.size,
        "arrays": {name: list(array.shape) for name, array in model.arrays.items()},
        "lines": loaded.separator == LINES,
        "separator": loaded.separator,
        "tokens": asdict(vocabulary.config),
        "vocabulary": list(vocabulary.tokens),
        "training": loaded.training,
    }
    if isinstance(model, Mixed):
        found = asdict(trust(model))
        fields["mixing"] = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in found.items()
        }
    print(as_line(fields))


def _list(as_json: bool) -> None:
    from charrnn.render.inspection import show_corpora, show_models
    from charrnn.storage.listing import bundled_models, corpora, models

    own, bundled, texts = models(), bundled_models(), corpora()
    if as_json:
        for row in (*map(asdict, own + bundled), *map(asdict, texts)):
            print(as_line(row))
        return
    show_models("models in ./checkpoints, newest first", own)
    show_models("bundled models", bundled)
    show_corpora("bundled corpora", texts)


def _plot(checkpoints: Sequence[Path], picture: Path, over: str, as_json: bool) -> None:
    """Plot the curves of models, each labelled by its name, or its path if two have that name."""
    from charrnn.render.display import message, visible
    from charrnn.render.plot import plot
    from charrnn.storage.checkpoint import load, locate
    from charrnn.storage.history import history

    paths = [locate(path) for path in checkpoints] or [locate()]
    stems = [path.stem for path in paths]
    runs = {}
    for path, stem in zip(paths, stems, strict=True):
        name = stem if stems.count(stem) == 1 else str(path)
        runs[visible(name)] = history(load(path).training)
    plot(runs, picture, over)
    if as_json:
        print(as_line({"plot": str(picture), "checkpoints": [str(path) for path in paths]}))
    else:
        message(f"written to {visible(str(picture))}")


def _flow(
    loaded: "Checkpoint", file: Path, encoding: str, max_size: int | None
) -> dict[str, list[float]]:
    """Return the median norms of the gradient by distance, for each state that it flows through.

    Raises:
        ConfigError: no gradient flows back in this model.
        CorpusError: the text is too short.
    """
    import numpy as np

    from charrnn.inference.gradient_flow import gradient_flow
    from charrnn.mixing.mixed import Mixed
    from charrnn.ngrams.ngram import NGram
    from charrnn.storage.checkpoint import check_finite
    from charrnn.text.reading import read_text

    model = loaded.model.base if isinstance(loaded.model, Mixed) else loaded.model
    config = model.config
    if isinstance(model, NGram):
        raise ConfigError("--gradient-flow needs a network; this is an n-gram model")
    if config.feedback == "target":
        raise ConfigError("no gradient flows back in a model trained with --feedback target")
    tokens = loaded.vocabulary.encode(read_text(file, encoding, max_size))
    try:
        flow = gradient_flow(model, tokens, _DISTANCE, _POSITIONS, np.random.default_rng(0))
    except ValueError as error:
        raise CorpusError(f"{file}: {error}") from None
    check_finite(float(flow.sum()))
    names = ("o",) if config.cell == "jordan" else ("h", "C")
    return {name: row.tolist() for name, row in zip(names, flow, strict=False)}


def _show_flow(path: Path, norms: Mapping[str, Sequence[float]], as_json: bool) -> None:
    """Print the norms by distance."""
    from charrnn.render.inspection import show_gradient_flow

    if as_json:
        distances = list(range(1, _DISTANCE + 1))
        print(as_line({"checkpoint": str(path), "distance": distances, **norms}))
    else:
        show_gradient_flow(norms)
