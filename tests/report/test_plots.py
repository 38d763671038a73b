"""The views draw what they are given, say what the axes are, and leave matplotlib as it was."""

import dataclasses
import json
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure

import emjax
from emjax.errors import ModelError
from emjax.report import plot_attentiveness, plot_leaderboard, plot_trace, plot_users
from emjax.report.draw import trace_gap
from emjax.report.plot_thinning import user_dots
from emjax.report.read_fit_folder import load_report_files


def views(files, ax=None):
    yield plot_attentiveness(files.fit, files.users, ax=ax)
    yield plot_users(files.users, ax=ax)
    yield plot_trace(files.fit, ax=ax)
    if files.leaderboard is not None:
        yield plot_leaderboard(files.leaderboard, ax=ax)


@pytest.mark.parametrize("name", ["single", "arena", "beta"])
def test_every_view_returns_labelled_axes(name, request):
    for ax in views(load_report_files(request.getfixturevalue(name))):
        assert isinstance(ax, Axes)
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert ax.get_legend() is not None


def test_a_view_draws_on_the_axes_given(arena):
    files = load_report_files(arena)
    for i in range(4):
        figure = Figure()
        ax = figure.add_subplot()
        drawn = [plot_attentiveness, plot_trace, plot_users, plot_leaderboard][i]
        argument = [files.fit, files.fit, files.users, files.leaderboard][i]
        assert drawn(argument, ax=ax) is ax
        assert ax.figure is figure


def test_views_do_not_change_matplotlib_settings(arena):
    before = matplotlib.rcParams.copy()
    for ax in views(load_report_files(arena)):
        ax.figure.canvas.draw()
    assert matplotlib.rcParams == before


def test_pyplot_is_never_imported():
    code = "import sys, emjax.report; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_discrete_weights_are_bars(single):
    files = load_report_files(single)
    ax = plot_attentiveness(files.fit)
    bars = {round(b.get_x() + b.get_width() / 2, 9): b.get_height() for b in ax.patches}
    assert bars == pytest.approx({0.256: 39.9, 0.627: 60.1})
    assert ax.get_ylim()[1] > 60.1


def test_the_histogram_counts_posterior_means():
    users = {"attentiveness": np.array([0.0, 0.049, 0.5, 1.0, np.nan])}
    fit = {"attentiveness": {"nodes": [0.5], "weights": [1.0], "density": None}}
    bars = plot_attentiveness(fit, users).patches[:20]
    heights = [b.get_height() for b in bars]
    assert heights[0] == pytest.approx(50.0)
    assert heights[10] == pytest.approx(25.0)
    assert heights[19] == pytest.approx(25.0)
    assert sum(heights) == pytest.approx(100.0)


def test_a_density_is_a_curve_on_the_scale_of_the_histogram(beta):
    files = load_report_files(beta)
    ax = plot_attentiveness(files.fit, files.users)
    (line,) = ax.lines
    density = files.fit["attentiveness"]["density"]
    drawn = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    at = density["eta"][100]
    assert drawn[at] == pytest.approx(5.0 * density["density"][100])
    assert np.isfinite(line.get_ydata()).all()  # the density is null where it is infinite
    assert np.isfinite(ax.get_ylim()).all()


def dots_of(ax):
    return next(c for c in ax.collections if isinstance(c, PathCollection) and len(c.get_offsets()) > 0)


def test_each_user_is_a_dot(arena):
    users = load_report_files(arena).users
    drawn = dots_of(plot_users(users))
    places = {(round(float(v), 6), round(float(a), 6)) for v, a in np.asarray(drawn.get_offsets())}
    expected = zip(users["n_votes"], 100 * users["agreement"], strict=True)
    assert places == {(round(v, 6), round(a, 6)) for v, a in expected}
    assert np.asarray(drawn.get_array()).min() >= 0
    assert np.asarray(drawn.get_array()).max() <= 1


def test_the_axis_of_votes_is_logarithmic_with_plain_numbers(arena):
    ax = plot_users(load_report_files(arena).users)
    assert ax.get_xscale() == "log"
    assert "100" in [label.get_text() for label in ax.get_xticklabels()]


def test_the_band_is_where_random_clicks_fall():
    rng = np.random.default_rng(0)
    votes = np.full(20_000, 100)
    wins = rng.binomial(100, 0.5, len(votes))
    ax = plot_users({"n_votes": votes, "agreement": wins / 100, "attentiveness": np.zeros(len(votes))})
    bands = [line for line in ax.lines if len(line.get_xdata()) > 2]
    above, below = (np.interp(100, line.get_xdata(), line.get_ydata()) for line in bands)
    inside = ((wins <= above) & (wins >= below)).mean()
    assert inside == pytest.approx(0.95, abs=0.02)


def test_users_at_the_same_place_are_one_larger_dot():
    users = {"n_votes": np.array([5.0, 5.0, 5.0, 9.0]), "agreement": np.array([0.4, 0.4, 0.4, 1.0])}
    users["attentiveness"] = np.array([0.0, 0.3, 0.3, 1.0])
    drawn = dots_of(plot_users(users))
    assert len(drawn.get_offsets()) == 2
    three, one = drawn.get_sizes()  # large dots are drawn first
    assert three == pytest.approx(3 * one)
    assert drawn.get_array()[0] == pytest.approx(0.2)


def test_many_users_are_binned_and_all_are_counted():
    rng = np.random.default_rng(0)
    votes = rng.lognormal(4, 1, 200_000).round() + 1
    users = {"n_votes": votes, "agreement": rng.random(len(votes)), "attentiveness": rng.random(len(votes))}
    dots = user_dots(users)
    assert dots.gathered
    assert len(dots.users) <= 2000
    assert dots.users.sum() == len(votes)
    mean = np.average(dots.attentiveness, weights=dots.users)
    assert mean == pytest.approx(users["attentiveness"].mean())


def test_many_users_at_few_places_are_not_binned():
    wins = np.random.default_rng(0).binomial(50, 0.6, 100_000)
    users = {"n_votes": np.full(len(wins), 50), "agreement": wins / 50, "attentiveness": wins / 50}
    dots = user_dots(users)
    assert not dots.gathered
    np.testing.assert_array_equal(dots.users, np.unique(wins, return_counts=True)[1])
    np.testing.assert_allclose(dots.agreement, np.unique(wins) / 50)


def test_users_without_votes_are_not_drawn():
    users = {"n_votes": np.array([0.0, 3.0, 4.0]), "agreement": np.array([np.nan, 1.0, np.nan])}
    users["attentiveness"] = np.array([0.5, 0.5, 0.5])
    assert user_dots(users).n_votes.tolist() == pytest.approx([3.0])
    empty = {key: value[:1] for key, value in users.items()}
    assert isinstance(plot_users(empty), Axes)


@pytest.mark.parametrize("votes", [[1], [1, 1], [1, 2], [7, 7000], [50, 51], [1, 2_000_000]])
def test_the_axis_of_votes_has_ticks_for_any_range(votes):
    votes = np.array(votes, dtype=float)
    ax = plot_users({"n_votes": votes, "agreement": votes * 0 + 0.5, "attentiveness": votes * 0})
    low, high = ax.get_xlim()
    inside = [tick for tick in ax.get_xticks() if low <= tick <= high]
    assert 2 <= len(inside) <= 12


def test_the_leaderboard_has_the_best_on_top(arena):
    board = load_report_files(arena).leaderboard
    shuffled = {key: value[::-1] for key, value in board.items()}
    ax = plot_leaderboard(shuffled)
    bottom, top = ax.get_ylim()
    assert bottom > top
    marks = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(marks["strength"].get_xdata(), np.sort(board["strength"])[::-1])
    np.testing.assert_allclose(marks["ordinary Bradley\u2013Terry"].get_xdata(), board["ordinary_strength"])
    (intervals,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    assert len(intervals.get_segments()) == 19  # one model has none
    first = intervals.get_segments()[0]
    assert first[:, 0] == pytest.approx([board["lower"][0], board["upper"][0]])


def test_names_come_out_literally(arena):
    board = load_report_files(arena).leaderboard
    ax = plot_leaderboard(board)
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[:3] == ["<script>alert(1)</script>", "$x_1$", "quote\"&amp;'"]
    assert not any(label.get_parse_math() for label in ax.get_yticklabels())
    assert max(len(name) for name in names) <= 34


def test_a_leaderboard_can_be_cut_and_grows_with_its_rows():
    many = {"model": np.array([f"m{i}" for i in range(90)], object), "strength": np.linspace(2, -2, 90)}
    many |= {
        "lower": many["strength"] - 1,
        "upper": many["strength"] + 1,
        "ordinary_strength": many["strength"],
    }
    cut, whole = plot_leaderboard(many, limit=60), plot_leaderboard(many)
    assert len(cut.get_yticks()) == 60
    assert len(whole.get_yticks()) == 90
    assert whole.figure.get_figheight() > cut.figure.get_figheight() > 12


def test_the_truth_is_drawn_where_it_is_known(arena):
    board = load_report_files(arena).leaderboard
    ax = plot_leaderboard(board | {"true_strength": board["strength"] * 1.1})
    marks = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(marks["truth"].get_xdata(), board["strength"] * 1.1)


def test_the_trace_shows_the_optimality_gap():
    fit = {"trace": [-20.0, -11.0, -10.5, -10.0], "em_steps": 3, "newton_steps": 1, "gap": 0.25, "tol": 1e-3}
    ax = plot_trace(fit)
    assert ax.get_yscale() == "log"
    marks = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(marks["EM steps"].get_ydata(), [10.25, 1.25, 0.75])
    np.testing.assert_allclose(marks["Newton steps"].get_ydata(), [0.25])
    assert marks["EM steps"].get_marker() != marks["Newton steps"].get_marker()
    np.testing.assert_allclose(marks["tolerance"].get_ydata(), 1e-3)


@pytest.mark.parametrize(
    "fit",
    [
        {"trace": [], "em_steps": 0, "newton_steps": 0, "gap": 0.0, "tol": 1e-3},
        {"trace": [-5.0], "em_steps": 1, "newton_steps": 0, "gap": 0.0, "tol": 1e-3},
        {"trace": [-5.0, -5.0], "em_steps": 0, "newton_steps": 2, "gap": None, "tol": 1e-3},
        {"trace": [-5.0] * 1000, "em_steps": 7000, "newton_steps": 5, "gap": -1e-12, "tol": 1e-3},
    ],
)
def test_empty_and_constant_traces_are_drawn(fit):
    ax = plot_trace(fit)
    ax.figure.canvas.draw()
    assert (trace_gap(fit) > 0).all()


def test_summaries_may_come_from_json(single):
    fit = json.loads((single / "fit.json").read_text())
    assert plot_trace(fit).get_xlabel() == "step"


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "duckdb", "arrays"])
def test_a_view_accepts_every_table_type(kind, fitted):
    """The fit itself, and its tables, whatever type of table the votes came in."""
    fit, prefs = fitted
    prefs = dataclasses.replace(prefs, frame=kind)
    users, board = fit.users(prefs), fit.leaderboard(prefs)
    plain = {name: np.asarray(column) for name, column in fit.users(fitted[1]).to_pydict().items()}
    first = plot_users(users).collections[0].get_offsets()
    np.testing.assert_allclose(first, plot_users(plain).collections[0].get_offsets())
    heights = [b.get_height() for b in plot_attentiveness(fit, users).patches]
    assert heights == [b.get_height() for b in plot_attentiveness(fit.summary(), plain).patches]
    assert [t.get_text() for t in plot_leaderboard(board).get_yticklabels()] == ["ant", "bee", "cat"]
    assert plot_trace(fit).get_lines()[0].get_ydata() == pytest.approx(
        plot_trace(fit.summary()).get_lines()[0].get_ydata()
    )


def test_a_table_without_the_columns_is_refused(fitted):
    fit, prefs = fitted
    with pytest.raises(ModelError, match=r"no column agreement, attentiveness: give one such as fit\.users"):
        plot_users(fit.leaderboard(prefs))
    with pytest.raises(ModelError, match=r"takes a table such as fit\.leaderboard\(prefs\) gives; got a str"):
        plot_leaderboard("leaderboard.parquet")


@pytest.fixture(scope="module")
def fitted():
    votes = emjax.simulate(0, n_users=80, votes_per_user=20, strengths={"ant": 2, "bee": 0, "cat": -2})
    return emjax.fit_em(votes.preferences, emjax.TwoPoint()), votes.preferences


def test_negative_attentiveness_is_in_the_histogram():
    """Adversarial users: the prior extends to −1, and so does the axis; every user is in some bar."""
    prior = {"nodes": [-1.0, 0.0, 1.0], "weights": [0.2, 0.3, 0.5], "density": None}
    users = {"attentiveness": np.array([-0.97, -0.38, 0.12, 0.99])}
    ax = plot_attentiveness({"attentiveness": prior}, users)
    assert ax.get_xlim()[0] < -1
    bars = [patch for patch in ax.patches if abs(patch.get_width() - 0.05) < 1e-9]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100.0)
    assert {round(bar.get_x(), 2) for bar in bars if bar.get_height()} == {-1.0, -0.4, 0.1, 0.95}
