"""Fit: what it says, and that it survives being written down."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from scipy.stats import norm

import emjax
from emjax import (
    Beta,
    BradleyTerry,
    EmjaxWarning,
    Known,
    OutputError,
    PerPair,
    Points,
    Preferences,
    Shared,
    TwoPoint,
    VotesError,
    load_fit,
)  # fmt: skip


@pytest.fixture
def saved(arena, fit_of, tmp_path):
    """A fit, and the folder it was saved to."""
    fit = fit_of(arena(10), Beta(), BradleyTerry())
    return fit, fit.save(tmp_path / "new" / "folder")


def same(first, second):
    assert type(first) is type(second) and repr(first) == repr(second)


def test_a_saved_fit_is_loaded_unchanged(arena, as_arena, fit_of, tmp_path, prior, strength):
    fit = fit_of(arena(10), prior.given, strength.given)
    again = load_fit(fit.save(tmp_path))
    same(again.prior, fit.prior)
    same(again.strength, fit.strength)
    for name in (
        "log_likelihood",
        "em_steps",
        "newton_steps",
        "gap",
        "tol",
        "step_limit",
        "identified",
        "data",
    ):
        assert getattr(again, name) == getattr(fit, name), name
    np.testing.assert_array_equal(again.trace, fit.trace)
    assert (again.converged, again.outcome, again.message) == (fit.converged, fit.outcome, fit.message)
    assert again.summary() == fit.summary() and repr(again) == repr(fit)
    for options in ({}, {"sandwich": True}, {"include_prior": True}, {"level": 0.5}):
        mine, theirs = fit.standard_errors(**options), again.standard_errors(**options)
        for name in ("estimate", "std_err", "lower", "upper", "covariance"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name))
        assert mine.notes == theirs.notes and mine.names == theirs.names
    prefs = as_arena(arena(10))
    np.testing.assert_array_equal(again.posterior(prefs).mean, fit.posterior(prefs).mean)


def test_a_fit_at_its_bounds_is_loaded_unchanged(as_arena, arena, quiet, tmp_path):
    """Points that merged, weights that vanished, strengths near certainty, shapes at their bounds."""
    rng = np.random.default_rng(0)
    alike = rng.binomial(20, 0.62, 60)
    all_won = np.full(40, 12)
    cases = {
        "one kind of user": (alike, 20, TwoPoint(), Known(0.74)),
        "no user attentive": (rng.binomial(20, 0.4, 60), 20, TwoPoint(), Known(0.74)),
        "everybody certain": (all_won, 12, TwoPoint(), Shared()),
        "a spike": (alike, 20, Beta(), Known(0.74)),
        "all at one": (all_won, 12, Beta(), Known(0.99)),
    }
    for name, (wins, total, prior, strength) in cases.items():
        prefs = Preferences.from_counts(wins, np.full(len(wins), total))
        fit = quiet(prefs, prior, strength=strength)
        again = load_fit(fit.save(tmp_path / name))
        np.testing.assert_allclose(again.posterior(prefs).mean, fit.posterior(prefs).mean, rtol=1e-9)
        quiet(prefs, again.prior, strength=again.strength)


def test_there_are_two_files_and_no_pickle(saved):
    folder = saved[1]
    assert sorted(f.name for f in folder.iterdir()) == ["curvature.npz", "fit.json"]
    content = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    assert (content["format"], content["version"]) == ("emjax-fit", 2)
    expected = {
        "format", "version", "emjax", "prior", "strength", "behavior", "log_likelihood", "trace", "em_steps",
        "newton_steps", "converged", "outcome", "message", "gap", "tol", "parameters", "identifiability",
        "attentiveness", "data", "prior_users",
    }  # fmt: skip
    assert set(content) == expected
    assert content["prior"]["type"] == "Beta" and content["strength"]["type"] == "BradleyTerry"
    with np.load(folder / "curvature.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


DAMAGE = {
    "no json": lambda f: (f / "fit.json").unlink(),
    "no curvature": lambda f: (f / "curvature.npz").unlink(),
    "half a json": lambda f: (f / "fit.json").write_text((f / "fit.json").read_text()[:200]),
    "an empty json": lambda f: (f / "fit.json").write_text(""),
    "another json": lambda f: (f / "fit.json").write_text("[1, 2]"),
    "a json without its parts": lambda f: (f / "fit.json").write_text(
        '{"format": "emjax-fit", "version": 2}'
    ),
    "a json that is binary": lambda f: (f / "fit.json").write_bytes(b"\xff\xfe\x00"),
    "half a curvature": lambda f: (f / "curvature.npz").write_bytes((f / "curvature.npz").read_bytes()[:300]),
    "an empty curvature": lambda f: (f / "curvature.npz").write_bytes(b""),
    "a curvature of text": lambda f: (f / "curvature.npz").write_text("no zip"),
    "another curvature": lambda f: np.savez(f / "curvature.npz", a=np.zeros(3)),
    "another format": lambda f: rewrite(f, format="something else"),
    "a later version": lambda f: rewrite(f, version=99),
    "a version in words": lambda f: rewrite(f, version="two"),
    "an unknown prior": lambda f: rewrite(f, prior={"type": "Gamma"}),
    "a prior without its numbers": lambda f: rewrite(f, prior={"type": "Beta"}),
}


def rewrite(folder, **changes):
    content = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    (folder / "fit.json").write_text(json.dumps(content | changes), encoding="utf-8")


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_fit_is_refused_in_one_line(saved, damage):
    _, folder = saved
    damage(folder)
    with pytest.raises(OutputError) as caught:
        load_fit(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) > 20


def test_a_missing_file_of_a_fit_is_named(tmp_path, saved):
    with pytest.raises(OutputError, match=r"fit\.json is missing"):
        load_fit(tmp_path / "nowhere")
    (saved[1] / "curvature.npz").unlink()
    with pytest.raises(OutputError, match=r"curvature\.npz is missing"):
        load_fit(saved[1])


def test_a_folder_that_cannot_be_written_gives_an_error_of_one_line(saved, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError) as caught:
        saved[0].save(tmp_path / "file")
    assert "\n" not in str(caught.value) and "file" in str(caught.value)


def test_saving_again_replaces_the_files_whole(saved):
    fit, folder = saved
    before = (folder / "fit.json").read_bytes()
    fit.save(folder)
    assert (folder / "fit.json").read_bytes() == before
    assert len(list(folder.iterdir())) == 2


def test_only_a_saved_fit_is_replaced_unless_asked(saved, tmp_path):
    fit, folder = saved
    (folder / "notes.txt").write_text("mine")
    fit.save(folder)  # beside it other files stay
    (folder / "report.html").write_text('<p class="eyebrow">emjax report</p>')  # as emjax fit writes it
    with pytest.raises(
        OutputError, match=r"holds what emjax fit wrote, .*: give a new folder, or overwrite=True"
    ):
        fit.save(folder)
    fit.save(folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["curvature.npz", "fit.json", "notes.txt"]
    (folder / "fit.json").unlink()
    with pytest.raises(OutputError, match=r"holds other files: give a new folder, or overwrite=True"):
        fit.save(folder)
    (folder / "fit.json").write_text('{"format": "of another program"}')
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"holds fit\.json, which no fit wrote"):
            fit.save(folder, overwrite=overwrite)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_table_that_defaults_read_otherwise_is_refused_or_remarked_on():
    sim = emjax.simulate(0, n_users=40, votes_per_user=10, strength=0.8)
    table = pd.DataFrame(sim.columns()).rename(columns={"user": "who"})
    table.loc[[0, 5], "winner"] = "tie"
    prefs = emjax.read_votes(table, user="who", ties="half")
    fit = emjax.fit_em(prefs, emjax.Fixed(Beta(2, 2)), strength=Known(0.8))
    fit = dataclasses.replace(fit, data=fit.data | {"read_with": {}})  # as of votes that came as arrays
    for ask in (fit.users, fit.posterior, fit.comparisons, fit.history):
        with pytest.raises(VotesError, match=r"no column holds the user.*fit\.read_votes\(VOTES, \.\.\.\)"):
            ask(table)
    assert len(fit.users(fit.read_votes(table, user="who", ties="half"))) == 40
    with pytest.warns(
        EmjaxWarning, match=r"fit\.users left out 2 ties, and the fit left out none\..*fit\.users\("
    ):
        fit.users(table.rename(columns={"who": "user"}))


def test_a_fit_reads_a_table_with_what_it_knows():
    sim = emjax.simulate(0, n_users=40, votes_per_user=10, strength=0.8)
    table = pd.DataFrame(sim.columns()).rename(columns={"user": "who"})
    prefs = emjax.read_votes(table, user="who")
    fit = emjax.fit_em(prefs, emjax.Fixed(Beta(2, 2)), strength=Known(0.8))
    assert fit.data["read_with"] == {"user": "who"}
    known = dataclasses.replace(fit, data=fit.data | {"read_with": {"user": "who", "separator": ";"}})
    pd.testing.assert_frame_equal(known.users(table), fit.users(prefs))
    assert known.read_options(table) == {"user": "who"}  # a separator is of files
    assert known.read_options(table, user="") == {}  # an empty text takes back what the fit knows


def test_repr_shows_model_sizes_convergence_and_parameters(arena, fit_of):
    text = repr(fit_of(arena(10), Beta(), BradleyTerry()))
    assert "Beta prior, BradleyTerry strength" in text and "60 users" in text and "3 comparisons" in text
    assert "ant" in text and "Converged" in text
    plain = repr(fit_of(arena(4), TwoPoint(), Shared()))
    assert "weight" in plain and "note: " in plain


def test_model_and_user_names_may_hold_any_characters(tmp_path, quiet):
    names = [["模型 七", "line\nbreak"], ['"quoted"', "模型 七"]]
    prefs = Preferences.from_counts([[3, 1], [4, 0], [2, 2]], [[5, 5], [5, 3], [4, 4]], comparisons=names)
    for strength in (PerPair(), BradleyTerry()):
        fit = quiet(prefs, Points(2), strength=strength)
        again = load_fit(fit.save(tmp_path / type(strength).__name__))
        same(again.strength, fit.strength)
        np.testing.assert_array_equal(again.posterior(prefs).mean, fit.posterior(prefs).mean)


def test_tables_have_the_type_of_the_votes_table():
    votes = emjax.simulate(0, n_users=80, votes_per_user=20, strengths={"ant": 2, "bee": 0, "cat": -2})
    prefs = emjax.read_votes(pd.DataFrame(votes.columns()))
    fit = emjax.fit_em(prefs, TwoPoint())
    board, pairs, users = fit.leaderboard(prefs, level=0.5), fit.comparisons(prefs), fit.users(prefs)
    assert {type(table) for table in (board, pairs, users)} == {pd.DataFrame}
    assert board["model"].tolist() == ["ant", "bee", "cat"] and len(pairs) == 3 and len(users) == 80
    reach = board["std_err"] * norm.ppf(0.75)
    np.testing.assert_allclose(board["upper"] - board["strength"], reach, rtol=1e-9)
    assert pairs["n_votes"].sum() == prefs.n_votes


def test_unknown_values_are_null_and_not_nan(fit_of, arena, as_arena):
    prefs = as_arena(arena(4))
    table = fit_of(arena(4), TwoPoint(), Known(0.8)).comparisons(prefs)
    assert table["std_err"].null_count == prefs.n_comparisons


@pytest.mark.parametrize("form", ["pandas", "polars", "pyarrow", "csv", "parquet", "files", "shards"])
def test_votes_can_be_a_table_or_a_path(tmp_path, form):
    """As if read_votes, or open_shards, had been called before: in the fit, and in what is asked of it."""
    sim = emjax.simulate(0, n_users=60, votes_per_user=8, strengths={"ant": 1.0, "bee": 0.0, "cat": -1.0})
    names = np.array(sim.models)
    sides = {"model_a": names[sim.model_a], "model_b": names[sim.model_b]}
    table = pa.table({"user": sim.user, **sides, "winner": np.where(sim.a_won, "model_a", "model_b")})
    files = [str(tmp_path / name) for name in ("votes.csv", "votes.parquet")]
    csv.write_csv(table, files[0])
    pq.write_table(table, files[1])
    if form == "shards":
        emjax.aggregate(files[1], tmp_path / "counted", shards=2)
    given = {
        "pandas": table.to_pandas,
        "polars": lambda: polars.from_arrow(table),
        "pyarrow": lambda: table,
        "csv": lambda: files[0],
        "parquet": lambda: Path(files[1]),
        "files": lambda: [files[1]],
        "shards": lambda: tmp_path / "counted",
    }[form]()
    found, wanted = (emjax.fit_em(votes, TwoPoint()) for votes in (given, emjax.read_votes(table)))
    np.testing.assert_allclose(found.log_likelihood, wanted.log_likelihood, rtol=1e-10)
    if form != "shards":
        prefs = emjax.read_votes(given)
        for name in ("users", "comparisons", "leaderboard"):
            rows, same = (getattr(found, name)(votes) for votes in (given, prefs))
            assert type(rows) is type(same) and str(rows) == str(same)


AS_A_SCRIPT = """
import emjax, pandas as pd
rows = {"user": [1, 1, 2, 2], "model_a": ["a", "b"] * 2, "model_b": ["b", "a"] * 2, "winner": ["a", "b"] * 2}
df = pd.DataFrame(rows)
prefs = emjax.read_votes(df)
fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta()), strength=emjax.Known(0.8))
own = (fit.users, fit.posterior, fit.comparisons, fit.leaderboard)
for call in (*own, lambda given: emjax.fit_em(given, emjax.Beta())):
    try:
        call(7)
    except emjax.ModelError as error:
        print(error)
emjax.fit_em(emjax.Preferences.from_counts([1, 0, 1, 1], [1, 1, 1, 1]), emjax.TwoPoint())
"""


def test_errors_and_warnings_of_a_script_name_its_own_lines(tmp_path):
    """As a user runs it, without the checks of types that these tests switch on."""
    (tmp_path / "script.py").write_text(AS_A_SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    for line, called in zip(
        lines, ("fit.users", "fit.posterior", "fit.comparisons", "fit.leaderboard", "fit_em"), strict=True
    ):
        assert line.startswith(f"{called} takes votes, as read_votes gives them, a data frame")
        assert line.endswith("got a int.")
    script = AS_A_SCRIPT.split("\n")
    warned = [line for line in done.stderr.splitlines() if "EmjaxWarning" in line]
    assert len(warned) >= 2
    for line in warned:
        assert Path(line.partition(":")[0]).name == "script.py", line
    shown = [line.strip() for line in done.stderr.splitlines() if "Warning" not in line]
    assert set(shown) <= set(script)


def test_a_table_is_read_again_as_it_was_for_the_fit(tmp_path):
    """Under other column names, with ties as half votes and a rule for empty winners: also after saving."""
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "who": rng.integers(0, 40, 400),
            "one": ["new"] * 400,
            "other": ["old"] * 400,
            "said": rng.choice(["new", "new", "new", "old", "tie", ""], 400),
        }
    )
    told = {"user": "who", "model_a": "one", "model_b": "other", "winner": "said"}
    prefs = emjax.read_votes(table, **told, ties="half", empty_winner="drop")
    fit = emjax.fit_em(prefs, emjax.Fixed(Beta(2, 2)), strength=Known(0.8))
    assert fit.read_options(table) == told | {"ties": "half", "empty_winner": "drop"}
    np.testing.assert_array_equal(fit.posterior(table).mean, fit.posterior(prefs).mean)
    assert emjax.load_fit(fit.save(tmp_path / "fit")).read_votes(table).n_votes == prefs.n_votes
    # Another day's table, with ties left out this time.
    assert fit.read_votes(table, ties="drop").n_votes < prefs.n_votes
