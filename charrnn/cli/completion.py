"""What a shell completes: names of corpora and of models, and choices. Nothing here needs NumPy."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from charrnn.resources import BUNDLED_MODELS, bundled_corpora, trained_models
from charrnn.text.compression import is_text_file


def corpora(incomplete: str) -> list[str]:
    """Bundled corpora, and texts in the folder that is being typed."""
    folder, texts = os.path.dirname(incomplete), []
    with contextlib.suppress(OSError):
        texts = [name for name in os.listdir(folder or ".") if is_text_file(name)]
    return [*bundled_corpora(), *(os.path.join(folder, name) for name in sorted(texts))]


def models(incomplete: str) -> list[str]:
    """Bundled models, those in ./checkpoints, and those in the folder that is being typed."""
    folder = os.path.dirname(incomplete)
    typed = [os.path.join(folder, path.name) for path in trained_models(Path(folder))]
    return [*BUNDLED_MODELS, *sorted({*map(str, trained_models()), *typed})]


def one_of(choices: Sequence[str]) -> Callable[[], list[str]]:
    """A function that an option of these choices is completed by."""
    return lambda: list(choices)
