"""Checkpoints: one .npz file is one model, written whole or not at all and loaded without trust.

The file is an uncompressed zip of .npy members: the parameter arrays under the names of
`charrnn.parameters.parameter_shapes`, float32, those of `charrnn.ngram.NGram` where there is an
n-gram model, and `metadata`, one JSON text with

    format      "charrnn"
    version     1
    model       the fields of ModelConfig; what is missing has its default
    tokens      the fields of VocabularyConfig; what is missing has its default
    vocabulary  the tokens, in the order of their ids after <EOS> and <UNK>
    lines       whether the documents were lines
    separator   the text at which files were cut into documents, "" for whole files; without it,
                what `lines` says
    training    how it was trained: command, settings, corpus and its hash, figures, history
"""

import contextlib
import json
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any
from unicodedata import is_normalized

import numpy as np

from charrnn.config import LINES, WHOLE, ModelConfig, VocabularyConfig
from charrnn.errors import CheckpointError, ConfigError
from charrnn.evaluation import Model
from charrnn.model import CharRNN
from charrnn.ngram import NGram
from charrnn.parameters import parameter_shapes
from charrnn.residual import ResidualRNN
from charrnn.resources import BUNDLED_MODELS, bundled_model
from charrnn.vocabulary import Vocabulary

FORMAT, VERSION = "charrnn", 1
FOLDER = Path("checkpoints")
_SUFFIX = ".npz"
_NOT_MODELS = (".resume.npz", ".previous.npz")
_METADATA = "metadata"
_DAMAGE = (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OverflowError)  # to zipfile
_MAX_METADATA = 1 << 26  # bytes: a vocabulary of all Unicode with a long history fits
_FLOAT16, _FLOAT32 = np.dtype(np.float16).str, np.dtype(np.float32).str
_UNSIGNED = [np.dtype(kind).str for kind in (np.uint8, np.uint16, np.uint32)]
_HEADER = re.compile(
    rb"\{'descr': '([<>|]?\w{1,20})', 'fortran_order': False, 'shape': \(([\d, ]{0,50})\), \} *\n"
)

Header = tuple[str, tuple[int, ...]]  # type and shape of an array


@dataclass(frozen=True)
class Checkpoint:
    """A model with what is needed to use it."""

    model: Model
    vocabulary: Vocabulary
    separator: str  # where files were cut into documents: LINES, another text, or WHOLE
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def count_eos(self) -> bool:
        """Whether the end of a text counts unless asked otherwise: where files were cut."""
        return self.separator != WHOLE


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write `path` atomically: whatever happens, it holds the old file or the new one, whole.

    Raises:
        CheckpointError: the file cannot be written; the old one is intact.
    """
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "model": asdict(checkpoint.model.config),
        "tokens": asdict(checkpoint.vocabulary.config),
        "vocabulary": list(checkpoint.vocabulary.tokens),
        "lines": checkpoint.separator == LINES,
        "separator": checkpoint.separator,
        "training": checkpoint.training,
    }
    text = json.dumps(metadata, allow_nan=False, ensure_ascii=False)
    with atomic_write(path) as file:
        arrays: dict[str, Any] = {_METADATA: np.array(text), **checkpoint.model.arrays}
        np.savez(file, **arrays)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes the name `path` only once it is whole and on the disk.

    Raises:
        CheckpointError: the system refuses; nothing is left behind.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Put a rename on the disk, where folders can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(path: Path) -> None:
    """Raise CheckpointError unless a checkpoint can be written to `path`, before hours of work."""
    if path.suffix != _SUFFIX:
        raise CheckpointError(f"cannot write {path}: the name of a model ends in {_SUFFIX}")
    try:
        if path.exists() and not path.is_file():
            raise CheckpointError(f"cannot write {path}: it is there and is no file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}."):
            pass  # the name that `atomic_write` needs, as it may be too long
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None


def keep_previous(path: Path) -> Path | None:
    """Give the model at `path` the second name NAME.previous.npz; None where there is no model.

    At no moment is there no `path`.
    """
    if not path.exists():
        return None
    previous = path.with_name(path.name.removesuffix(_SUFFIX) + ".previous" + _SUFFIX)
    with atomic_write(previous) as file:
        file.write(path.read_bytes())
    return previous


def find(path: Path | None = None) -> Path:
    """The checkpoint to use: `path`, a file or the name of a bundled model, else the newest in
    ./checkpoints, else the first bundled one.

    Raises:
        CheckpointError: there is none.
    """
    if path is not None:
        is_name = str(path) in BUNDLED_MODELS and not path.exists()
        return bundled_model(str(path)) if is_name else path
    models = []
    for file in FOLDER.glob(f"*{_SUFFIX}"):
        if not file.name.startswith(".") and not file.name.endswith(_NOT_MODELS):
            with contextlib.suppress(OSError):
                models.append((file.stat().st_mtime_ns, file))
    return max(models)[1] if models else bundled_model()


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint. Nothing in the file is trusted: no code runs, and no array is allocated
    before its name, type and size are known to be right.

    Raises:
        CheckpointError: it cannot be read, or is not a checkpoint of this version.
    """
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            return _load(archive, os.fstat(file.fileno()).st_size)
    except (CheckpointError, ConfigError) as error:
        raise CheckpointError(f"cannot load {path}: {error}") from None
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:  # it cannot be opened
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from None
        raise CheckpointError(
            f"{path} is no checkpoint, or it is damaged; train it again or restore a copy"
        ) from None


def _load(archive: zipfile.ZipFile, file_size: int) -> Checkpoint:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise CheckpointError("it holds two members of one name")
    total = sum(info.file_size for info in members.values())
    if total > file_size or any(info.compress_type for info in members.values()):
        raise CheckpointError("its members are compressed or overlap, which charrnn never writes")
    info = members.pop(_METADATA + ".npy", None)
    if info is None:
        raise CheckpointError("it holds no metadata, so it is no checkpoint of charrnn")
    config, vocabulary, separator, training = _parse(_read_metadata(archive, info))
    headers = {}
    for name, info in members.items():
        with archive.open(info) as file:
            headers[name.removesuffix(".npy")] = _header(file)
    layout = _layout(config, headers)
    if layout.keys() != headers.keys():
        names = ", ".join(map(repr, sorted(layout.keys() ^ headers.keys())[:3]))
        raise CheckpointError(f"its arrays do not fit its configuration ({names})")
    for name, (dtype, shape) in layout.items():
        if headers[name] != (dtype, shape):
            found, found_shape = headers[name]
            raise CheckpointError(f"{name} is {found} {found_shape}, not {dtype} {shape}")
    if sum(map(_num_bytes, layout.values())) > file_size:
        raise CheckpointError("it is smaller than the arrays it should hold")
    arrays = {name: _read_array(archive, name, layout[name]) for name in layout}
    return Checkpoint(_model(config, arrays), vocabulary, separator, training)


def _num_bytes(header: Header) -> int:
    dtype, shape = header
    return np.dtype(dtype).itemsize * math.prod(shape)


def _layout(config: ModelConfig, headers: dict[str, Header]) -> dict[str, Header]:
    """Name, type and shape of every array that a model of this configuration has."""
    layout: dict[str, Header] = {}
    if config.cell != "ngram":
        layout = {name: (_FLOAT32, shape) for name, shape in parameter_shapes(config).items()}
    if config.cell == "ngram" or config.ngram:
        layout |= _ngram_layout(config.vocab_size, headers)
    return layout


def _ngram_layout(vocab_size: int, headers: dict[str, Header]) -> dict[str, Header]:
    """The same for the arrays of an n-gram model, of any number of k-grams."""
    _, tokens = headers.get("ngram.tokens", ("", ()))
    children_type, children = headers.get("ngram.children", ("", ()))
    if len(tokens) != 1 or len(children) != 1 or children_type not in _UNSIGNED:
        raise CheckpointError("it holds no n-gram model where there should be one")
    return {
        "ngram.tokens": (np.min_scalar_type(vocab_size - 1).str, tokens),
        "ngram.children": (children_type, children),
        "ngram.alpha": (_FLOAT16, tokens),
    }


def _model(config: ModelConfig, arrays: dict[str, np.ndarray]) -> Model:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise CheckpointError(f"{name} holds numbers that are not finite")
    kind = NGram if config.cell == "ngram" else ResidualRNN if config.ngram else CharRNN
    try:
        return kind.from_arrays(config, arrays)
    except ValueError as error:
        raise CheckpointError(str(error)) from None


def _header(file: IO[bytes]) -> Header:
    """Type and shape from the start of a .npy member of version 1.

    By pattern, as NumPy's own reader evaluates literals, warns and raises more than ValueError.
    """
    start = file.read(10)
    found = _HEADER.fullmatch(file.read(int.from_bytes(start[8:], "little")))
    if not start.startswith(b"\x93NUMPY\x01\x00") or not found:
        raise CheckpointError("it holds an array of an unknown format")
    return found[1].decode(), tuple(map(int, re.findall(rb"\d+", found[2])))


def _read_array(archive: zipfile.ZipFile, name: str, header: Header) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        dtype, shape = _header(file)
        if info.file_size != file.tell() + _num_bytes(header):
            raise CheckpointError(f"{name} is cut off")
        return np.frombuffer(file.read(), dtype).reshape(shape)


def _read_metadata(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The JSON text of a checkpoint, a Unicode array of no dimensions, as UTF-32."""
    with archive.open(info) as file:
        dtype, shape = _header(file)
        size = info.file_size - file.tell()
        if shape != () or dtype[1:] != f"U{size // 4}" or size > _MAX_METADATA:
            raise CheckpointError("its metadata is no text, or too long")
        return file.read()


def _parse(text: bytes) -> tuple[ModelConfig, Vocabulary, str, dict[str, Any]]:
    """Check and convert the metadata."""
    try:
        metadata = json.loads(text)
        json.dumps(metadata, allow_nan=False)  # what `save` would not write, too deep or not finite
    except (ValueError, RecursionError):
        raise CheckpointError("its metadata is no JSON, or too deep") from None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise CheckpointError("its metadata is not charrnn's")
    if metadata.get("version") != VERSION:
        raise CheckpointError(
            f"it has format version {str(metadata.get('version'))[:20]}, and this charrnn reads "
            f"version {VERSION}; use the charrnn that wrote it"
        )
    model: dict[str, Any] = _fields(metadata.get("model"), ModelConfig)
    tokens = _fields(metadata.get("tokens", {}), VocabularyConfig)
    lines, training = metadata.get("lines"), metadata.get("training")
    separator = metadata.get("separator", LINES if lines else WHOLE)
    if not (isinstance(lines, bool) and _is_text(separator) and isinstance(training, dict)):
        raise CheckpointError("its metadata is incomplete")
    if "vocab_size" not in model:
        raise CheckpointError("its metadata lacks the model's configuration")
    config = ModelConfig(**model)
    vocabulary = _vocabulary(metadata.get("vocabulary"), VocabularyConfig(**tokens))
    if config.vocab_size != len(vocabulary):
        raise CheckpointError("its vocabulary does not fit its configuration")
    return config, vocabulary, separator, training


def _fields(value: Any, kind: type) -> dict[str, Any]:
    """A part of the metadata that holds fields of a configuration and nothing else."""
    if not (isinstance(value, dict) and value.keys() <= {each.name for each in fields(kind)}):
        raise CheckpointError(f"its metadata holds no {kind.__name__}")
    return value


def _is_text(value: Any) -> bool:
    """Whether it is a string without halves of surrogate pairs."""
    return isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value)


def _vocabulary(tokens: Any, config: VocabularyConfig) -> Vocabulary:
    longest = 1 if config.tokens == "char" else _MAX_METADATA
    if not (
        isinstance(tokens, list)
        and all(_is_text(token) and 1 <= len(token) <= longest for token in tokens)
        and len(set(tokens)) == len(tokens)
        and (config.normalize == "nfc" or all(is_normalized("NFD", token) for token in tokens))
    ):
        raise CheckpointError(f"its vocabulary is no list of distinct {config.unit}s")
    return Vocabulary(tokens, config)
