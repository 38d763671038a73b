"""The documentation agrees with the package: its Python runs, and it names what there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.is_file()]


def python_of(page: Path) -> str:
    """The blocks fenced as ```python, in order, each at the line that it has in the page."""
    text = page.read_text(encoding="utf-8")
    lines: list[str] = []
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start(1))
        lines += [""] * (first - len(lines)) + block[1].splitlines()
    return "\n".join(lines) + "\n"


def with_python(pages: list[Path]) -> list[Path]:
    return [page for page in pages if python_of(page).strip()]


def long_or_not(page: Path):
    """Two pages fit one model after another: they take as long as all the others."""
    return pytest.param(page, marks=[pytest.mark.long] if page.stem in {"bayes", "behavior"} else [])


@pytest.mark.parametrize(
    "page", [long_or_not(page) for page in with_python(PAGES)], ids=lambda page: page.name
)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path):
    """It runs in a fresh interpreter, as it would for a reader. A warning is a failure."""
    script = tmp_path / (page.stem.replace("-", "_") + ".py")
    script.write_text(python_of(page), encoding="utf-8")
    command = [sys.executable, "-W", "error", script.name]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, f"{page.name} (line numbers are those of the page):\n{done.stderr}"


def test_the_api_page_names_everything_public():
    import emjax

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\.\. auto\w+:: emjax\.(\w+)$", page, re.M))
    assert {n for n in emjax.__all__ if not n.startswith("_")} == listed


def test_the_api_page_names_every_picture():
    import emjax.report

    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\.\. auto\w+:: emjax\.report\.(\w+)$", page, re.M))
    assert set(emjax.report.__all__) == listed


def test_the_architecture_names_every_subpackage_and_the_files_beside_them():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    loose = {file.name for file in (ROOT / "emjax").glob("*.py")} - {"__init__.py"}
    packages = {folder.name for folder in (ROOT / "emjax").iterdir() if (folder / "__init__.py").is_file()}
    assert {name for name in loose if f"`{name}`" not in page} == set()
    assert {name for name in packages if f"`{name}`" not in page} == set()


def test_files_named_by_the_architecture_exist():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`(\w+(?:/\w+)+\.\w+)`", page))
    assert files
    assert {f for f in files if not (ROOT / f).is_file() and not (ROOT / "emjax" / f).is_file()} == set()


def test_every_prior_and_strength_has_its_row():
    import emjax

    page = (ROOT / "docs" / "how-to-choose.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)", page, re.M))
    choices = {n for n in emjax.__all__ if hasattr(getattr(emjax, n), "maximise")}  # what has an M-step
    assert choices
    assert choices <= rows


def test_links_between_pages_have_a_target():
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
