"""A model as one web page that writes and scores text in any browser, without a network.

The page's own HTML, CSS and JavaScript lie in `page/`. Its policy allows these scripts and this
style by their hashes and nothing else, so that the page can fetch nothing. The model stands in it
as base64, which holds no markup.
"""

import json
import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from charrnn.config import LINES
from charrnn.ids import UNK
from charrnn.mixing import inputs
from charrnn.mixing.mixed import MEMORY, LanguageModel, Mixed
from charrnn.ngrams.ngram import NGram
from charrnn.ngrams.residual import ResidualRNN
from charrnn.render.display import quantity, visible
from charrnn.render.shading import SHADES
from charrnn.storage.checkpoint import Checkpoint, check_finite
from charrnn.storage.files import MARK
from charrnn.text.vocabulary import Vocabulary, word_classes

Array = np.ndarray

_FILES = Path(__file__).parent / "page"
# In the order in which they build on one another; the last two of them need a page.
MODEL_SCRIPTS = ("archive", "vocabulary", "network", "ngram", "mixture", "model")
SCRIPTS = (*MODEL_SCRIPTS, "text", "writer", "scorer", "page")
_LEVEL = 9  # of compression
_MOST = (1 << 15) - 1  # that 16 bits hold


def page(checkpoint: Checkpoint, name: str) -> str:
    """The page of a model.

    Args:
        name: of the model, as its heading.

    Raises:
        CheckpointError: the model's weights are not finite.
    """
    style, scripts = source("page.css"), [source(f"{script}.js") for script in SCRIPTS]
    policy = (
        f"default-src 'none'; base-uri 'none'; form-action 'none'; style-src {_hash(style)}; "
        f"script-src {' '.join(map(_hash, scripts))}"
    )
    legend = " ".join(
        f'<span class="s{number}">{shade.name}</span>' for number, shade in enumerate(SHADES)
    )
    return Template(source("page.html")).substitute(
        mark=MARK,
        policy=policy,
        title=escape(visible(name)),
        style=style,
        legend=legend,
        model=b64encode(packed(checkpoint, name)).decode(),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def source(name: str) -> str:
    """One of the page's own files."""
    return (_FILES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def packed(checkpoint: Checkpoint, name: str) -> bytes:
    """A model as `page/archive.js` reads it."""
    arrays = dict(_arrays(checkpoint.model))
    header = _header(checkpoint, name) | {
        "arrays": [[name, array.dtype.str[1:], array.size] for name, array in arrays.items()]
    }
    text = json.dumps(header).encode()
    planes = [
        np.ascontiguousarray(array.reshape(-1, 1), array.dtype.newbyteorder("<"))
        .view(np.uint8)
        .T.tobytes()
        for array in arrays.values()
    ]
    return zlib.compress(b"".join([struct.pack("<I", len(text)), text, *planes]), _LEVEL)


def _arrays(model: LanguageModel) -> Iterator[tuple[str, Array]]:
    """The arrays of a model, in few bytes."""
    for name, array in model.arrays.items():
        if name == "mixing.keys":  # ascending, so that differences are small
            yield name, np.diff(array, prepend=array.dtype.type(0))
        elif name == "mixing.letters":
            yield name, array.astype(np.uint8)
        elif name.startswith(("ngram.", "mixing.")):
            yield name, array
        else:
            scale, numbers = in_16_bits(array)
            yield f"{name}.scale", scale
            yield name, numbers
    if isinstance(model, Mixed):
        yield "mixing.factors", inputs.FACTORS
        yield "mixing.powers", inputs.POWERS


def in_16_bits(weight: Array) -> tuple[Array, Array]:
    """A matrix (R, C) as a scale for each row (R,) and whole numbers (R, C).

    float16 takes as many bits and is several times less exact.

    Raises:
        CheckpointError: it holds numbers that are not finite.
    """
    largest = np.abs(weight).max(axis=1)
    check_finite(float(largest.max()))
    scale = (largest / _MOST).astype(np.float32)
    numbers = weight / np.where(scale > 0, scale, 1)[:, None]
    return scale, np.rint(numbers).clip(-_MOST, _MOST).astype(np.int16)


def _header(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    model = checkpoint.model
    found = {
        "name": visible(name),
        "about": about(checkpoint),
        "config": asdict(model.config),
        "vocabulary": _vocabulary(checkpoint.vocabulary),
        "countEos": checkpoint.count_eos,
        "lines": checkpoint.separator == LINES,
        "shades": [shade.bits for shade in SHADES],
    }
    if isinstance(model, Mixed):
        found["mixing"] = {
            "contexts": inputs.CONTEXTS,
            "lengths": inputs.LENGTHS,
            "memory": MEMORY,
            "lastTokens": inputs.LAST,
            "discount": inputs.DISCOUNT,
            "match": inputs.MATCH,
            "tiny": inputs.TINY,
            "perNat": inputs.PER_NAT,
            "agreeing": inputs.AGREEING,
            "different": inputs.DIFFERENT.tolist(),
            "totals": inputs.TOTALS.tolist(),
        }
    return found


def _vocabulary(vocabulary: Vocabulary) -> dict[str, Any]:
    config = vocabulary.config
    found: dict[str, Any] = {
        "tokens": vocabulary.tokens,
        "kind": config.tokens,
        "form": config.normalize.upper(),
        "costOfUnknown": vocabulary.unknown_nats(["?"], np.array([UNK])).item(),
    }
    if config.tokens == "word":
        found["classes"] = word_classes()
    return found


def about(checkpoint: Checkpoint) -> str:
    """What a model is, in a line."""
    model, unit = checkpoint.model, checkpoint.vocabulary.config.unit
    config = model.config
    if isinstance(model, NGram):
        said = f"An n-gram model of {quantity(model.size, 'k-gram')}"
    else:
        said = f"A recurrent network ({config.cell}) of {model.size:,} parameters"
    if isinstance(model, Mixed):
        said += ", beside n-grams and a memory of what it has read"
    elif isinstance(model, ResidualRNN):
        said += ", beside n-grams"
    return f"{said}. It reads and writes {unit} by {unit}, in this page alone."
