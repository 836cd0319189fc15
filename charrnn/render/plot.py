"""Plot learning curves: bits per character over one or several training runs.

matplotlib is an optional extra, `plot`, and is imported only to draw.
"""

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charrnn.config import check_choice
from charrnn.errors import CheckpointError, MissingError
from charrnn.storage.files import PNG, SVG, Kind, atomic_write, check
from charrnn.storage.history import Validation, best

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = ("steps", "time")
_SIZE, _DOTS = (8, 5), 150  # inches, dots per inch
_LINES = {"validation": "-", "training": "--"}
# Distinct for the colour-blind too (Okabe & Ito 2008); more runs use a colour map.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "charrnn",
}  # text stays text, and the file is reproducible
_LONGEST_NAME = 60
_CURVES = replace(SVG, endings=(*SVG.endings, *PNG.endings))  # any name but .png


def plot(runs: Mapping[str, Sequence[Validation]], path: Path, over: str = AXES[0]) -> None:
    """Plot the training and validation curves of each run.

    Args:
        runs: validations by name of the run.
        path: ends in .svg or .png.
        over: "steps", or "time" since the start of each run.

    Raises:
        ConfigError: the name ends in something else, or `over` is invalid.
        CheckpointError: a run has no history, or the file cannot be written or replaced.
        MissingError: matplotlib is not installed.
    """
    check_choice("over", over, AXES)
    kind = check_picture(path)
    for name, validations in runs.items():
        if not any(_points(validations, split, over) for split in _LINES):
            raise CheckpointError(f"{name} has no training history to plot; train it again")
    try:
        from matplotlib import rc_context
    except ImportError:
        raise MissingError(
            "plotting needs matplotlib, which is not installed: pip install matplotlib"
        ) from None
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    with rc_context(_SETTINGS), warnings.catch_warnings(), atomic_write(path, kind) as file:
        warnings.simplefilter("ignore")  # about letters missing from the font
        figure = _figure(runs, over)
        if kind is PNG:
            figure.savefig(file, format="png", dpi=_DOTS, metadata={"Software": "charrnn"})
        else:
            figure.savefig(file, format="svg", metadata={"Creator": "charrnn", "Date": None})


def check_picture(path: Path, inputs: Iterable[Path | str] = ()) -> Kind:
    """Return the kind of picture that a file name asks for.

    Args:
        inputs: files that the command reads.

    Raises:
        ConfigError, CheckpointError: as for `charrnn.storage.files.check`.
    """
    kind = PNG if path.suffix.lower() in PNG.endings else _CURVES
    check(path, kind, inputs)
    return kind


def _figure(runs: Mapping[str, Sequence[Validation]], over: str) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(_SIZE, layout="constrained")
    FigureCanvasAgg(figure)  # needs no screen
    axes = figure.add_subplot()
    seconds = [each.seconds or 0 for validations in runs.values() for each in validations]
    unit, label = _unit(max(seconds)) if over == "time" else (1, "steps")
    colours = _colours(len(runs))
    for validations, colour in zip(runs.values(), colours, strict=True):
        _draw(axes, validations, over, unit, colour)
    axes.set_xlabel(label)
    axes.set_ylabel("bits per character")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _add_legend(axes, dict(zip(runs, colours, strict=True)))
    return figure


def _colours(number: int) -> list[Any]:
    from matplotlib import colormaps

    if number <= len(_COLOURS):
        return [*_COLOURS[:number]]
    return [colormaps["viridis"](index / (number - 1)) for index in range(number)]


def _unit(longest: float) -> tuple[int, str]:
    """Return the unit of a time axis in seconds, and its name."""
    units = [(1, "seconds"), (60, "minutes"), (3600, "hours")]
    return [each for each in units if each[0] == 1 or longest > 2 * each[0]][-1]


def _points(validations: Sequence[Validation], split: str, over: str) -> list[tuple[float, float]]:
    """Return (steps or seconds, bits per character) of a split, one point per validation."""
    found = []
    for each in validations:
        x = each.step if over == "steps" else each.seconds
        y = each.val_bits_per_char if split == "validation" else each.train_bits_per_char
        if x is not None and y is not None:
            found.append((float(x), y))
    return found


def _draw(
    axes: "Axes", validations: Sequence[Validation], over: str, unit: int, colour: Any
) -> None:
    """Draw both curves of a run, and a dot at the step whose weights were kept."""
    for split, line in _LINES.items():
        points = _points(validations, split, over)
        if len(points) == 1:  # an n-gram model has a single figure
            axes.axhline(points[0][1], color=colour, linestyle=line, linewidth=1)
        elif points:
            xs, ys = zip(*points, strict=True)
            axes.plot([x / unit for x in xs], ys, line, color=colour, linewidth=1.5)
    kept = best(validations)
    for x, y in _points([kept] if kept else [], "validation", over):
        axes.plot([x / unit], [y], "o", color=colour)


def _add_legend(axes: "Axes", colours: Mapping[str, Any]) -> None:
    """Add a legend of runs and splits; names are not parsed as formulas."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour) for colour in colours.values()]
    handles += [Line2D([], [], color="gray", linestyle=line) for line in _LINES.values()]
    handles.append(Line2D([], [], color="gray", marker="o", linestyle=""))
    labels = [name[:_LONGEST_NAME] for name in colours] + [*_LINES, "weights kept"]
    legend = axes.legend(handles, ["-"] * len(handles), frameon=False)
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)
