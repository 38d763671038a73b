"""Draws images/behavior.png, the pictures of docs/behavior.md: python docs/images/behavior.py."""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import emjax
from emjax.model.likelihood import log_probabilities, nodes_at
from emjax.model.response import Behavior

COLOURS = {1.0: "#1a365d", 0.5: "#2b6cb0", 0.0: "#a0aec0", -0.8: "#c05621"}
STRENGTHS = {f"m{k}": s for k, s in enumerate(np.linspace(1.5, -1.5, 8))}


def curves(ax: Axes, title: str, behavior: Behavior, levels: tuple[float, ...], outcome: int = 0) -> None:
    """Chance of an outcome by how much better A is, one line per attentiveness."""
    logits = np.linspace(-4, 4, 161)
    with jax.enable_x64(True):
        table = log_probabilities(behavior, nodes_at(jnp.asarray(levels)), jnp.asarray(logits))
    for level, chance in zip(levels, np.exp(np.asarray(table))[:, outcome].T, strict=True):
        ax.plot(logits, chance, color=COLOURS[level], lw=1.8, label=f"attentiveness {level:g}")
    ax.set(title=title, ylim=(0, 1), xlim=(-4, 4), xlabel="strength of A less that of B")
    ax.title.set_fontsize(10)


def users(ax: Axes, title: str, truth: np.ndarray, estimate: np.ndarray) -> None:
    """Users' estimates beside the truth, shaken a little so that one sees how many there are."""
    rng = np.random.default_rng(0)
    ax.axhline(0, color="#cbd5e0", lw=0.8)
    shaken = truth + rng.uniform(-0.06, 0.06, truth.size)
    ax.plot(shaken, estimate, ".", ms=2, alpha=0.35, color="#2b6cb0")
    for level in np.unique(truth):
        ax.hlines(level, level - 0.1, level + 0.1, color="#c05621", lw=2)
    ax.set(title=title, xlim=(-1.05, 1.1), ylim=(-1.05, 1.1), xlabel="true attentiveness")
    ax.title.set_fontsize(10)


def main() -> None:
    """Draw the picture."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.6), layout="constrained")
    levels = (1.0, 0.5, 0.0)
    tie_rule = emjax.AttentiveOrRandom(ties=emjax.Davidson(1.0), careless_ties=0.2)
    curves(axes[0, 0], "AttentiveOrRandom()", emjax.AttentiveOrRandom(), levels)
    curves(axes[0, 1], "guess=0.75: A was shown first", _sided(), levels)
    curves(axes[0, 2], "ties=Davidson(): a tie", tie_rule, levels, outcome=2)
    curves(axes[0, 3], "Sharpness()", emjax.Sharpness(), levels)
    axes[0, 0].set_ylabel("chance that A wins")
    axes[0, 2].set_ylabel("chance of a tie")
    axes[0, 0].legend(fontsize=7.5, frameon=False)

    truth = emjax.Points(3, points=[-0.8, 0.0, 0.9], weights=[0.1, 0.3, 0.6], low=-1)
    votes = emjax.AttentiveOrRandom(guess=0.75, ties=emjax.Davidson(0.7), careless_ties=0.1)
    sim = emjax.simulate(0, n_users=1500, votes_per_user=60, strengths=STRENGTHS, prior=truth, behavior=votes)
    below, above = emjax.Grid(41, low=-1), emjax.Grid(21)
    ties = np.where(sim.tied, 0.5, sim.a_won)
    names = np.array(sim.models)
    pairs = np.column_stack([names[sim.model_a], names[sim.model_b]]).astype(object)
    plain = emjax.Preferences.from_votes(sim.user[~sim.tied], pairs[~sim.tied], sim.a_won[~sim.tied])
    tied = emjax.Preferences.from_votes(sim.user, pairs, ties, ties="model")
    for ax, title, prefs, prior in (
        (axes[1, 0], "ties dropped, sides unknown", plain, above),
        (axes[1, 1], "with contrarians", plain, below),
        (axes[1, 2], "and ties", tied, below),
        (axes[1, 3], "and sides: as it was", sim.preferences, below),
    ):
        mean = emjax.fit_em(prefs, prior).posterior(prefs).mean
        users(ax, title, sim.attentiveness[prefs.users], mean)
    axes[1, 0].set_ylabel("estimated attentiveness")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130)


def _sided() -> Behavior:
    both_ways = emjax.Preferences.from_votes(
        [0, 0], [["a", "b"], ["b", "a"]], [True, False], shown_first=[True, True]
    )
    return emjax.AttentiveOrRandom(guess=0.75).start(both_ways.table)


if __name__ == "__main__":
    main()
