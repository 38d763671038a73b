# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # An unknown strength
#
# With two models, the votes of a user show one number: how often the user prefers the better model. If this
# is close to one half, either users are careless, or the models are nearly equally good. The votes
# alone cannot distinguish the two. Full Bayes shows what is identified, and what is not.

# %%
import os
import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import spearmanr

import emjax

small = os.environ.get("EMJAX_EXAMPLES") == "small"  # a quick run, as in the tests
n_users = 500 if small else 5_000
sampler = {"num_warmup": 200, "num_samples": 200, "num_chains": 2} if small else {}

BLUE, VERMILION, GREY, INK = "#0072b2", "#d55e00", "#6a6f76", "#22252a"
plt.rcParams |= {"figure.dpi": 110, "font.size": 9.5, "axes.titlesize": 10, "axes.titlelocation": "left"}
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}


def title(figure, finding):
    """Write what a picture shows above it, on the left."""
    figure.suptitle(finding, x=0.01, ha="left", fontsize=11)


# %% [markdown]
# Six users in ten judge 80 % of their votes, the others 20 %. Of the votes that are judged, the better model
# wins 74 of 100: this is the strength μ. Users cast different numbers of votes, 30 on average.
#
# The same votes are fitted three times: with μ known, with the Beta(8, 2) prior on it that the paper uses (it
# expects μ near 0.8), and with a flat prior, under which every μ is as likely as any other.

# %%
truth, mu = emjax.TwoPoint(low=0.2, high=0.8, weight=0.6), 0.74
votes = emjax.simulate(3, n_users=n_users, votes_per_user=30, spread=True, prior=truth, strength=mu)
prefs = votes.preferences

strengths = {
    "μ known": emjax.Known(mu),
    "Beta(8, 2) prior": emjax.Shared(prior=(8, 2)),
    "flat prior": emjax.Shared(prior=(1, 1)),
}
colors = {"μ known": INK, "Beta(8, 2) prior": BLUE, "flat prior": VERMILION}
fits = {}
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always", emjax.EmjaxWarning)
    for name, strength in strengths.items():
        fits[name] = emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=strength, key=0, **sampler)
        print(f"{name}: {fits[name].seconds:.1f} s")

# %% [markdown]
# `fit_bayes` warns about what the votes do not identify. The warnings were caught above, to be shown here:

# %%
texts = [str(warning.message) for warning in said if issubclass(warning.category, emjax.EmjaxWarning)]
for text in dict.fromkeys(texts):
    print(textwrap.fill(text, 100))

# %% [markdown]
# ## The ridge

# %% tags=["hide-input"]


def drawn(fit, name):
    """All draws of a parameter."""
    return fit.draws.natural[..., fit.names.index(name)].ravel()


figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.7), sharex=True, sharey=True)
known = drawn(fits["μ known"], "high")
line = np.linspace(0.5, 1.0, 400)[1:]
for ax, name in zip(axes, ("flat prior", "Beta(8, 2) prior"), strict=True):
    fit = fits[name]
    some = np.random.default_rng(0).permutation(fit.draws.diverging.size)[:800]
    x, y = drawn(fit, "strength")[some], drawn(fit, "high")[some]
    ax.plot(line, known.mean() * (mu - 0.5) / (line - 0.5), color=GREY, linewidth=0.9)
    ax.plot(x, y, ".", color=colors[name], markersize=3, alpha=0.45)
    ax.plot(mu, truth.high, "*", color=INK, markersize=14, markeredgecolor="white")
    ax.annotate("truth", (mu + 0.006, 0.81), (0.79, 0.9), arrowprops={"arrowstyle": "-", "color": INK})
    ax.set(xlim=(0.6, 1.01), ylim=(0, 1.04))
    ax.set_title(name, color=colors[name])
where = 0.92, known.mean() * (mu - 0.5) / 0.42
axes[0].annotate(
    "attentiveness × (μ − ½)\nis the same all along",
    where,
    (0.66, 0.2),
    color=GREY,
    arrowprops={"arrowstyle": "-", "color": GREY},
)
axes[0].set_ylabel("attentiveness of the better users")
figure.supxlabel("strength μ: share of judged votes that the better model wins", fontsize=9.5)
title(figure, "The votes fix the product, not the two factors: draws lie along a ridge")

# %%
print("95 % intervals             μ           better users' attentiveness     their product")
for name, fit in fits.items():
    high = drawn(fit, "high")
    strength = np.full_like(high, mu) if name == "μ known" else drawn(fit, "strength")
    for values in (strength, high, high * (strength - 0.5)):
        lower, upper = np.quantile(values, [0.025, 0.975])
        print(f"{name if values is strength else '':18}[{lower:.3f}, {upper:.3f}]", end="   ")
    print()

# %% [markdown]
# All three agree on the product, with the same precision. Along the ridge the likelihood is constant:
# the position of the draws on it comes from the priors. More votes make the ridge
# thinner, but not shorter.
#
# ## The order of users is identified, a threshold is not

# %% tags=["hide-input"]
means = {name: fit.posterior(prefs).mean for name, fit in fits.items()}
figure, ax = plt.subplots(figsize=(7.4, 4.0))
x = means["μ known"]
ax.plot([0, x.max()], [0, x.max()], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
for name in ("Beta(8, 2) prior", "flat prior"):
    ax.plot(x, means[name], ".", color=colors[name], markersize=3)
height = x.max()
for name, color in (("μ known", GREY), ("flat prior", VERMILION), ("Beta(8, 2) prior", BLUE)):
    height = min(height, means[name].max())  # side by side they would collide
    share = f"{name}:\n{np.mean(means[name] > 0.5):.0%} of users above ½"
    ax.text(x.max() + 0.015, height, share, color=color, va="center")
    height -= 0.085
ax.axhline(0.5, color=INK, linewidth=0.9)
ax.text(0.115, 0.515, "½", color=INK)
ax.set(xlim=(0.1, x.max() + 0.23), xticks=[0.2, 0.4, 0.6, 0.8], ylim=(0.1, 0.9))
ax.set(xlabel="user's attentiveness, μ known (posterior mean)", ylabel="the same, μ unknown")
title(figure, "Each point is a user: the order stays, what lies above ½ does not")

# %%
top = emjax.TopFraction(0.6, of="users")
best = emjax.filter_votes(fits["μ known"].posterior(prefs), top).users.kept
for name in ("Beta(8, 2) prior", "flat prior"):
    kept = emjax.filter_votes(fits[name].posterior(prefs), top).users.kept
    print(f"{name} against μ known:")
    print(f"  rank correlation of users {spearmanr(means['μ known'], means[name]).statistic:.5f}")
    print(f"  of the best 60 %, {np.mean(kept[best]):.1%} are the same users")
    print(f"  users above ½: {np.mean(means['μ known'] > 0.5):.0%} and {np.mean(means[name] > 0.5):.0%}")

# %% [markdown]
# So if μ is unknown, select users by their rank (`TopFraction`), not by a threshold (`Threshold`,
# `Credible`). To identify the scale, more information is needed: a strength measured by
# experts (`Known`), or three or more models of different strengths (`BradleyTerry`), with which it is
# identified, but often weakly. The page *Identifiability* has the whole list.
