"""The ids that mean the same in every vocabulary, and the one that is no token."""

EOS = 0  # ends a document; only ever predicted, never an input
UNK = 1  # any token outside the vocabulary
NUM_SPECIAL = 2  # ids before the first token of the text
IGNORE = -1  # a target that is not predicted: padding, or the place where a document was cut
