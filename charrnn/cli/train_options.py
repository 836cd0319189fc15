"""The options of `charrnn train`, named after the fields that they set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from charrnn.cli.options import corpora, models, one_of
from charrnn.config import ACTIVATIONS, CELLS, FEEDBACKS, FORMS, TOKENS


def _chosen(help: str) -> Any:
    """An option whose default is chosen from the corpus and the budget."""
    return typer.Option(help=f"{help}  [default: automatic]", show_default=False)


def _choice(help: str, choices: Sequence[str]) -> Any:
    """An option with these choices, listed in its help and by completion."""
    return typer.Option(help=f"{help}: {', '.join(choices)}.", autocompletion=one_of(choices))


Corpus = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CORPUS",
        help="Text files, folders, '-' for stdin, or bundled corpora.  [default: stories]",
        autocompletion=corpora,
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="Model to write: a name or .npz file.  [default: checkpoints/<corpus>.npz]",
        show_default=False,
    ),
]
InitFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="CHECKPOINT",
        help="Model to fine-tune.  [default: none]",
        autocompletion=models,
        show_default=False,
        readable=False,
    ),
]
Cell = Annotated[str, _choice("Recurrent cell, or ngram for an n-gram model", CELLS)]
Activation = Annotated[str, _choice("Activation of the rnn cell", ACTIVATIONS)]
Feedback = Annotated[str, _choice("What the jordan cell feeds back", FEEDBACKS)]
Order = Annotated[int, typer.Option(help="Order of the ngram cell, which reads order - 1 tokens.")]
Ngram = Annotated[
    int | None,
    _chosen("Order of the n-gram model that a network builds on; 0: none."),
]
NgramScale = Annotated[
    float, typer.Option(help="Weight of the n-gram's log-probabilities in the logits.")
]
Mix = Annotated[
    bool,
    typer.Option(
        "--mix/--no-mix",
        help="Mix in what followed earlier repetitions, where that predicts better.",
    ),
]
MaxNgrams = Annotated[
    int | None,
    typer.Option(
        help="Most n-grams to keep.  [default: 10000000; with a network, as many as fit into "
        "the size of the corpus]",
        show_default=False,
    ),
]
HiddenSize = Annotated[int | None, _chosen("Units per layer.")]
NumLayers = Annotated[int | None, _chosen("Number of layers.")]
EmbeddingSize = Annotated[int | None, _chosen("Embedding size; 0: one-hot input.")]
Dropout = Annotated[
    float | None, _chosen("Dropout probability between layers and before the head.")
]
RecurrentDropout = Annotated[float | None, _chosen("Dropout probability of the recurrent weights.")]
Lines = Annotated[
    bool | None,
    typer.Option(
        "--lines/--whole",
        help="Read each line, or each file, as a document.  [default: --lines for bundled corpora]",
        show_default=False,
    ),
]
Field = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Field of JSON Lines, CSV or TSV to learn from.  [default: none]",
        show_default=False,
    ),
]
Glob = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN",
        help="Files to read of a folder, e.g. '*.md'.  [default: '*.txt', also compressed]",
        show_default=False,
    ),
]
ValFraction = Annotated[
    float | None,
    typer.Option(
        help="Share of the text to hold out for validation.  [default: 0.1, at most a million "
        "characters]",
        show_default=False,
    ),
]
Val = Annotated[
    Path | None,
    typer.Option(help="Text file to validate on.  [default: a part of CORPUS]", show_default=False),
]
Tokens = Annotated[str, _choice("What the model reads and writes", TOKENS)]
Normalize = Annotated[
    str,
    typer.Option(
        help=f"Unicode form: {', '.join(FORMS)}; nfd splits Hangul into jamo.",
        autocompletion=one_of(FORMS),
    ),
]
VocabSize = Annotated[
    int | None,
    typer.Option(
        help="Most tokens in the vocabulary.  [default: all characters, 10000 words]",
        show_default=False,
    ),
]
MinCount = Annotated[int, typer.Option(help="Tokens rarer than this become <UNK>.")]
UnkRate = Annotated[float, typer.Option(help="Share of training tokens replaced by <UNK>.")]
Epochs = Annotated[
    float | None, typer.Option(help="Budget in passes over the text.", show_default=False)
]
Steps = Annotated[int | None, typer.Option(help="Budget in weight updates.", show_default=False)]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Budget in minutes.  [default: 5 million characters]",
        show_default=False,
    ),
]
BatchSize = Annotated[int | None, _chosen("Batch size: parts of the text read in parallel.")]
SeqLen = Annotated[int | None, _chosen("Steps of backpropagation through time.")]
Accumulate = Annotated[int, typer.Option(help="Batches to accumulate before each update.")]
LearningRate = Annotated[float | None, _chosen("Peak learning rate; warms up, then decays to 0.")]
WeightDecay = Annotated[float | None, _chosen("Weight decay, decoupled as in AdamW.")]
ClipNorm = Annotated[float, typer.Option(help="Clip gradients to this norm.")]
ScheduledSampling = Annotated[
    float,
    typer.Option(help="Final share of inputs that the model samples itself."),
]
Evaluations = Annotated[int, typer.Option(help="Most validations during training.")]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue the run that writes this model.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Discard an unfinished run of this model.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan without training.")]
SampleEvery = Annotated[
    int | None,
    typer.Option(
        help="Show a longer sample every N steps.  [default: never]",
        min=1,
        show_default=False,
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        help="Append a line of JSON per step to a .jsonl file.  [default: none]",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
