"""The reliability curve is drawn from the numbers given, whichever way they come."""

import numpy as np
import pytest

from emjax import Calibration
from emjax.report import plot_calibration


@pytest.fixture(scope="module")
def found() -> Calibration:
    rng = np.random.default_rng(0)
    seen = {name: rng.uniform(0.1, 0.95, 500) for name in ("mine", "second", "third", "fourth", "fifth")}
    return Calibration(rng.integers(0, 40, 500), np.ones(500), seen)


def lines(ax):
    return {str(line.get_label()): line for line in ax.get_lines()}


def test_points_and_intervals_are_those_of_the_curve(found):
    ax = plot_calibration(found)
    curve = found.reliability["mine"]
    points, stems = lines(ax)["mine"], ax.collections[0]
    assert np.allclose(points.get_xdata(), 100 * curve.predicted)
    assert np.allclose(points.get_ydata(), 100 * curve.observed)
    ends = np.array([segment[:, 1] for segment in stems.get_segments()])
    assert np.allclose(ends, 100 * np.column_stack([curve.lower, curve.upper]))
    second = found.reliability["second"]
    assert np.allclose(lines(ax)["second"].get_ydata(), 100 * second.observed)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["mine", "second", "third", "fourth"], "at most three to compare with"


def test_a_coin_has_a_legend_entry_and_no_point(found):
    even = Calibration(
        found.user, found.count, {"mine": found.probability["mine"], "coin": np.full(500, 0.5)}
    )
    ax = plot_calibration(even)
    assert lines(ax)["coin"].get_xdata().size == 0
    assert (
        plot_calibration(Calibration(found.user, found.count, {"coin": np.full(500, 0.5)})).get_xlim()[0] < 50
    )


def test_curves_alone_are_drawn_on_the_axes_given(found):
    ax = plot_calibration(found)
    again = plot_calibration({"mine": found.reliability["mine"]}, ax=ax)
    assert again is ax
    low, high = ax.get_ylim()
    shown = found.reliability["mine"]
    assert low <= 100 * shown.lower.min() and high >= 100
