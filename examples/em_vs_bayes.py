# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # EM or full Bayes?
#
# `fit_em` finds the parameters with the highest likelihood, and a standard error for each.
# `fit_bayes` draws parameters from their posterior distribution. Here both use the same votes,
# twice: of thousands of users, where they agree, and of sixty, where they do not.

# %%
import os
import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import beta as beta_distribution

import emjax

small = os.environ.get("EMJAX_EXAMPLES") == "small"  # a quick run, as in the tests
many, n_sets = (1_000, 2) if small else (20_000, 40)
sampler = {"num_warmup": 200, "num_samples": 200, "num_chains": 2} if small else {}

BLUE, VERMILION, GREY, INK = "#0072b2", "#d55e00", "#6a6f76", "#22252a"
plt.rcParams |= {"figure.dpi": 110, "font.size": 9.5, "axes.titlesize": 10.5, "axes.titlelocation": "left"}
plt.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "figure.constrained_layout.use": True}


def title(figure, finding):
    """Write what a picture shows above it, on the left."""
    figure.suptitle(finding, x=0.01, ha="left", fontsize=11)


# %% [markdown]
# There are two models, and the better one wins 74 of 100 votes that are judged; this is taken as known.
# Attentiveness has a Beta(3, 5) distribution: most users judge between a fifth and a half of their votes and
# flip a coin for the others. Each user casts 20 votes. Both fits assume a Beta distribution and estimate its
# parameters.

# %%
truth, strength = emjax.Beta(3, 5), emjax.Known(0.74)


def votes_of(n_users, seed):
    """Simulated votes of so many users, 20 each."""
    return emjax.simulate(seed, n_users=n_users, votes_per_user=20, prior=truth, strength=0.74)


def fit_both(votes):
    """EM and full Bayes, with the time of each, compilation included."""
    begun = time.perf_counter()
    em = emjax.fit_em(votes.preferences, emjax.Beta(), strength=strength)
    em.standard_errors()
    taken = time.perf_counter() - begun
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", emjax.EmjaxWarning)
        bayes = emjax.fit_bayes(votes.preferences, emjax.Beta(), strength=strength, key=0, **sampler)
    print(f"{votes.preferences.n_users:,} users: EM {taken:.1f} s, full Bayes {bayes.seconds:.1f} s")
    for warning in said:
        if issubclass(warning.category, emjax.EmjaxWarning):
            print("  ", warning.message)
    return em, bayes


crowd, few = votes_of(many, seed=1), votes_of(60, seed=0)
em, bayes = fit_both(crowd)
em_few, bayes_few = fit_both(few)

# %% [markdown]
# ## Many users: the same result twice

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.2))
for ax, name in zip(axes, ("a", "b"), strict=True):
    pair = [("EM", em.standard_errors()[name], BLUE), ("full Bayes", bayes.estimates()[name], VERMILION)]
    for place, (_, found, color) in enumerate(pair):
        ax.plot([found.lower, found.upper], [-place] * 2, color=color, linewidth=3)
        ax.plot(found.estimate, -place, "o", color=color, markersize=8)
    ax.axvline(getattr(truth, name), color=INK, linewidth=1, linestyle=(0, (4, 3)))
    ax.text(getattr(truth, name), 0.55, " truth", color=INK, fontsize=8.5)
    ax.set(yticks=[0, -1], yticklabels=[label for label, _, _ in pair], ylim=(-1.5, 0.8))
    ax.set_xlabel(f"{name} of the Beta (95 % interval)")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
title(figure, f"From {many:,} users, both find the same, and are equally sure")

# %% [markdown]
# EM's interval is its estimate ± 1.96 standard errors. That of full Bayes contains 95 % of the draws, and may
# be asymmetric. With this many users there is no reason to prefer the slower method.

# %%
for name in ("a", "b"):
    one, other = em.standard_errors()[name], bayes.estimates()[name]
    print(f"{name}: EM {one.estimate:.2f} ± {one.std_err:.2f}", end=", ")
    print(f"full Bayes {other.estimate:.2f} ± {other.std_err:.2f}")

# %% [markdown]
# ## Sixty users: EM ends at the boundary
#
# Now the same with sixty users. By chance their win rates differ hardly more than random votes would, and
# the maximum of the likelihood is that all users are alike. EM reports this maximum.
# (These sixty users were chosen to show this; how often it happens is counted below.)

# %% tags=["hide-input"]
eta = np.linspace(0.002, 0.998, 499)
figure, ax = plt.subplots(figsize=(7.4, 3.4))
draws = bayes_few.draws.natural.reshape(-1, 2)
chosen = draws[np.linspace(0, len(draws) - 1, 60).astype(int)]
for a, b in chosen:
    ax.plot(eta, beta_distribution.pdf(eta, a, b), color=VERMILION, linewidth=0.7, alpha=0.3)
spike = beta_distribution.pdf(eta, float(em_few.prior.a), float(em_few.prior.b))
ax.plot(eta, spike, color=BLUE, linewidth=2.2)
true = beta_distribution.pdf(eta, truth.a, truth.b)
ax.plot(eta, true, color=INK, linewidth=1.8, linestyle=(0, (4, 2)))
top = eta[spike.argmax()]
ax.annotate("EM: all users alike", (top + 0.035, 0.8 * spike.max()), color=BLUE)
ax.annotate(
    "truth",
    (0.12, np.interp(0.12, eta, true)),
    (0.02, 3.6),
    color=INK,
    arrowprops={"arrowstyle": "-", "color": INK},
)
ax.annotate("full Bayes: 60 of its draws", (0.62, 2.7), color=VERMILION)
ax.set(xlim=(0, 1), ylim=(0, 1.06 * spike.max()), yticks=[])
ax.set(xlabel="attentiveness (share of votes that a user judges)", ylabel="density of users")
title(figure, "From 60 users, EM picks one answer; full Bayes keeps all that the votes allow")

# %%
print(em_few.standard_errors())
print(bayes_few.estimates())
print(f"\nIn {n_sets} other sets of 60 users, EM ended at the edge of the range of a Beta in", end=" ")
ends = [
    emjax.fit_em(votes_of(60, seed).preferences, emjax.Beta(), strength=strength)
    for seed in range(100, 100 + n_sets)
]
print(sum(max(float(fit.prior.a), float(fit.prior.b)) > 199 for fit in ends), "of them.")

# %% [markdown]
# At the boundary of the parameters of a Beta there is no standard error either, and EM says so. Full Bayes
# does not end at the boundary: where votes contain little information, the hyperpriors
# (`emjax.Hyperpriors()`) regularise it. This is also its limit: with few users the result depends on
# them, and they are a choice.
#
# ## The posteriors of single users

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7.4, 4.2), sharex=True, sharey=True)
for ax, votes, one, other in ((axes[0], crowd, em, bayes), (axes[1], few, em_few, bayes_few)):
    prefs = votes.preferences
    views = (one.posterior(prefs), BLUE, 0.17), (other.posterior(prefs), VERMILION, -0.17)
    # Fifteen users, from the one who sided least with the better model to the one who did most.
    shown = np.argsort(prefs.counts[:, 0], kind="stable")[np.linspace(0, prefs.n_users - 1, 15).astype(int)]
    for posterior, color, shift in views:
        lower, upper = posterior.interval(0.9)
        ax.hlines(np.arange(15) + shift, lower[shown], upper[shown], color=color, linewidth=2.4)
    ax.plot(
        votes.attentiveness[prefs.users[shown]],
        np.arange(15),
        "|",
        color=INK,
        markersize=11,
        markeredgewidth=1.6,
    )
    ax.set_xlabel("attentiveness (90 % interval)")
    ax.set_title(f"Parameters from {prefs.n_users:,} users")
axes[0].set(ylabel="15 users, by votes for the better model", yticks=[], xlim=(0, 1), ylim=(-0.7, 16.6))
for ax in axes:
    ax.text(0.02, 15.7, "EM", color=BLUE)
    ax.text(0.13, 15.7, "full Bayes", color=VERMILION)
    ax.text(0.42, 15.7, "| truth", color=INK)
title(figure, "Where EM is wrong about the crowd, it is far too sure of each user")

# %%
for votes, one, other in ((crowd, em, bayes), (few, em_few, bayes_few)):
    prefs = votes.preferences
    true = votes.attentiveness[prefs.users]
    print(f"{prefs.n_users:,} users; 90 % intervals that hold the true attentiveness:", end=" ")
    for name, fit in (("EM", one), ("full Bayes", other)):
        lower, upper = fit.posterior(prefs).interval(0.9)
        print(f"{name} {np.mean((lower <= true) & (true <= upper)):.0%}", end="  ")
    print()

# %% [markdown]
# A posterior of `fit_em` takes the fitted Beta as known (empirical Bayes). With thousands of users this
# hardly matters. With sixty users the posteriors can be far too narrow. `fit_bayes` averages over the Betas
# that it drew; its `posterior` is of the same class as that of `fit_em`, so `emjax.filter_votes` takes both.
#
# **In short:** use EM for large data and first results. Use full Bayes if there are fewer than some hundred
# users, if EM reports an estimate at the boundary, and to check EM where it matters.
