"""Every option that names a file to write: what is there before is safe."""

from pathlib import Path
from typing import NamedTuple, get_type_hints

import pytest

from charrnn.cli.classify import classify
from charrnn.cli.export import export
from charrnn.cli.inspect import inspect
from charrnn.cli.sample import sample
from charrnn.cli.score import score
from charrnn.cli.train import train
from charrnn.storage import checkpoint
from tests.commands import TEXT, TINY, Result, Run, assert_one_line, contents, posix

INPUTS = {
    *(("train", name) for name in ("init_from", "val")),
    *(("score", name) for name in ("checkpoints", "files")),
    *(("classify", name) for name in ("checkpoints", "files", "labels")),
    *(("sample", name) for name in ("checkpoint", "prompts", "choices")),
    *(("inspect", name) for name in ("checkpoints", "gradient_flow")),
    ("export", "checkpoint"),
}


class Output(NamedTuple):
    """A command without the name of the file it writes, which comes last."""

    command: tuple[str, ...]
    ending: str

    def run(self, run: Run, name: str) -> Result:
        return run(*self.command, name)


TRAIN = ("train", "text.txt", *TINY, "--quiet", "--force")
UNITS = ("inspect", "-c", "model.npz")
EACH = {
    "train --output": Output((*TRAIN, "--output"), ".npz"),
    "train --log": Output((*TRAIN, "-o", "m.npz", "--log"), ".jsonl"),
    "score --html": Output(("score", "-f", "text.txt", "-c", "model.npz", "--html"), ".html"),
    "score --svg": Output(("score", "-f", "text.txt", "-c", "model.npz", "--svg"), ".svg"),
    "inspect --html": Output((*UNITS, "--neuron", "0", "text.txt", "--html"), ".html"),
    "inspect --html of --neurons": Output((*UNITS, "--neurons", "text.txt", "--html"), ".html"),
    "export --output": Output(("export", "-c", "model.npz", "--output"), ".html"),
    "inspect --plot": Output((*UNITS, "--plot"), ".svg"),
    "inspect --plot of pixels": Output((*UNITS, "--plot"), ".png"),
}


@pytest.fixture(autouse=True)
def inputs(folder: Path, trained: Path) -> None:
    (folder / "text.txt").write_text(TEXT)
    (folder / "model.npz").write_bytes(trained.read_bytes())


@pytest.fixture(params=EACH)
def output(request: pytest.FixtureRequest) -> Output:
    if "--plot" in request.param:
        pytest.importorskip("matplotlib")
    return EACH[request.param]


def test_every_option_that_takes_a_path_is_known_here() -> None:
    found = set()
    for command in (train, sample, score, classify, inspect, export):
        for name, kind in get_type_hints(command).items():
            if "Path" in str(kind):
                found.add((command.__name__, name))
    written = {tuple(name.removeprefix("--") for name in each.split()[:2]) for each in EACH}
    assert found == written | INPUTS


def test_a_file_of_another_kind_is_not_touched(run: Run, folder: Path, output: Output) -> None:
    name = "mine" + output.ending
    (folder / name).write_text("mine")
    before = contents(folder)
    assert_one_line(output.run(run, name), 1, f"{name}: it exists and is not a")
    assert contents(folder) == before


def test_a_name_of_another_kind_is_refused(run: Run, folder: Path, output: Output) -> None:
    before = contents(folder)
    for name in ("text.txt", "new.txt", "folder/new"):
        assert_one_line(output.run(run, name), 2, "must end in")
    assert contents(folder) == before


@pytest.mark.parametrize("source", ["text.txt", "model.npz"])
def test_a_source_or_a_model_is_not_touched_through_a_link(
    run: Run, folder: Path, output: Output, source: str
) -> None:
    if output.ending == ".npz" and source == "model.npz":
        pytest.skip("it takes the place of an older model, which is kept")
    (folder / ("link" + output.ending)).symlink_to(source)
    before = contents(folder)
    assert_one_line(output.run(run, "link" + output.ending), 1, "cannot write")
    assert contents(folder) == before


def test_a_source_of_the_same_kind_is_refused(run: Run, folder: Path) -> None:
    page = ("score", "hello", "-c", "model.npz", "--html", "a.html")
    assert run(*page).code == 0
    before = contents(folder)
    command = ("score", "-f", f"../{folder.name}/a.html", *page[2:])
    assert_one_line(run(*command), 1, "also uses it, as ../")
    assert contents(folder) == before


def test_a_file_of_our_own_is_replaced_whole(run: Run, folder: Path, output: Output) -> None:
    name = "out" + output.ending
    assert output.run(run, name).code == 0
    first = (folder / name).read_bytes()
    (folder / "first").hardlink_to(folder / name)
    (folder / name).chmod(0o600)
    assert output.run(run, name).code == 0
    second = (folder / name).read_bytes()
    assert (folder / name).stat().st_mode & 0o777 == 0o600
    if output.ending == ".jsonl":  # a log is added to
        assert second.startswith(first)
        assert second.count(b"\n") == 2 * first.count(b"\n")
    else:
        assert (folder / "first").read_bytes() == first  # written to a file of its own
    assert not [*folder.glob(".*")]


@posix
def test_a_link_stays_a_link(run: Run, folder: Path, output: Output) -> None:
    name, target = "link" + output.ending, folder / "store" / ("real" + output.ending)
    (folder / "store").mkdir()
    (folder / name).symlink_to(target)
    for _ in range(2):
        assert output.run(run, name).code == 0
        assert (folder / name).is_symlink()
        assert target.is_file()
    names = {file.name for file in (folder / "store").iterdir()}
    assert names <= {target.name, "real.resume.npz", "real.previous.npz"}
    (folder / name).unlink()
    (folder / name).symlink_to(name)
    assert_one_line(output.run(run, name), 1, "symbolic links")


def test_a_folder_that_is_missing_is_created(run: Run, folder: Path, output: Output) -> None:
    assert output.run(run, "new/er/out" + output.ending).code == 0
    assert (folder / "new" / "er" / ("out" + output.ending)).is_file()


# Names that belong to charrnn


@pytest.mark.parametrize("ending", ["resume", "previous", "previous-2", "RESUME"])
def test_the_names_beside_a_model_are_not_those_of_a_model(
    run: Run, folder: Path, ending: str
) -> None:
    before = contents(folder)
    result = run(*TRAIN, "-o", f"model.{ending}.npz")
    assert_one_line(result, 2, "keeps files of such names beside a model")
    assert contents(folder) == before


@pytest.mark.parametrize("ending", ["resume", "previous"])
def test_what_a_run_keeps_beside_a_model_replaces_nothing_of_another_kind(
    run: Run, folder: Path, ending: str
) -> None:
    (folder / f"m.{ending}.npz").write_text("mine")
    before = contents(folder)
    assert_one_line(run(*TRAIN, "-o", "m.npz"), 1, f"m.{ending}.npz: it exists and is not a")
    assert contents(folder) == before


# A dry run


def test_a_dry_run_creates_nothing(run: Run, folder: Path) -> None:
    before = [*folder.rglob("*")]
    options = ("-o", "new/dir/m.npz", "--log", "new/log.jsonl", "--dry-run")
    assert run("train", "text.txt", *TINY, *options).code == 0
    assert [*folder.rglob("*")] == before
    assert_one_line(run("train", "text.txt", *TINY, "--dry-run", "-o", "m.txt"), 2, "must end in")


def test_a_dry_run_of_a_run_that_goes_on_changes_nothing(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*TRAIN, "-o", "m.npz")
    monkeypatch.setattr("charrnn.storage.lock.locked", pytest.fail)
    (folder / ".m.npz.x.tmp").touch()
    before = contents(folder)
    result = run("train", "--resume", "-o", "m.npz", "--steps", "9", "--dry-run")
    assert result.code == 0, result.err
    assert contents(folder) == before


# Logs


@pytest.mark.parametrize("other", ["text.jsonl", "val.jsonl", "m.npz", "m.resume.npz"])
def test_a_log_is_never_a_file_that_the_run_uses(run: Run, folder: Path, other: str) -> None:
    for name in ("text.jsonl", "val.jsonl"):
        (folder / name).write_text('{"step": 1, "epochs": 0.5}\n' * 9)  # as a log begins
    (folder / "link.jsonl").symlink_to(other)
    before = contents(folder)
    command = ("train", "text.jsonl", "--lines", "--val", "val.jsonl", *TINY, "-o", "m.npz")
    assert_one_line(run(*command, "--log", "link.jsonl"), 1, f"also uses it, as {other}")
    assert contents(folder) == before


def test_the_log_of_a_run_that_goes_on_is_not_its_text(run: Run, folder: Path) -> None:
    (folder / "text.jsonl").write_text('{"step": 1, "epochs": 0.5}\n' * 9)
    assert run("train", "text.jsonl", "--lines", *TINY, "-o", "m.npz").code == 0
    before = (folder / "text.jsonl").read_bytes()
    resume = ("train", "--resume", "-o", "m.npz", "--steps", "9", "--log", "text.jsonl")
    assert_one_line(run(*resume), 1, "also uses it, as text.jsonl")
    assert (folder / "text.jsonl").read_bytes() == before


# Older models


def test_the_best_model_of_a_name_outlives_short_runs(run: Run, folder: Path) -> None:
    (folder / "text.txt").write_text(TEXT * 30)
    command = ("train", "text.txt", "--lines", "-o", "m.npz", "--hidden-size", "8", "--json")
    (good,) = run(*command, "--steps", "60", "--learning-rate", "0.02").objects()
    for _ in range(3):
        result = run(*command, "--steps", "1", "--threads", "1")
        (bad,) = result.objects()
        assert bad["val_bits_per_char"] > good["val_bits_per_char"]
        assert "older model m.previous.npz\n" in result.err
    kept = checkpoint.load(folder / "m.previous.npz").training["result"]
    assert kept["val_bits_per_char"] == good["val_bits_per_char"]
    assert not (folder / "m.previous-2.npz").exists()


def test_a_model_of_another_text_is_kept_beside_it(run: Run, folder: Path) -> None:
    for text in ("one", "two", "three", "four", "five"):
        (folder / "text.txt").write_text(f"{text}\n" * 9)
        assert run(*TRAIN, "-o", "m.npz").code == 0
    sizes = {len(checkpoint.load(file).vocabulary) for file in folder.glob("m.previous*")}
    assert sizes == {2 + len({*"two\n"}), 2 + len({*"three\n"}), 2 + len({*"four\n"})}
