# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Which prior do real votes ask for?
#
# 124 crowd workers compared answers of 59 language models, two at a time
# ([llmfao](https://github.com/dustalov/llmfao)). Are there two kinds of workers, careful and careless? Three
# kinds? Or is it a matter of degree? Four priors say four different things. Two checks tell how well each of
# them does: how well it foretells a worker it has not seen, and whether votes made up by it look like real
# ones.

# %%
import os
import sys
import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import emjax
from emjax.report import plot_win_rates

small = os.environ.get("EMJAX_EXAMPLES") == "small"  # a quick run, as in the tests
sampler = {"num_warmup": 200, "num_samples": 200, "num_chains": 2} if small else {}

# The folder with crowd-comparisons.csv: in LLMFAO_FOLDER, or after the name of the script.
folder = os.environ.get("LLMFAO_FOLDER") or (sys.argv[1] if len(sys.argv) == 2 else None)
if folder is None:
    sys.exit("usage: python which_prior.py FOLDER, the one with crowd-comparisons.csv")

BLUE, GREY, INK = "#0072b2", "#6a6f76", "#22252a"
plt.rcParams |= {"figure.dpi": 110, "font.size": 9.5, "axes.titlesize": 10, "axes.titlelocation": "left"}
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}


def title(figure, finding):
    """Write what a picture shows above it, on the left."""
    figure.suptitle(finding, x=0.01, ha="left", fontsize=11)


# %%
table = pd.read_csv(f"{folder}/crowd-comparisons.csv")
if small:
    often = pd.concat([table["left"], table["right"]]).value_counts().index[:6]
    table = table[table["left"].isin(often) & table["right"].isin(often)]
prefs = emjax.read_votes(table, user="worker", model_a="left", model_b="right", winner="winner")
print(prefs)

# %% [markdown]
# Strengths of the models are unknown too, and estimated along with the rest (Bradley–Terry). Whatever
# `fit_bayes` has to say against a fit is printed under it.

# %%
priors = {
    "two kinds": emjax.TwoPoint(),
    "three kinds": emjax.Points(3),
    "by degree, smooth": emjax.Beta(),
    "by degree, any shape": emjax.Grid(17),
}
if small:
    priors = {name: priors[name] for name in ("two kinds", "by degree, smooth")}
fits = {}
for name, prior in priors.items():
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", emjax.EmjaxWarning)
        fits[name] = emjax.fit_bayes(prefs, prior, key=0, **sampler)
    print(f"{name} ({type(prior).__name__}): {fits[name].seconds:.0f} s")
    for warning in said:
        if issubclass(warning.category, emjax.EmjaxWarning):
            print(textwrap.indent(textwrap.fill(str(warning.message), 96), "    "))

# %% [markdown]
# ## How well is a worker foretold who was left out?
#
# For each worker: how probable are these votes, under a model that knows only the other workers? The
# logarithms of these probabilities, summed over workers, are the score (`elpd`); higher is better. It needs
# no second fit, because the draws can be weighed as if a worker had not been there.

# %%
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always", emjax.EmjaxWarning)
    scores = emjax.compare(fits, prefs)
print(scores.round(1).to_string(index=False))
for warning in said:
    if issubclass(warning.category, emjax.EmjaxWarning):
        print(textwrap.fill(str(warning.message), 100))

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(7.4, 2.6))
place = -np.arange(len(scores))
gap, error = scores["difference"].to_numpy(), scores["difference_std_err"].to_numpy()
ax.axvline(0, color=INK, linewidth=0.9)
ax.hlines(place[1:], gap[1:] - 2 * error[1:], gap[1:] + 2 * error[1:], color=BLUE, linewidth=2.6)
ax.plot(gap, place, "o", color=BLUE, markersize=7)
ax.set(yticks=place, yticklabels=scores["model"], ylim=(place[-1] - 0.6, 0.6))
ax.set_xlabel("score minus that of the best (log-likelihood units, ± 2 standard errors)")
ax.tick_params(axis="y", length=0)
ax.spines["left"].set_visible(False)
behind = scores["model"][gap + 2 * error < 0].tolist()
if behind:
    names = " and ".join(f"“{name}”" for name in behind)
    title(figure, f"{names} foretells workers less well; between the others nothing is decided")
else:
    title(figure, f"With {prefs.n_users} workers, nothing is decided between these priors")

# %%
for row in scores.iloc[1:].to_dict("records"):
    ratio = -row["difference"] / row["difference_std_err"]
    verdict = "no finding" if ratio < 2 else "worse, but not beyond doubt" if ratio < 4 else "clearly worse"
    print(f"{row['model']}: {-row['difference']:.1f} behind “{scores['model'][0]}”", end=", ")
    print(f"{ratio:.1f} times its standard error of {row['difference_std_err']:.1f}: {verdict}")

# %% [markdown]
# ## Do votes made up by the model look like the real ones?
#
# A worker's win rate is the share of the worker's votes that went to the stronger of the two models. Careful
# workers have a high one, careless ones one near 50 %. Each fit makes up votes of 124 new workers, 200 times;
# the band holds 95 in 100 of those.

# %% tags=["hide-input"]
checks = {name: fit.win_rates(prefs, key=1, bins=12) for name, fit in fits.items()}
size = (7.4, 3.0 * len(fits) // 2)
figure, axes = plt.subplots(len(fits) // 2, 2, figsize=size, sharex=True, sharey=True, squeeze=False)
beyond = {}
for ax, (name, check) in zip(axes.flat, checks.items(), strict=True):
    plot_win_rates(check, ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"{name} ({type(fits[name].prior).__name__})")
    lower, upper = np.percentile(check.drawn, [2.5, 97.5], axis=0)
    beyond[name] = int(((check.seen < lower) | (check.seen > upper)).sum())
    said = f"{beyond[name]} of {len(lower)} points\noutside the bands"
    ax.text(0.03, 0.9, said, transform=ax.transAxes, color=INK, fontsize=9, va="top")
highest = max(np.percentile(check.drawn, 97.5, axis=0).max() for check in checks.values())
axes[0, 0].set_ylim(0, 1.08 * highest)
for ax in axes[:-1].flat:
    ax.set_xlabel("")
for ax in axes[:, 1:].flat:
    ax.set_ylabel("")
if max(beyond.values()):
    worst = max(beyond, key=beyond.get)
    title(figure, f"Workers as seen (points) stray most from what “{worst}” expects (bands)")
else:
    title(figure, "Workers as seen (points) are what every prior expects (bands)")

# %%
for name, check in checks.items():
    print(f"{name}: {check}")

# %% [markdown]
# ## What to take from it
#
# - A difference of less than two standard errors is no finding: another 124 workers could turn it round. What
#   the table does not settle, these votes do not settle. Where a few workers weigh too much to be left out by
#   weighing draws, as the warnings say, two or three standard errors are a hint and no more.
# - The predictive check is a low bar, as the same votes were fitted. A model that fails it is wrong; one that
#   passes is not thereby right.
# - What matters is what you would do under each. If the order of workers is the same, the choice of prior
#   hardly matters to whom you listen:

# %%
means = pd.DataFrame({name: fit.posterior(prefs).mean for name, fit in fits.items()})
print("Rank correlation of the workers' attentiveness between the fits:")
print(means.corr(method="spearman").round(2).to_string())
