"""What a shell offers to complete."""

from pathlib import Path

from charrnn.cli.completion import corpora, models, one_of
from charrnn.resources import BUNDLED_MODELS, bundled_corpora


def test_texts_of_the_folder_that_is_typed_are_offered(folder: Path) -> None:
    (folder / "texts").mkdir()
    for name in ("a.txt", "texts/b.txt", "texts/c.txt.gz", "texts/d.npz"):
        (folder / name).touch()
    assert corpora("") == [*bundled_corpora(), "a.txt"]
    typed = [str(Path("texts", name)) for name in ("b.txt", "c.txt.gz")]
    assert corpora(str(Path("texts", "b"))) == [*bundled_corpora(), *typed]
    assert corpora(str(Path("nothing", "b"))) == bundled_corpora()


def test_models_are_offered_with_those_of_the_folder_that_is_typed(folder: Path) -> None:
    for name in ("checkpoints/m.npz", "checkpoints/m.resume.npz", "texts/n.npz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    trained = str(Path("checkpoints", "m.npz"))
    assert models("") == [*BUNDLED_MODELS, trained]
    assert models(str(Path("texts", "")) + "/") == [
        *BUNDLED_MODELS,
        trained,
        str(Path("texts", "n.npz")),
    ]


def test_choices_are_offered_as_they_are() -> None:
    assert one_of(("lstm", "gru"))() == ["lstm", "gru"]
