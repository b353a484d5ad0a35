"""The rules of this code base, so that nobody has to remember them."""

from __future__ import annotations

import ast
import configparser
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import lowest
import pytest
from conftest import HIDDEN

import spineps_rt
from spineps_rt import errors

ROOT = Path(__file__).parents[1]
PACKAGES = ("spineps_rt", "export", "training", "benchmarks", "tests/parity")
FILE_LINES, BODY_LINES, PARAMETERS = 300, 40, 6
BUDGETS = {
    "root": 1010,
    "backends": 1170,
    "cli": 1190,
    "diagnostics": 470,
    "inference": 870,
    "io": 990,
    "kernels": 1570,
    "models": 760,
    "phantom": 1490,
    "quality": 790,
    "report": 670,
    "stages": 1830,
}
"""Room of the runtime -> most lines of code (without blank lines, comments and docstrings): what it holds and
about a tenth more."""
HEAVY = {"torch", "scipy"}
UNSAFE = {"pickle", "dill", "joblib"}
NETWORK = {"requests", "urllib", "http", "socket", "ssl", "ftplib"}
BANNED = HEAVY | UNSAFE | NETWORK
"""What the runtime may not import."""
ROOMS = {
    "kernels": {"errors", "machine"},
    "io": {"errors", "geometry", "volume"},
    "models": {"engines", "errors", "io", "machine"},
    "backends": {"errors", "io", "kernels", "machine", "models"},
    "inference": {"backends", "errors", "kernels", "labels", "models", "options", "volume"},
    "stages": {"errors", "geometry", "kernels", "labels", "options", "volume"},
    "quality": {"errors", "kernels", "labels", "stages", "volume"},
    "report": {"errors", "io", "kernels", "labels", "machine", "quality", "results", "stages", "volume"},
    "phantom": {"errors", "kernels", "labels", "volume"},
}
"""Room of the runtime -> what it may use beside itself, so that the data flows in one direction."""

SENTENCE = re.compile(
    r"""([A-Z]|\{\}|["'`]|--)          # a capital; or what came: a file's name, an option
    .*
    (\.                               # a period; none behind what is to be copied: a command
    |:\ (pip|spineps-rt)\ [^:]*
    |[.:]\ ?\{\})$                    # nor behind what brings its own: another error, a remedy
    """,
    re.DOTALL | re.VERBOSE,
)
"""What an error says; {} stands for a value. It should tell what came, what was expected, what to do."""
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type)} | {
    *("UnavailableError", "UsageError", "ClickException", "BadParameter")
}
"""Errors that reach a user."""

MODULES = sorted(path for part in PACKAGES for path in (ROOT / part).rglob("*.py"))
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


def test_the_runtime_imports_neither_export_nor_training_nor_benchmarks():
    foreign = ("spineps_rt.export", "export", "training", "benchmarks")
    # the commands that load parts of it when they run
    loading = ("spineps_rt/cli/export/", "spineps_rt/cli/models/fetch.py", "spineps_rt/cli/models/install.py")
    rest = [path for path in RUNTIME if not name(path).startswith(loading)]
    used = {name(path): [m for m in imported(path) if m.startswith(foreign)] for path in rest}
    assert {path: modules for path, modules in used.items() if modules} == {}


def test_one_module_alone_knows_the_network():
    using = [p for p in MODULES if NETWORK & {module.split(".")[0] for module in imported(p)}]
    shipped = [name(p) for p in using if name(p).startswith(("spineps_rt", "export"))]
    assert shipped == ["export/download/fetch.py"]
    fetch = "spineps_rt.export.download.fetch"
    loading = [p for p in MODULES if any(m.startswith(fetch) for m in imported(p))]
    assert [name(p) for p in loading] == ["spineps_rt/cli/models/fetch.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_only_the_rooms_before_it(room):
    used = set()
    for path in (ROOT / "spineps_rt" / room).rglob("*.py"):
        for module in imported(path):
            package, _, rest = module.partition(".")
            used |= {rest.split(".")[0]} if package == "spineps_rt" else set()
    assert used - ROOMS[room] - {room, "_version"} == set()


def messages(path):
    """Yield the line and the text of every error that is made from one, values as {}."""
    for node in ast.walk(tree_of(path)):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        called, text = node.func, node.args[0]
        if getattr(called, "id", getattr(called, "attr", "")) not in ERRORS:
            continue
        pieces = text.values if isinstance(text, ast.JoinedStr) else [text]
        if isinstance(text, ast.JoinedStr) or isinstance(getattr(text, "value", None), str):
            yield node.lineno, "".join(p.value if isinstance(p, ast.Constant) else "{}" for p in pieces)


def test_every_error_is_a_sentence():
    said = {
        (name(path), line): text
        for path in MODULES
        if name(path).startswith(("spineps_rt", "export"))
        for line, text in messages(path)
    }
    assert len(said) > 200
    assert {place: text for place, text in said.items() if not SENTENCE.match(text)} == {}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("{} is empty; copy it again.", True),
        ("Install it: pip install 'x[{}]'", True),
        ("{} cannot be placed in space: {}", True),
        ("--sm belongs to --engine.", True),
        ("got three axes.", False),
        ("A box is three slices; got {}", False),
        ("The file ends early", False),
    ],
)
def test_the_rule_of_sentences(text, right):
    assert bool(SENTENCE.match(text)) == right


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
    shipped = [path for path in MODULES if name(path).startswith(("spineps_rt/", "export/"))]
    folders = [path.parent.relative_to(ROOT).parts for path in shipped if path.name == "__init__.py"]
    on_disk = {".".join(("spineps_rt", *parts) if parts[0] == "export" else parts) for parts in folders}
    assert sorted(words(setup["options"]["packages"])) == sorted(on_disk | {"spineps_rt.engines"})


def test_every_extra_that_is_named_exists_and_is_explained(setup):
    extras = set(setup["options.extras_require"])
    named = {}
    for path in [*MODULES, ROOT / "README.md", *ROOT.glob("*/*.md"), *(ROOT / "tests").glob("*.py")]:
        for found in re.finditer(r"spineps-rt\\?\[([a-z0-9,]+)\\?\]", path.read_text(encoding="utf-8")):
            named.update(dict.fromkeys(found[1].split(","), name(path)))
    assert {extra: file for extra, file in named.items() if extra not in extras} == {}
    decisions = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
    assert {extra for extra in extras if f"`[{extra}]`" not in decisions} == set()
    needed = {re.match(r"[\w-]+", line)[0] for line in words(setup["options"]["install_requires"])}
    assert {package for package in needed if f"| {package} " not in decisions} == set()


def test_the_lowest_versions_are_those_of_setup():
    assert (ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8") == lowest.constraints()


def test_a_plain_installation_shares_no_module_with_onnxruntime(setup):
    assert "onnxruntime" not in setup["options"]["install_requires"]
    for extra, packages in setup["options.extras_require"].items():
        kinds = {re.match(r"[\w-]+", line)[0] for line in words(packages) if line.startswith("onnxruntime")}
        assert kinds <= {"onnxruntime-gpu"} or kinds <= {"onnxruntime"} or extra == "test"  # by platform


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
    assert "spineps_rt/export/graphs/trace.py" in files
    shipped = {file for file in files if file.startswith("spineps_rt/engines/")}
    models = {
        f"spineps_rt/{name(path)}" for path in (ROOT / "engines").glob("*/m*") if path.name in MODEL_FILES
    }
    assert models | {f"spineps_rt/engines/extra/{file}" for file in MODEL_FILES} <= shipped
    assert {f"spineps_rt/{name(path)}" for path in (ROOT / "engines" / "selftest").glob("*.gz")} <= shipped
    assert "spineps_rt/engines/extra/built.engine" not in shipped
    assert {file.split("/")[0] for file in files} == {"spineps_rt"}


MODEL_FILES = ("manifest.json", "model.onnx")


def test_the_citation_is_of_this_version():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {spineps_rt.__version__}\n" in text


def test_the_workflow_covers_every_python_that_setup_names(setup):
    named = re.findall(r"Python :: (3\.\d+)", setup["metadata"]["classifiers"])
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert f"python: {json.dumps(named)}" in workflow
    assert setup["options"]["python_requires"] == f">={named[0]}"
    assert set(re.findall(r"run: (bash \S+)", workflow)) == {"bash .ci/run"}
    hidden = re.search(r"features: \[(.*)\]", workflow)
    assert hidden
    assert {name for part in re.findall(r'"(.*?)"', hidden[1]) for name in part.split(",")} <= set(HIDDEN)


def test_the_changelog_says_what_was_added_changed_and_fixed():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= {"Added", "Changed", "Fixed"}


def test_ci_runs_the_readme_s_command():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    assert "pip install" not in script
