"""`charrnn inspect`: what is in a checkpoint."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from charrnn.cli.inspect_neurons import read_for_units, show_neuron, show_neurons
from charrnn.cli.options import (
    AsJson,
    Encoding,
    MaxSize,
    as_line,
    models,
    one_of,
    refuse_together,
    typed,
)
from charrnn.config import LINES
from charrnn.errors import ConfigError, CorpusError
from charrnn.resources import BUNDLED_MODELS

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint

_DISTANCE, _POSITIONS = 100, 256  # characters a gradient is followed back, and from how many places


_VIEWS = ("--list", "--plot", "--neuron", "--neurons", "--gradient-flow")
_GOES_WITHOUT = {view: _VIEWS[:place] for place, view in enumerate(_VIEWS)}


def inspect(
    context: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="The text for --neuron; '-' is stdin.  [default: none]",
            show_default=False,
        ),
    ] = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoint",
            "-c",
            metavar="<path>",
            help="The model, an .npz file; with --plot, several.  [default: the newest in "
            "./checkpoints, else the bundled]",
            autocompletion=models,
            show_default=False,
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the models in ./checkpoints, and the models and corpora that "
            "come with charrnn.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Draw the training and the validation curve of each model, an .svg or .png file; "
            "needs matplotlib.  [default: none]",
            show_default=False,
        ),
    ] = None,
    over: Annotated[
        str,
        typer.Option(
            help="What --plot draws them over: steps or time.",
            autocompletion=one_of(("steps", "time")),
        ),
    ] = "steps",
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="[LAYER.]UNIT",
            help="Colour the text of FILE by what this unit does, of the top layer unless given; "
            "in a pipe, a line a token. Units count from 0.  [default: none]",
            show_default=False,
        ),
    ] = None,
    neurons: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Find on a text the units that track something: quotes, brackets, the place in "
            "the line and in the word, indentation, capitals.  [default: none]",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Write a page of what --neuron or --neurons show.  [default: none]",
            show_default=False,
        ),
    ] = None,
    gradient_flow: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Show on a text how far the gradient of a loss flows back: the median norm of its "
            "derivative by the state k characters before.  [default: none]",
            show_default=False,
        ),
    ] = None,
    encoding: Encoding = "utf-8",
    max_size: MaxSize = None,
    as_json: AsJson = False,
) -> None:
    """Show what is in a checkpoint.

    Its configuration, its size, its vocabulary and its training history; or, with an option, its
    learning curve, what its units do while it reads a text, how far back its gradient flows, or
    which models and corpora there are.
    """
    from charrnn.storage import checkpoint

    _check_together(typed(context), file)
    inputs = [name for name in (file, neurons, gradient_flow, *(checkpoints or [])) if name]
    _check_outputs(html, plot, inputs)
    if everything:
        _list(as_json)
        return
    if plot is not None:
        _plot(checkpoints or [], plot, over, as_json)
        return
    if len(checkpoints or []) > 1:
        raise ConfigError("only --plot takes several models: give one --checkpoint")
    path = checkpoint.locate(checkpoints[0] if checkpoints else None)
    loaded = checkpoint.load(path)
    read = partial(read_for_units, loaded, neurons or file or "", encoding, max_size)
    if neuron is not None:
        show_neuron(path, loaded, neuron, read, html, as_json)
    elif neurons is not None:
        show_neurons(path, loaded, read, html, as_json)
    elif gradient_flow is not None:
        _show_flow(path, _flow(loaded, gradient_flow, encoding, max_size), as_json)
    else:
        _show(path, loaded, as_json)


def _check_together(options: Collection[str], file: str | None) -> None:
    """Raise ConfigError where options do not go together."""
    refuse_together(options, _GOES_WITHOUT)
    if file and "--neuron" not in options:
        hint = "name a model with --checkpoint"
        if file in BUNDLED_MODELS or file.endswith(".npz"):
            hint = f"did you mean -c {shlex.quote(file)}?"
        raise ConfigError(f"FILE is the text for --neuron; {hint}")
    if "--neuron" in options and "FILE" not in options:
        raise ConfigError("--neuron needs a text to show: give a FILE, '-' is stdin")
    if "--html" in options and not {"--neuron", "--neurons"} & {*options}:
        raise ConfigError("--html needs --neuron or --neurons")


def _check_outputs(html: Path | None, plot: Path | None, inputs: Sequence[Path | str]) -> None:
    """Raise an error where a page or a picture may not be written, before anything is read."""
    from charrnn.render.plot import check_picture
    from charrnn.storage.files import PAGE, check

    if html is not None:
        check(html, PAGE, inputs)
    if plot is not None:
        check_picture(plot, inputs)


def _show(path: Path, loaded: "Checkpoint", as_json: bool) -> None:
    """Print what is in a checkpoint."""
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
    print(as_line(fields))


def _list(as_json: bool) -> None:
    from charrnn.render.inspection import show_corpora, show_models
    from charrnn.storage.listing import bundled_models, corpora, models

    own, bundled, texts = models(), bundled_models(), corpora()
    if as_json:
        for row in (*map(asdict, own + bundled), *map(asdict, texts)):
            print(as_line(row))
        return
    show_models("models in ./checkpoints, the newest first", own)
    show_models("models that come with charrnn", bundled)
    show_corpora("corpora that come with charrnn", texts)


def _plot(checkpoints: Sequence[Path], picture: Path, over: str, as_json: bool) -> None:
    """Draw the curves of models, each under its file's name, or its path where two have one."""
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
    """The median norms of the gradient by distance, for each state that it flows through.

    Raises:
        ConfigError: no gradient flows in such a model.
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
        raise ConfigError("with --feedback target no step depends on another: no gradient flows")
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
