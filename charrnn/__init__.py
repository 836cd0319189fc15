"""charrnn: a character-level language model on a pure NumPy core.

The public names load on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "CharRNN": "model",
    "CharRNNError": "errors",
    "Checkpoint": "checkpoint",
    "ModelConfig": "config",
    "Sample": "sampling",
    "SampleConfig": "config",
    "Score": "scoring",
    "TrainConfig": "config",
    "Vocabulary": "vocabulary",
    "VocabularyConfig": "config",
    "Workers": "parallel",
    "evaluate": "evaluation",
    "generate": "sampling",
    "load": "checkpoint",
    "read_corpus": "corpus",
    "save": "checkpoint",
    "score": "scoring",
    "split_corpus": "corpus",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
