"""`charrnn inspect`: what is in a checkpoint."""

from dataclasses import asdict
from typing import Any

from charrnn.cli.options import AsJson, CheckpointPath, as_line


def inspect(checkpoint: CheckpointPath = None, as_json: AsJson = False) -> None:
    """Show what is in a checkpoint.

    Its configuration, its size, its vocabulary and its training history.
    """
    from charrnn import checkpoint as checkpoints
    from charrnn.display import inspection

    path = checkpoints.find(checkpoint)
    loaded = checkpoints.load(path)
    fields: dict[str, Any] = {
        "checkpoint": str(path),
        "model": asdict(loaded.model.config),
        "parameters": loaded.model.size,
        "arrays": {name: list(array.shape) for name, array in loaded.model.arrays.items()},
        "lines": loaded.lines,
        "vocabulary": list(loaded.vocabulary.characters),
        "training": loaded.training,
    }
    if as_json:
        print(as_line(fields))
    else:
        inspection(fields)
