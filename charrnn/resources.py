"""Where models and corpora lie: those that come with charrnn, and those trained here."""

import filecmp
import sys
from pathlib import Path

BUNDLED_MODELS = ("everyday", "ilsang")  # the first one is the default
FOLDER = Path("checkpoints")  # where models are written unless told otherwise
RESUME = ".resume.npz"  # ending of the file beside a model that resumes its run
PREVIOUS = (".previous.npz", ".previous-2.npz", ".previous-3.npz")  # of models it replaced
_PACKAGE = Path(__file__).parent


def _folder(name: str) -> Path:
    """A data folder: inside an installed package, or beside the package in a source tree."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def bundled_corpora() -> list[str]:
    """Names of the corpora that come along."""
    return sorted(path.stem for path in _folder("corpora").glob("*.txt"))


def bundled_corpus(name: str) -> Path | None:
    """The file of a bundled corpus, None where there is none of that name."""
    return _folder("corpora") / f"{name}.txt" if name in bundled_corpora() else None


def bundled_model(name: str = BUNDLED_MODELS[0]) -> Path:
    """The file of a pre-trained model."""
    return _folder("checkpoints") / f"{name}.npz"


def is_bundled(file: Path) -> bool:
    """Whether a file is a bundled model, or a copy of one under its name."""
    try:
        return file.stem in BUNDLED_MODELS and filecmp.cmp(
            file, bundled_model(file.stem), shallow=False
        )
    except OSError:
        return False


def trained_models(folder: Path = FOLDER) -> list[Path]:
    """The models in a folder, with neither what resumes their runs nor what they replaced."""
    try:
        files = [file for file in folder.glob("*.npz") if not file.name.startswith(".")]
    except (OSError, ValueError):  # it may not be entered, or is no name of a folder
        return []
    return [file for file in files if not file.name.endswith((RESUME, *PREVIOUS))]


def model_names() -> list[str]:
    """The short names of models: the bundled ones, and those in ./checkpoints."""
    trained = (file.with_suffix("") for file in trained_models())
    names = (file.name if is_short_name(Path(file.name)) else f"{file}.npz" for file in trained)
    return [*dict.fromkeys([*BUNDLED_MODELS, *sorted(names)])]


def is_short_name(path: Path) -> bool:
    """Whether it is the bare name of a model, such as `english`, and not a file."""
    name = str(path)
    return name == path.name and "." not in name and not name.startswith("-")


def named_model(path: Path) -> Path:
    """The file for a model of that name: checkpoints/NAME.npz for a short name, else the path."""
    return FOLDER / f"{path}.npz" if is_short_name(path) else path


def peak_memory() -> int:
    """The most memory in bytes that this process ever held, 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
