"""The examples in the documents: run them, compare what they print, and write it anew.

A document is a session: its blocks run one after another in one folder, at 80 columns.

    ```sh          runs as it stands; what it prints must be as in the ```text block below it
    ```sh slow     is only tried with a budget of a few steps; nothing is compared
    ```python      a program, likewise

`python -m tests.documents README.md` replaces all outputs of a document, slow ones too, and its
pictures. `...` stays where it stands: as a line for any number of lines, at the end of a line for
the rest of it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from charrnn.resources import bundled_model
from tests.commands import MODEL_LINE, type_in

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "charrnn/cli/README.md", "charrnn/parallel/README.md")
BLOCK = re.compile(r"```(sh|sh slow|python)\n(.*?)```(?:\s*```text\n(.*?)```)?", re.DOTALL)
DOTS = "...\n"
FENCES = re.compile(r"```.*?```", re.DOTALL)
# What an example may begin with that is not run here: it needs the network, or changes the system.
NOT_RUN = (
    *("python3 -m venv", ".venv/bin/", "source ", "pip ", "uv ", "pipx ", "git ", "curl "),
    "charrnn --install-completion",
)
NEEDS = {"--plot": "matplotlib", "mpiexec": "mpi4py"}
MODELS = ("model", "a", "b")  # what a reader has at hand
TEXTS = ("novel", "poems", "text", "names")


@dataclass(frozen=True)
class Example:
    """Command lines or a program of a document, and what it shows that they print."""

    document: str
    kind: str
    lines: tuple[str, ...]
    shown: str = ""
    place: tuple[int, int] = (-1, -1)  # of what is shown, in the text of the document

    @property
    def slow(self) -> bool:
        return self.kind in ("sh slow", "spoken")

    @property
    def compared(self) -> bool:
        return self.place != (-1, -1) and not self.slow

    def __str__(self) -> str:
        return f"{self.document}: {self.lines[-1]}"


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> Iterator[Example]:
    """The blocks of a document, in order."""
    for found in BLOCK.finditer(read(document)):
        kind, code, shown = found.groups()
        lines = [code] if kind == "python" else filter(None, code.splitlines())
        yield Example(document, kind, tuple(lines), shown or "", found.span(3))


def spoken(document: str) -> Iterator[Example]:
    """The commands within sentences; they run last, with a short budget."""
    text = FENCES.sub("", read(document))
    for line in dict.fromkeys(re.findall(r"`(charrnn [^`]+)`", text)):
        yield Example(document, "spoken", (" ".join(line.split()),))


def examples(document: str) -> list[Example]:
    """All that runs in the session of a document."""
    found = (*blocks(document), *spoken(document))
    return [each for each in found if not each.lines[-1].startswith(NOT_RUN)]


def missing(example: Example) -> list[str]:
    """The packages that an example needs and that are not installed."""
    needed = [name for word, name in NEEDS.items() if any(word in line for line in example.lines)]
    return [package for package in needed if not find_spec(package)]


def shortened(line: str) -> str:
    """The same command with a budget of a few steps, and one evaluation."""
    if "charrnn train" not in line:
        return line
    line = re.sub(r"--minutes \S+", "--steps 200", line)
    unbounded = not re.search(r"--steps|--epochs|--resume|--cell ngram", line)
    line = f"{line} --steps 200" if unbounded else line
    few = "--steps {} --evaluations 1".format
    return re.sub(r"--steps (\d+)", lambda steps: few(max(1, int(steps[1]) // 100)), line)


# Sessions


def make_folder(folder: Path) -> None:
    """What a reader has at hand: a few texts and models, and charrnn on the path."""
    for name, module in (("charrnn", "-m charrnn"), ("python", "")):
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        program.chmod(0o755)
    shutil.copytree(ROOT / "corpora", folder / "corpora")
    (folder / "checkpoints").mkdir()
    for name in MODELS:
        shutil.copy(bundled_model(), folder / f"{name}.npz")
    verses = (folder / "corpora" / "english.txt").read_text(encoding="utf-8")[:3000]
    for name in TEXTS:
        (folder / f"{name}.txt").write_text(verses.replace("\n", "\n\n"), encoding="utf-8")
    (folder / "dates.txt").write_text("March 27, 2019\t2019-03-27\n" * 30)
    (folder / "prompts.txt").write_text("March 28, 2019\t\n")


def printed_by(line: str, folder: Path) -> str:
    """What a command line prints on a terminal, but for the line that names the model."""
    places = (folder / "bin", Path(sys.executable).parent, os.environ["PATH"])
    path = os.pathsep.join(map(str, places))
    environment = {"PATH": path, "TERM": "dumb", "PYTHONPATH": str(ROOT)}
    found = type_in(["bash", "-c", line], folder, environment, stdin=subprocess.DEVNULL)
    assert found.code == 0, f"{line}: {found.out}"
    drawn = MODEL_LINE.sub("", found.out.replace("\x1b[K", "")).replace("\r\n", "\n")
    return "".join(line.rpartition("\r")[2] for line in drawn.splitlines(keepends=True))


def program(code: str, folder: Path) -> str:
    """What a program prints, trained for a few steps only."""
    code = re.sub(r"minutes=[\d.]+", "steps=3", code)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def session(
    document: str, folder: Path, *, whole: bool = False, wanted: Collection[Example] = ()
) -> dict[Example, str | AssertionError]:
    """What each example of a document prints, up to the last that is wanted.

    Slow ones are shortened unless `whole`.
    """
    make_folder(folder)
    printed, found = dict[Example, str | AssertionError](), examples(document)
    for example in found[: max(map(found.index, wanted), default=len(found)) + 1]:
        if missing(example) or (whole and example.kind == "spoken"):
            continue
        lines = example.lines
        if example.slow and not (whole and example.shown):
            lines = tuple(map(shortened, lines))
        run = program if example.kind == "python" else printed_by
        try:
            printed[example] = "".join(run(line, folder) for line in lines)
        except AssertionError as error:
            printed[example] = error
    return printed


# What is shown, and what is printed


def alike(shown: str, printed: str) -> bool:
    """Whether two lines say the same; `...` stands for the rest of a line, numbers may be near."""
    words, others = shown.split(), printed.split()
    if words[-1:] == ["..."]:
        words = words[:-1]
        others = others[: len(words)]
    return len(words) == len(others) and all(map(near, words, others))


def near(word: str, other: str) -> bool:
    if word.startswith(".../"):  # wherever charrnn is installed
        return other.endswith(word[3:])
    try:
        number, found = (float(each.strip(",").replace(",", "")) for each in (word, other))
    except ValueError:
        return word == other
    fraction = re.fullmatch(r"-?[\d,]*\.(\d+)", word)
    last = 10.0 ** -len(fraction[1]) if fraction else 0.0  # digit, which rounding may change
    return abs(number - found) <= max(0.01 * abs(number), last) * (1 + 1e-6)


def assert_shown(shown: str, printed: str) -> None:
    """Every line is there, in this order, and between them only what `...` leaves out."""
    rest, skipping = printed.splitlines(), False
    for line in shown.splitlines():
        if line == "...":
            skipping = True
            continue
        while skipping and rest and not alike(line, rest[0]):
            rest.pop(0)
        skipping = False
        assert rest, f"{line!r} is not in {printed!r}"
        assert alike(line, rest[0]), f"{line!r} is now {rest[0]!r}"
        rest.pop(0)
    assert skipping or not "".join(rest)


def cut(shape: str, line: str) -> str:
    """A line, as far as `shape` shows it."""
    words = shape.split()
    if words[-1:] != ["..."]:
        return line.rstrip()
    found = re.match(r"\s*(?:\S+\s*){%d}" % (len(words) - 1), line)  # noqa: UP031, braces
    return f"{found[0].rstrip() if found else line} ..."


def renewed(shown: str, printed: str) -> str:
    """What is printed, abridged as what is shown."""
    rest = printed.rstrip("\n").replace(str(ROOT), "...").splitlines()
    shapes = [list(lines) for dots, lines in groupby(shown.splitlines(), "...".__eq__) if not dots]
    opened, closed = not shown.startswith(DOTS), not shown.endswith(f"\n{DOTS}")
    if len(shapes) <= 1 and opened and closed:  # nothing is left out
        shapes = [(shapes[0] if shapes else []) + [""] * len(rest)]
        return "".join(f"{cut(*pair)}\n" for pair in zip(*shapes, rest, strict=False))
    pieces = list[str]()
    for number, lines in enumerate(shapes):
        if number == len(shapes) - 1 and closed:
            start = max(0, len(rest) - len(lines))
        elif number == 0 and opened:
            start = 0
        else:
            word = lines[0].split()[:1]
            start = next((n for n, line in enumerate(rest) if line.split()[:1] == word), len(rest))
        found, rest = rest[start : start + len(lines)], rest[start + len(lines) :]
        pieces.append("".join(f"{cut(*pair)}\n" for pair in zip(lines, found, strict=False)))
    ends = ["" if opened else DOTS, "" if closed else DOTS]
    return DOTS.join(pieces).join(ends)


def renew(document: str) -> None:
    """Replace the outputs and the pictures of a document by what its examples print and draw."""
    text = read(document)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        printed = session(document, folder, whole=True)
        for example in sorted(printed, key=lambda each: each.place, reverse=True):
            found = printed[example]
            if isinstance(found, AssertionError):
                print(f"{example}: {found}", file=sys.stderr)
            elif example.place != (-1, -1):
                start, end = example.place
                text = text[:start] + renewed(example.shown, found) + text[end:]
        for picture in re.findall(r"!\[[^]]+\]\(([^)]+)\)", text):
            if (drawn := folder / Path(picture).name).is_file():
                shutil.copyfile(drawn, (ROOT / document).parent / picture)
    (ROOT / document).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        renew(each)
