# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Which prior fits real votes?
#
# 124 crowd workers compared answers of 59 language models, two at a time
# ([llmfao](https://github.com/dustalov/llmfao)). Are there two groups of workers, careful and careless? Three
# groups? Or is it a matter of degree? Four priors make four different assumptions. Two checks compare them:
# how well each predicts a held-out worker, and whether votes simulated from it look like the real ones.

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
# The strengths of the models are unknown too, and estimated together with the prior (Bradley–Terry). Warnings
# of `fit_bayes` are printed below each fit.

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
# ## Predictions of a held-out worker
#
# For each worker: how probable are the worker's votes under a model fitted to the other workers? The
# logarithms of these probabilities, summed over workers, are the score (`elpd`); higher is better. It needs
# no second fit, because the draws can be reweighted to leave out a worker.

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
# ## A posterior predictive check
#
# A worker's win rate is the share of the worker's votes that went to the stronger of the two models. Careful
# workers have a high one, careless ones one near 50 %. Each fit simulates votes of 124 new workers, 200
# times; the band contains 95 of 100 of those.

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
# ## Conclusions
#
# - A difference of less than two standard errors is not significant: with another 124 workers it could have
#   the other sign. If the warnings say that reweighting is not reliable for a few workers, two or three
#   standard errors are only a hint.
# - The predictive check is a weak test, because the same votes were fitted. A model that fails it is wrong; a
#   model that passes it can still be wrong.
# - What matters is the decision under each prior. If the order of workers is the same, the choice of prior
#   hardly matters for filtering:

# %%
means = pd.DataFrame({name: fit.posterior(prefs).mean for name, fit in fits.items()})
print("Rank correlation of the workers' attentiveness between the fits:")
print(means.corr(method="spearman").round(2).to_string())
