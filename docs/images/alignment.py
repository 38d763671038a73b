"""The pictures of docs/alignment.md, from what the benchmark measured: python docs/images/alignment.py"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import t as student

from emjax.report.axes_style import legend_above, style_axes
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
    axes = figure.subplots(1, 3, sharey=True, width_ratios=[1.25, 1, 1])
    place = np.arange(len(ARMS))
    looks = ({"color": BLUE, "marker": "o"}, {"color": VERMILION, "marker": "D", "markerfacecolor": PAPER})
    for mu, look, shift, own in zip(strengths, looks, (-0.16, 0.16), axes[1:], strict=True):
        rows = {row["arm"]: row for row in raw[f"two-point, μ {mu}, 300 x 20"]}
        plain = np.array(rows["unfiltered"]["reward, matched"])
        fixed = [reach(rows[arm]["reward, fixed"]) for arm in ARMS]
        gained = [reach(np.array(rows[arm]["reward, matched"]) - plain) for arm in ARMS]
        ideal = reach(rows["noise-free labels"]["reward, fixed"])[0]
        axes[0].axvline(ideal, color=look["color"], linewidth=0.9, linestyle=(0, (4, 3)))
        own.axvline(0.0, color=MUTED, linewidth=0.8)
        own.set_xlabel(f"reward at matched KL, less\nthe unfiltered arm\u2019s, μ = {mu}")
        for ax, values, at in ((axes[0], fixed, place + shift), (own, gained, place)):
            mean, half = np.array(values).T
            ax.errorbar(
                *(mean, at), xerr=half, linestyle="none", markersize=5, **look, label=f"μ = {mu}", zorder=3
            )
    axes[0].set_yticks(place, list(ARMS.values()))
    axes[0].set_ylim(len(ARMS) - 0.4, -0.6)
    axes[0].set_xlim(0.0)
    axes[0].set_xlabel("reward at fixed β\n(dashed: noise-free labels)")
    for ax in axes:
        style_axes(ax)
        ax.grid(axis="y", color=RULE, linewidth=0.6)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.spines["left"].set_visible(False)
        legend_above(ax, one_row=2)
    figure.savefig(FOLDER / "alignment-arms.png")


def sweep_picture(sweep, lowest=-0.1):
    """How many votes to keep: both columns, and where the information is predicted to be largest."""
    figure = Figure(figsize=(11, 5.6), layout="constrained", dpi=110)
    axes = figure.subplots(2, len(sweep), sharex=True, sharey="row")
    for (top, bottom), (shape, found) in zip(axes.T, sweep.items(), strict=True):
        kept = 100.0 * np.array(found["kept"])
        for ax, kind in ((top, "fixed"), (bottom, "matched")):
            mean, half = np.array(found[kind]).T
            level = found["unfiltered"][kind][0] if kind == "fixed" else 0.0
            ax.errorbar(
                kept, level + mean, yerr=half, color=BLUE, marker="o", markersize=4, label="best votes"
            )
            attentive = level + found[f"{kind}, attentive"][0]
            ax.axhline(attentive, color=VERMILION, linewidth=1.4, label="attentive loss, every vote")
            spot = 100.0 * np.mean(found["sweet spot"])
            look = {"color": INK, "linewidth": 0.9, "linestyle": (0, (4, 3))}
            ax.axvline(spot, label="sweet spot, predicted from the fit", **look)
            style_axes(ax)
        top.set_title(f"η: {shape}", fontsize=10, color=INK)
        bottom.axhline(0.0, color=MUTED, linewidth=0.8, zorder=0)
        bottom.set_xlabel("votes kept (%)")
    axes[0, 0].set_ylim(0.0)
    axes[1, 0].set_ylim(lowest, 0.03)
    axes[0, 0].set_ylabel("reward at fixed β")
    axes[1, 0].set_ylabel("reward at matched KL,\nless the unfiltered arm\u2019s")
    look = {"frameon": False, "fontsize": 8.5, "labelcolor": INK}
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3, **look)
    figure.savefig(FOLDER / "alignment-sweep.png")


if __name__ == "__main__":
    file = FOLDER.parent.parent / "benchmarks" / "results" / "alignment_sim.json"
    raw = json.loads(file.read_text(encoding="utf-8"))["raw"]
    arms_picture(raw)
    sweep_picture(raw["sweep"])
