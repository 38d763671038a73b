"""The picture of docs/calibration.md, from what the benchmark measured: python docs/images/calibration.py"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from emjax import Reliability
from emjax.report import plot_calibration
from emjax.report.axes_style import legend_above, style_axes
from emjax.report.svg import BLUE, INK, MUTED, PAPER, VERMILION

FOLDER = Path(__file__).resolve().parent
MODEL, FACE_VALUE = "attentiveness", "every user attentive"


def curves(raw, ax):
    """Promised and kept, over all workers."""
    found = {name: Reliability(**{k: np.array(v) for k, v in one.items()}) for name, one in raw.items()}
    plot_calibration({name: found[name] for name in (MODEL, FACE_VALUE)}, ax=ax)


def by_group(raw, ax):
    """Promised less kept, for workers who look careless, middling and attentive."""
    place = np.arange(len(raw), dtype=float)
    looks = {
        MODEL: {"color": BLUE, "marker": "o"},
        FACE_VALUE: {"color": VERMILION, "marker": "D", "markerfacecolor": PAPER},
    }
    ax.axhline(0.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    for (name, look), shift in zip(looks.items(), (-0.07, 0.07), strict=True):
        mean, low, high = (
            100.0 * np.array([row[name][k] for row in raw]) for k in ("mean", "lower", "upper")
        )
        ax.errorbar(
            place + shift,
            mean,
            yerr=(mean - low, high - mean),
            linestyle="none",
            markersize=5.5,
            elinewidth=1.2,
            label=name,
            **look,
        )
    ax.set_xticks(place, [f"{row['low']:g} to {row['high']:g}\n{row['votes']:,.0f} votes" for row in raw])
    ax.set_xlim(-0.5, len(raw) - 0.5)
    ax.set_xlabel("attentiveness in the votes seen")
    ax.set_ylabel("promised less kept (% points)")
    style_axes(ax)
    legend_above(ax, one_row=2)


def judged(raw, ax):
    """Workers: attentiveness against how often GPT-4 takes the same side."""
    eta, agreed, both = (
        np.array([row[key] for row in raw], float)
        for key in (MODEL, "agreement with GPT-4", "judged by both")
    )
    ax.axhline(50.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    ax.scatter(
        eta, 100.0 * agreed, s=1.2 * both, color=BLUE, alpha=0.6, edgecolors=PAPER, linewidths=0.5, zorder=3
    )
    for size in (15, 100, 250):
        ax.scatter([], [], s=1.2 * size, color=BLUE, alpha=0.6, edgecolors=PAPER, label=f"{size} votes")
    ax.set_xlim(-0.04, 1.04)
    ax.set_xlabel("attentiveness (posterior mean)")
    ax.set_ylabel("agreement with GPT-4 (%)")
    style_axes(ax)
    ax.tick_params(axis="x", labelcolor=INK)
    legend_above(ax, one_row=3)


if __name__ == "__main__":
    file = FOLDER.parent.parent / "benchmarks" / "results" / "calibration.json"
    raw = json.loads(file.read_text(encoding="utf-8"))["raw"]
    figure = Figure(figsize=(13, 4.4), layout="constrained", dpi=110)
    left, middle, right = figure.subplots(1, 3)
    curves(raw["reliability"], left)
    by_group(raw["groups"], middle)
    judged(raw["workers"], right)
    figure.savefig(FOLDER / "calibration.png")
