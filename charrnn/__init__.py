"""charrnn: a character-level language model on a pure NumPy core.

    import charrnn

    model = charrnn.load("everyday")
    model.sample("The cat", seed=1)
    model.score("The cat sleeps.").bits_per_char
    charrnn.train(text, minutes=1).save("mine.npz")

The names load on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from charrnn.api import Model as Model
    from charrnn.api import load as load
    from charrnn.api import train as train
    from charrnn.config import ModelConfig as ModelConfig
    from charrnn.config import SampleConfig as SampleConfig
    from charrnn.config import TrainConfig as TrainConfig
    from charrnn.config import VocabularyConfig as VocabularyConfig
    from charrnn.errors import CharRNNError as CharRNNError
    from charrnn.errors import CheckpointError as CheckpointError
    from charrnn.errors import ConfigError as ConfigError
    from charrnn.errors import CorpusError as CorpusError
    from charrnn.errors import DivergedError as DivergedError
    from charrnn.inference.sampling import Sample as Sample
    from charrnn.inference.scores import Score as Score
    from charrnn.inference.state import State as State
    from charrnn.storage.checkpoint import Checkpoint as Checkpoint
    from charrnn.training.progress import Progress as Progress

_HOMES = {
    "CharRNNError": "errors",
    "Checkpoint": "storage.checkpoint",
    "CheckpointError": "errors",
    "ConfigError": "errors",
    "CorpusError": "errors",
    "DivergedError": "errors",
    "Model": "api",
    "ModelConfig": "config",
    "Progress": "training.progress",
    "Sample": "inference.sampling",
    "SampleConfig": "config",
    "Score": "inference.scores",
    "State": "inference.state",
    "TrainConfig": "config",
    "VocabularyConfig": "config",
    "load": "api",
    "train": "api",
}
__all__ = sorted(_HOMES)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
