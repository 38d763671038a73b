"""The curve of votes kept: drawn from the numbers given, on the page of a fit and on that of a filter."""

import json

import numpy as np
import pytest

import emjax
from emjax.report import plot_keeping
from emjax.report.filter_page import filter_page
from emjax.report.fit_page import fit_page
from emjax.report.read_fit_folder import load_report_files


@pytest.fixture(scope="module")
def curve() -> emjax.InformationCurve:
    rng = np.random.default_rng(0)
    return emjax.information_curve(rng.beta(0.6, 0.6, 500), rng.integers(1, 30, 500).astype(float))


def test_the_lines_are_the_curve_and_the_best_point_is_marked(curve):
    ax = plot_keeping(curve)
    lines = {str(line.get_label()): line for line in ax.get_lines()}
    assert np.allclose(lines["information kept"].get_xdata()[1:], 100 * curve.share)
    assert np.allclose(lines["information kept"].get_ydata()[1:], 100 * curve.information)
    assert np.allclose(lines["labels right, expected"].get_ydata()[1:], 100 * curve.label_accuracy)
    best = lines["most information"]
    assert best.get_ydata()[0] == pytest.approx(100 * curve.information.max())
    assert best.get_xdata()[0] == pytest.approx(100 * curve.share[curve.information.argmax()])


def test_a_chosen_point_is_marked_where_it_is(curve):
    ax = plot_keeping(curve, chosen={"mine": (0.25, 0.5)})
    mine = next(line for line in ax.get_lines() if line.get_label() == "mine")
    assert (mine.get_xdata()[0], mine.get_ydata()[0]) == (25.0, 50.0)


@pytest.mark.parametrize("name", ["single", "arena", "beta"])
def test_the_page_of_a_fit_shows_the_curve(name, request):
    files = load_report_files(request.getfixturevalue(name))
    page = fit_page(files)
    assert page.count('id="keeping"') == 1 and page.count('href="#keeping"') == 1
    section = page.split('id="keeping"')[1].split("</section>")[0]
    assert section.count("<svg") == 2
    votes, eta = files.users["n_votes"], files.users["attentiveness"]
    known = (votes > 0) & np.isfinite(eta)
    best = emjax.information_curve(eta[known], votes[known])
    assert f"an attentiveness of at least {best.attentiveness[best.best]:.2f}" in section


def test_a_page_of_a_filter_escapes_and_loads_nothing(curve):
    thin = curve.thinned()
    summary = {
        "emjax": "0.1.0",
        "policy_text": "TopFraction(fraction=0.7, of='votes')",
        "users": {"n": 10, "kept": 7},
        "votes": {"n": 100, "kept": 70, "left_out": {"ties": 3}},
        "information_retained": 0.8,
        "label_accuracy": {"kept": 0.9, "all": 0.8},
        "attentiveness_max": {"users": 0.9, "votes": 0.9},
        "pairs": {"folder": "dpo", "n_pairs": 70, "resampled_with_seed": 4},
        "notes": ["the column <script> is called x here"],
        "curve": {name: getattr(thin, name).tolist() for name in vars(thin)},
    }
    page = filter_page(json.loads(json.dumps(summary)))
    assert "70 votes kept of 100" in page and "drawn by weight with seed 4" in page and "3 (ties)" in page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    assert page == filter_page(summary)
