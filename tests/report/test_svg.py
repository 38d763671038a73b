"""SvgAxes put every mark where matplotlib puts it, with matplotlib as the oracle, and need no matplotlib."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from emjax.report import plot_leaderboard, plot_users
from emjax.report.draw import draw_dots, draw_leaderboard, leaderboard_size
from emjax.report.plot_thinning import user_dots
from emjax.report.read_fit_folder import load_report_files
from emjax.report.svg import BLUE, SCALE, VARIABLES, SvgAxes

FRAME = (0.2, 0.15, 0.6, 0.7)


class Circles(HTMLParser):
    """(x, y, radius, style) of all circles clipped to the frame, in points."""

    def __init__(self, text):
        super().__init__()
        self.groups, self.found = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "g":
            self.groups.append(dict(attrs))
        elif tag == "circle" and any("clip-path" in group for group in self.groups):
            values = dict(attrs)
            style = (self.groups[-1].get("style", "") + ";" + values.get("style", "")).lower()
            self.found.append((*(float(values[k]) for k in ("cx", "cy", "r")), style))

    def handle_endtag(self, tag):
        if tag == "g":
            self.groups.pop()

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)


def points(ax, x, y):
    """Where matplotlib draws (x, y), in points from the upper left corner."""
    figure = ax.figure
    at = ax.transData.transform(np.column_stack([x, y])) * 72.0 / figure.dpi
    return np.column_stack([at[:, 0], 72.0 * figure.get_figheight() - at[:, 1]])


def test_leaderboard_dots_are_where_matplotlib_draws_them(arena):
    board = load_report_files(arena).leaderboard
    height, frame = leaderboard_size(board)
    own = SvgAxes(7.6, height, prefix="x", label="x", frame=frame)
    draw_leaderboard(board, None, own)
    drawn = np.array([circle[:3] for circle in Circles(own.svg()).found])
    ax = plot_leaderboard(board)
    ax.set_xlim(own.x.low, own.x.high)
    line = next(line for line in ax.lines if line.get_label() == "strength")
    np.testing.assert_allclose(drawn[:, :2], points(ax, *line.get_data()), atol=0.011)
    np.testing.assert_allclose(drawn[:, 2], 0.5 * line.get_markersize())


def test_users_are_where_matplotlib_draws_them_in_the_same_colour_and_size(arena):
    users = load_report_files(arena).users
    own = SvgAxes(7.6, 4.4, prefix="x", label="x", frame=FRAME)
    draw_dots(user_dots(users), own)
    circles = Circles(own.svg()).found
    ax = Figure(figsize=(7.6, 4.4)).add_axes(FRAME)
    drawn = plot_users(users, ax=ax).collections[0]
    ax.set_position(FRAME)  # the colour bar has taken a part of it
    where = points(ax, *np.asarray(drawn.get_offsets()).T)
    np.testing.assert_allclose(np.array([c[:2] for c in circles]), where, atol=0.011)
    np.testing.assert_allclose([c[2] for c in circles], 0.5 * np.sqrt(drawn.get_sizes()), atol=0.006)
    drawn.update_scalarmappable()
    colors = [VARIABLES[re.search(r"fill:var\(--(scale-\d)\)", c[3])[1]] for c in circles]
    assert colors == [to_hex(color) for color in drawn.get_facecolors()]
    assert len(set(colors)) > len(SCALE) // 2


@pytest.mark.parametrize("low", [-3.2, 0.0, 1e-9, 0.15, 98.0])
@pytest.mark.parametrize("size", [1e-6, 0.3, 1.0, 7.0, 4e5])
@pytest.mark.parametrize("whole", [False, True])
def test_ticks_are_few_even_within_the_limits_and_labelled(low, size, whole):
    ax = SvgAxes(4.0, 3.0, prefix="x", label="x", frame=FRAME)
    ax.x.whole = whole
    ax.set_xlim(low, low + size)
    ax.plot([low], [0.0], "o", color=BLUE)
    ax.svg()
    ticks = np.array(ax.x.ticks)
    slack = 1e-6 * size + 2e-9 * whole
    assert ((ticks >= low - slack) & (ticks <= low + size + slack)).all()
    assert len(ax.x.texts) == len(ticks) <= 6
    np.testing.assert_allclose(np.diff(ticks, 2), 0.0, atol=1e-9 * max(size, abs(low)))
    if whole:
        assert (ticks == np.round(ticks)).all()
    else:
        assert len(ticks) >= 2
    values = [float(text.replace("\u2212", "-")) for text in ax.x.texts]
    np.testing.assert_allclose(values, ticks, atol=1e-3 * size)


def test_powers_of_ten_are_ticks_of_a_logarithmic_axis():
    ax = SvgAxes(4.0, 3.0, prefix="x", label="x")
    ax.set_yscale("log")
    ax.plot([1.0, 2.0], [2e-4, 3e2], color=BLUE)
    text = ax.svg()
    assert ax.y.ticks == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100])
    assert all(f">10{power}</text>" in text for power in ("⁻³", "⁻¹", "⁰", "²"))


def test_names_in_any_script_are_escaped_text():
    board = {"model": np.array(["模型", "ไทย", "🙂", "עברית", "$x$", "<b>"], object)}
    board |= dict.fromkeys(("strength", "lower", "upper", "ordinary_strength"), np.arange(6.0))
    ax = SvgAxes(7.6, 3.0, prefix="x", label="x")
    draw_leaderboard(board, None, ax)
    text = ax.svg()
    assert all(f">{name}</text>" in text for name in [*board["model"][:5], "&lt;b&gt;"])


def test_a_page_is_written_without_importing_matplotlib(single):
    code = "import sys\nfrom emjax.report import write_report\nwrite_report(sys.argv[1])\n"
    code += "assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(single)], check=True)
