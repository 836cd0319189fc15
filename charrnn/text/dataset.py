"""A corpus ready for training: its vocabulary, and the tokens of both splits."""

import hashlib
from dataclasses import dataclass

from charrnn.config import VocabularyConfig
from charrnn.errors import CorpusError, setting
from charrnn.text.corpus import Corpus, Split
from charrnn.text.tokens import Encoded, Tokens, encode_documents, learn_vocabulary, tokenize
from charrnn.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Dataset:
    """A corpus ready for training."""

    corpus: Corpus
    split: Split
    vocabulary: Vocabulary
    train: Tokens
    validation: Encoded | None  # None: nothing is held out

    @classmethod
    def of(cls, corpus: Corpus, split: Split, config: VocabularyConfig) -> "Dataset":
        """Learn the vocabulary, and encode both splits.

        Raises:
            CorpusError: no token is left to train on.
        """
        vocabulary = learn_vocabulary(split.train, config)
        if not vocabulary.tokens:
            raise CorpusError(
                f"no {config.unit} occurs {config.min_count} times in the text; "
                f"lower {setting('min_count')}"
            )
        validation = encode_documents(vocabulary, split.val) if split.val else None
        return cls(corpus, split, vocabulary, tokenize(vocabulary, split.train), validation)

    @property
    def val_sha256(self) -> str:
        """Hash of the validation tokens, "" if there are none."""
        return (
            hashlib.sha256(self.validation.tokens.tobytes()).hexdigest() if self.validation else ""
        )

    @property
    def chars_per_token(self) -> float:
        """Average number of characters per token of the training split."""
        documents = self.split.train
        num_ends = len(documents) - documents.cut
        return (documents.chars + num_ends) / (len(self.train) - documents.cut)
