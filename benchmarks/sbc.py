"""Is full Bayes calibrated? Simulation-based calibration: the truth's rank among the draws is uniform.

Parameters are drawn from the hyperpriors, votes from the parameters, and the posterior from the votes. If all
three are the same model, and the sampler is right, the truth is as likely to be the smallest of the draws as
the largest, or any in between (Talts et al. 2018).
"""

import numpy as np
from scipy.stats import chi2

import emjax
from benchmarks import record

HYPER = emjax.Hyperpriors()
RANKS, BINS = 99, 10
MODELS = ("ant", "bee", "cat", "dog")


def two_point(rng):
    """A TwoPoint prior from its hyperprior."""
    low, high = np.sort(rng.random(2))
    return emjax.TwoPoint(low, high, np.clip(rng.random(), 1e-9, 1 - 1e-9))


def beta(rng):
    """A Beta prior from its hyperprior."""
    a, b = np.clip(np.exp(np.log(HYPER.median) + HYPER.log_sd * rng.standard_normal(2)), 0.05, 200.0)
    return emjax.Beta(a, b)


def attentiveness(rng, prior, m):
    if isinstance(prior, emjax.Beta):
        return rng.beta(prior.a, prior.b, m)
    return np.where(rng.random(m) < prior.weight, prior.high, prior.low)


def start_of(prior):
    """The same kind of prior, without the truth in it."""
    return type(prior)()


def known(rng):
    """A known strength: nothing to estimate."""
    return 0.8, emjax.Known(0.8)


def shared(rng):
    return rng.beta(8, 2), emjax.Shared()


def one_comparison(rng, draw_prior, draw_strength, m, n):
    """Votes on one comparison, how to fit them, and the true parameters in the order of the fit's."""
    prior = draw_prior(rng)
    mu, strength = draw_strength(rng)
    wins = rng.binomial(n, 0.5 + attentiveness(rng, prior, m) * (mu - 0.5))
    truth = np.asarray(prior.natural(), dtype=float)
    if isinstance(strength, emjax.Shared):
        truth = np.append(truth, mu)
    return emjax.Preferences.from_counts(wins, np.full(m, n)), start_of(prior), strength, truth


def arena(rng, draw_prior, m, n):
    """Votes on all pairs of four models, n per user, whose strengths come from the hyperprior."""
    prior = draw_prior(rng)
    spread = abs(HYPER.spread * rng.standard_normal())
    s = spread * rng.standard_normal(len(MODELS))
    pairs = np.array([(a, b) for a in range(len(MODELS)) for b in range(a + 1, len(MODELS))])
    totals = rng.multinomial(n, np.full(len(pairs), 1 / len(pairs)), size=m)
    p = 1.0 / (1.0 + np.exp(s[pairs[:, 1]] - s[pairs[:, 0]]))
    wins = rng.binomial(totals, 0.5 + attentiveness(rng, prior, m)[:, None] * (p - 0.5))
    names = [[MODELS[a], MODELS[b]] for a, b in pairs]
    prefs = emjax.Preferences.from_counts(wins, totals, comparisons=names)
    truth = np.append(np.asarray(prior.natural(), float), s - s.mean())
    return prefs, start_of(prior), emjax.BradleyTerry(), truth


CASES = {
    "TwoPoint, known strength": lambda rng: one_comparison(rng, two_point, known, 300, 30),
    "Beta, known strength": lambda rng: one_comparison(rng, beta, known, 300, 30),
    "TwoPoint, unknown strength": lambda rng: one_comparison(rng, two_point, shared, 300, 30),
    "Beta, unknown strength": lambda rng: one_comparison(rng, beta, shared, 300, 30),
    "TwoPoint, Bradley-Terry": lambda rng: arena(rng, two_point, 300, 40),
}


def rank_of_truth(case, seed, sizes, warned):
    """Ranks (Q,) of the true parameters among draws that are thinned to be about independent; names."""
    rng = np.random.default_rng([7, seed])
    prefs, prior, strength, truth = case(rng)
    with record.counted_warnings(warned):
        fit = emjax.fit_bayes(prefs, prior, strength=strength, key=seed, num_chains=2, **sizes)
    flat = fit.draws.natural.reshape(-1, len(fit.names))
    chosen = np.linspace(0, len(flat) - 1, RANKS).astype(int)
    return (flat[chosen] < truth).sum(axis=0), fit


def calibrate(out, name, case, replicates, sizes):
    """Rank histograms of one model, and a χ² test for each parameter."""
    ranks, warned, diverged, slow = [], {}, 0, 0
    for seed in range(replicates):
        found, fit = rank_of_truth(case, seed, sizes, warned)
        ranks.append(found)
        diverged += fit.divergences
        slow += bool(fit.ess_bulk.min() < RANKS)
    ranks = np.array(ranks)
    p_values, histograms = [], []
    for column in ranks.T:
        seen_in = np.bincount(column * BINS // (RANKS + 1), minlength=BINS)
        expected = replicates / BINS
        p_values.append(float(chi2.sf(((seen_in - expected) ** 2 / expected).sum(), BINS - 1)))
        histograms.append(seen_in)
    # The smallest of Q p-values is below 0.01 more often than one time in a hundred: Bonferroni's share.
    limit = 0.01 / len(p_values)
    shown = ", ".join(f"{n} {p:.2f}" for n, p in zip(fit.names, p_values, strict=True))
    out.figure(
        f"{name}, {replicates} replicates: χ² p-values of the ranks",
        p_values,
        f"{shown}; {diverged} divergences in {replicates * 2 * sizes['num_samples']:,} draws; "
        f"{slow} replicates with fewer than {RANKS} effective draws",
        f"all ≥ 0.01 / {len(p_values)}",
        min(p_values) >= limit,
    )
    rows = [[n, *(str(x) for x in h)] for n, h in zip(fit.names, histograms, strict=True)]
    columns = ["parameter", *(f"{10 * i}–{10 * (i + 1)} %" for i in range(BINS))]
    out.table(f"{name}: ranks of the truth (expected {replicates / BINS:g} each)", columns, rows)
    out.keep(name, {"ranks": ranks, "p_values": p_values, "warnings": warned})


def main():
    """Calibrate every case."""
    given = record.options(
        "sbc",
        __doc__,
        "python -m benchmarks.sbc --replicates 100",
        ("--replicates", {"type": int, "default": 200, "help": "data sets per model (default: 200)"}),
    )
    out = record.Record("sbc", given)
    replicates = 3 if given.smoke else given.replicates
    sizes = (
        {"num_warmup": 200, "num_samples": 100} if given.smoke else {"num_warmup": 400, "num_samples": 800}
    )
    for name, case in list(CASES.items())[: 1 if given.smoke else None]:
        calibrate(out, name, case, replicates, sizes)
    out.write()


if __name__ == "__main__":
    main()
