"""Recovery of simulated parameters: estimates against the truth, and against the information bound.

Four parts: the paper's table of recovery on a grid of sizes; 400 fits with coverage of intervals; an unknown
strength from two distant starts, against a general-purpose optimiser; a known strength against a prior on it.
"""

import itertools
import sys
import time

import numpy as np
from scipy.stats import spearmanr

import emjax
from benchmarks import efficient, record, simulated

MU = 0.74
LOW, HIGH, WEIGHT, A, B = 0.4, 0.98, 0.6, 3.0, 5.0
TRUTH = {"two-point": np.array([LOW, HIGH, WEIGHT]), "Beta": np.array([A, B])}
START = {"two-point": emjax.TwoPoint(), "Beta": emjax.Beta()}


def draw(prior, seed, m, n, mu):
    """Wins, totals and true attentiveness of m users with n votes each."""
    rng = np.random.default_rng([seed, 1])
    eta = np.where(rng.random(m) < WEIGHT, HIGH, LOW) if prior == "two-point" else rng.beta(A, B, m)
    return *simulated.one_comparison(seed, m, n, mu, eta), eta


def fit(prior, wins, totals, strength, warned):
    """A fit from the default start, its warnings counted in `warned`. Also the votes and the seconds."""
    start = time.perf_counter()
    with record.counted_warnings(warned):
        prefs = emjax.Preferences.from_counts(wins, totals)
        found = emjax.fit_em(prefs, START[prior], strength=strength)
    return found, prefs, time.perf_counter() - start


def estimate(found):
    p = found.prior
    return np.array([p.low, p.high, p.weight] if isinstance(p, emjax.TwoPoint) else [p.a, p.b], dtype=float)


def error(found, prior):
    """Relative L2 error of all parameters of the prior together."""
    return float(np.linalg.norm(estimate(found) - TRUTH[prior]) / np.linalg.norm(TRUTH[prior]))


def bound(prior, m, n):
    """Mean relative L2 error of an efficient estimator."""
    if prior == "two-point":
        information = efficient.two_point_information(LOW, HIGH, WEIGHT, MU, n)
    else:
        information = efficient.beta_information(A, B, MU, n)
    return efficient.expected_relative_error(TRUTH[prior], information, m)


def grid(out, users, votes, seeds):
    """Relative errors for every number of users and of votes per user, μ known."""
    rows, warned = [], {}
    for prior, m, n in itertools.product(TRUTH, users, votes):
        # fresh seeds for every size: shared ones would make all sizes lucky or unlucky together
        first = 100_000 + 1000 * len(rows)
        row = {"prior": prior, "m": m, "n": n, "seeds": [first, first + seeds - 1]}
        fits = [
            fit(prior, *draw(prior, first + s, m, n, MU)[:2], emjax.Known(MU), warned) for s in range(seeds)
        ]
        errors = np.array([error(f, prior) for f, _, _ in fits])
        row |= {"errors": errors, "bound": bound(prior, m, n)}
        row["estimates"] = [estimate(f) for f, _, _ in fits]
        row["seconds"] = [seconds for _, _, seconds in fits]
        row["converged"] = sum(f.converged for f, _, _ in fits)
        rows.append(row)
        mean, sd = errors.mean(), errors.std(ddof=1)
        out.figure(
            f"{prior}, m = {m:,}, n = {n}: mean relative L2 error ({seeds} seeds)",
            mean,
            f"{mean:.2%} ± {sd / np.sqrt(seeds):.2%} (sd {sd:.2%}, median {np.median(errors):.2%}); "
            f"bound {row['bound']:.2%}",
        )
    done = sum(row["converged"] for row in rows)
    out.figure(
        "grid: fits converged", done, f"{done} of {seeds * len(rows)}", "all", done == seeds * len(rows)
    )
    out.keep("grid", rows)
    out.keep("grid_warnings", warned)


def many(out, prior, m, n, first, seeds, target):
    """Error and coverage over many data sets, μ known."""
    warned, errors, estimates, reaches = {}, [], [], {"model-based": [], "sandwich": []}
    converged = 0
    for seed in range(seeds):
        found, _, _ = fit(prior, *draw(prior, first + seed, m, n, MU)[:2], emjax.Known(MU), warned)
        converged += found.converged
        errors.append(error(found, prior))
        estimates.append(estimate(found))
        for kind, intervals in reaches.items():
            se = found.standard_errors(sandwich=kind == "sandwich")
            # in the order of `estimate`, by name; an interval that does not exist does not cover
            names = ("low", "high", "weight") if prior == "two-point" else ("a", "b")
            intervals.append([[se[name].lower, se[name].upper] for name in names])
    errors, limit = np.array(errors), bound(prior, m, n)
    title = f"{prior}, {seeds} fits, m = {m:,}, n = {n}"
    noise = errors.std(ddof=1) / np.sqrt(seeds)
    out.figure(
        f"{title}: mean relative L2 error",
        errors.mean(),
        f"{errors.mean():.3%} ± {noise:.3%}",
        f"≤ {target:.0%}",
        errors.mean() <= target,
    )
    ratio = errors.mean() / limit
    out.figure(
        f"{title}: that error over the information bound ({limit:.3%})",
        ratio,
        f"{ratio:.3f} ± {noise / limit:.3f}",
        "≤ 1.10",
        ratio <= 1.10,
    )
    out.figure(
        f"{title}: fits converged",
        converged,
        f"{converged} of {seeds}; {sum(warned.values())} warnings",
        "all",
        converged == seeds,
    )
    for kind, intervals in reaches.items():
        ends = np.array(intervals)
        covered = ((ends[..., 0] <= TRUTH[prior]) & (TRUTH[prior] <= ends[..., 1])).mean(axis=0)
        parts = [f"{name} {share:.1%}" for name, share in zip(names, covered, strict=True)]
        chance = np.sqrt(0.95 * 0.05 / seeds)
        out.figure(
            f"{title}: 95 % intervals that hold the truth, {kind}",
            covered,
            f"{', '.join(parts)} (each ± {chance:.1%})",
            "92–98 %",
            bool(((covered >= 0.92) & (covered <= 0.98)).all()),
        )
    out.keep(
        f"many {prior}",
        {
            "seeds": [first, first + seeds - 1],
            "errors": errors,
            "bound": limit,
            "estimates": estimates,
            **reaches,
        },
    )
    out.keep(f"many {prior} warnings", warned)


def oracle(prior, wins, totals):
    """The objective's maximum, μ unknown, by a general-purpose optimiser; None without the tests' oracles."""
    folder = str(record.ROOT / "tests")
    sys.path.append(folder)
    try:
        import oracles
    except ImportError:
        return None
    finally:
        sys.path.remove(folder)
    counts = np.stack([wins, totals - wins], axis=1)[:, None, :]
    kind = "points" if prior == "two-point" else "beta"
    return oracles.fit(counts, kind, "shared", beta=(8, 2), starts=4)


def unknown(out, prior, m, n, seeds):
    """μ unknown, Beta(8, 2) prior on it: is the maximum the same from both sides, and is it the maximum?"""
    rows, warned = [], {}
    for seed in range(seeds):
        wins, totals, _ = draw(prior, 2000 + seed, m, n, MU)
        row = {"seed": 2000 + seed}
        for start in (0.6, 0.95):
            found, _, seconds = fit(prior, wins, totals, emjax.Shared(prior=(8, 2), value=start), warned)
            row[f"objective from {start}"] = found.trace[-1]
            row[f"mu from {start}"] = float(found.strength.value)
            row[f"prior from {start}"] = estimate(found)
            row[f"seconds from {start}"] = seconds
            row[f"converged from {start}"] = found.converged
        best = oracle(prior, wins, totals)
        if best is not None:
            row["objective, optimiser"] = best.value
            row["mu, optimiser"] = float(np.real(best.parameters["mu"][0]))
        rows.append(row)
    apart = max(abs(r["objective from 0.6"] - r["objective from 0.95"]) for r in rows)
    mus = [(r["mu from 0.6"], r["mu from 0.95"]) for r in rows]
    title = f"{prior} and Shared(prior=(8, 2)), m = {m:,}, n = {n}, {seeds} seeds"
    out.figure(
        f"{title}: objective from μ = 0.6 against 0.95, largest difference",
        apart,
        f"{apart:.1e} log units (μ̂ differs by at most {max(abs(a - b) for a, b in mus):.1e})",
        "≤ 0.001",
        apart <= 1e-3,
    )
    done = sum(r[f"converged from {start}"] for r in rows for start in (0.6, 0.95))
    out.figure(f"{title}: fits converged", done, f"{done} of {2 * seeds}", "all", done == 2 * seeds)
    out.figure(f"{title}: μ̂ (truth {MU})", [a for a, _ in mus], ", ".join(f"{a:.3f}" for a, _ in mus))
    what = f"{title}: a direct optimiser's objective less ours, largest"
    if "objective, optimiser" in rows[0]:
        ends = [
            r["objective, optimiser"] - min(r["objective from 0.6"], r["objective from 0.95"]) for r in rows
        ]
        out.figure(what, max(ends), f"{max(ends):.1e} log units", "≤ 0.001", max(ends) <= 1e-3)
    else:
        out.not_run(what, "tests/oracles.py, or mpmath that it needs, is absent", "≤ 0.001")
    out.keep(f"unknown {prior}", rows)
    out.keep(f"unknown {prior} warnings", warned)


def guessed(out, prior, m, n, seeds, strengths):
    """What a Beta(8, 2) prior in place of the known μ does to attentiveness: its scale, and the ranking."""
    rows, warned = [], {}
    for mu in strengths:
        for seed in range(seeds):
            wins, totals, eta = draw(prior, 3000 + seed, m, n, mu)
            row = {"mu": mu, "seed": 3000 + seed}
            for name, strength in (("known", emjax.Known(mu)), ("prior", emjax.Shared(prior=(8, 2)))):
                found, prefs, _ = fit(prior, wins, totals, strength, warned)
                mean = found.posterior(prefs).mean
                row[f"converged, {name}"] = found.converged
                row[f"scale, {name}"] = mean.mean() / eta.mean()
                row[f"rank correlation, {name}"] = spearmanr(mean, eta).statistic
                row[f"rms error, {name}"] = float(np.sqrt(np.mean((mean - eta) ** 2)))
            row["mu, prior"] = float(found.strength.value)
            rows.append(row)
        here = [r for r in rows if r["mu"] == mu]
        both = {
            what: [float(np.mean([r[f"{what}, {name}"] for r in here])) for name in ("known", "prior")]
            for what in ("scale", "rank correlation", "rms error")
        }
        shown = {what: " and ".join(f"{x:.3f}" for x in pair) for what, pair in both.items()}
        guess = np.mean([r["mu, prior"] for r in here])
        out.figure(
            f"{prior}, μ = {mu} ({seeds} seeds), with μ known and with a Beta(8, 2) prior on μ: mean "
            f"estimated attentiveness over the true mean",
            both["scale"],
            f"{shown['scale']} (μ̂ {guess:.3f}); rms error of users {shown['rms error']}; rank correlation "
            f"with the truth {shown['rank correlation']}",
        )
    done = sum(r[f"converged, {name}"] for r in rows for name in ("known", "prior"))
    out.figure(
        f"{prior}, those fits: converged", done, f"{done} of {2 * len(rows)}", "all", done == 2 * len(rows)
    )
    out.keep(f"guessed {prior}", rows)
    out.keep(f"guessed {prior} warnings", warned)


def main():
    fits = {"type": int, "default": 400, "help": "data sets in the second part (default: 400)"}
    first = {"type": int, "default": 10_000, "help": "seed of the first of them (default: 10000)"}
    given = record.options(
        "recovery", __doc__, "python -m benchmarks.recovery", ("--fits", fits), ("--first-seed", first)
    )
    out = record.Record("recovery", given)
    smoke = given.smoke
    users, votes, seeds = ((1000,), (30,), 2) if smoke else ((1000, 10_000, 100_000), (10, 30, 100), 20)
    grid(out, users, votes, seeds)
    m, n = (1000, 30) if smoke else (10_000, 100)
    for prior, target in (("two-point", 0.01), ("Beta", 0.05)):
        many(out, prior, m, n, given.first_seed, 5 if smoke else given.fits, target)
    for prior in TRUTH:
        unknown(out, prior, m, n, 1 if smoke else 5)
    for prior in TRUTH:
        guessed(out, prior, m, n, 1 if smoke else 5, (MU,) if smoke else (0.6, MU, 0.9))
    out.write()


if __name__ == "__main__":
    main()
