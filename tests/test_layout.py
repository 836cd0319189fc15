"""Who imports whom: downward only, and nothing heavy before it is needed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import charrnn

ROOT = Path(charrnn.__file__).parent
DOWNWARD = """
    errors config files distributed lock blas resources vocabulary functional parallel compression
    encodings kinds
    reading parts spread documents duplicates hashing corpus sources tokens batches optim
    cells parameters memory draws unrolled jordan model ngram kneser_ney leave_one_out residual
    scheduled_sampling shards plan evaluation baselines budget training adaptation history
    archive checkpoint finetuning resuming scoring classification gradient_flow sampling plot
    listing properties neurons beam verbatim overlap surprise dataset run preparing api display
    cli.completion neurons_html inspection shading pictures cli.options cli.interrupts
    cli.texts cli.classify cli.neurons cli.progress cli.scorer cli.per_char cli.figures
    cli.inspect cli.drawing cli.samples cli.session cli.sample cli.score cli.training_display
    cli.train cli.usage cli.help cli __main__
"""  # a module imports only from modules before it
ORDER = DOWNWARD.split()
LAZY = ""  # charrnn/__init__.py finds its names when they are asked for
ALLOWED = {
    "typer": ("cli",),
    "rich": ("cli", "display", "inspection"),
    "tqdm": ("cli",),
    "matplotlib": ("plot",),
    "mpi4py": ("distributed",),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a file imports, inside functions and TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}".removeprefix("charrnn.")
                yield f"charrnn.{inner}" if inner in MODULES else str(node.module)


def own(name: str) -> list[str]:
    """The charrnn modules that a module imports."""
    names = [found for found in imported(MODULES[name]) if found.split(".")[0] == "charrnn"]
    return [found.removeprefix("charrnn").removeprefix(".") for found in names]


def foreign(name: str) -> set[str]:
    """Top-level packages that a module imports, those of the standard library left out."""
    packages = {found.split(".")[0] for found in imported(MODULES[name])}
    return packages - sys.stdlib_module_names - {"charrnn"}


def test_the_scan_finds_imports() -> None:
    assert {"documents", "resources", "errors"} <= {*own("corpus")}
    assert "checkpoint" in own("cli.inspect")  # from charrnn import checkpoint, in a function
    assert "checkpoint" in own("cli.options")  # under TYPE_CHECKING
    assert foreign("display") >= {"rich"}
    assert foreign("cli.training_display") >= {"tqdm"}


def test_every_module_has_its_place_in_the_order() -> None:
    assert {*ORDER, LAZY} == {*MODULES}
    assert len({*ORDER}) == len(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_imports_run_downward_only(name: str) -> None:
    below = {*ORDER[: ORDER.index(name)]}
    assert {*own(name)} <= below


def test_the_package_itself_imports_its_names_for_type_checkers_only() -> None:
    tree = ast.parse(MODULES[LAZY].read_text(encoding="utf-8"))
    checked = [node for node in tree.body if ast.unparse(node).startswith("if TYPE_CHECKING:")]
    inside = {id(node) for block in checked for node in ast.walk(block)}
    outside = [node for node in ast.walk(tree) if id(node) not in inside]
    found = {node.module for node in outside if isinstance(node, ast.ImportFrom)}
    assert found == {"importlib", "typing"}
    assert not [node for node in outside if isinstance(node, ast.Import)]


@pytest.mark.parametrize("name", MODULES)
def test_third_parties_stay_where_they_belong(name: str) -> None:
    part = name.split(".")[0]
    permitted = {package for package, parts in ALLOWED.items() if part in parts}
    assert foreign(name) <= permitted | {"numpy"}


@pytest.mark.parametrize("name", ["errors", "config", "blas", "resources", "parallel", "plan"])
def test_what_needs_no_arrays_does_not_import_numpy(name: str) -> None:
    assert not foreign(name)


@pytest.mark.parametrize(
    "code",
    [
        "import charrnn",
        "import charrnn.cli",
        "sys.argv[1:] = ['--help']; from charrnn.cli import main; assert main() == 0",
        "sys.argv[1:] = ['train', '--help']; from charrnn.cli import main; assert main() == 0",
        "sys.argv[1:] = ['inspect', '--help']; from charrnn.cli import main; assert main() == 0",
        "sys.argv[1:] = ['sample', '--no']; from charrnn.cli import main; assert main() == 2",
    ],
)
def test_help_and_usage_errors_come_without_numpy(code: str) -> None:
    check = "; assert 'numpy' not in sys.modules, 'numpy is loaded'"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}{check}"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


WRITES = {
    *("write_text", "write_bytes", "touch", "mkdir", "makedirs", "rename", "link", "symlink_to"),
    *("hardlink_to", "mkstemp", "NamedTemporaryFile", "copyfile", "copy2", "move", "tofile"),
    *("savetxt", "np.save", "savez", "savefig", "FileHandler", "os.open", "os.replace"),
}
WRITERS = {  # what writes outside of `files`
    "lock": {"os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 438)"},  # it holds nothing
    "cli": {"open(os.devnull, mode)", "os.open(os.devnull, os.O_WRONLY)"},
    "cli.score": {"open(os.devnull, 'w')"},
    "archive": {"np.savez(file, **members)"},  # into a file that `files` has opened, as the next
    "plot": {
        "figure.savefig(file, format='png', dpi=_DOTS, metadata={'Software': 'charrnn'})",
        "figure.savefig(file, format='svg', metadata={'Creator': 'charrnn', 'Date': None})",
    },
}


def may_write(call: ast.Call) -> bool:
    """Whether it puts something under a name, or opens a file to do so."""
    name = ast.unparse(call.func)
    method = name.rpartition(".")[2]
    if method != "open" or name == "os.open":
        return bool({name, method} & WRITES)
    modes = [each.value for each in call.keywords if each.arg == "mode"]
    modes += call.args[1:2] if name == "open" else call.args[:1]  # the second is the file
    return any(
        set(str(mode.value)) & set("wax+") if isinstance(mode, ast.Constant) else name == "open"
        for mode in modes
    )


def written(code: str) -> set[str]:
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    return {ast.unparse(call) for call in calls if may_write(call)}


def test_the_scan_finds_what_writes() -> None:
    writing = ["open(a, 'w')", "open(a, mode=b)", "a.open('ab')", "open(a, b)", "a.open(mode='r+')"]
    writing += ["a.write_text('')", "Path(a).touch()", "os.replace(a, b)", "tempfile.mkstemp()"]
    assert all(written(code) == {code} for code in writing)
    assert not written("open(a); open(a, 'rb'); a.open(); zip.open(a); b.replace('w', 'x')")


@pytest.mark.parametrize("name", [name for name in MODULES if name != "files"])
def test_one_module_writes_files(name: str) -> None:
    assert written(MODULES[name].read_text(encoding="utf-8")) == WRITERS.get(name, set())


def test_matplotlib_is_imported_inside_of_functions_only() -> None:
    outside = ast.parse(MODULES["plot"].read_text(encoding="utf-8")).body
    imports = [node for node in outside if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    assert not [node for node in imports if "matplotlib" in ast.dump(node)]
