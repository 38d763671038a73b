"""The benchmarks run at sizes that take seconds, and what they write is whole and sane. No time is judged."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

ROOT = Path(__file__).resolve().parent.parent
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
NAMES = (
    "before_after",
    "first_answer",
    "suite_times",
    "recovery",
    "speed",
    "against",
    "real_votes",
    "calibration",
    "behavior",
    "overlap",
    "contextual",
    "evidence",
    "vote_features",
    "bayes",
    "sbc",
    "file_to_fit",
    "em_scale",
    "em_peers",
    "every_peer",
    "passes",
    "many_models",
    "item_models",
    "style_control",
    "strength_coverage",
    "robustness",
)
PEERS = {"evalica": "evalica", "crowd-kit": "crowdkit"}


def load(name):
    """A module of the benchmarks by its file, since their folder is no installed package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, folder, *options):
    """The JSON of a smoke run, its text, and what was printed."""
    file = folder / f"{name}.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", "--smoke", "--json", str(file), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    return json.loads(text), text, done.stdout


def check(content, text, printed, name):
    """What every result holds."""
    assert content["benchmark"] == name and content["smoke"] is True
    assert content["command"].startswith(f"python -m benchmarks.{name} --smoke")
    assert {"cpu", "cores", "memory_gib", "os", "load_average"} <= set(content["machine"])
    assert {"python", "emjax", "jax", "numpy"} <= set(content["versions"])
    assert content["date"][:2] == "20"
    assert str(ROOT) not in text, "where the repository lies does not belong into a result"
    assert content["figures"]
    for row in content["figures"]:
        assert set(row) == {"figure", "measured", "shown", "target", "met"}
        assert row["met"] is None, "tiny sizes meet and miss nothing"
        assert (row["measured"] is None) == (row["shown"].startswith(("not run: ", "gives no")))
        assert f"| {row['figure']} |" in printed


def rows(content, words):
    found = [row for row in content["figures"] if words in row["figure"]]
    assert found, f"no figure says {words!r}"
    return found


def test_before_after(tmp_path):
    machine = {"cpu": "c"}
    for name, seconds, inner in (("old", 2.0, 0.5), ("new", 3.0, 0.25)):
        figures = [
            {"figure": "a fit", "measured": seconds},
            {"figure": "first and later", "measured": [4.0, seconds]},
            {"figure": "coverage", "measured": 0.9},
            {"figure": "not run", "measured": None},
        ]
        raw = {"fits": [{"seconds": inner, "steps": 7}, {"seconds": 0.001}]}
        result = {"benchmark": "speed", "machine": machine, "commit": name, "figures": figures, "raw": raw}
        (tmp_path / f"{name}.json").write_text(json.dumps(result))
    pair = [str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    content, text, printed = run("before_after", tmp_path, "--pairs", *pair)
    check(content, text, printed, "before_after")
    (table,) = content["tables"]
    assert [(row[0], row[-1]) for row in table["rows"]] == [
        ("a fit", "1.50"),
        ("first and later", "1.50"),
        ("fits / 0 / seconds", "0.50"),
    ]
    assert content["figures"][0]["measured"] == 1.5


def test_suite_times(tmp_path):
    printed = [
        "file                tests   seconds  processor  programs",
        "tests/a/test_b.py      12      70.5       60.2        31",
        "tests/test_c.py         3       9.5        1.2         0",
        "the 10 slowest tests, in seconds",
        "    50.0 tests/a/test_b.py::test_d[e]",
        "15 passed in 41.00s (0:00:41)",
    ]
    (tmp_path / "log").write_text("\n".join(printed))
    content, text, printed = run("suite_times", tmp_path, "--log", str(tmp_path / "log"))
    check(content, text, printed, "suite_times")
    (row,) = rows(content, "tests, now")
    assert row["shown"].startswith(
        "15 tests, 80 s of both workers, 31 programs compiled; 15 passed in 41.00s"
    )
    files, slowest = content["tables"]
    assert files["rows"][0] == ["`tests/a/test_b.py`", "12", "70", "60", "31"]
    assert slowest["rows"] == [["`tests/a/test_b.py::test_d[e]`", "50"]]


@pytest.mark.long
def test_recovery(tmp_path):
    content, text, printed = run("recovery", tmp_path)
    check(content, text, printed, "recovery")
    for row in rows(content, "mean relative L2 error"):
        assert 0 < row["measured"] < 1
    for row in rows(content, "that error over the information bound"):
        assert 0.2 < row["measured"] < 3
    for row in rows(content, "intervals that hold the truth"):
        assert 0 <= min(row["measured"]) <= max(row["measured"]) <= 1
    for row in rows(content, "converged"):
        done, _, asked = row["shown"].partition(";")[0].partition(" of ")
        assert int(done) == int(asked)
    for words in ("objective from", "a direct optimiser's objective"):
        assert all(abs(row["measured"]) <= 1e-3 for row in rows(content, words))
    for row in rows(content, "estimated attentiveness over the true mean"):
        assert 0.9 < row["measured"][0] < 1.1
    raw = content["raw"]["many two-point"]
    assert len(raw["errors"]) == len(raw["estimates"]) == len(raw["sandwich"]) > 1


@pytest.mark.long
def test_speed(tmp_path):
    content, text, printed = run("speed", tmp_path)
    check(content, text, printed, "speed")
    for row in rows(content, "log L of EM on"):
        assert 0 <= row["measured"] <= 1e-10
    for prior in ("two-point", "Beta"):
        for spent in content["raw"][prior]["runs"]:
            assert spent["converged"]
            assert spent["total"] == pytest.approx(
                spent["from_counts"] + spent["distinct"] + spent["rest"], rel=1e-6
            )


@pytest.mark.long
def test_against(tmp_path):
    content, text, printed = run("against", tmp_path, "--python-arena-rank", "no-such-python")
    check(content, text, printed, "against")
    assert all(0.7 < slope < 1.3 for slope in rows(content, "emjax, 10 models")[0]["measured"])
    assert rows(content, "arena-rank")[0]["shown"] == "not run: not installed"
    for package, module in PEERS.items():
        found = [
            row["shown"].startswith("not run: ") for row in content["figures"] if package in row["figure"]
        ]
        there = importlib.util.find_spec(module) is not None
        assert found and any(found) != there, f"{package} is neither measured nor reported as not run"
        assert (package in content["versions"]) == there


@pytest.mark.long
def test_real_votes(tmp_path, real_votes):
    content, text, printed = run("real_votes", tmp_path, "--data", str(real_votes))
    check(content, text, printed, "real_votes")
    assert max(rows(content, "attentiveness of workers")[0]["measured"]) < 0.1
    assert rows(content, "rank correlation")[0]["measured"] >= 0.68


@pytest.mark.long
def test_behavior(tmp_path, real_votes):
    content, text, printed = run("behavior", tmp_path, "--data", str(real_votes))
    check(content, text, printed, "behavior")
    scores = [row["measured"] for row in rows(content, "who wins where somebody does")]
    assert len(scores) == 4 and all(-0.7 < score < -0.4 for score in scores)
    assert 0.55 < rows(content, "answer on the left")[0]["measured"] < 0.65
    assert np.abs(rows(content, "guess rate less the truth")[0]["measured"]).max() < 5
    blind, seeing = (row["measured"] for row in rows(content, "simulated, 2 topics"))
    assert abs(blind) < 0.3 < 0.8 < seeing
    assert 0.6 < rows(content, "area under the curve, careless votes")[0]["measured"] < 0.8
    found = [row[1] for row in content["raw"]["contrarians"]]
    assert found[-1] > 0.9 > found[0]


@pytest.mark.long
def test_overlap(tmp_path, real_votes):
    content, text, printed = run("overlap", tmp_path, "--data", str(real_votes))
    check(content, text, printed, "overlap")
    assert rows(content, "Spearman of attentiveness")[0]["measured"] > 0.5
    assert rows(content, "PerItem() less Bradley-Terry")[0]["measured"] > 0
    assert all(row["measured"] > 0.85 for row in rows(content, "labels right"))


@pytest.mark.long
def test_evidence(tmp_path):
    content, text, printed = run("evidence", tmp_path)
    check(content, text, printed, "evidence")
    assert all(0 <= row["measured"] <= 1 for row in rows(content, "covers the truth"))
    assert rows(content, "history against one fit")[0]["measured"] < 1e-9


@pytest.mark.long
def test_vote_features(tmp_path, real_votes):
    content, text, printed = run("vote_features", tmp_path, "--data", str(real_votes))
    check(content, text, printed, "vote_features")
    assert all(0 <= row["measured"] <= 1 for row in rows(content, "covers the truth"))
    assert all(0.6 < row["measured"] < 1 for row in rows(content, "area under the curve"))
    assert len(rows(content, "llmfao")) == 1


@pytest.mark.long
def test_contextual(tmp_path):
    pytest.importorskip("flax", reason="Flax is not installed: pip install 'emjax[contextual]'")
    content, text, printed = run("contextual", tmp_path)
    check(content, text, printed, "contextual")
    (ratio,) = rows(content, "reward error")
    assert len(ratio["measured"]) == 1 and 0 < ratio["measured"][0] < 1.2
    assert rows(content, "llmfao")[0]["shown"].startswith("not run")


@pytest.mark.long
def test_calibration(tmp_path, real_votes):
    content, text, printed = run("calibration", tmp_path, "--data", str(real_votes))
    check(content, text, printed, "calibration")
    assert rows(content, "votes predicted")[0]["measured"] == 5460
    scores = {
        row["figure"].partition(": ")[2]: row["measured"] for row in rows(content, "log score per vote")
    }
    assert len(scores) == 5
    assert max(scores, key=scores.__getitem__) == "attentiveness"
    assert scores["attentiveness"] > np.log(0.5)
    assert sum(group["votes"] for group in content["raw"]["groups"]) == 5460


@pytest.mark.long
def test_full_bayes(tmp_path):
    pytest.importorskip("numpyro", reason="NumPyro is not installed: pip install 'emjax[bayes]'")
    content, text, printed = run("bayes", tmp_path)
    check(content, text, printed, "bayes")
    assert content["raw"]["large: TwoPoint, known strength"]["seconds"] > 0
    (ratio,) = rows(content, "effective draws per second")
    assert ratio["measured"] > 0
    assert rows(content, "llmfao")[0]["shown"].startswith("not run")


@pytest.mark.long
def test_simulation_based_calibration(tmp_path):
    pytest.importorskip("numpyro", reason="NumPyro is not installed: pip install 'emjax[bayes]'")
    content, text, printed = run("sbc", tmp_path)
    check(content, text, printed, "sbc")
    ranks = np.array(content["raw"]["TwoPoint, known strength"]["ranks"])
    assert ranks.shape == (3, 3) and ranks.min() >= 0 and ranks.max() <= 99


@pytest.mark.parametrize("name", ["real_votes", "calibration"])
def test_absent_votes_are_reported(tmp_path, name):
    content, text, printed = run(name, tmp_path, "--data", str(tmp_path))
    check(content, text, printed, name)
    assert {row["shown"] for row in content["figures"]} == {"not run: data absent"}


@pytest.mark.long
def test_file_to_fit(tmp_path):
    content, text, printed = run("file_to_fit", tmp_path)
    check(content, text, printed, "file_to_fit")
    for words in ("bare group-by, duckdb", "`emjax fit`, whole process", "`emjax aggregate`, whole process"):
        assert all(row["measured"] > 0 for row in rows(content, words))
    raw = content["raw"]["one comparison"]
    floor = min(engine["inside"] for engine in raw["engines"])
    for when in ("first", "later"):
        (ratio,) = rows(content, f"{when}, over the fastest bare group-by")
        fastest = min(fit["seconds"] for fit in raw["fits"][when])
        assert ratio["measured"] == pytest.approx(fastest / floor, rel=1e-6)
    assert {engine["groups"] for engine in raw["engines"]} == {1000}, "500 users who voted either way"
    (votes,) = rows(content, "votes in the shards")
    assert votes["measured"] == 20_000
    assert content["raw"]["many comparisons"]["aggregate"]["peak_bytes"] > 1e7
    (fit,) = rows(content, "`emjax fit --prior two-point` on the shards")
    assert fit["measured"] == content["raw"]["many comparisons"]["fit"]["seconds"] > 0


@pytest.mark.long
def test_first_answer(tmp_path, real_votes):
    content, text, printed = run("first_answer", tmp_path)
    check(content, text, printed, "first_answer")
    (programs,) = rows(content, "programs of `fit_em`")
    assert programs["measured"] >= 1
    cold, later = rows(content, "nothing compiled before, now")[0], rows(content, ", later, now")[0]
    assert min(cold["measured"], later["measured"]) > 0
    (parts,) = rows(content, "where the time goes in the library")
    assert set(parts["measured"]) >= {"import", "read", "first fit", "trace", "compile", "report"}


@pytest.mark.long
def test_em_scale(tmp_path):
    content, text, printed = run("em_scale", tmp_path)
    check(content, text, printed, "em_scale")
    (kernel,) = rows(content, "one EM iteration")
    raw = content["raw"]["kernel"]
    assert kernel["measured"] == raw["em step"] > 0 and raw["bytes of votes"] > 14 * 2_000 * 30
    ladder = content["tables"][0]["rows"]
    assert [row[0] for row in ladder] == ["1,000", "10,000"] * 2
    assert [row["shown"].split(":")[0] for row in content["figures"][-2:]] == ["not run", "not run"]


@pytest.mark.long
def test_many_models(tmp_path):
    content, text, printed = run("many_models", tmp_path)
    check(content, text, printed, "many_models")
    found = {name: one for name, one in content["raw"].items() if isinstance(one, dict) and "gap" in one}
    assert len(found) == 5 == len(content["tables"][0]["rows"])
    assert all(one["gap"] <= 1e-3 and one["first"] >= one["again"] > 0 for one in found.values())


@pytest.mark.long
def test_item_models(tmp_path):
    content, text, printed = run("item_models", tmp_path)
    check(content, text, printed, "item_models")
    assert len(content["tables"][0]["rows"]) == 2 * 3 * 3
    score, rank = (row["measured"] for row in content["figures"])
    assert np.isfinite(score) and np.isfinite(rank)


def test_style_control(tmp_path):
    content, text, printed = run("style_control", tmp_path)
    check(content, text, printed, "style_control")
    assert [len(table["rows"]) for table in content["tables"]] == [6, 6, 1]
    assert all(0.0 <= row["measured"] <= 1.0 for row in content["figures"])


@pytest.mark.long
def test_strength_coverage(tmp_path):
    content, text, printed = run("strength_coverage", tmp_path)
    check(content, text, printed, "strength_coverage")
    assert len(content["tables"][0]["rows"]) == 7
    assert all(0.0 <= row["measured"] <= 1.0 for row in content["figures"])


def test_robustness(tmp_path):
    content, text, printed = run("robustness", tmp_path)
    check(content, text, printed, "robustness")
    assert len(content["tables"][0]["rows"]) == 2
    assert all(0.0 <= row["measured"] <= 1.0 for row in content["figures"])


def test_em_peers(tmp_path):
    content, text, printed = run("em_peers", tmp_path)
    check(content, text, printed, "em_peers")
    for title, found in content["raw"].items():
        values = [value for _, _, value in found.values()]
        assert max(values) - min(values) <= 2e-3, title
        assert found["NumPy over users"][1] == found["one vmapped E-step per user"][1] > 1


@pytest.mark.long
def test_every_peer(tmp_path):
    content, text, printed = run("every_peer", tmp_path, "--python-peers", "no-such-python")
    check(content, text, printed, "every_peer")
    (one_maximum,) = rows(content, "NumPy EM left to run")
    assert abs(one_maximum["measured"]) <= 1e-4
    lines = {line[0]: line for line in content["tables"][0]["rows"]}
    assert {len(line) for line in lines.values()} == {len(content["tables"][0]["columns"])}
    raw = {row["package"]: row for row in content["raw"]["rows"]}
    assert list(raw) == list(lines) and len(lines) == 10
    same = ("emjax TwoPoint", "NumPy EM", "vmapped EM")
    for name in same:
        assert -1e-6 <= raw[name]["lacks"] <= 1e-3, name
        assert raw[name]["strengths"]["slope"] == pytest.approx(raw[same[0]]["strengths"]["slope"], rel=0.02)
    for package, module in {
        "evalica bradley_terry": "evalica",
        "arena-rank BradleyTerry": "arena_rank",
    }.items():
        there = importlib.util.find_spec(module) is not None
        assert lines[package][3].startswith("not run: not installed") != there, package
        assert not there or lines[package][7] == "none", "who has no users knows none"
    for name in ("R's flexmix", "StepMix", "scikit-learn"):
        assert lines[name][3] == "not run" and lines[name][-1]


def test_plain_em_climbs_the_likelihood_of_the_votes(monkeypatch):
    """The E-step's log L is the sum over single votes; nowhere near is the M-step's objective higher."""
    monkeypatch.syspath_prepend(ROOT)
    every_peer, rng = importlib.import_module("benchmarks.every_peer"), np.random.default_rng(0)
    user, a = rng.integers(4, size=60), rng.integers(3, size=60)
    votes = (user, a, (a + rng.integers(1, 3, size=60)) % 3, rng.random(60) < 0.6)
    counts, first, second = every_peer.counted(votes, 3)
    strengths, support, weight = np.array([0.5, -0.2, -0.3]), np.array([0.3, 0.9]), 0.4
    found, posterior, expected = every_peer.expected(
        every_peer.numpy_e_step, counts, first, second, strengths, support, weight
    )
    per_user = np.tile(np.log([0.6, 0.4]), (4, 1))
    for j, x, y, won in zip(*votes, strict=True):
        p = 0.5 + support * (1 / (1 + np.exp(strengths[y] - strengths[x])) - 0.5)
        per_user[j] += np.log(p if won else 1 - p)
    single = np.sum(np.log(np.exp(per_user).sum(axis=1))) - 0.5 * every_peer.L2 * np.sum(strengths**2)
    assert found == pytest.approx(single, rel=1e-12)
    assert expected.sum() == pytest.approx(60) and posterior.shape == (4, 2)

    def value(x):
        p = 0.5 + (1 / (1 + np.exp(x[second] - x[first])) - 0.5)[:, None] * x[3:]
        seen = expected[:, 0] * np.log(p) + expected[:, 1] * np.log(1 - p)
        return seen.sum() - 0.5 * every_peer.L2 * np.sum(x[:3] ** 2)

    best = np.concatenate(every_peer.m_step(expected, first, second, strengths, support))
    assert value(best) > value(np.append(strengths, support))
    for step in (-1e-3, 1e-3):
        near = best + step * np.eye(5)
        near[:, 3:] = np.clip(near[:, 3:], 0, 1)
        assert max(map(value, near)) <= value(best) + 1e-9


@pytest.mark.long
def test_passes(tmp_path):
    content, text, printed = run("passes", tmp_path)
    check(content, text, printed, "passes")
    for ways in (content["raw"][f"{x}"] for x in ("Beta × known", "TwoPoint × Bradley-Terry")):
        assert ways["fit_em"]["lacks"] <= 1e-3 and ways["SQUAREM"]["reached"] and ways["L-BFGS"]["reached"]
        assert ways["SQUAREM"]["passes"] < ways["plain EM"]["passes"]
    assert content["raw"]["large"]["passes"] > 3 and content["raw"]["large"]["rounds"] > 10


# Modules one after the other in one process, which has imported once what they all take long to import.
EVERY_HELP = """
import contextlib, io, json, runpy, sys
told = {}
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_module("benchmarks." + name, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            told[name] = [end.code, printed.getvalue()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def helps():
    """Exit code and output of every module's --help."""
    command = [sys.executable, "-c", EVERY_HELP, *NAMES, "record"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*NAMES, "record"])
def test_help_has_an_example(helps, name):
    code, printed = helps[name]
    assert code == 0 and f"example: python -m benchmarks.{name}" in printed


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_the_page_tells_what_was_measured(file):
    """The tables of README.md are those of the results, to the digit."""
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["smoke"] is False
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert load("record").section(content) in page, "run python -m benchmarks.record --readme"


# -------------------------------------------------------------------------------------- the information bound


def curvature(log_probability, theta, probability, step=1e-4):
    """Information as the curvature of Σ_k p_k log p_k(θ) at the truth, by central differences."""
    size = len(theta)
    out = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            total = 0.0
            for a in (-1, 1):
                for b in (-1, 1):
                    moved = np.array(theta) + step * (a * np.eye(size)[i] + b * np.eye(size)[j])
                    total += a * b * probability @ log_probability(moved)
            out[i, j] = -total / (4 * step**2)
    return out


def test_information_of_two_points_is_the_curvature():
    def log_probability(theta, n=12, mu=0.74):
        low, high, weight = theta
        seen = binom.pmf(np.arange(n + 1)[:, None], n, 0.5 + np.array([low, high]) * (mu - 0.5))
        return np.log(seen @ [1 - weight, weight])

    truth = (0.4, 0.9, 0.6)
    expected = curvature(log_probability, truth, np.exp(log_probability(truth)))
    found = load("efficient").two_point_information(*truth, 0.74, 12)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_information_of_a_beta_is_the_curvature():
    def log_probability(theta, n=12, mu=0.74):
        a, b = theta
        # substituting eta = x² (3 - 2x) flattens both ends, so that equal steps integrate to all digits
        x = (np.arange(4000) + 0.5) / 4000
        eta, slope = x**2 * (3 - 2 * x), 6 * x * (1 - x)
        density = eta ** (a - 1) * (1 - eta) ** (b - 1) * slope
        seen = binom.pmf(np.arange(n + 1)[:, None], n, 0.5 + eta * (mu - 0.5))
        return np.log(seen @ (density / density.sum()))

    truth = (3.0, 5.0)
    expected = curvature(log_probability, truth, np.exp(log_probability(truth)), step=1e-3)
    found = load("efficient").beta_information(*truth, 0.74, 12)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_expected_error_of_one_parameter_is_known():
    """E|N(0, σ²)| = σ √(2/π)."""
    found = load("efficient").expected_relative_error([2.0], [[4.0]], 25)
    assert found == pytest.approx(0.1 * np.sqrt(2 / np.pi) / 2.0, rel=0.01)
