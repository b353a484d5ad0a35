"""The rules of the house (docs/design.md), so that nobody has to remember them."""

from __future__ import annotations

import ast
import configparser
import io
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

import spineps_rt

ROOT = Path(__file__).parents[1]
HOUSE = ("spineps_rt", "export", "training", "benchmarks")
FILE_LINES, BODY_LINES, PARAMETERS = 300, 40, 6
BUDGETS = {
    "root": 1000,
    "backends": 900,
    "cli": 990,
    "diagnostics": 640,
    "inference": 820,
    "io": 550,
    "kernels": 1700,
    "models": 920,
    "phantom": 1500,
    "report": 620,
    "stages": 1750,
}
"""Room of the runtime -> lines of code (without blank lines, comments and docstrings) that it may have: what
it needs and about a tenth more."""
HEAVY = {"torch", "scipy"}
UNSAFE = {"pickle", "dill", "joblib"}
NETWORK = {"requests", "urllib", "http", "socket", "ssl", "ftplib"}
BANNED = HEAVY | UNSAFE | NETWORK
"""What the runtime may not import."""
ROOMS = {
    "kernels": {"errors"},
    "io": {"errors", "geometry", "volume"},
    "models": {"engines", "errors", "io"},
    "backends": {"errors", "kernels", "models"},
    "inference": {"backends", "errors", "kernels", "labels", "models", "options", "volume"},
    "stages": {"errors", "geometry", "kernels", "labels", "options", "volume"},
    "report": {"errors", "io", "kernels", "labels", "results", "stages", "volume"},
    "phantom": {"errors", "kernels", "labels", "volume"},
}
"""Room of the runtime -> what it may use beside itself, so that the data flows in one direction."""

MODULES = sorted(path for part in HOUSE for path in (ROOT / part).rglob("*.py"))
RUNTIME = [path for path in MODULES if path.is_relative_to(ROOT / "spineps_rt")]


def name(path):
    return str(path.relative_to(ROOT))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_text(node):
    """Tell a docstring, or the text under an attribute, from code."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def body_lines(function):
    body = function.body[1:] if is_text(function.body[0]) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def parameters(function):
    """Count the parameters; a click command's are its options, so it has none."""
    if any(isinstance(part, ast.Call) for part in function.decorator_list) and any(
        re.search(r"\b(command|group|option|argument)\b", ast.unparse(part))
        for part in function.decorator_list
    ):
        return 0
    arguments = function.args
    return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)


def code_lines(path):
    texts = {
        line
        for node in ast.walk(tree_of(path))
        if is_text(node)
        for line in range(node.lineno, node.end_lineno + 1)
    }
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type not in silent:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - texts)


def imported(path):
    """Name every module that a file imports, at its top or within."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def test_no_file_is_longer_than_its_ceiling():
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: lines for path, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_function_is_longer_than_its_ceiling():
    bodies = {f"{name(path)}:{f.name}": body_lines(f) for path in MODULES for f in functions(tree_of(path))}
    assert {function: lines for function, lines in bodies.items() if lines > BODY_LINES} == {}


def test_no_signature_is_longer_than_its_ceiling():
    counts = {f"{name(path)}:{f.name}": parameters(f) for path in MODULES for f in functions(tree_of(path))}
    assert {function: count for function, count in counts.items() if count > PARAMETERS} == {}


def room_of(path):
    parts = path.relative_to(ROOT / "spineps_rt").parts
    return parts[0] if len(parts) > 1 else "root"


def test_every_room_keeps_its_budget():
    counts = dict.fromkeys(BUDGETS, 0)
    for path in RUNTIME:
        counts[room_of(path)] += code_lines(path)
    assert {room: (lines, BUDGETS[room]) for room, lines in counts.items() if lines > BUDGETS[room]} == {}


def test_the_runtime_imports_nothing_banned():
    used = {name(path): BANNED & {module.split(".")[0] for module in imported(path)} for path in RUNTIME}
    assert {path: modules for path, modules in used.items() if modules} == {}


def test_the_runtime_imports_neither_the_exporter_nor_the_workshop():
    foreign = ("spineps_rt.export", "export", "training", "benchmarks")
    # the commands that load parts of it when they run
    doors = {ROOT / "spineps_rt" / "cli" / name for name in ("export.py", "store.py")}
    rest = [path for path in RUNTIME if path not in doors]
    used = {name(path): [m for m in imported(path) if m.startswith(foreign)] for path in rest}
    assert {path: modules for path, modules in used.items() if modules} == {}


def test_one_module_alone_knows_the_network():
    using = [p for p in MODULES if NETWORK & {module.split(".")[0] for module in imported(p)}]
    assert [name(p) for p in using if name(p).startswith(("spineps_rt", "export"))] == ["export/fetch.py"]
    loading = [p for p in MODULES if any(m.startswith("spineps_rt.export.fetch") for m in imported(p))]
    assert [name(p) for p in loading] == ["spineps_rt/cli/store.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_only_the_rooms_before_it(room):
    used = set()
    for path in (ROOT / "spineps_rt" / room).rglob("*.py"):
        for module in imported(path):
            package, _, rest = module.partition(".")
            used |= {rest.split(".")[0]} if package == "spineps_rt" else set()
    assert used - ROOMS[room] - {room, "_version"} == set()


def test_every_module_says_what_it_is_and_annotates_lazily():
    silent, eager = [], []
    for path in MODULES:
        tree = tree_of(path)
        if ast.get_docstring(tree) is None:
            silent.append(name(path))
        if functions(tree) and "__future__.annotations" not in imported(path):
            eager.append(name(path))
    assert (silent, eager) == ([], [])


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def words(text):
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_setup_lists_every_package(setup):
    on_disk = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in RUNTIME if path.name == "__init__.py"
    }
    assert sorted(words(setup["options"]["packages"])) == sorted(
        on_disk | {"spineps_rt.export", "spineps_rt.engines"}
    )


def test_the_newest_change_is_this_version():
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert heading
    assert heading[1] == spineps_rt.__version__


def test_what_is_built_holds_packages_and_models(tmp_path):
    """Let setuptools lay out a wheel's content in a copy of the project with a model of its own."""
    pytest.importorskip("setuptools")
    source = tmp_path / "source"
    for part in ("spineps_rt", "export", "engines"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    model = source / "engines" / "extra"
    model.mkdir()
    for file in ("manifest.json", "model.onnx", "built.engine"):
        (model / file).write_bytes(b"x")
    words = [
        sys.executable,
        "-c",
        "import setuptools; setuptools.setup()",
        "-q",
        "build",
        "-b",
        tmp_path / "out",
    ]
    subprocess.run([*map(str, words)], cwd=source, check=True, capture_output=True, timeout=120)
    built = tmp_path / "out" / "lib"
    files = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    assert {name(path) for path in RUNTIME} | {"spineps_rt/py.typed"} <= files
    assert "spineps_rt/export/onnx.py" in files
    shipped = {file for file in files if file.startswith("spineps_rt/engines/")}
    models = {
        f"spineps_rt/{name(path)}" for path in (ROOT / "engines").glob("*/m*") if path.name in MODEL_FILES
    }
    assert models | {f"spineps_rt/engines/extra/{file}" for file in MODEL_FILES} <= shipped
    assert {f"spineps_rt/{name(path)}" for path in (ROOT / "engines" / "selftest").glob("*.gz")} <= shipped
    assert "spineps_rt/engines/extra/built.engine" not in shipped
    assert {file.split("/")[0] for file in files} == {"spineps_rt"}


MODEL_FILES = ("manifest.json", "model.onnx")


def test_ci_runs_the_readme_s_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    assert "pip install" not in script
