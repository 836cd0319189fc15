"""Text to token ids and back.

Two ids are always there: EOS ends a document and is only ever predicted, never an input; UNK
stands for every character outside the vocabulary. The other ids are characters (Unicode code
points) in code point order, so that the same text always gives the same ids.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from charrnn.errors import CorpusError

EOS, UNK = 0, 1
EOS_NAME, UNK_CHARACTER = "<EOS>", "\ufffd"
NUM_SPECIAL = 2
_CODE_POINTS = 0x110000


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
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(text)
        return cls(sorted(char for char, count in counts.items() if count >= min_count))

    def __len__(self) -> int:
        return NUM_SPECIAL + len(self.characters)

    @cached_property
    def _id_of_code_point(self) -> np.ndarray:
        table = np.full(_CODE_POINTS, UNK, np.int32)
        table[[ord(char) for char in self.characters]] = np.arange(NUM_SPECIAL, len(self))
        return table

    @cached_property
    def dtype(self) -> np.dtype:
        """The smallest signed integer type that holds every id, and IGNORE."""
        return np.min_scalar_type(-len(self))

    def encode(self, text: str) -> np.ndarray:
        """Ids (len(text),) of the characters of a normalised text, UNK for those not known."""
        code_points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        return self._id_of_code_point[code_points].astype(self.dtype)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; UNK reads as U+FFFD, EOS as nothing."""
        special = ("", UNK_CHARACTER)
        return "".join(
            special[i] if i < NUM_SPECIAL else self.characters[i - NUM_SPECIAL] for i in ids
        )
