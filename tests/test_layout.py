"""The architecture: who imports whom, who writes files, how large things get, what is tested."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import charrnn

ROOT = Path(charrnn.__file__).parent
FLOORS = [  # a wing, or a module of the root, imports only from the floors below
    {"ids", "errors", "resources"},
    {"config"},
    {"parallel"},
    {"network", "text"},
    {"ngrams"},
    {"mixing"},
    {"storage"},
    {"inference"},
    {"training", "render"},
    {"cli", "api"},
    {"__main__"},
]
LAZY = ""  # charrnn/__init__.py finds its names when they are asked for
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in sorted(names)}
ALLOWED = {
    "typer": ("cli",),
    "rich": ("cli", "render.display", "render.inspection"),
    "tqdm": ("cli",),
    "matplotlib": ("render.plot",),
    "mpi4py": ("parallel.processes",),
    "pyppmd": ("training.baselines",),
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
    assert {"text.reading", "resources", "errors"} <= {*own("text.finding")}
    assert "storage.checkpoint" in own("cli.inspect")  # in a function
    assert "storage.checkpoint" in own("cli.options")  # under TYPE_CHECKING
    assert foreign("render.display") >= {"rich"}
    assert foreign("cli.train_output") >= {"tqdm"}


def wing(name: str) -> str:
    return name.split(".")[0]


def test_every_wing_has_its_floor() -> None:
    assert {*FLOOR} == {*map(wing, MODULES)} - {LAZY}


@pytest.mark.parametrize("part", FLOOR)
def test_imports_run_downward_only(part: str) -> None:
    names = [name for name in MODULES if wing(name) == part]
    others = {(name, found) for name in names for found in own(name) if wing(found) != part}
    assert {pair for pair in others if FLOOR[wing(pair[1])] >= FLOOR[part]} == set()


def test_no_module_imports_what_imports_it() -> None:
    """Neither directly nor by way of others."""
    graph = {name: {*own(name)} & {*MODULES} for name in MODULES if name != LAZY}
    with_none_below = graphlib.TopologicalSorter(graph)
    with_none_below.prepare()  # raises CycleError


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
    permitted = {
        package
        for package, places in ALLOWED.items()
        if any(name == place or name.startswith(f"{place}.") for place in places)
    }
    assert foreign(name) <= permitted | {"numpy"}


@pytest.mark.parametrize("name", [*sorted(FLOORS[0] | FLOORS[1]), "parallel.threads"])
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
WRITERS = {  # what writes outside of `storage.files`
    "storage.lock": {"os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 438)"},  # empty
    "cli": {"open(os.devnull, mode)", "os.open(os.devnull, os.O_WRONLY)"},
    "cli.score": {"open(os.devnull, 'w')"},
    "storage.archive": {"np.savez(file, **members)"},  # into a file that `files` opened, as below
    "render.plot": {
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


@pytest.mark.parametrize("name", [name for name in MODULES if name != "storage.files"])
def test_one_module_writes_files(name: str) -> None:
    assert written(MODULES[name].read_text(encoding="utf-8")) == WRITERS.get(name, set())


def test_matplotlib_is_imported_inside_of_functions_only() -> None:
    outside = ast.parse(MODULES["render.plot"].read_text(encoding="utf-8")).body
    imports = [node for node in outside if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    assert not [node for node in imports if "matplotlib" in ast.dump(node)]


# Sizes, and a test file for each module

MOST_FILES, MOST_LINES, MOST_PARAMETERS = 8, 400, 7
LONGEST_FUNCTION, LONGEST_BODY = 60, 30
LIST_OPTIONS = {  # these have long signatures, but short bodies
    *("cli.train.train", "cli.sample.sample", "cli.score.score", "cli.classify.classify"),
    "cli.inspect.inspect",
    "api.train",  # takes what `charrnn train` takes
}
TESTS = Path(__file__).parent
PACKAGES = {name for name, path in MODULES.items() if path.name == "__init__.py"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(node: ast.AST, name: str) -> Iterator[tuple[str, Function]]:
    """All functions and methods in a syntax tree, each with its full name."""
    for child in ast.iter_child_nodes(node):
        inner = f"{name}.{child.name}" if isinstance(child, Function | ast.ClassDef) else name
        if isinstance(child, Function):
            yield inner, child
        yield from functions(child, inner)


FUNCTIONS = {
    name: function
    for module, path in MODULES.items()
    for name, function in functions(ast.parse(path.read_text(encoding="utf-8")), module)
}


def num_lines(node: ast.stmt) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def num_parameters(function: Function) -> int:
    """How many parameters a caller may give."""
    found = function.args
    listed = [*found.posonlyargs, *found.args, *found.kwonlyargs]
    return len(listed) - (bool(listed) and listed[0].arg in ("self", "cls"))


def is_public(name: str) -> bool:
    """Whether no name on the way to the function, nor its own but `__init__`, begins with _."""
    return all(part[:1] != "_" or part == "__init__" for part in name.split("."))


def test_the_scan_finds_functions() -> None:
    assert {"api.train", "api.Model.sample", "cli.train.train"} <= FUNCTIONS.keys()
    code = "class A:\n def f(self, a, /, b, *c, d, **e):\n  def g(): pass\n"
    ((name, method), (inner, _)) = functions(ast.parse(code), "m")
    assert (name, inner, num_lines(method), num_parameters(method)) == ("m.A.f", "m.A.f.g", 2, 3)
    assert is_public("m.A.__init__")
    assert not is_public("m._A.f")


def test_the_root_holds_few_files() -> None:
    assert len([*ROOT.glob("*.py")]) <= MOST_FILES


def test_no_file_is_long() -> None:
    sizes = {name: path.read_text(encoding="utf-8").count("\n") for name, path in MODULES.items()}
    assert {name for name, size in sizes.items() if size > MOST_LINES} == set()


def test_no_function_is_long() -> None:
    others = {name: num_lines(each) for name, each in FUNCTIONS.items() if name not in LIST_OPTIONS}
    assert {name for name, size in others.items() if size > LONGEST_FUNCTION} == set()


@pytest.mark.parametrize("name", sorted(LIST_OPTIONS))
def test_what_lists_options_has_a_short_body(name: str) -> None:
    documented, *_, last = FUNCTIONS[name].body
    size = (last.end_lineno or 0) - (documented.end_lineno or 0)
    assert size <= LONGEST_BODY


def test_no_public_function_has_many_parameters() -> None:
    found = {
        name: num_parameters(function)
        for name, function in FUNCTIONS.items()
        if is_public(name) and wing(name) != "cli" and name not in LIST_OPTIONS
    }
    assert {name for name, number in found.items() if number > MOST_PARAMETERS} == set()


def file_of_tests(name: str) -> Path:
    """Same folder, same name; the code of a package itself is tested in its test_package.py."""
    if name in PACKAGES:
        return TESTS.joinpath(*name.split("."), "test_package.py")
    *folders, module = name.split(".")
    return TESTS.joinpath(*folders, f"test_{module.strip('_')}.py")


@pytest.mark.parametrize("name", [name for name in MODULES if MODULES[name].stat().st_size])
def test_every_module_has_a_file_of_tests(name: str) -> None:
    assert file_of_tests(name).is_file()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_in_a_line_what_it_is(name: str) -> None:
    """So that no document has to repeat it."""
    text = MODULES[name].read_text(encoding="utf-8")
    assert not text or re.match(r'"""[^\n]+[.!:]("""|\n)', text)
