"""Small output folders with the content of a fit, simulated without one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

NASTY = [
    "<script>alert(1)</script>",
    "$x_1$",
    "quote\"&amp;'",
    "模型-七",
    "line\nbreak\x07",
    "\u202eright-to-left",
]
ALONE = {
    "level": "warning",
    "what": "With one comparison the votes fix attentiveness times (strength - 1/2), but not the two "
    "separately. The strength shown, 0.875, comes from its Beta(8, 2) prior.",
    "remedy": "Give the strength if you know it: Known(0.74). The order of users does not depend on it.",
    "undetermined": True,
    "about": "scale",
}


def nullable(values):
    return pa.array([None if v is None or not np.isfinite(v) else float(v) for v in values], pa.float64())


def write(folder: Path, fit: dict, users: dict, comparisons: dict, leaderboard: dict | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit.json").write_text(json.dumps(fit))
    for name, table in (("users", users), ("comparisons", comparisons), ("leaderboard", leaderboard)):
        if table is not None:
            columns = {
                k: nullable(v) if np.asarray(v).dtype.kind == "f" else pa.array(list(v))
                for k, v in table.items()
            }
            pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def parameter(name, estimate, std_err=None, note=""):
    ends = (None, None) if std_err is None else (estimate - 1.96 * std_err, estimate + 1.96 * std_err)
    return {
        "name": name, "estimate": estimate, "std_err": std_err, "lower": ends[0], "upper": ends[1],
        "note": note,
    }  # fmt: skip


def summary(prior: dict, strength: dict, attentiveness: dict, data: dict, **other) -> dict:
    em, newton = other.pop("em_steps", 14), other.pop("newton_steps", 3)
    best = -0.66 * data["n_votes"]
    steps = np.arange(em + newton)
    gaps = np.where(steps < em, 400.0 * 0.6**steps, 400.0 * 0.6 ** (em - 1) * 1e-2 ** (steps - em + 1.0))
    gaps[-1] = 0.0
    fit = {
        "format": "emjax-fit", "version": 2, "emjax": "0.2.0", "prior": prior, "strength": strength,
        "behavior": {"type": "AttentiveOrRandom"}, "log_likelihood": best, "trace": (best - gaps).tolist(),
        "em_steps": em, "newton_steps": newton, "converged": True, "outcome": "converged",
        "message": "The optimality gap is within the tolerance.", "gap": 3.1e-7, "tol": 1e-3,
        "parameters": [], "identifiability": {"identified": True, "findings": []},
        "attentiveness": attentiveness, "data": {"left_out": {}, "source": None} | data,
    }  # fmt: skip
    return fit | other


def draw_users(rng, eta, votes, mu):
    """Users' table from attentiveness, votes and the strength of the comparison each vote was on."""
    wins = np.array([rng.binomial(n, 0.5 + e * (mu - 0.5)) for n, e in zip(votes, eta, strict=True)])
    shrink = votes / (votes + 12.0)
    mean = np.clip(
        shrink * np.clip((wins / votes - 0.5) / (mu - 0.5), 0, 1) + (1 - shrink) * eta.mean(), 0, 1
    )
    sd = 0.25 * np.sqrt(1 - shrink)
    high = 1.0 / (1.0 + np.exp(-(mean - 0.5) / (0.45 * sd + 1e-3)))
    table = {
        "n_votes": votes.astype(float), "attentiveness": mean, "attentiveness_sd": sd,
        "attentiveness_map": np.clip(mean + 0.02, 0, 1), "prob_attentive": high, "flip_rate": (1 - mean) / 2,
        "agreement": wins / votes,
    }  # fmt: skip
    return table, wins


def one_comparison(folder: Path, users: int = 400) -> Path:
    """One comparison, TwoPoint, Shared: the scale is not determined."""
    rng = np.random.default_rng(1)
    eta = np.where(rng.random(users) < 0.6, 0.63, 0.256)
    votes = rng.integers(20, 140, users)
    table, wins = draw_users(rng, eta, votes, 0.875)
    fit = summary(
        {"type": "TwoPoint", "low": 0.256, "high": 0.627, "weight": 0.601},
        {"type": "Shared", "prior": [8, 2], "value": 0.875},
        {"nodes": [0.256, 0.627], "weights": [0.399, 0.601], "density": None, "mean": 0.479, "sd": 0.182},
        {"n_users": users, "n_votes": float(votes.sum()), "n_comparisons": 1, "n_models": 2,
         "left_out": {"ties dropped": 3471.0}, "source": "votes.parquet"},
        parameters=[
            parameter("low", 0.256, None, "not determined by the votes alone"),
            parameter("high", 0.627, None),
            parameter("weight", 0.601, 0.0312), parameter("strength", 0.875, None, "set by its prior"),
        ],
        identifiability={"identified": False, "findings": [ALONE]},
    )  # fmt: skip
    comparisons = {
        "model_a": ["new"], "model_b": ["base"], "strength": [0.875], "std_err": [None],
        "n_votes": [float(votes.sum())], "wins_a": [float(wins.sum())],
    }  # fmt: skip
    comparisons["std_err"] = np.array([np.nan])
    for key in ("strength", "n_votes", "wins_a"):
        comparisons[key] = np.array(comparisons[key])
    return write(folder, fit, {"user": [f"user-{i:04d}" for i in range(users)], **table}, comparisons)


def many_models(folder: Path, models: int = 20, users: int = 124, **other) -> Path:
    """An arena: Bradley-Terry strengths, a free grid, names meant to break pages."""
    rng = np.random.default_rng(2)
    names = [*NASTY, "a-very-long-model-name-of-the-2024-07-18-instruct-release-awq-4bit-preview"]
    names += [f"model-{i:02d}" for i in range(len(names), models)]
    names = names[:models]
    eta = rng.choice([0.0, 0.46, 1.0], users, p=[0.16, 0.42, 0.42])
    votes = np.maximum(1, rng.lognormal(3.4, 1.1, users).astype(int))
    table, _ = draw_users(rng, eta, votes, 0.74)
    table["attentiveness_map"] = np.full(users, np.nan)
    nodes, weights = np.linspace(0, 1, 64), np.zeros(64)
    weights[[0, 28, 29, 63]] = 0.161, 0.2, 0.22, 0.419
    strength = np.sort(rng.normal(0, 0.9, models))[::-1]
    strength -= strength.mean()
    error = rng.uniform(0.1, 0.3, models)
    error[-1] = np.nan
    leaderboard = {
        "model": names, "strength": strength, "std_err": error, "lower": strength - 1.96 * error,
        "upper": strength + 1.96 * error, "n_votes": rng.integers(50, 700, models).astype(float),
        "rank": np.arange(1, models + 1), "ordinary_strength": 0.55 * strength + rng.normal(0, 0.05, models),
    }  # fmt: skip
    pairs = [(a, b) for a in range(models) for b in range(a + 1, models)]
    mu = np.array([1 / (1 + np.exp(strength[b] - strength[a])) for a, b in pairs])
    shown = rng.multinomial(votes.sum(), rng.dirichlet(np.full(len(pairs), 2.0))).astype(float)
    comparisons = {
        "model_a": [names[a] for a, _ in pairs], "model_b": [names[b] for _, b in pairs], "strength": mu,
        "std_err": np.full(len(pairs), 0.04), "n_votes": shown, "wins_a": np.round(shown * (0.3 * mu + 0.35)),
    }  # fmt: skip
    fit = summary(
        {"type": "Grid", "nodes": nodes.tolist(), "weights": weights.tolist()},
        {"type": "BradleyTerry", "l2": 0.01},
        {"nodes": nodes.tolist(), "weights": weights.tolist(), "density": None, "mean": 0.61, "sd": 0.36},
        {"n_users": users, "n_votes": float(votes.sum()), "n_comparisons": len(pairs), "n_models": models,
         "left_out": {"ties dropped": 3471.0, "users with no vote left": 2.0}, "source": "crowd/*.csv"},
        parameters=[parameter(f"strength[{n}]", s, None if np.isnan(e) else e)
                    for n, s, e in zip(names, strength.tolist(), error.tolist(), strict=True)],
        identifiability={"identified": True, "findings": [
            {"level": "note", "what": "The grid has more points than the votes per user can distinguish: its "
             "weights are one of many equally good sets.",
             "remedy": "Read the fitted distribution as a whole."}]},
        em_steps=45,
    )  # fmt: skip
    ids = ["<b>bold</b>", "$\\alpha$", *range(2, users)]
    return write(folder, fit | other, {"user": [str(i) for i in ids], **table}, comparisons, leaderboard)


def beta_density(folder: Path, users: int = 300, votes_each: int | None = None) -> Path:
    """One comparison with a known strength, and a Beta prior with an infinite density at 1; not converged."""
    rng = np.random.default_rng(3)
    eta = rng.beta(1.6, 0.7, users)
    votes = np.full(users, votes_each) if votes_each else rng.integers(1, 300, users)
    table, wins = draw_users(rng, eta, votes, 0.74)
    table["attentiveness_map"] = np.full(users, np.nan)
    grid = np.linspace(0, 1, 201)
    with np.errstate(divide="ignore"):
        density = np.where(grid < 1, grid**0.6 * (1 - grid) ** -0.3 * 1.13, np.inf)
    nodes = (np.arange(512) + 0.5) / 512
    weights = nodes**0.6 * (1 - nodes) ** -0.3
    fit = summary(
        {"type": "Beta", "a": 1.6, "b": 0.7}, {"type": "Known", "value": 0.74},
        {"nodes": nodes.tolist(), "weights": (weights / weights.sum()).tolist(), "mean": 0.69, "sd": 0.25,
         "density": {"eta": grid.tolist(), "density": [d if np.isfinite(d) else None for d in density]}},
        {"n_users": users, "n_votes": float(votes.sum()), "n_comparisons": 1, "n_models": None},
        parameters=[parameter("a", 1.6, 0.12), parameter("b", 0.7, 0.051)],
        converged=False, outcome="step limit",
        message="EM stopped after 1,000 steps. Allow more: max_steps=5000.",
        gap=2.4,
    )  # fmt: skip
    comparisons = {
        "model_a": ["topic: cooking"], "model_b": [None],
        "strength": np.array([0.74]), "std_err": np.array([np.nan]),
        "n_votes": np.array([float(votes.sum())]), "wins_a": np.array([float(wins.sum())]),
    }  # fmt: skip
    return write(folder, fit, {"user": np.arange(users), **table}, comparisons)


@pytest.fixture(scope="session")
def single(tmp_path_factory):
    return one_comparison(tmp_path_factory.mktemp("single"))


@pytest.fixture(scope="session")
def arena(tmp_path_factory):
    return many_models(tmp_path_factory.mktemp("arena"))


@pytest.fixture(scope="session")
def beta(tmp_path_factory):
    return beta_density(tmp_path_factory.mktemp("beta"))


@pytest.fixture(scope="session")
def make():
    """The makers, for tests that need other sizes."""
    return {"single": one_comparison, "arena": many_models, "beta": beta_density}


@pytest.fixture
def copy_of(tmp_path):
    """A copy of an output folder, to be damaged."""

    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / "copy"))

    return copy
