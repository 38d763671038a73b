"""Count what the architecture aims to keep small, and write the table into docs/architecture.md.

    python docs/structure_figures.py    `make structure` does this

A class test outside `model/` asks by `isinstance` for one of the priors, strengths, response models or tie
rules; it means that something the class could say about itself is decided elsewhere.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- figures of the structure -->\n", "<!-- end of the figures -->"
KINDS = {"Attentiveness", "Strength", "Behavior", "TieRule"}  # what a model is made of


def trees(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    """Every module below a folder, parsed."""
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def model_classes() -> set[str]:
    """Names of the classes in `model/` that are parts of a model, whatever they are derived from."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for _, tree in trees(ROOT / "emjax" / "model")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found, before = set(KINDS), 0
    while len(found) > before:
        before = len(found)
        found |= {name for name, of in bases.items() if of & found}
    return found


def class_tests(tree: ast.Module, classes: set[str]) -> int:
    """How many calls of `isinstance` name one of these classes."""
    return sum(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "isinstance"
        and bool(classes & {name.id for name in ast.walk(node.args[1]) if isinstance(name, ast.Name)})
        for node in ast.walk(tree)
    )


def refusals(tree: ast.Module) -> int:
    """How many statements raise a ModelError."""
    raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    called = (exc.func for exc in raised if isinstance(exc, ast.Call))
    return sum(isinstance(func, ast.Name) and func.id == "ModelError" for func in called)


def figures() -> dict[str, str]:
    """The rows of the table."""
    classes, modules = model_classes(), list(trees(ROOT / "emjax"))
    outside = [(path, tree) for path, tree in modules if "model" not in path.relative_to(ROOT).parts]
    tests = [class_tests(tree, classes) for _, tree in outside]
    n_files = sum(n > 0 for n in tests)
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path, _ in modules]
    result = json.loads((ROOT / "benchmarks/results/first_answer.json").read_text(encoding="utf-8"))
    programs = next(
        row["shown"]
        for row in result["figures"]
        if row["figure"] == "programs of `fit_em`, `users`, `leaderboard`, now"
    )
    return {
        "files and lines in `emjax/`": f"{len(modules)} and {sum(lines):,}",
        "longest file": f"{max(lines)} lines",
        "class tests on parts of a model, outside `model/`": f"{sum(tests)} in {n_files} files",
        "statements outside `model/` that raise ModelError": f"{sum(refusals(tree) for _, tree in outside)}",
        "XLA programs of `fit_em`, `users` and `leaderboard`": programs,
    }


def with_table(page: str) -> str:
    """The page with the table between its marks replaced."""
    rows = "\n".join(f"| {what} | {value} |" for what, value in figures().items())
    before, mark, rest = page.partition(BEGIN)
    if not mark:
        raise SystemExit(f"{PAGE.name} has no place for the table: add the lines {BEGIN.strip()} and {END}")
    return f"{before}{mark}| figure | now |\n|---|---|\n{rows}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
