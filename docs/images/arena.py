"""The picture of the README: python docs/images/arena.py"""

from pathlib import Path

from matplotlib.figure import Figure

import emjax
from emjax.cli.arena import arena
from emjax.report import plot_attentiveness, plot_leaderboard

simulation = arena(seed=0, n_users=20_000)
prefs = simulation.preferences
fit = emjax.fit_em(prefs, emjax.Grid())
truth = dict(zip(simulation.models, simulation.strengths, strict=True))
board = fit.leaderboard(prefs)
board = board.append_column("true_strength", [[truth[model] for model in board["model"].to_pylist()]])

figure = Figure(figsize=(11, 5), layout="constrained", dpi=110)
left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
plot_attentiveness(fit, fit.users(prefs), ax=left)
plot_leaderboard(board, ax=right)
figure.savefig(Path(__file__).with_suffix(".png"))
