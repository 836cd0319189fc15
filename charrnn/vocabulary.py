"""Text to token ids and back.

Two ids are always there: EOS ends a document and is only ever predicted, never an input; UNK
stands for every character outside the vocabulary. The other ids are characters (Unicode code
points) in code point order, so that the same text always gives the same ids.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from charrnn.errors import CorpusError

EOS, UNK = 0, 1
EOS_NAME, UNK_NAME, UNK_CHARACTER = "<EOS>", "<UNK>", "\ufffd"
NUM_SPECIAL = 2
_CODE_POINTS = 0x110000
_PART = 1 << 20  # characters counted at a time


def normalize(text: str) -> str:
    """The canonical form of a text: NFC, so that one character has one spelling.

    Raises:
        CorpusError: it holds half a surrogate pair, as bytes that are no text leave it.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise CorpusError(
                f"the text is not valid Unicode at character {error.start}; is it UTF-8?"
            ) from None
    return unicodedata.normalize("NFC", text)


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


class Vocabulary:
    """The characters a model knows.

    Args:
        characters: distinct single characters; their ids follow EOS and UNK in this order.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)

    @classmethod
    def from_texts(cls, texts: Iterable[str], min_count: int = 1) -> "Vocabulary":
        """The characters that occur at least `min_count` times in `texts`."""
        text, counts = "".join(texts), np.zeros(_CODE_POINTS, np.int64)
        for start in range(0, len(text), _PART):
            part = _code_points(text[start : start + _PART])
            counts += np.bincount(part, minlength=_CODE_POINTS)
        return cls([chr(code_point) for code_point in np.flatnonzero(counts >= max(1, min_count))])

    def __len__(self) -> int:
        return NUM_SPECIAL + len(self.characters)

    @cached_property
    def _id_of_code_point(self) -> np.ndarray:
        table = np.full(_CODE_POINTS, UNK, self.dtype)
        table[_code_points("".join(self.characters))] = np.arange(NUM_SPECIAL, len(self))
        return table

    @cached_property
    def dtype(self) -> np.dtype:
        """The smallest signed integer type that holds every id, and IGNORE."""
        return np.min_scalar_type(-len(self))

    def encode(self, text: str) -> np.ndarray:
        """Ids (len(text),) of the characters of a normalised text, UNK for those not known."""
        ids: np.ndarray = self._id_of_code_point[_code_points(text)]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; UNK reads as U+FFFD, EOS as nothing."""
        special = ("", UNK_CHARACTER)
        return "".join(
            special[i] if i < NUM_SPECIAL else self.characters[i - NUM_SPECIAL] for i in ids
        )
