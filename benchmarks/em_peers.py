"""The same EM, written in two simple ways: in NumPy over users, and in JAX with one vmapped E-step per user.

One comparison, two levels of attentiveness, a known strength; and twenty models whose strengths are known.
All start at the same values and go on until log L is within 0.001 of the maximum, which was computed before
(emjax goes on until its own bound holds). Packages whose models differ are in `against`.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp

import emjax
from benchmarks import record, simulated

MU = 0.74
START = {"low": 0.2, "high": 0.9, "weight": 0.5}
NEAR = 1e-3
MOST = 2_000


def log_probabilities(support, mu, xp):
    """(C, 2, 2) log P(outcome | comparison, level)."""
    p = 0.5 + (mu[:, None] - 0.5) * support[None, :]
    return xp.stack([xp.log(p), xp.log(1.0 - p)], axis=1)


def best_support(votes, mu):
    """Level by level, where Σ votes · log P is highest: bisection on the slope, in NumPy."""
    low, high, centre = np.zeros(2), np.ones(2), mu[:, None] - 0.5
    for _ in range(50):
        eta = 0.5 * (low + high)
        p = 0.5 + centre * eta
        slope = (votes[:, 0] * centre / p - votes[:, 1] * centre / (1.0 - p)).sum(axis=0)
        low, high = np.where(slope > 0, eta, low), np.where(slope > 0, high, eta)
    return 0.5 * (low + high)


def naive(counts, mu, goal):
    """EM over users × comparisons × outcomes in NumPy."""
    support, weight, steps = np.array([START["low"], START["high"]]), START["weight"], 0
    begin = time.perf_counter()
    while True:
        log_p = log_probabilities(support, mu, np)
        joint = np.einsum("jco,cog->jg", counts, log_p) + np.log([1.0 - weight, weight])
        evidence = logsumexp(joint, axis=1)
        if evidence.sum() >= goal or steps == MOST:
            return time.perf_counter() - begin, steps, float(evidence.sum())
        posterior = np.exp(joint - evidence[:, None])
        weight = posterior[:, 1].mean()
        support = best_support(np.einsum("jco,jg->cog", counts, posterior), mu)
        steps += 1


def vmapped(counts, mu, goal):
    """EM whose E-step is a function of one user, vmapped and compiled; the M-step as above."""

    def user(n, log_p, log_weights):
        joint = jnp.einsum("co,cog->g", n, log_p) + log_weights
        evidence = jax.nn.logsumexp(joint)
        return evidence, jnp.exp(joint - evidence)

    @jax.jit
    def e_step(n, log_p, log_weights):
        evidence, posterior = jax.vmap(user, in_axes=(0, None, None))(n, log_p, log_weights)
        return evidence.sum(), posterior.mean(axis=0), jnp.einsum("jco,jg->cog", n, posterior)

    n = jnp.asarray(counts)

    def run():
        support, weight, steps = np.array([START["low"], START["high"]]), START["weight"], 0
        while True:
            log_p = log_probabilities(support, mu, np)
            value, mass, votes = (np.asarray(x) for x in e_step(n, log_p, np.log([1.0 - weight, weight])))
            if value >= goal or steps == MOST:
                return steps, float(value)
            weight, support, steps = mass[1], best_support(votes, mu), steps + 1

    run()  # which compiles
    begin = time.perf_counter()
    found = run()
    return time.perf_counter() - begin, *found


def ours(prefs, mu):
    """`fit_em` from Preferences, compiled."""
    prior, strength = emjax.TwoPoint(**START), emjax.Known(mu if len(mu) > 1 else mu[0])
    emjax.fit_em(prefs, prior, strength=strength, tol=NEAR)
    begin = time.perf_counter()
    fit = emjax.fit_em(prefs, prior, strength=strength, tol=NEAR)
    return time.perf_counter() - begin, fit.em_steps + fit.newton_steps, fit.log_likelihood


def compare(out, title, prefs, counts, mu):
    """All three on the same votes."""
    strength = emjax.Known(mu if len(mu) > 1 else mu[0])
    with record.counted_warnings({}):
        best = emjax.fit_em(prefs, emjax.TwoPoint(**START), strength=strength, tol=1e-9).log_likelihood
        found = {"emjax": ours(prefs, mu)}
    found["NumPy over users"] = naive(counts, mu, best - NEAR)
    with jax.enable_x64(True):
        found["one vmapped E-step per user"] = vmapped(counts, mu, best - NEAR)
    mine = found["emjax"][0]
    for name, (seconds, steps, value) in found.items():
        ratio = seconds / mine
        out.figure(
            f"{title}: {name}",
            seconds,
            f"{seconds:.3g} s, {steps} steps, gap {best - value:.1e}"
            + ("" if name == "emjax" else f"; {ratio:,.0f} times emjax's time"),
            "" if name == "emjax" else "emjax ahead",
            None if name == "emjax" else ratio > 1,
        )
    out.keep(title, found)


def main():
    """Read options, measure."""
    given = record.options("em_peers", __doc__, "python -m benchmarks.em_peers")
    out = record.Record("em_peers", given)
    m, users = (2_000, 500) if given.smoke else (1_000_000, 20_000)
    eta = simulated.careless(0.4, low=0.3, high=0.95)
    totals = np.maximum(np.random.default_rng(8).poisson(20, m), 1)
    wins, totals = simulated.one_comparison(8, m, totals, MU, eta)
    counts = np.stack([wins, totals - wins], axis=1)[:, None, :].astype(float)
    one = emjax.Preferences.from_counts(wins, totals)
    compare(out, f"one comparison, {m:,} users × about 20 votes", one, counts, np.array([MU]))

    rng, pairs = np.random.default_rng(9), 190
    mu = 1.0 / (1.0 + np.exp(-rng.normal(size=pairs)))
    p = 0.5 + eta(rng, users)[:, None] * (mu - 0.5)
    shown = rng.multinomial(40, np.full(pairs, 1 / pairs), size=users)
    won = rng.binomial(shown, p)
    counts = np.stack([won, shown - won], axis=2).astype(float)
    many = emjax.Preferences.from_counts(won, shown)
    compare(out, f"{pairs} comparisons, {users:,} users × 40 votes", many, counts, mu)
    out.not_run("R's flexmix on the same votes", "R is not available")
    out.write()


if __name__ == "__main__":
    main()
