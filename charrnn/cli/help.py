"""Help in plain text: options in groups, and examples of each command.

`--help` fits a screen: the options that most people need, a line each. `--help-all` has all.
"""

import inspect
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer import _completion_shared
from typer.core import TyperCommand, TyperGroup

from charrnn.cli.usage import ALIASES, check_attached
from charrnn.errors import ConfigError, did_you_mean

EXAMPLES = {
    "train": (
        "charrnn train novel.txt --minutes 5",
        "charrnn train names.txt --lines --cell gru -o names.npz",
        "charrnn train --resume -o names.npz",
    ),
    "sample": (
        'charrnn sample "The cat" --temperature 0.7',
        "charrnn sample -c ilsang --num-samples 3 --seed 1",
        'charrnn sample "The ca" --next',
        "charrnn sample --interactive",
    ),
    "score": (
        'charrnn score "a pear salad" "a pair salad"',
        "charrnn score --file novel.txt --total",
        "charrnn score -c a.npz -c b.npz --file novel.txt --total",
    ),
    "classify": (
        'charrnn classify -c a.npz -c b.npz "Which of the two is it from?"',
        "charrnn classify -c a.npz -c b.npz --labels labelled.tsv",
    ),
    "inspect": (
        "charrnn inspect everyday",
        "charrnn inspect names.npz --json",
        "charrnn inspect --list",
    ),
    "export": (
        "charrnn export -c names.npz -o names.html",
        "charrnn export -c everyday",
    ),
}
_INDENT = 11  # columns before the summary of a command
OTHERS = "Other"  # the group of all options without a group
GROUPS = {
    "train": {
        "Data": "lines split_on field glob val_fraction val tokens normalize vocab_size min_count "
        "unk_rate encoding max_size",
        "Model": "init_from cell hidden_size num_layers embedding_size dropout recurrent_dropout "
        "activation feedback order ngram ngram_scale mix max_ngrams",
        "Budget": "epochs steps minutes",
        "Training": "batch_size seq_len accumulate learning_rate weight_decay clip_norm "
        "scheduled_sampling evaluations seed",
        "Output": "output resume force dry_run sample_every log quiet as_json",
    },
    "sample": {
        "Model": "checkpoint",
        "Prompts": "prompts interactive adapt encoding max_size",
        "Drawing": "length temperature top_k top_p min_p beam regex ban no_repeat stop keep_stop "
        "num_samples best allow_unk seed",
        "Output": "next_character choices novel novel_min novel_only colour as_json",
    },
    "score": {
        "Model": "checkpoints part",
        "Data": "files lines split_on field encoding max_size",
        "Scoring": "prefix eos streams adapt",
        "Output": "per_char per_word total tsv sort fail_over html svg as_json",
    },
    "classify": {
        "Models": "checkpoints",
        "Data": "files labels lines split_on encoding max_size",
        "Scoring": "eos",
        "Output": "as_json",
    },
    "inspect": {
        "Model": "checkpoints everything",
        "Training": "plot over",
        "Text": "neuron neurons memory context reset gradient_flow encoding max_size",
        "Output": "html as_json",
    },
    "export": {"Model": "checkpoint", "Output": "output as_json"},
}


# The options in `--help`, beside the arguments.
MAIN = {
    "train": "lines field init_from cell hidden_size num_layers epochs steps minutes output resume "
    "dry_run quiet",
    "sample": "checkpoint interactive length temperature top_p regex num_samples seed "
    "next_character novel as_json",
    "score": "checkpoints files lines prefix eos per_char per_word html total sort as_json",
    "classify": "checkpoints files labels lines eos as_json",
    "inspect": "checkpoints everything plot neuron neurons memory gradient_flow html as_json",
    "export": "checkpoint output",
}
_HELP_ROWS = [
    ("-h, --help", "Show the main options and exit."),
    ("--help-all", "Show all options and exit."),
]
_LIMITS = re.compile(r"  \[(default: none|[^]]*x[<>]=[^]]*)]")  # left out on one screen
_ALL = "charrnn.help.all"  # whether --help-all was asked for


class Command(TyperCommand):
    """A command whose help shows options in groups, then examples."""

    def __init__(self, name: str | None, **options: Any) -> None:
        super().__init__(name, **options)
        aliases = ALIASES.get(name or "", {})
        self.context_settings["token_normalize_func"] = lambda name: aliases.get(name, name)

    def get_help_option_names(self, ctx: Any) -> list[str]:
        return ["-h", "--help", "--help-all"]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_ALL] = "--help-all" in args
        if not ctx.resilient_parsing:  # as completion does
            check_attached(ctx, args)
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        whole = self.help or ""
        if not ctx.meta.get(_ALL):
            self.help = inspect.cleandoc(whole).partition("\n\n")[0]
        super().format_help_text(ctx, formatter)
        self.help = whole

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups = {
            title: rows
            for title, parameters in self.grouped(ctx).items()
            if (rows := self._rows(ctx, parameters))
        }
        width = max(len(name) for rows in groups.values() for name, _ in rows)
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in rows])

    def _rows(self, ctx: Any, parameters: Sequence[Any]) -> list[tuple[str, str]]:
        """Return names and texts of the parameters to show."""
        main, rows = MAIN.get(self.name or "", "").split(), []
        for parameter in parameters:
            is_argument = parameter.param_type_name == "argument"
            if "--help" in parameter.opts:
                rows += _HELP_ROWS
            elif ctx.meta.get(_ALL) or is_argument or parameter.name in main:
                name, text = parameter.get_help_record(ctx)
                rows.append((_plain(name), text if ctx.meta.get(_ALL) else _LIMITS.sub("", text)))
        return rows

    def grouped(self, ctx: Any) -> dict[str, list[Any]]:
        """Return arguments and options by group title, in the order of the help."""
        titles = GROUPS.get(self.name or "", {})
        of = {name: title for title, names in titles.items() for name in names.split()}
        found: dict[str, list[Any]] = {title: [] for title in ("Arguments", *titles, OTHERS)}
        for parameter in self.get_params(ctx):
            is_argument = parameter.param_type_name == "argument"
            title = "Arguments" if is_argument else of.get(parameter.name, OTHERS)
            found[title].append(parameter)
        return {title: parameters for title, parameters in found.items() if parameters}

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Examples"):
            for example in EXAMPLES.get(self.name or "", ()):
                formatter.write(f"  {example}\n")


def _plain(name: str) -> str:
    """Drop the type of an argument, which is always text, and `range` in that of an option."""
    return name.replace(" range>", ">") if name.startswith("-") else name.split(" <")[0]


def _sentence(text: str) -> str:
    """Return a help text up to its first comma."""
    return text.partition(",")[0].rstrip(".") + "."


class _StartUpFile(type(Path())):  # type: ignore[misc]
    """A path whose text is replaced atomically, and through links."""

    def write_text(self, data: str, *args: Any, **options: Any) -> int:
        from charrnn.storage.files import ANY, atomic_write

        with atomic_write(Path(self), ANY) as file:
            return file.write(data.encode())


class Group(TyperGroup):
    """The help of charrnn itself: each command with an example, on one screen."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing and args[:1] in ([], ["help"]):
            args = [*args[1:], "--help"]
        if "--install-completion" in args:  # which empties ~/.bashrc, then writes it
            _completion_shared.Path = _StartUpFile  # type: ignore[attr-defined]
        try:
            return super().parse_args(ctx, args)
        except typer.Exit as end:
            if end.exit_code:
                raise ConfigError(
                    "completion works in bash, zsh, fish and PowerShell only"
                ) from None
            raise
        except (RuntimeError, ValueError, subprocess.SubprocessError) as error:
            # Without a home folder, say, or where a shell's start-up file is not UTF-8.
            raise ConfigError(f"cannot install completion: {error}") from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            ctx.fail(f"No such command: {args[0]}{did_you_mean(args[0], self.commands.keys())}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            for name, command in self.commands.items():
                summary = command.get_short_help_str(formatter.width - _INDENT)
                formatter.write(f"  {name:<{_INDENT - 3}} {summary}\n")
                for example in EXAMPLES.get(name, ())[:1]:
                    formatter.write(f"{'':{_INDENT}}{example}\n")
        records = (parameter.get_help_record(ctx) for parameter in self.get_params(ctx))
        with formatter.section("Options"):
            rows = [(name, _sentence(text)) for name, text in filter(None, records)]
            formatter.write_dl(rows)
