"""Where a training run stands after a step: what `train` yields."""

from dataclasses import dataclass

from charrnn.inference.evaluation import Evaluation


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a step."""

    step: int
    epochs: float  # passes over the training split so far
    fraction: float  # of the budget, 0 to 1
    loss: float  # nats per character of this step
    learning_rate: float
    chars: int  # predicted so far
    seconds: float  # spent in training steps so far
    train_loss: float | None = None  # nats per character since the last validation, at this one
    validation: Evaluation | None = None
    best: bool = False  # whether the weights are the best so far, and worth saving
    trouble: str = ""  # what went wrong in this step, and what was done about it
