"""The progress of a training run, as `train` yields it after every step."""

from dataclasses import dataclass

from charrnn.inference.evaluation import Evaluation


@dataclass(frozen=True)
class Progress:
    """The state of a run after a step."""

    step: int
    epochs: float  # passes over the training split so far
    fraction: float  # of the budget, 0 to 1
    loss: float  # of this step, in nats per character
    learning_rate: float
    chars: int  # predicted so far
    seconds: float  # in training steps so far
    train_loss: float | None = None  # since the last validation, in nats per character; at the next
    validation: Evaluation | None = None
    best: bool = False  # whether the weights are the best so far, and should be saved
    trouble: str = ""  # what went wrong in this step, and what was done about it
