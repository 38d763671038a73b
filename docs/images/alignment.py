"""The pictures of docs/alignment.md, from what the benchmark measured: python docs/images/alignment.py"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as student

from emjax.report.drawing import dress, legend_above
from emjax.report.svg import BLUE, INK, MUTED, PAPER, RULE, VERMILION

FOLDER = Path(__file__).resolve().parent
ARMS = {
    "unfiltered": "unfiltered",
    "random drop, as many as the MAP filter": "random drop",
    "majority filter": "majority filter",
    "MAP filter, as in the paper": "MAP filter (paper)",
    "top 30 %": "top 30 %",
    "top 70 %": "top 70 %",
    "maximum information": "maximum information",
    "weights": "weights",
    "soft labels": "soft labels",
    "rDPO, mean ε": "rDPO, mean ε",
    "attentive loss": "attentive loss",
    "attentive loss, ridge from votes": "attentive loss, ridge",
    "RE-PO as published": "RE-PO as published",
    "attentive loss, true η": "attentive loss, true η",
    "noise-free labels": "noise-free labels",
}


def reach(values):
    """Mean, and half of the 95 % interval over seeds."""
    values = np.asarray(values, float)
    return values.mean(), student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))


def arms_picture(raw, strengths=(0.74, 0.98)):
    """Two columns for every arm: reward at fixed β, and what is gained at matched KL."""
    figure = Figure(figsize=(11, 5.4), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2, sharey=True)
    place = np.arange(len(ARMS))
    looks = ({"color": BLUE, "marker": "o"}, {"color": VERMILION, "marker": "D", "markerfacecolor": PAPER})
    for mu, look, shift in zip(strengths, looks, (-0.16, 0.16), strict=True):
        rows = {row["arm"]: row for row in raw[f"two-point, μ {mu}, 300 x 20"]}
        plain = np.array(rows["unfiltered"]["reward, matched"])
        fixed = [reach(rows[arm]["reward, fixed"]) for arm in ARMS]
        gained = [reach(np.array(rows[arm]["reward, matched"]) - plain) for arm in ARMS]
        ideal = reach(rows["noise-free labels"]["reward, fixed"])[0]
        left.axvline(ideal, color=look["color"], linewidth=0.9, linestyle=(0, (4, 3)))
        for ax, values in ((left, fixed), (right, gained)):
            mean, half = np.array(values).T
            ax.errorbar(
                *(mean, place + shift), xerr=half, linestyle="none", markersize=5, **look, label=f"μ = {mu}"
            )
    right.axvline(0.0, color=MUTED, linewidth=0.8)
    left.set_yticks(place, list(ARMS.values()))
    left.set_ylim(len(ARMS) - 0.4, -0.6)
    left.set_xlim(0.0)
    left.set_xlabel("held-out reward at fixed β (dashed: noise-free labels)")
    right.set_xlabel("held-out reward at matched KL, less the unfiltered arm\u2019s")
    for ax in (left, right):
        dress(ax)
        ax.grid(axis="y", color=RULE, linewidth=0.6)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.spines["left"].set_visible(False)
        legend_above(ax, one_row=2)
    figure.savefig(FOLDER / "alignment-arms.png")


def sweep_picture(sweep):
    """How many votes to keep: both columns, and where the information is predicted to be largest."""
    figure = Figure(figsize=(11, 5.6), layout="constrained", dpi=110)
    axes = figure.subplots(2, len(sweep), sharex=True, sharey="row")
    for column, (shape, found) in enumerate(sweep.items()):
        kept = 100.0 * np.array(found["kept"])
        for ax, kind in zip(axes[:, column], ("fixed", "matched"), strict=True):
            mean, half = np.array(found[kind]).T
            level = found["unfiltered"][kind][0] if kind == "fixed" else 0.0
            ax.errorbar(
                kept, level + mean, yerr=half, color=BLUE, marker="o", markersize=4, label="top fraction"
            )
            ax.axhline(
                level + found[f"{kind}, attentive"][0], color=VERMILION, linewidth=1.4, label="attentive loss"
            )
            ax.axvline(
                *(100.0 * np.mean(found["sweet spot"]),),
                color=INK,
                linewidth=0.9,
                linestyle=(0, (4, 3)),
                label="predicted sweet spot",
            )
            dress(ax)
        axes[0, column].set_title(f"η: {shape}", fontsize=10, color=INK, pad=24 if column == 0 else 8)
        axes[1, column].set_xlabel("votes kept (%)")
    axes[0, 0].set_ylabel("reward, fixed β")
    axes[1, 0].set_ylabel("reward, matched KL,\nless unfiltered")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(FOLDER / "alignment-sweep.png")


if __name__ == "__main__":
    file = FOLDER.parent.parent / "benchmarks" / "results" / "alignment_sim.json"
    raw = json.loads(file.read_text(encoding="utf-8"))["raw"]
    arms_picture(raw)
    sweep_picture(raw["sweep"])
