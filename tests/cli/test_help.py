"""Help, completion and the nearest name: what helps a user to type the right thing."""

import errno
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from charrnn import cli
from charrnn.cli.help import EXAMPLES, GROUPS, MAIN, OTHERS
from charrnn.cli.options import PARTS, corpora, models
from charrnn.config import ACTIVATIONS, CELLS, FEEDBACKS, FORMS, TOKENS
from charrnn.errors import SYNONYMS, did_you_mean
from charrnn.render.plot import AXES
from charrnn.resources import BUNDLED_MODELS, bundled_corpora
from tests.commands import Run, assert_one_line

CHOICES = {
    "cell": CELLS,
    "activation": ACTIVATIONS,
    "feedback": FEEDBACKS,
    "tokens": TOKENS,
    "normalize": FORMS,
    "part": PARTS,
    "over": AXES,
    "corpus": (*bundled_corpora(),),
    "novel": (*bundled_corpora(),),
}
COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]


def titles(text: str) -> list[str]:
    """The headings of a help text."""
    return [line.removesuffix(":") for line in text.splitlines() if line[:1] not in ("", " ")]


# Help


def test_the_commands_are_those_of_the_design() -> None:
    assert list(COMMANDS) == ["train", "sample", "score", "classify", "inspect", "export"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_help_text(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_shown(name: str) -> None:
    for parameter in COMMANDS[name].params:
        is_flag = getattr(parameter, "is_flag", False) and not parameter.secondary_opts
        is_budget = parameter.name in ("epochs", "steps")  # said at --minutes
        if not is_flag and not is_budget:
            shown = parameter.show_default or "[default" in parameter.help
            assert shown or parameter.multiple, f"{name} {parameter.name}"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_plain_text_for_80_columns(run: Run, command: str) -> None:
    result = run(*command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"Usage: charrnn {command}".rstrip())
    assert max(map(len, result.out.splitlines())) <= 80
    assert "\x1b" not in result.out
    assert "..." not in result.out.split("Commands:")[-1].replace("]...", "").replace("s... ", "")


def test_version(run: Run) -> None:
    result = run("--version")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("charrnn ")


def test_the_help_of_all_fits_a_screen_with_an_example_of_each(run: Run) -> None:
    lines = run("--help").out.splitlines()
    assert len(lines) < 24  # and the next prompt below
    for name in COMMANDS:
        assert f"           {EXAMPLES[name][0]}" in lines


@pytest.mark.parametrize("name", COMMANDS)
def test_options_come_in_groups(run: Run, name: str) -> None:
    command = COMMANDS[name]
    grouped = command.grouped(typer.Context(command))
    assert {parameter.name for parameter in grouped[OTHERS]} <= {"threads", "help"}
    named = [option for names in GROUPS[name].values() for option in names.split()]
    assert len({*named}) == len(named)
    assert {*named} <= {parameter.name for parameter in command.params}
    text = run(name, "--help-all").out
    arguments = ["Arguments"] * ("Arguments" in grouped)
    assert titles(text)[1:] == [*arguments, *GROUPS[name], OTHERS, "Examples"]
    for parameter in command.params:
        assert max(parameter.opts, key=len) in text or parameter.metavar in text


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_main_options_on_one_screen(run: Run, name: str) -> None:
    text, full = run(name, "--help").out, run(name, "--help-all").out
    assert len(text.splitlines()) <= 40
    main = {*MAIN[name].split()}
    assert main < {parameter.name for parameter in COMMANDS[name].params}
    for parameter in COMMANDS[name].params:
        (option, *_) = (each for each in parameter.opts if each.startswith("--") or len(each) > 2)
        is_argument = parameter.param_type_name == "argument"
        name_of = parameter.metavar if is_argument else rf"(-\w, )?{option}"
        shown = re.compile(rf"^  {name_of}( |$)", re.MULTILINE)
        assert shown.search(full)
        assert bool(shown.search(text)) == (is_argument or parameter.name in main), option
    assert [title for title in titles(full) if title in titles(text)] == titles(text)
    for option in ("-h, --help", "--help-all"):
        assert f"  {option} " in text
        assert f"  {option} " in full
    assert run(name, "-h").out == text
    assert run(name, "--help", "--help-all").out == full


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_text_is_short(name: str) -> None:
    for parameter in COMMANDS[name].params:
        said = parameter.help.partition("  [")[0]
        assert len(said) <= 80, said


def test_the_help_of_all_is_shown_without_a_command(run: Run) -> None:
    text = run("--help").out
    for words in ([], ["help"], ["help", "--help"]):
        result = run(*words)
        assert (result.code, result.out, result.err) == (0, text, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_a_word_too(run: Run, name: str) -> None:
    assert run("help", name).out == run(name, "--help").out
    assert run("help", name, "--help-all").out == run(name, "--help-all").out


def test_help_for_no_command_names_the_nearest(run: Run) -> None:
    assert_one_line(run("help", "trian"), 2, "No such command: trian; did you mean 'train'?")


def test_every_command_has_examples_that_it_takes() -> None:
    assert {*EXAMPLES} == {*GROUPS} == {*MAIN} == {*COMMANDS}
    for name, examples in EXAMPLES.items():
        for example in examples:
            program, command, *arguments = shlex.split(example)
            assert (program, command) == ("charrnn", name)
            COMMANDS[name].make_context(name, arguments)


# Completion


def completed(line: str, cwd: Path, shell: str = "bash") -> list[str]:
    """What a shell is given for the last word of a command line."""
    words = line.split(" ")
    code = (
        "import sys; from charrnn.__main__ import main; code = main(); "
        "assert 'numpy' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env={
            **os.environ,
            "_CHARRNN_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.slow
def test_a_shell_completes_commands_options_names_and_choices(folder: Path) -> None:
    assert completed("charrnn ", folder) == [*COMMANDS]
    assert completed("charrnn train he", folder) == ["hello"]
    assert completed("charrnn train --cell ", folder) == [*CELLS]
    assert completed("charrnn train --min", folder) == ["--min-count", "--minutes"]
    assert completed("charrnn sample -c il", folder) == ["ilsang"]
    assert completed("charrnn score h -c ev", folder) == ["everyday"]
    assert completed("charrnn inspect -c no", folder) == []  # the shell looks for files
    assert completed("charrnn paint ", folder) == [*COMMANDS]
    assert completed("charrnn sample -caption --temp", folder) == ["--temperature"]


def test_every_choice_is_completed() -> None:
    found = {}
    for command in COMMANDS.values():
        for parameter in command.params:
            items = parameter.shell_complete(typer.Context(command), "")
            if values := tuple(item.value for item in items):
                found[parameter.name] = values
    names = ("checkpoint", "checkpoints", "init_from", "names")
    models = dict.fromkeys(names, BUNDLED_MODELS)
    assert found == CHOICES | models


def test_names_of_corpora_and_models_here(folder: Path) -> None:
    for name in ("a.txt", "b.txt.gz", "c.npz", "d.md", ".e.npz"):
        (folder / name).touch()
    (folder / "checkpoints").mkdir()
    for name in ("m.npz", "m.resume.npz", "m.previous.npz"):
        (folder / "checkpoints" / name).touch()
    assert corpora("") == [*bundled_corpora(), "a.txt", "b.txt.gz"]
    here = [f"{folder}/a.txt", f"{folder}/b.txt.gz"]
    assert corpora(f"{folder}/") == [*bundled_corpora(), *here]
    assert corpora("none/") == bundled_corpora()
    trained = os.path.join("checkpoints", "m.npz")
    assert models("") == ["everyday", "ilsang", "m", "c.npz"]
    assert models("checkpoints/") == ["everyday", "ilsang", "m", trained]
    assert models("none/\0") == ["everyday", "ilsang", "m"]


def test_a_shell_that_is_not_known_is_an_error(folder: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        completed("charrnn ", folder, "klingon")
    assert error.value.returncode == 1
    assert error.value.stderr.startswith("Shell klingon")


# The nearest name


def options_of(command: Any) -> dict[str, str]:
    """What may be typed of a command, without dashes, and how an error names it."""
    names = {
        name[2:]: name for each in command.params for name in (*each.opts, *each.secondary_opts)
    }
    arguments = [each.metavar for each in command.params if each.param_type_name == "argument"]
    return names | {name.lower(): f"{command.name} {name}" for name in arguments}


@pytest.mark.parametrize("synonym", SYNONYMS)
def test_what_other_tools_call_an_option_is_known(synonym: str) -> None:
    found = 0
    for options in ({name: name for name in COMMANDS}, *map(options_of, COMMANDS.values())):
        if target := next((name for name in SYNONYMS[synonym] if name in options), None):
            assert synonym not in options
            assert did_you_mean(synonym, options) == f"; did you mean {options[target]!r}?"
            found += 1
    assert found


@pytest.mark.slow
def test_a_short_option_may_have_its_value_attached(run: Run, trained: Path) -> None:
    command = ("sample", "--seed", "1", "--stop", "-caption")
    shown = run(*command, "-c", trained, "-n", "3", "-t", "0.5", "--", "-caption").out
    assert shown.startswith("-caption")
    assert run(*command, f"-c{trained}", "-n3", "-t.5", "--", "-caption").out == shown


@pytest.mark.parametrize(
    "text", ["-5 degrees", "-caption is here", "--well then", "-c it is", "-hello there"]
)
def test_a_text_that_begins_with_a_dash_goes_after_two(run: Run, trained: Path, text: str) -> None:
    for command in ("sample", "score"):
        assert_one_line(run(command, "-c", trained, text), 2, "put -- before an argument that")
        assert run(command, "-c", trained, "--", text).code == 0


def test_the_nearest_name() -> None:
    assert did_you_mean("helo", ["english", "hello"]) == "; did you mean 'hello'?"
    assert did_you_mean("LSTM", ["lstm", "gru"]) == "; did you mean 'lstm'?"
    assert did_you_mean("x", ["english", "hello"]) == ""
    assert did_you_mean("x", []) == ""
    assert did_you_mean("lr", ["learning_rate"]) == "; did you mean 'learning_rate'?"
    assert did_you_mean("pain", ["train"]) == ""


# Completion without a home folder


def test_completion_needs_a_home_folder(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "home", no_home)
        problem = "cannot install completion: Could not determine home directory."
        assert_one_line(run("--install-completion"), 2, problem)
    monkeypatch.setattr(Path, "home", lambda: folder)
    (folder / ".bashrc").write_bytes(b"\xff")
    assert_one_line(run("--install-completion"), 2, "cannot install completion: 'utf-8'")
    (folder / "no").touch()
    monkeypatch.setattr(Path, "home", lambda: folder / "no")
    assert_one_line(run("--install-completion"), 1, "cannot use")
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("klingon", "/bin/klingon"))
    assert run("--install-completion").err == (
        "error: completion works in bash, zsh, fish and PowerShell only\n"
    )


@pytest.mark.parametrize(("shell", "name"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_completion_never_empties_a_start_up_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, shell: str, name: str
) -> None:
    monkeypatch.setattr("shellingham.detect_shell", lambda: (shell, f"/bin/{shell}"))
    monkeypatch.setenv("HOME", str(folder))
    (folder / "dotfiles").mkdir()
    kept, link = folder / "dotfiles" / name, folder / name
    kept.write_text("alias ll='ls -l'\n", encoding="utf-8")
    link.symlink_to(kept)

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert_one_line(run("--install-completion"), 1, f"cannot write {link}: No space left")
    assert kept.read_text(encoding="utf-8") == "alias ll='ls -l'\n"
    assert run("--install-completion").code == 0
    assert link.is_symlink()
    assert kept.read_text(encoding="utf-8").startswith("alias ll='ls -l'\n\n")
    assert len(kept.read_text(encoding="utf-8")) > 30


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("sample --tmep 3", 2, "No such option: --tmep (see charrnn sample"),
        ("sample --top 3", 2, "No such option: --top; did you mean '--top-k' or '--top-p'?"),
        (
            "sample --hidden-size 3",
            2,
            "No such option: --hidden-size; it is an option of charrnn train (see charrnn sample",
        ),
        (
            "sample --prompt he",
            2,
            "No such option: --prompt; did you mean 'charrnn sample PROMPT'?",
        ),
        ("sample -length 3", 2, "No such option: -length; did you mean '--length'?"),
        ("sample -help", 2, "No such option: -help; did you mean '--help'?"),
        ("train --rate=1", 2, "No such option: --rate; did you mean '--learning-rate'?"),
        ("train --model lstm", 2, "No such option: --model (see charrnn train"),
        (
            "sample -caption",
            2,
            "-caption is read as -c aption; put -- before an argument that begin",
        ),
        ("sample -interesting", 2, "-interesting is read as -n teresting; put -- before"),
        ("score -5", 2, "No such option: -5; put -- before an argument that begins with -"),
        ("score -x", 2, "No such option: -x (see charrnn score"),
        ("trian", 2, "No such command: trian; did you mean 'train'?"),
        ("generate The", 2, "No such command: generate; did you mean 'sample'?"),
        ("pain", 2, "No such command: pain (see charrnn --help"),
        ("sample --lenght 3", 2, "No such option: --lenght; did you mean '--length'?"),
        ("train --hidden_size 3", 2, "No such option: --hidden_size; did you mean '--hidden-size'"),
        (
            "train helo",
            1,
            "(bundled corpora are english, hello, korean, stories); did you mean 'hello'",
        ),
        ("train texts/novle.txt", 1, "; did you mean 'texts/novel.txt'?"),
        ("train text", 1, "; did you mean 'texts'?"),
        ("train nothing/novel.txt", 1, "no such file: nothing/novel.txt"),
        ("train hello --cell ltsm", 2, "not 'ltsm'; did you mean 'lstm'?"),
        ("train hello --activation Relu", 2, "not 'Relu'; did you mean 'relu'?"),
        ("train hello --init-from everyda", 1, "no model named everyda; did you mean 'everyday'?"),
        ("sample -c ilsan", 1, "no model named ilsan; did you mean 'ilsang'?"),
        ("sample -c texts/movel.npz", 1, "; did you mean 'texts/model.npz'?"),
        (
            "sample -c mine.npz",
            1,
            "no model named mine.npz; did you mean 'checkpoints/mine.npz'?",
        ),
        ("sample -c minee", 1, "; did you mean 'checkpoints/mine.npz'?"),
        ("sample -c nofile.npz", 1, "cannot read nofile.npz: No such file"),
        ("score h --part netwrok", 2, "not 'netwrok'; did you mean 'network'?"),
    ],
)
def test_an_error_names_the_nearest(
    run: Run,
    folder: Path,
    command: str,
    code: int,
    words: str,
) -> None:
    for name in ("texts/novel.txt", "texts/model.npz", "checkpoints/mine.npz"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    assert_one_line(run(*command.split()), code, words)
