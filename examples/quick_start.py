"""From votes to attentive users: simulate, fit, print, plot.

Two models, A and B. Seven users in ten judge nearly every vote, the others nearly none. emjax estimates from
the votes alone which users are which.
"""

import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import emjax
from emjax.report import plot_attentiveness

# 2,000 users with 30 votes each. An attentive user prefers A in 74 votes of a hundred.
simulation = emjax.simulate(
    0, n_users=2000, votes_per_user=30, prior=emjax.TwoPoint(low=0.1, high=0.95, weight=0.7), strength=0.74
)
prefs = simulation.preferences
print(prefs)

# The numbers in a prior are starting values; they are estimated.
fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known(0.74))
print(fit)

# One row per user. Votes from arrays give a PyArrow table; votes from a data frame give a data frame.
users = fit.users(prefs)
print("\nThe first users:")
for row in users.select(["user", "n_votes", "attentiveness", "attentiveness_sd"]).slice(0, 6).to_pylist():
    print({name: round(value, 2) for name, value in row.items()})

# Select the attentive users. In a simulation the truth is known.
attentive = np.asarray(users["prob_attentive"]) > 0.5
truly = simulation.attentiveness[np.asarray(users["user"])] > 0.5
print(f"\n{attentive.sum():,} of {len(attentive):,} users taken for attentive; {truly.sum():,} truly are")
print(f"right about {np.mean(attentive == truly):.0%} of all users")

with tempfile.TemporaryDirectory() as folder:
    figure = Figure(figsize=(7, 4), layout="constrained")
    plot_attentiveness(fit, users, ax=figure.subplots())
    picture = Path(folder) / "attentiveness.png"  # give a path of your own to keep it
    figure.savefig(picture)
    print(f"picture drawn: {picture.stat().st_size:,} bytes")
