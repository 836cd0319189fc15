"""The options of `charrnn train`, by the fields that they set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from charrnn.cli.options import corpora, models, one_of
from charrnn.config import ACTIVATIONS, CELLS, FEEDBACKS, FORMS, TOKENS


def _chosen(help: str) -> Any:
    """An option whose default depends on the corpus."""
    return typer.Option(help=f"{help}  [default: by the corpus]", show_default=False)


def _choice(help: str, choices: Sequence[str]) -> Any:
    """An option with these choices, which its help and the shell name."""
    return typer.Option(help=f"{help}: {', '.join(choices)}.", autocompletion=one_of(choices))


Corpus = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CORPUS",
        help="Text files, .gz, .bz2 and .xz too, folders (every *.txt below), '-' for stdin, "
        "or names of bundled corpora.  [default: english]",
        autocompletion=corpora,
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="The model to write; an older one is kept as NAME.previous.npz.  "
        "[default: checkpoints/<corpus>.npz]",
        show_default=False,
    ),
]
InitFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="CHECKPOINT",
        help="Start from the weights of this model, a file or everyday or ilsang; its sizes "
        "and its kind of tokens stay.  [default: fresh weights]",
        autocompletion=models,
        show_default=False,
    ),
]
Cell = Annotated[str, _choice("Kind of cell", CELLS)]
Activation = Annotated[str, _choice("Of the rnn cell", ACTIVATIONS)]
Feedback = Annotated[str, _choice("Of the jordan cell, what it gets of its last output", FEEDBACKS)]
Order = Annotated[int, typer.Option(help="Of the ngram cell: it sees the last order - 1 tokens.")]
Ngram = Annotated[
    int | None,
    _chosen("Order of the n-gram model that stands beside the network, 0 for none."),
]
NgramScale = Annotated[
    float, typer.Option(help="How much of its log P is added to the network's logits.")
]
MaxNgrams = Annotated[
    int | None,
    typer.Option(
        help="How many k-grams are kept.  [default: beside a network as many as fit into the "
        "size of the corpus, else 10000000]",
        show_default=False,
    ),
]
HiddenSize = Annotated[int | None, _chosen("Units of a layer.")]
NumLayers = Annotated[int | None, _chosen("Layers.")]
EmbeddingSize = Annotated[
    int | None, _chosen("Size of the learned embedding of a token, 0 for one-hot input.")
]
Dropout = Annotated[
    float | None, _chosen("Share of units dropped between layers and before the head, 0 to 1.")
]
RecurrentDropout = Annotated[
    float | None, _chosen("Share of recurrent weights dropped for a chunk, 0 to 1.")
]
Lines = Annotated[
    bool | None,
    typer.Option(
        "--lines/--whole",
        help="Whether a document is a line or a file.  [default: lines for bundled corpora]",
        show_default=False,
    ),
]
ValFraction = Annotated[
    float | None,
    typer.Option(
        help="Share of the characters held out for validation, 0 for none.  "
        "[default: 0.1, at most a million characters]",
        show_default=False,
    ),
]
Val = Annotated[
    Path | None,
    typer.Option(help="A text file to validate on instead.  [default: none]", show_default=False),
]
Tokens = Annotated[str, _choice("What the model reads and writes", TOKENS)]
Normalize = Annotated[
    str,
    typer.Option(
        help=f"Of characters: {', '.join(FORMS)}; nfd takes them apart, Hangul into jamo, and "
        "composes what is printed.",
        autocompletion=one_of(FORMS),
    ),
]
VocabSize = Annotated[
    int | None,
    typer.Option(
        help="Keep the most frequent tokens only.  [default: all characters, 10000 words]",
        show_default=False,
    ),
]
MinCount = Annotated[int, typer.Option(help="Tokens that occur less often become <UNK>.")]
UnkRate = Annotated[
    float, typer.Option(help="Share of tokens read as <UNK>, so that it is learned.")
]
Epochs = Annotated[
    float | None, typer.Option(help="Budget: passes over the text.", show_default=False)
]
Steps = Annotated[
    int | None, typer.Option(help="Budget: updates of the weights.", show_default=False)
]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Budget: minutes from start to end, all included.  "
        "[default without a budget: steps by the corpus]",
        show_default=False,
    ),
]
BatchSize = Annotated[int | None, _chosen("Streams of text read side by side.")]
SeqLen = Annotated[int | None, _chosen("Tokens of a stream that a gradient goes back through.")]
Accumulate = Annotated[
    int, typer.Option(help="Chunks of so many tokens that make an update of the weights.")
]
LearningRate = Annotated[
    float | None, _chosen("Of Adam, at its peak; it rises, then decays to 0 with the budget.")
]
WeightDecay = Annotated[float | None, _chosen("Decoupled weight decay.")]
ClipNorm = Annotated[float, typer.Option(help="Largest global norm of the gradient.")]
ScheduledSampling = Annotated[
    float,
    typer.Option(
        help="Share of the inputs that the model draws itself instead of reading them; rises "
        "to this over the run."
    ),
]
Evaluations = Annotated[
    int, typer.Option(help="Validations in the run; fewer where they take long.")
]
Seed = Annotated[int, typer.Option(help="Of all randomness.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where the run that writes the output stopped. Corpus and options are those "
        "of that run; its budget may be set anew, to a longer one.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Start anew where the output is an unfinished run.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan, its time and memory, and stop.")
]
SampleEvery = Annotated[
    int | None,
    typer.Option(
        help="Show a fresh sample every so many steps.  [default: never]",
        min=1,
        show_default=False,
    ),
]
Log = Annotated[
    Path | None,
    typer.Option(
        help="Append one line of JSON per step to this .jsonl file.  [default: none]",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show errors only.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, one object at the end.")
]
