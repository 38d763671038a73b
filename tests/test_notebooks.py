"""Notebooks are what their text sources say, with what they printed and drew, and nothing of a machine."""

import getpass
import re
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="jupytext is not installed: pip install 'emjax[docs]'")

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LARGEST = 600_000  # bytes
PATH = re.compile(r"/(?:home|Users|tmp|root|work|var|mnt|opt)/|[A-Z]:\\\\|site-packages|\.venv")


def read(file: Path):
    kind = "py:percent" if file.suffix == ".py" else "ipynb"
    return jupytext.reads(file.read_text(encoding="utf-8"), fmt=kind)


def outputs(notebook) -> list:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def test_every_text_source_has_its_notebook():
    sources = {f.stem for f in (ROOT / "examples").glob("*.py") if "\n# %%" in f.read_text(encoding="utf-8")}
    assert sources
    assert {f.stem for f in NOTEBOOKS} == sources


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_its_text_source_cell_by_cell(file: Path):
    written, run = read(file.with_suffix(".py")).cells, read(file).cells
    assert [cell.cell_type for cell in run] == [cell.cell_type for cell in written]
    for number, (ours, theirs) in enumerate(zip(run, written, strict=True)):
        again = f"cell {number} differs: run `make notebooks ARGS={file.stem}`"
        assert ours.source == theirs.source, again
        assert ours.metadata.get("tags") == theirs.metadata.get("tags"), again


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_was_run_from_top_to_bottom(file: Path):
    notebook = read(file)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    shown = outputs(notebook)
    assert {output.output_type for output in shown} <= {"stream", "display_data", "execute_result"}
    assert [output.text for output in shown if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in shown) >= 2
    assert sum(output.get("name") == "stdout" for output in shown) >= 2


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_small_and_names_no_machine(file: Path):
    assert file.stat().st_size < LARGEST
    notebook = read(file)
    assert set(notebook.metadata) <= {"jupytext", "language_info"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
    for output in outputs(notebook):
        words = [output.get("text", ""), *(v for k, v in output.get("data", {}).items() if k != "image/png")]
        for text in map(str, words):
            assert not PATH.search(text), text
            user = getpass.getuser()
            assert len(user) < 4 or user == "root" or user not in text
