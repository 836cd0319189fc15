"""A text to train on, a model file to write, and a suspended run."""

from pathlib import Path

import pytest

from charrnn.storage import checkpoint
from tests.training.runs import begin, stop_at, write_text


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """A short text of some variety."""
    return write_text(tmp_path / "text.txt")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "model.npz"


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file to resume from of a run that has stopped after ten steps."""
    folder = tmp_path_factory.mktemp("stopped")
    output = folder / "model.npz"
    stop_at(begin(write_text(folder / "text.txt"), output), 10)
    return checkpoint.beside(output, checkpoint.RESUME)
