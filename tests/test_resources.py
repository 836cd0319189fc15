"""Models and corpora are found where they lie."""

from pathlib import Path

import pytest

from charrnn import resources
from charrnn.resources import (
    BUNDLED_MODELS,
    bundled_corpora,
    bundled_corpus,
    bundled_model,
    is_short_name,
    model_names,
    named_model,
    peak_memory,
    trained_models,
)


def test_what_is_bundled_is_there() -> None:
    assert all(bundled_model(name).is_file() for name in BUNDLED_MODELS)
    for name in bundled_corpora():
        path = bundled_corpus(name)
        assert path is not None
        assert path.is_file()
    assert bundled_corpus("novel") is None


def test_an_installed_package_has_its_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "charrnn"
    package.mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    assert bundled_model("m") == tmp_path / "checkpoints" / "m.npz"
    (package / "checkpoints").mkdir()
    assert bundled_model("m") == package / "checkpoints" / "m.npz"


def test_models_are_told_from_what_lies_beside_them(tmp_path: Path) -> None:
    for name in ("m.npz", "m.resume.npz", "m.previous.npz", "m.previous-2.npz", ".m.npz", "m.txt"):
        (tmp_path / name).touch()
    assert trained_models(tmp_path) == [tmp_path / "m.npz"]


@pytest.mark.parametrize("name", ["nothing", "\0"])
def test_a_folder_that_cannot_be_read_has_no_models(name: str) -> None:
    assert trained_models(Path(name)) == []


def test_peak_memory_is_in_bytes() -> None:
    assert peak_memory() == 0 or peak_memory() > 10_000_000


def test_short_names_are_those_of_models_and_not_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("checkpoints")
    folder.mkdir()
    for name in ("b", "a", "v1.2", "everyday", "a.resume"):
        (folder / f"{name}.npz").touch()
    assert model_names() == [*BUNDLED_MODELS, "a", "b", str(folder / "v1.2.npz")]
    for name in ("py", "한글", "my model"):
        assert is_short_name(Path(name))
        assert named_model(Path(name)) == folder / f"{name}.npz"
    for name in ("py.npz", "a/py", "./py.npz", "..", "-", "", "/py", "model.bin"):
        assert not is_short_name(Path(name))
        assert named_model(Path(name)) == Path(name)
