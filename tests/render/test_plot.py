import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from charrnn.errors import CheckpointError, ConfigError, MissingError
from charrnn.render.plot import plot
from charrnn.storage.history import Validation

RUN = [
    Validation(
        step=10 * n, epochs=n, seconds=30.0 * n, train_bits_per_char=3 / n,
        val_bits_per_char=4 / n, best=n < 5,
    )
    for n in range(1, 6)
]  # fmt: skip
WHOLE = [
    Validation(step=10, epochs=1, seconds=1.0, train_bits_per_char=3.0, best=True)
]  # nothing was held out


@pytest.fixture
def matplotlib() -> None:
    pytest.importorskip("matplotlib")


def texts(file: Path) -> list[str]:
    """What a picture says, in its order."""
    return [
        "".join(each.itertext()) for each in ElementTree.parse(file).iter() if "text" in each.tag
    ]


@pytest.mark.usefixtures("matplotlib")
@pytest.mark.parametrize("over", ["steps", "time"])
def test_a_picture_names_its_runs_and_its_axes(tmp_path: Path, over: str) -> None:
    names = ["one", "_two $x$ <b>", "한"]
    plot({names[0]: RUN, names[1]: RUN[:2], names[2]: WHOLE}, tmp_path / "a.svg", over)
    found = texts(tmp_path / "a.svg")
    assert {*names, "validation", "training", "bits per character"} <= {*found}
    assert ("minutes" in found) == (over == "time")
    assert ("steps" in found) == (over == "steps")


@pytest.mark.usefixtures("matplotlib")
def test_the_same_runs_give_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg", "c.svg"):
        plot({"x": RUN[: 4 if name == "c.svg" else 5]}, tmp_path / name)
    a, b, c = (file.read_bytes() for file in sorted(tmp_path.iterdir()))
    assert a == b != c


@pytest.mark.usefixtures("matplotlib")
def test_pictures_of_many_runs_and_of_pixels(tmp_path: Path) -> None:
    plot({str(n): RUN for n in range(12)}, tmp_path / "a.PNG")
    data = (tmp_path / "a.PNG").read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = (int.from_bytes(data[place : place + 4]) for place in (16, 20))
    assert (width, height) == (1200, 750)


@pytest.mark.usefixtures("matplotlib")
def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot write"):
        plot({"x": RUN}, tmp_path / "file" / "a.svg")


def test_without_matplotlib_there_is_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingError, match="pip install matplotlib"):
        plot({"x": RUN}, tmp_path / "a.svg")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_drawn_is_said_before_matplotlib_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"must end in \.svg or \.png"):
        plot({"x": RUN}, tmp_path / "model.npz")
    with pytest.raises(ConfigError, match="over must be one of steps, time"):
        plot({"x": RUN}, tmp_path / "a.svg", "epochs")
    with pytest.raises(CheckpointError, match="x has no training history"):
        plot({"y": RUN, "x": []}, tmp_path / "a.svg")
