"""Draws images/features.png, the picture of docs/behavior.md on features: python docs/images/features.py."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import emjax

BLUE, ORANGE = "#2b6cb0", "#c05621"
COLOURS = {0.8: "#1a365d", 0.5: "#2b6cb0", 0.2: "#a0aec0"}
SLOPE, CENTRE, SPREAD = 1.8, 2.0, 0.8  # of log seconds
ARENA = {"ant": 1.0, "bee": 0.0, "cat": -1.0}


def looks(ax: Axes) -> None:
    """How likely a look is, by seconds, one line per user."""
    seconds = np.geomspace(1.0, 60.0, 200)
    z = (np.log(seconds) - CENTRE) / SPREAD
    for eta, colour in COLOURS.items():
        odds = eta / (1 - eta) * np.exp(SLOPE * z)
        ax.plot(seconds, odds / (1 + odds), color=colour, lw=1.8, label=f"attentiveness {eta:g}")
    ax.set(xscale="log", ylim=(0, 1), xlim=(1, 60), xlabel="seconds taken", ylabel="chance of a look")
    ax.set_xticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    ax.set_title("a look, by seconds", fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="upper left")


def told(ax: Axes, title: str, chance: np.ndarray, looked: np.ndarray) -> None:
    """What is said of votes that were looked at, and of votes that were not."""
    bins = np.linspace(0, 1, 26)
    for mine, colour, name in ((looked, BLUE, "looked at"), (~looked, ORANGE, "not looked at")):
        ax.hist(chance[mine], bins, color=colour, alpha=0.55, label=name, weights=np.full(mine.sum(), 1e-3))
    ax.set(xlim=(0, 1), xlabel="probability of an attentive vote", ylabel="votes, thousands")
    ax.set_title(title, fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="upper left")


def main() -> None:
    """Draw the picture."""
    rng = np.random.default_rng(0)
    m, n = 1000, 40_000
    user, seconds = rng.integers(m, size=n), np.exp(rng.normal(CENTRE, SPREAD, n))
    looked = rng.random(n) < 1 / (1 + np.exp(-SLOPE * (np.log(seconds) - CENTRE) / SPREAD))
    names, s = np.array([*ARENA], object), np.array([*ARENA.values()])
    a = rng.integers(3, size=n)
    b = (a + rng.integers(1, 3, size=n)) % 3
    won = rng.random(n) < np.where(looked, 1 / (1 + np.exp(s[b] - s[a])), 0.5)
    pairs = np.column_stack([names[a], names[b]])
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.1), layout="constrained")
    looks(axes[0])
    with_features = emjax.Preferences.from_votes(
        user, pairs, won, vote_features={"log:seconds": seconds}, feature_bins=10
    )
    kind = with_features.strata.label({"seconds": seconds})
    ways = {"without features": emjax.AttentiveOrRandom(), "with the seconds": None}
    for ax, (title, behavior) in zip(axes[1:], ways.items(), strict=True):
        fit = emjax.fit_em(with_features, emjax.TwoPoint(), behavior=behavior)
        one = emjax.vote_posteriors(fit.posterior(with_features)).table()
        key = ("user", "model_a", "model_b", "context", "outcome")
        known = zip(*(one[name].to_pylist() for name in key), strict=True)
        said = dict(zip(known, one["prob_attentive"].to_pylist(), strict=True))
        chance = []
        for u, (first, second), of, won_it in zip(user, pairs, kind, won, strict=True):
            places = (u, first, second, of, "A won" if won_it else "B won")
            turned = (u, second, first, of, "B won" if won_it else "A won")
            chance.append(said[places] if places in said else said[turned])
        told(ax, title, np.array(chance), looked)
    axes[2].sharey(axes[1])
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130)


if __name__ == "__main__":
    main()
