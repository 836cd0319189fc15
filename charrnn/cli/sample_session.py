"""`charrnn sample --interactive`: type a beginning, read its continuation, and so on."""

import io
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from charrnn.cli.options import as_text, printable
from charrnn.cli.sample_drawing import Drawing, draw, parse_temperatures
from charrnn.cli.sample_output import Layout, print_next, print_texts, say_unknown, stream
from charrnn.config import MAX_SEED, check_int
from charrnn.errors import CharRNNError, ConfigError, CorpusError, did_you_mean
from charrnn.render.display import error, message

if TYPE_CHECKING:
    from charrnn.storage.checkpoint import Checkpoint

_ASK = "> "
_WELCOME = "Type the beginning of a text. Enter: another; /help: commands; Ctrl-D: quit"
_HELP = """\
TEXT             continue TEXT; \\n, \\t, \\r, \\\\ and \\uXXXX are escapes
Enter            another continuation of the same text
/start [TEXT]    continue TEXT even if it begins with a slash; alone: start from nothing
/next            number the most probable next characters
/pick N          continue the same text with the Nth of them
/go              continue the last continuation
/undo            return to the previous one
/temperature T   lower is safer; 1: the model's distribution, 0: greedy; 0.3,1: both
/length N        maximum length, in characters
/top-k K         sample from the K most probable tokens only, or from all
/top-p P         nucleus sampling: the smallest set of tokens with total probability P
/min-p P         keep tokens at least P times as probable as the most probable one
/stop [TEXT]     end before TEXT, beside earlier stops; alone: remove all stops
/ban [TEXT]      never write the characters of TEXT; alone: allow all
/no-repeat N     write no stretch of N characters twice, or off
/regex [PATTERN] match a regular expression; alone: match anything
/colour          switch colours by surprise on or off
/seed N          random seed of the next text; alone: show that of the last one
/help            show this help
/quit            quit, like Ctrl-D; Ctrl-C stops a text
A setting without a value shows it. Commands can be shortened, as in /temp 0.5."""
_NUMBERS: dict[str, Callable[[str], Any]] = {
    "length": int,
    "top-k": int,
    "top-p": float,
    "min-p": float,
    "no-repeat": int,
    "seed": int,
}
_UNSET = {"top-k": "all", "no-repeat": "off"}  # what None is called
_COMMANDS = (
    *("start", "next", "pick", "go", "undo", "temperature", *_NUMBERS),
    *("stop", "ban", "regex", "colour", "help", "quit"),
)


class Session:
    """The state of a session from one line to the next.

    Args:
        start: the first text to continue, at once unless it is empty.
        seed: random seed of the first text; each later text uses the next one.
        colour: whether texts are coloured by their surprise.
    """

    def __init__(
        self, model: "Checkpoint", drawing: Drawing, seed: int, start: str, colour: bool
    ) -> None:
        self.model, self.drawing, self.start, self.colour = model, drawing, start, colour
        self.seed = self.last_seed = seed
        self._texts: list[tuple[str, str]] = []  # start and text of each that was drawn

    def run(self, encoding: str) -> None:
        """Answer lines from stdin until it ends or says /quit.

        Args:
            encoding: of stdin, unless it is a terminal.

        Raises:
            ConfigError: the encoding is unknown.
            CorpusError: stdin is not valid in this encoding.
        """
        _prepare_stdin(encoding)
        if sys.stdin.isatty():
            message(_WELCOME)
        goes_on = not self.start or self._survives(self.draw)
        while goes_on and (line := _next_line()) is not None:
            goes_on = self._survives(self.answer, line)

    def _survives(self, action: Callable[..., bool], *arguments: str) -> bool:
        """Run an action whose errors and Ctrl-C do not end the session; return whether to go on."""
        try:
            return action(*arguments)
        except KeyboardInterrupt:
            print()
        except CharRNNError as problem:
            sys.stdout.flush()
            error(problem.with_options(lambda name: name.replace("_", "-")))  # as it was typed
        return True

    def answer(self, line: str) -> bool:
        """Answer a line; return whether to continue.

        Raises:
            ConfigError: a command is unknown, or a value out of range.
            CorpusError: a text is not valid Unicode.
            CheckpointError: the model's predictions are not finite.
        """
        if line.startswith("/"):
            word, _, value = line[1:].partition(" ")
            return self._obey(_full_name(word), value)
        if line:
            self._begin(line)
        return self.draw()

    def draw(self) -> bool:
        """Continue the current text, at every temperature; return True."""
        from charrnn.inference.sampling import Sample
        from charrnn.parallel.threads import Workers

        seed = self.last_seed = self.seed
        self.seed += 1
        if len(self.drawing.temperatures) == 1:
            sample = Sample(self.start, seed)
            try:
                stream(self.model, sample, self.drawing.configs()[0], self.colour)
            finally:  # one that Ctrl-C ended can go on too
                self._texts += [(self.start, sample.text)] * bool(sample.text)
        else:
            with Workers(1) as here:  # in the thread that Ctrl-C reaches
                groups = draw(self.model, [self.start], seed, self.drawing, here)
                print_texts(self.drawing.temperatures, groups, Layout())
        return True

    def _begin(self, typed: str) -> None:
        self.start = as_text(typed)
        say_unknown(self.model, [self.start])

    def _obey(self, command: str, value: str) -> bool:
        """Run a command; return whether to continue."""
        if command == "quit":
            return False
        if command == "start":
            self._begin(value)
            return self.draw()
        if command in ("pick", "go"):
            self.start = self._picked(value) if command == "pick" else self._last()[1]
            return self.draw()
        actions: dict[str, Callable[[], None]] = {
            "next": lambda: print_next(self.model, self.start, numbered=True),
            "undo": self._undo,
            "colour": self._switch_colour,
            "help": lambda: message(_HELP),
        }
        if command in actions:
            actions[command]()
        elif command == "stop":
            stops = self.drawing.config.stops
            self._configure(stop=(*stops, as_text(value)) if value else ())
        elif command == "ban":
            self._configure(ban=as_text(value))
        elif command == "regex":
            self._configure(regex=value or None)
        elif value.strip():
            self._set(command, value.strip())
        else:
            self._show(command)
        return True

    def _picked(self, value: str) -> str:
        """Return the start with the Nth most probable next token."""
        from charrnn.inference.sampling import next_tokens
        from charrnn.text.unicode import normalize
        from charrnn.text.vocabulary import EOS_NAME, UNK_NAME

        found = next_tokens(self.model, self.start)
        number = _number("pick", value.strip(), int)
        check_int("pick", number, 1, len(found))
        token, _ = found[number - 1]
        if token in (EOS_NAME, UNK_NAME):
            raise ConfigError(f"{token} cannot be continued; pick another")
        return normalize(self.start + token)

    def _last(self) -> tuple[str, str]:
        """Return the start and the text of the last sample."""
        if not self._texts:
            raise ConfigError("there is no text to continue yet: type a beginning")
        return self._texts[-1]

    def _undo(self) -> None:
        if len(self._texts) < 2:
            raise ConfigError("there is no previous text")
        self._texts.pop()
        self.start, text = self._last()
        print(printable(text))

    def _switch_colour(self) -> None:
        self.colour = not self.colour
        message(f"colour {'on' if self.colour else 'off'}")

    def _set(self, command: str, value: str) -> None:
        if command == "temperature":
            self.drawing = replace(self.drawing, temperatures=parse_temperatures(value))
            return
        is_unset = value == _UNSET.get(command)
        parsed: Any = None if is_unset else _number(command, value, _NUMBERS[command])
        if command == "seed":
            check_int("seed", parsed, 0, MAX_SEED)
            self.seed = parsed
        else:
            self._configure(**{command.replace("-", "_"): parsed})

    def _configure(self, **settings: Any) -> None:
        from charrnn.inference.constraints import constraints_of

        config = replace(self.drawing.config, **settings)
        constraints_of(self.model.vocabulary, config)  # a pattern that is none changes nothing
        self.drawing = replace(self.drawing, config=config)

    def _show(self, command: str) -> None:
        if command == "temperature":
            value = ",".join(f"{each:g}" for each in self.drawing.temperatures)
        elif command == "seed":
            value = str(self.last_seed)
        else:
            found = getattr(self.drawing.config, command.replace("-", "_"))
            value = _UNSET[command] if found is None else str(found)
        message(f"{command} {value}")


def _number(command: str, value: str, parse: Callable[[str], Any]) -> Any:
    """Parse a number; raise ConfigError if it is none."""
    try:
        return parse(value)
    except ValueError:
        raise ConfigError(f"{command} must be a number, not {value!r}") from None


def _full_name(word: str) -> str:
    """Return the command that begins with `word`.

    Raises:
        ConfigError: no command does, or several do.
    """
    found = [name for name in _COMMANDS if word and name.startswith(word)]
    if len(found) == 1:
        return found[0]
    meant = " or ".join(f"'/{name}'" for name in found)
    hint = did_you_mean(word, {name: f"/{name}" for name in _COMMANDS})
    hint = f"; did you mean {meant}?" if meant else hint
    raise ConfigError(
        f"unknown command: /{word}{hint} (type /help, or /start TEXT for a text that begins with /)"
    )


def _prepare_stdin(encoding: str) -> None:
    """Enable line editing on a terminal, and set the encoding of any other stdin.

    Lines end as in files.
    """
    if sys.stdin.isatty():
        with suppress(ImportError):  # Windows edits lines by itself
            import_module("readline")
    if isinstance(sys.stdin, io.TextIOWrapper):
        wanted = sys.stdin.encoding if sys.stdin.isatty() else encoding
        try:
            sys.stdin.reconfigure(encoding=wanted, errors="surrogateescape", newline=None)
        except (LookupError, ValueError):
            raise ConfigError(f"unknown encoding {encoding!r}; try utf-8 or cp949") from None


def _next_line() -> str | None:
    """Return the next line of stdin, None at its end; Ctrl-C discards the line."""
    while True:
        try:
            return _read_line()
        except KeyboardInterrupt:
            print()
        except UnicodeError:
            encoding = sys.stdin.encoding.upper()
            raise CorpusError(f"standard input is not valid {encoding}") from None


def _read_line() -> str | None:
    on_terminal = sys.stdin.isatty()
    try:
        if on_terminal and sys.stdout.isatty():
            return input(_ASK)
        if on_terminal:
            print(_ASK, end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
    except EOFError:
        print()
        return None
    return line.removesuffix("\n") if line else None
