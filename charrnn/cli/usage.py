"""Errors for command lines that cannot be parsed, with what to type instead."""

import os
import re
from collections.abc import Sequence
from shlex import quote
from typing import Any

import typer

from charrnn.errors import did_you_mean
from charrnn.resources import model_names

# Other names of options, without dashes, that each command understands.
_OF_MODELS = {"model": "checkpoint", "m": "c"}
ALIASES = {
    "train": {"lr": "learning-rate"},
    "sample": {"temp": "temperature", "chars": "length", "color": "colour", **_OF_MODELS},
    "score": _OF_MODELS,
    "classify": _OF_MODELS,
    "inspect": _OF_MODELS,
    "export": _OF_MODELS,
}
_MOVED = {  # options that a command had once, and what to type now
    "score": {
        "--context": "charrnn inspect --memory FILE --context N",
        "--reset": "charrnn inspect --memory FILE --reset N",
    },
}
_DASHES = "put -- before an argument that begins with -"


def problem(error: typer.TyperException, arguments: Sequence[str]) -> str:
    """Return the error of the parser, with a suggestion for a mistyped option."""
    context = getattr(error, "ctx", None)
    if found := _wrong_value(error):
        return found
    if extra := re.fullmatch(
        r"Got unexpected extra argument\(s\) \((.*)\)", error.format_message()
    ):
        return f"unexpected extra argument: {extra[1]}{_instead_of_extra(extra[1], context)}"
    if context is None or not hasattr(error, "possibilities"):
        return error.format_message()
    name: str = getattr(error, "option_name", "")
    if now := _MOVED.get(context.command.name, {}).get(name.partition("=")[0]):
        return f"{name} has moved: {now}"
    inside = rf"-[^-]*{re.escape(name[1:])}" if len(name) == 2 else re.escape(name)
    word = next((word for word in arguments if re.match(inside, word)), name)
    is_file = "." in word.partition("=")[0] or os.path.exists(word)
    if not is_file and (hint := _nearest_option(word, context) or _other_command(name, context)):
        return f"No such option: {word.partition('=')[0]}{hint}"
    if is_file or not re.fullmatch(r"-[^\W\d]|--\S*", word):
        shown = word if is_file else quote(word) if " " in word else name
        return f"No such option: {shown}; {_DASHES}"
    return f"No such option: {name}"


def _other_command(option: str, context: Any) -> str:
    """Name the commands that have this option, for the end of an error; empty if none has."""
    commands = context.parent.command.commands if context.parent else {}
    having = [
        name
        for name, command in commands.items()
        if any(option in (*each.opts, *each.secondary_opts) for each in command.params)
    ]
    return f"; it is an option of charrnn {', '.join(having)}" if having else ""


def _wrong_value(error: typer.TyperException) -> str:
    """Say what a number must be; empty if the error is another one."""
    details: list[Any] = getattr(error.__cause__, "errors", list)()
    parameter: Any = getattr(error, "param", None)
    if not details or parameter is None:
        return ""
    limits, value = details[0].get("ctx", {}), details[0]["input"]
    needed = {
        "int_parsing": f"a whole number, not {value!r}",
        "float_parsing": f"a number, not {value!r}",
        "greater_than_equal": f"at least {limits.get('ge')}, not {value}",
        "less_than_equal": f"at most {limits.get('le')}, not {value}",
    }.get(details[0]["type"])
    return f"{parameter.opts[0]} must be {needed}" if needed else ""


def _instead_of_extra(words: str, context: Any) -> str:
    """Suggest what to type instead of an extra argument."""
    parameters = context.command.get_params(context)
    if words in model_names() or words.endswith(".npz"):
        return f"; did you mean -c {quote(words)}?"
    if any(parameter.name == "prompt" for parameter in parameters):
        return "; put quotes around a text of several words"
    return ""


def check_attached(context: typer.Context, arguments: Sequence[str]) -> None:
    """Refuse a text, or a long option with one dash, that parses as a short option and its value.

    Raises:
        typer.TyperException: such as for -caption, which reads as -c aption.
    """
    valued, flags = _short_options(context)
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        if word in valued:
            next(words, None)
        elif word[:1] == "-" and word[:2] != "--":
            place = next((i for i, letter in enumerate(word) if i and letter not in flags), 0)
            option, value = f"-{word[place]}", word[place + 1 :]
            if option in valued and value and not _is_meant(value):
                hint = _nearest_option(word, context)
                read = f"{quote(word)} is read as {option} {quote(value)}; {_DASHES}"
                context.fail(f"No such option: {word}{hint}" if hint else read)


def _short_options(context: typer.Context) -> tuple[set[str], set[str]]:
    """Return the names of options that take a value, and the letters of those that do not."""
    valued, flags = set(), set()
    for parameter in context.command.get_params(context):
        names = [name for name in (*parameter.opts, *parameter.secondary_opts) if name[0] == "-"]
        if getattr(parameter, "is_flag", False):
            flags |= {name[1] for name in names if name[1] != "-"}
        else:
            valued |= {*names}
    aliases = ALIASES.get(context.command.name or "", {})
    valued |= {f"-{name}" for name, meant in aliases.items() if f"-{meant}" in valued}
    return valued, flags


def _is_meant(value: str) -> bool:
    """Return whether this can be the value of a short option: a number, '-' or a file."""
    is_number = value[0] in ".0123456789" or value == "-"
    return is_number or value in model_names() or value.endswith(".npz") or os.path.exists(value)


def _nearest_option(word: str, context: typer.Context) -> str:
    """Suggest the option or argument that a word was meant to be."""
    choices: dict[str, str] = {}
    parameters: list[Any] = context.command.get_params(context)
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            choices[parameter.metavar.lower()] = f"{context.command_path} {parameter.metavar}"
        for name in (*parameter.opts, *parameter.secondary_opts):
            if name.startswith("--"):
                choices[name[2:]] = name
    return did_you_mean(word.partition("=")[0].lstrip("-"), choices)
