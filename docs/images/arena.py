"""The picture of the README: python docs/images/arena.py"""

from pathlib import Path

from matplotlib.figure import Figure

import emjax
from emjax.demo import arena
from emjax.infer.tables import leaderboard_columns
from emjax.report import plot_attentiveness, plot_leaderboard

simulation = arena(seed=0, n_users=20_000)
prefs = simulation.preferences
fit = emjax.fit_em(prefs, emjax.Grid())
truth = dict(zip(simulation.models, simulation.strengths, strict=True))
board = leaderboard_columns(fit, prefs)
board["true_strength"] = [truth[model] for model in board["model"]]

figure = Figure(figsize=(11, 5), layout="constrained", dpi=110)
left, right = figure.subplots(1, 2, width_ratios=[1, 1.25])
plot_attentiveness(fit.summary(), {"attentiveness": fit.posterior(prefs).mean}, ax=left)
plot_leaderboard(board, ax=right)
figure.savefig(Path(__file__).with_suffix(".png"))
