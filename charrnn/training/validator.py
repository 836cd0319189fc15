"""Validation: evaluate a model on held-out text."""

from dataclasses import dataclass

from charrnn.inference.evaluation import Evaluation, evaluate
from charrnn.mixing.mixed import LanguageModel
from charrnn.parallel.threads import Workers
from charrnn.text.tokens import Encoded


@dataclass(frozen=True)
class Validator:
    """Evaluates models on a validation split.

    Args:
        split: the tokens.
        workers: threads and processes that share the work.
        count_eos: whether the ends of documents count.
    """

    split: Encoded
    workers: Workers
    count_eos: bool = True

    def evaluate(self, model: LanguageModel) -> Evaluation:
        """Return the model's loss on the whole split."""
        return evaluate(model, self.split, self.workers, count_eos=self.count_eos)
