"""A leaderboard from votes of which a third are careless, compared with ordinary Bradley–Terry and the truth.

Careless votes are random, so counting all votes equally biases the differences between models toward 0.
emjax estimates the attentiveness of each user, and recovers the differences.
"""

import numpy as np

import emjax

truth = {"ant": 1.6, "bee": 0.9, "cat": 0.5, "dog": 0.0, "elk": -0.4, "fox": -1.0, "gnu": -1.6}
simulation = emjax.simulate(
    3,
    n_users=1500,
    votes_per_user=40,
    prior=emjax.Points(3, points=[0.0, 0.7, 0.95], weights=[0.35, 0.3, 0.35]),
    strengths=truth,
)
prefs = simulation.preferences
print(prefs)

# Grid() assumes nothing about how attentiveness is spread; BradleyTerry() gives each model a number.
fit = emjax.fit_em(prefs, emjax.Grid(), strength=emjax.BradleyTerry())
print(fit.message)

board = fit.leaderboard(prefs)  # a PyArrow table, since the votes were not a data frame
print("\nrank  model   emjax   95 % interval    ordinary   truth")
for row in board.to_pylist():
    low, high = row["lower"], row["upper"]
    print(f"{row['rank']:4}  {row['model']:5} {row['strength']:7.2f}   {low:5.2f} to {high:5.2f}", end=" ")
    print(f"{row['ordinary_strength']:10.2f} {truth[row['model']]:7.2f}")

true = np.array([truth[model] for model in board["model"].to_pylist()])
for name, column in (("emjax", "strength"), ("ordinary Bradley–Terry", "ordinary_strength")):
    slope = np.polyfit(true, np.asarray(board[column]), 1)[0]
    print(f"{name}: a true difference of 1 is estimated as {slope:.2f}")
