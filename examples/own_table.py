"""A table of your own: other column names, ties counted half, and the results joined to a table of users.

This uses pandas; a Polars frame, a PyArrow table, a DuckDB relation or the path of a file works in the same
way, and results are returned as the same type of table.
"""

import numpy as np
import pandas as pd

import emjax

# A stand-in for your table. One in ten votes is a tie.
rng = np.random.default_rng(1)
drawn = emjax.simulate(
    1,
    n_users=400,
    votes_per_user=50,
    prior=emjax.Beta(2, 1.5),
    strengths={"base": -1.3, "new": 1.3, "trial": 0.0},
)
columns = drawn.columns()
votes = pd.DataFrame(
    {
        "rater": [f"rater-{number:03}" for number in columns["user"]],
        "left": columns["model_a"],
        "right": columns["model_b"],
        "said": np.where(rng.random(len(columns["user"])) < 0.1, "tie", columns["winner"]),
    }
)
people = pd.DataFrame({"rater": sorted(votes["rater"].unique())})
people["site"] = np.where(np.arange(len(people)) % 2, "web", "app")
print(votes.head(4).to_string(index=False))

# Columns with common names are recognised; these have to be named. ties="drop" would leave ties out.
prefs = emjax.read_votes(votes, user="rater", model_a="left", model_b="right", winner="said", ties="half")
print(prefs)
fit = emjax.fit_em(prefs, emjax.Beta())
print(fit)

answers = fit.users(prefs)  # a pandas frame, like the votes
joined = people.merge(answers, left_on="rater", right_on="user").drop(columns="user")
shown = ["rater", "site", "n_votes", "attentiveness", "attentiveness_sd", "prob_attentive"]
print("\nThe least attentive:")
print(joined.nsmallest(5, "attentiveness")[shown].round(2).to_string(index=False))
print("\nMean attentiveness by site:")
for site, group in joined.groupby("site"):
    print(f"{site}  {group['attentiveness'].mean():.3f}")
