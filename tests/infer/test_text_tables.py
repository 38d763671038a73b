"""A fit in lines: what is shown of many parameters, in which order, and how it lines up."""

import numpy as np
import pytest

from emjax.infer.standard_errors import StandardErrors
from emjax.infer.summaries import counted, parameter_lines
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.strength import PerPair


def errors(names: list[str], estimate: np.ndarray) -> StandardErrors:
    n = len(names)
    half = np.full(n, 0.5)
    return StandardErrors(
        names=tuple(names), estimate=estimate, std_err=half, lower=estimate - 1, upper=estimate + 1,
        notes=("",) * n, covariance=np.eye(n), level=0.9, given_prior=np.eye(n),
    )  # fmt: skip


def board(models: list[str]) -> list[str]:
    rng = np.random.default_rng(0)
    s = rng.permutation(np.arange(len(models), dtype=float))
    strength = BradleyTerry(strengths=s, models=tuple(models), components=np.zeros(len(models), int))
    names = ["low", *(f"strength of {m}" for m in models)]
    return parameter_lines(strength, errors(names, np.append(0.25, s)))


@pytest.mark.parametrize(("models", "shown", "end"), [
    (13, 13, None), (14, 12, "… and 2 more models"), (200, 12, "… and 188 more models"),
])  # fmt: skip
def test_models_are_listed_by_strength_and_many_are_cut(models: int, shown: int, end: str | None):
    lines = board([f"m{i}" for i in range(models)])
    assert lines[0].split() == ["parameter", "estimate", "std_err", "90%", "interval"]
    assert lines[1].split()[:2] == ["low", "0.2500"]
    assert lines[2].split() == ["model", "rank", "strength", "std_err", "90%", "interval"]
    rows = lines[3 : 3 + shown]
    assert [float(row.split()[2]) for row in rows] == list(range(models - 1, models - 1 - shown, -1))
    assert lines[3 + shown : -1] == ([end] if end else [])
    assert lines[-1].startswith("apart from a common factor of all strengths: 1, with a standard error of")


def test_columns_are_aligned_with_wide_and_combining_characters():
    lines = board(["Müller", "模型-七", "a\nb", "e\u0301"])
    assert len(lines) == 8
    # Two Chinese characters more in columns than in letters, and an accent that takes none.
    ends = {line.split("  ")[0]: line.index(".") for line in lines[3:7]}
    assert ends["模型-七"] + 3 == ends["Müller"] == ends["a b"] == ends["e\u0301"] - 1


def test_parameters_of_pairs_are_cut_too():
    names = [f"strength[{i}]" for i in range(40)]
    lines = parameter_lines(PerPair(), errors(names, np.full(40, 0.5)))
    assert len(lines) == 14 and lines[-1] == "… and 28 more parameters"


def test_counted_has_singular_and_plural():
    assert counted(1, "vote") == counted(1.0, "vote") == "1 vote"
    assert counted(0, "EM step") == "0 EM steps"
