"""The leaderboard on other scales, as a CSV file and as a picture."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from command_line import emjax_cli
from scipy.special import expit

import emjax
from emjax.errors import ModelError
from emjax.report.leaderboard_files import on_scale, write_csv

STRENGTHS = np.array([1.2, 0.1, -1.3])
BOARD = {
    "model": np.array(["a", "b", "c"], object),
    "strength": STRENGTHS,
    "std_err": np.array([0.1, 0.2, np.nan]),
    "lower": STRENGTHS - 0.3,
    "upper": STRENGTHS + 0.3,
    "ordinary_strength": STRENGTHS / 2,
    "component": np.ones(3, int),
}


def test_elo_points_are_odds_of_ten_to_one_in_four_hundred():
    board = on_scale(BOARD, "elo")
    gap = board["strength"][0] - board["strength"][1]
    assert 10.0 ** (gap / 400.0) == pytest.approx(np.exp(1.1))
    np.testing.assert_allclose(board["std_err"][:2] / BOARD["std_err"][:2], 400.0 / np.log(10.0))
    assert board["strength"].mean() == pytest.approx(1000.0)


def test_win_rates_are_means_over_the_other_models():
    board = on_scale(BOARD, "win-rate")
    expected = (expit(1.2 - 0.1) + expit(1.2 + 1.3)) / 2
    assert board["strength"][0] == pytest.approx(expected)
    step = 1e-6
    moved = {**BOARD, "strength": STRENGTHS + np.array([step, 0.0, 0.0])}
    slope = (on_scale(moved, "win-rate")["strength"][0] - expected) / step
    assert board["std_err"][0] == pytest.approx(0.1 * slope, rel=1e-4)
    assert (board["lower"] < board["strength"]).all() and (board["strength"] < board["upper"]).all()


def test_models_of_other_components_are_no_field():
    board = on_scale({**BOARD, "component": np.array([1, 1, 2])}, "win-rate")
    assert board["strength"][0] == pytest.approx(expit(1.1))
    with pytest.raises(ModelError, match=r"^scale 'glicko' is not known: give log-odds, elo, win-rate"):
        on_scale(BOARD, "glicko")


def test_the_terminal_shows_the_leaderboard_on_the_scale(tmp_path):
    sim = emjax.simulate(0, n_users=60, votes_per_user=20, strengths={"ant": 1, "bee": 0, "cat": -1})
    pyarrow.csv.write_csv(pa.table(sim.columns()), tmp_path / "votes.csv")
    headings = {"log-odds": "strength", "elo": "Elo points", "win-rate": "win rate"}
    for scale, heading in headings.items():
        words = ("fit", "votes.csv", "--out", scale, "--scale", scale, "--csv", f"{scale}.csv")
        said = emjax_cli(*words, cwd=tmp_path).stdout
        first = next(line.split() for line in said.split("\n") if line.split()[:1] == ["ant"])
        written = pyarrow.csv.read_csv(tmp_path / f"{scale}.csv").column("strength").to_pylist()[0]
        assert first[1] == "1" and float(first[2]) == pytest.approx(written, rel=1e-3)
        assert [said.count(name) for name in ("Elo points", "win rate")] == [
            name == heading for name in ("Elo points", "win rate")
        ]


def test_csv_has_six_digits_and_names_the_overall_ranking(tmp_path):
    board = BOARD | {"context": np.array([None, "code", "overall"], object), "n_votes": np.array([1e7] * 3)}
    write_csv(on_scale(board, "elo"), tmp_path / "b.csv")
    rows = (tmp_path / "b.csv").read_text().splitlines()
    assert max(len(number.replace(".", "")) for row in rows[1:] for number in row.split(",")[1:4]) <= 7
    read = pyarrow.csv.read_csv(tmp_path / "b.csv")
    assert read.column("context").to_pylist() == ["(overall)", "code", "overall"]
    assert read.column("std_err").null_count == 1
    assert read.column("n_votes").to_pylist() == [1e7] * 3
    write_csv(BOARD | {"context": np.array([None, "x", np.nan], object)}, tmp_path / "c.csv")
    assert pyarrow.csv.read_csv(tmp_path / "c.csv").column("context").to_pylist() == [
        "overall",
        "x",
        "overall",
    ]


def test_the_command_writes_both(tmp_path):
    sim = emjax.simulate(0, n_users=60, votes_per_user=20, strengths={"ant": 1, "bee": 0, "cat": -1})
    pyarrow.csv.write_csv(pa.table(sim.columns()), tmp_path / "votes.csv")
    words = ("fit", "votes.csv", "--out", "fitted", "--scale", "elo", "--csv", "b.csv", "--plot", "b.svg")
    emjax_cli(*words, cwd=tmp_path)
    board = pyarrow.csv.read_csv(tmp_path / "b.csv")
    assert board.column("model").to_pylist() == ["ant", "bee", "cat"]
    assert 900 < np.mean(board.column("strength").to_pylist()) < 1100
    assert "</svg>" in (tmp_path / "b.svg").read_text(encoding="utf-8")
    again = emjax_cli(*words[:4], "--overwrite", "--plot", "b.gif", cwd=tmp_path, code=1)
    assert "its name must end in .png or .svg or .pdf" in again.stderr
