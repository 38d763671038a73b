"""The rules of the code base that a program can check. docs/architecture.md gives the reasons."""

import ast
import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import plain_words
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "emjax"
LONGEST_FILE = 700

# Public names that may do without an example, each with its reason. Errors and plain values need no entry.
NO_EXAMPLE: dict[str, str] = {}

# Words of tests/plain_words.py that a file may use all the same: (file, word as it is found) and the reason.
WORDS_ALLOWED: dict[tuple[str, str], str] = {
    ("examples/which_prior.py", "foretells"): "title of a stored figure, until the notebook is run again",
    ("emjax/model/item_strength.py", "lean"): "name of a parameter in files, until public names change",
    ("examples/which_prior.py", "seen"): "title of a stored figure, until the notebook is run again",
}

# Imported on demand, and each in one file at most, so that its absence is one message in one place.
OPTIONAL = (
    "accelerate", "arviz_base", "arviz_stats", "datasets", "flax", "numpyro", "optax", "pandas", "peft",
    "polars", "pyspark", "torch", "tqdm", "transformers", "trl",
)  # fmt: skip


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def own_files() -> list[Path]:
    """Every text file that is written by hand."""
    loose = [
        file for pattern in ("*.md", "*.toml", "*.txt", "Makefile", ".ci/run") for file in ROOT.glob(pattern)
    ]
    folders = ("emjax", "tests", "docs", "examples", "benchmarks")
    kinds = {".py", ".md", ".html", ".css", ".js", ".toml"}
    held = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in kinds]
    return sorted(loose + held)


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def imports_of(file: Path) -> set[str]:
    """Full names of all modules that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return found


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that raises on any warning."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def distribution(requirement: str) -> str:
    """The name in a requirement, as in `pyright[nodejs]>=1.1`, spelt as package indices compare it."""
    bare = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert bare, requirement
    return re.sub(r"[-_.]+", "-", bare[0]).lower()


# ----------------------------------------------------------------------------------------- nothing at import


def test_importing_touches_no_device_and_no_setting():
    done = run_python(
        "import logging, warnings\n"
        # other libraries are imported first, so that their changes are not attributed to emjax
        "import duckdb, jax, jaxtyping, matplotlib.figure, narwhals, numpy, pyarrow.parquet, rich, typer\n"
        "import scipy.optimize, scipy.sparse.csgraph, scipy.special, scipy.stats\n"
        "def settings():\n"
        "    loggers = [logging.getLogger(n) for n in (None, 'jax', 'jax._src.xla_bridge')]\n"
        "    logs = [(list(l.filters), list(l.handlers), l.level) for l in loggers]\n"
        "    return logs, list(warnings.filters), dict(jax.config.values), dict(matplotlib.rcParams)\n"
        "before = settings()\n"
        "from emjax import *\n"  # every public name, with the modules behind it
        "import emjax.cli.app, emjax.cli.answer_files, emjax.cli.arena, emjax.cli.parse\n"
        "from emjax.report import *\n"
        "assert settings() == before, 'importing emjax changed a setting'\n"
        "from jax._src import xla_bridge\n"
        "assert not xla_bridge.backends_are_initialized(), 'importing emjax started a device'\n"
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def test_importing_the_package_or_the_command_line_imports_nothing_heavy():
    """`import emjax` and `emjax --help` answer at once: what takes long is imported when it is first used."""
    heavy = {"jax", "scipy", "duckdb", "pyarrow", "matplotlib", "numpy", "narwhals", "jinja2"}
    done = run_python(f"import sys, emjax, emjax.cli.app\nprint(*sorted({heavy!r} & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_templates_are_read_only_where_a_page_is_written():
    done = run_python(
        "import sys, emjax.report.write_filter_folder, emjax.report.write_fit_folder, emjax.report.plots\n"
        "print(*{'jinja2', 'emjax.report.render'} & set(sys.modules))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_importing_brings_in_no_optional_package():
    done = run_python(
        f"import sys\nfrom emjax import *\nprint(*sorted(set({OPTIONAL!r}) & set(sys.modules)))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.long
def test_every_module_imports_on_its_own():
    """No module needs another to have been imported before it."""
    parts = [file.relative_to(ROOT).with_suffix("").parts for file in python_files("emjax")]
    modules = [".".join(p).removesuffix(".__init__") for p in parts if p[-1] != "__main__"]
    done = run_python(
        "import importlib, pathlib, sys, types\n"
        f"for module in {modules!r}:\n"
        "    for name in [n for n in sys.modules if n.split('.')[0] == 'emjax']:\n"
        "        del sys.modules[name]\n"
        "    if module != 'emjax':  # the real one imports everything, in its own order\n"
        "        page = sys.modules['emjax'] = types.ModuleType('emjax')\n"
        "        page.__path__ = [str(pathlib.Path('emjax').resolve())]\n"
        "    try:\n"
        "        importlib.import_module(module)\n"
        "    except ImportError as error:\n"
        "        print(module, error, sep=': ')\n"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("package", OPTIONAL)
def test_an_optional_package_is_imported_in_one_file(package: str):
    files = [name(f) for f in python_files("emjax") if package in {m.split(".")[0] for m in imports_of(f)}]
    assert len(files) <= 1, f"{package} is imported in {files}"


def test_everything_imported_is_declared():
    """A third-party module is a core dependency, or optional and known as such."""
    core = {distribution(r).replace("-", "_") for r in project()["dependencies"]}
    known = core | set(OPTIONAL) | set(sys.stdlib_module_names) | {"emjax"}
    undeclared = {
        f"{name(f)}: {module}"
        for f in python_files("emjax")
        for module in imports_of(f)
        if module.split(".")[0] not in known
    }
    assert undeclared == set()


def test_no_subpackage_imports_the_package():
    """`import emjax` inside a subpackage is a circular import: emjax/__init__.py imports them all."""
    allowed = {PACKAGE / "__main__.py", *(PACKAGE / "cli").glob("*.py")}
    circular = [name(f) for f in python_files("emjax") if f not in allowed and "emjax" in imports_of(f)]
    assert circular == []


# -------------------------------------------------------------------------------------------- how files look


@pytest.mark.parametrize("file", python_files("emjax", "tests", "docs", "examples", "benchmarks"), ids=name)
def test_files_are_short(file: Path):
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: find the second idea in it and move it to its own file"


def test_nothing_is_left_for_later():
    words = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
    found = [
        f"{name(file)}:{number}"
        for file in own_files()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


def test_no_file_is_called_utils():
    assert [name(f) for f in python_files("emjax") if f.name in {"utils.py", "base.py", "helpers.py"}] == []


def test_nothing_is_pickled():
    """Reading a pickle runs whatever code it holds, so no file of ours is one."""
    risky = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
    found = [name(f) for f in python_files("emjax") if {m.split(".")[0] for m in imports_of(f)} & risky]
    found += [name(f) for f in python_files("emjax") if "allow_pickle=True" in f.read_text(encoding="utf-8")]
    assert found == []


def strings_of(text: str) -> list[tuple[int, str]]:
    """Line and content of each string literal of a Python file that is no docstring; {} for values in it."""
    nodes = list(ast.walk(ast.parse(text)))
    whole = {
        node: "".join(_literal(part) for part in node.values)
        for node in nodes
        if isinstance(node, ast.JoinedStr)
    }
    inner = {part for node in whole for part in node.values}
    inner |= {node.value for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    whole |= {node: _literal(node) for node in nodes if isinstance(node, ast.Constant) and node not in inner}
    return [(node.lineno, string) for node, string in whole.items()]


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "{}"


TAG = re.compile(r"</?([a-z!]|{}[ />])|&(lt|gt|amp|quot|nbsp|#\w+);")
DRAWS_SVG = "emjax/report/svg.py"


def test_html_is_in_templates_alone():
    """Python gives templates plain text, which they escape; only the file that draws SVG writes tags."""
    found = [
        f"{name(file)}:{line}: {string!r}"
        for file in python_files("emjax")
        for line, string in strings_of(file.read_text(encoding="utf-8"))
        if name(file) != DRAWS_SVG and TAG.search(string)
    ]
    assert found == []


def test_html_in_strings_is_found():
    docstrings = '"""<p>"""\ndef f(x):\n    """<b>"""\n    return '
    text = docstrings + 'f"<b>{x}</b>", f"<{x}>", "&lt;", f"{x} < {x}", f"{1:<{x}}", "<"\n'
    assert {string for _, string in strings_of(text) if TAG.search(string)} == {"<b>{}</b>", "<{}>", "&lt;"}


def test_nothing_but_the_pictures_is_exempt_from_escaping():
    """Templates escape what they insert, but for a picture, whose file escapes its own texts."""
    by_file = {file: file.read_text(encoding="utf-8") for file in python_files("emjax")}
    assert [name(file) for file, text in by_file.items() if "__html__(" in text] == [DRAWS_SVG]
    exempt = re.compile(r"\bMarkup\(|autoescape\s*=\s*(?!True)|\|\s*safe\b|\bautoescape false|tojson|xmlattr")
    files = by_file | {file: file.read_text(encoding="utf-8") for file in templates()}
    assert [name(file) for file, text in files.items() if exempt.search(text)] == []


def test_annotations_are_real_objects():
    """With postponed annotations the shapes in the signatures would be strings that nothing checks."""
    assert [name(f) for f in python_files("emjax") if "__future__" in imports_of(f)] == []


def test_no_function_takes_verbose():
    """Logging and the command line decide how much is printed, not a parameter."""
    found = []
    for file in python_files("emjax"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
                found += [f"{name(file)}: {node.name}"] * ("verbose" in names)
    assert found == []


def test_oracles_import_nothing_that_they_check():
    oracles = ROOT / "tests" / "oracles.py"
    if not oracles.is_file():
        pytest.skip("there are no oracles yet")
    assert {m.split(".")[0] for m in imports_of(oracles)} & {"jax", "jaxlib", "emjax"} == set()


# --------------------------------------------------------------------------------------------- the language


def pages() -> list[Path]:
    """What a reader reads outside the code; of the examples comments and texts."""
    loose = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
    return sorted(loose) + python_files("examples")


def templates() -> list[Path]:
    return sorted(PACKAGE.rglob("*.html"))


@pytest.mark.parametrize("file", [*pages(), *python_files("emjax"), *templates()], ids=name)
def test_text_is_in_plain_words(file: Path):
    """Pages, examples and the package use the terms of statistics and machine learning."""
    found = [
        str(one)
        for one in plain_words.found_in(file, name(file))
        if (one.file, one.word) not in WORDS_ALLOWED
    ]
    assert found == []


def test_every_allowed_word_is_there():
    files = {file for file, _ in WORDS_ALLOWED}
    used = {(one.file, one.word) for file in files for one in plain_words.found_in(ROOT / file, file)}
    assert set(WORDS_ALLOWED) <= used, "an exception for a word that is not there"


def test_words_are_found_in_text_and_not_in_code(tmp_path: Path):
    page, module, template = (tmp_path / file for file in ("page.md", "module.py", "page.html"))
    page.write_text(
        "It foretells\nvotes. Users are told\napart. Look up `seen`.\n\n"
        "```python\nseen = 1  # nobody\n```\n\n[room](door.md)\n"
    )
    module.write_text(
        'def door(room):\n    """Hands over `lacks` votes.\n\n    >>> seen = 1\n    """\n'
        '    # at face\n    # value, kind regards, look up\n    return f"{seen} pieces"\n'
    )
    words = [(one.line, one.word) for one in plain_words.found_in(page, "page.md")]
    assert sorted(words) == [(1, "foretells"), (2, "told apart"), (6, "nobody"), (9, "room")]
    words = [(one.line, one.word) for one in plain_words.found_in(module, "module.py")]
    assert sorted(words) == [(2, "Hands over"), (6, "at face value"), (8, "pieces")]
    template.write_text(
        '{# nobody #}\n<p class="room">Votes{% if seen %} are told\napart{% endif %}.</p>\n'
        '{{ spare if lacks else "a spike" }} <code>lean</code> {{ seen }}\n'
    )
    words = [(one.line, one.word) for one in plain_words.found_in(template, "page.html")]
    assert sorted(words) == [(1, "nobody"), (2, "told apart"), (4, "spike")]


# --------------------------------------------------------------------------------------------- public names


def public_names() -> list[str]:
    import emjax

    return sorted(emjax.__all__)


def test_every_public_name_exists():
    import emjax

    assert [n for n in emjax.__all__ if not hasattr(emjax, n)] == []
    assert len(set(emjax.__all__)) == len(emjax.__all__)


def test_public_names_are_documented_with_an_example():
    import emjax

    missing = []
    for public in public_names():
        thing = getattr(emjax, public)
        is_error = inspect.isclass(thing) and issubclass(thing, BaseException)
        if not callable(thing) or is_error:
            continue
        text = thing.__doc__ or ""
        if not text.strip():
            missing.append(f"{public}: no docstring")
        elif ">>>" not in text and public not in NO_EXAMPLE:
            missing.append(f"{public}: no example")
    assert missing == []
    assert set(NO_EXAMPLE) <= set(public_names()), "an exception for a name that is not there"


# ----------------------------------------------------------------------------------------------- the package


def test_the_version_is_one():
    import emjax

    version = project()["version"]
    assert importlib.metadata.version("emjax") == version
    assert getattr(emjax, "__version__", version) == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_constraints_are_exact_versions_and_cover_what_is_asked_for():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    odd = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+( ?; .+)?", pin)]
    assert odd == []
    asked = [*project()["dependencies"]]
    for extra in project()["optional-dependencies"].values():
        asked += [r for r in extra if not r.startswith("emjax[")]
    assert {distribution(r) for r in asked} - {distribution(p) for p in pins} == set()
    assert "torch==2.13.0" in pins
