"""Full Bayes: its speed, and its agreement with per-user sampling and with EM.

Ten million users; effective draws per second against a NumPyro model with one latent attentiveness per
user, and agreement with it; agreement with EM at 100,000 users, and where the two differ; the crowd's votes.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import emjax
from benchmarks import record, simulated

MU = 0.74
LARGE = {
    "TwoPoint, known strength": (emjax.TwoPoint(), emjax.Known(MU)),
    "TwoPoint, unknown strength": (emjax.TwoPoint(), None),
    "Beta, known strength": (emjax.Beta(), emjax.Known(MU)),
    "Beta, unknown strength": (emjax.Beta(), None),
    "Grid(17), known strength": (emjax.Grid(17), emjax.Known(MU)),
    "Grid(64), known strength": (emjax.Grid(64), emjax.Known(MU)),
}


def votes(seed, prior, m, n):
    """Votes of m users on one comparison, n each on average."""
    rng = np.random.default_rng([seed, 3])
    if isinstance(prior, emjax.Beta):
        eta = rng.beta(3.0, 5.0, m)
    else:
        eta = np.where(rng.random(m) < 0.6, 0.98, 0.4)
    totals = np.maximum(rng.poisson(n, m), 1)
    return emjax.Preferences.from_counts(*simulated.one_comparison(seed, m, totals, MU, eta))


def one_large(name, m):
    """One fit in this process, which compiles everything: what `large` reads from another process."""
    prior, strength = LARGE[name]
    prefs, warned = votes(0, prior, m, 20), {}
    start = time.perf_counter()
    with record.counted_warnings(warned):
        fit = emjax.fit_bayes(prefs, prior, strength=strength, key=0)
    first = time.perf_counter() - start
    start = time.perf_counter()
    with record.counted_warnings(warned):
        emjax.fit_bayes(prefs, prior, strength=strength, key=1)
    return {
        "seconds": first,
        "seconds again": time.perf_counter() - start,
        "r_hat": fit.r_hat.max(),
        "ess": fit.ess_bulk.min(),
        "divergences": fit.divergences,
        "steps": fit.draws.n_steps.mean(),
        "nodes": fit.n_nodes,
        "cells": len(np.unique(prefs.counts, axis=0)),
        "warnings": warned,
    }


def print_large(name, m):
    """`one_large` as a line of JSON."""
    print(json.dumps(record._plain(one_large(name, m))))


def large(out, m, names):
    """Time of four chains of 1,000 + 1,000 draws, in a process of its own each."""
    for name in names:
        code = f"from benchmarks import bayes; bayes.print_large({name!r}, {m})"
        run = subprocess.run(
            [sys.executable, "-c", code], cwd=record.ROOT, capture_output=True, text=True, check=True
        )
        row = json.loads(run.stdout.splitlines()[-1])
        out.figure(
            f"{name}, {m:,} users × about 20 votes: four chains of 1,000 + 1,000 draws, with compilation",
            row["seconds"],
            f"{row['seconds']:.1f} s (the next fit {row['seconds again']:.1f} s); r̂ {row['r_hat']:.4f}, "
            f"{row['ess']:,.0f} effective draws, {row['divergences']} divergences; {row['steps']:.1f} steps "
            f"per draw on {row['cells']:,} cells × {row['nodes']} nodes",
            "≤ 20 s, r̂ ≤ 1.01",
            row["seconds"] <= 20 and row["r_hat"] <= 1.01,
        )
        out.keep(f"large: {name}", row)


def per_user(out, m, n, samples):
    """Effective draws per second, and the same posterior?, against one latent attentiveness per user."""
    prefs, warned = votes(1, emjax.Beta(), m, n), {}
    fits = {}
    for name, options in (
        ("summed out", {"num_samples": 4 * samples}),
        ("one latent per user", {"num_samples": samples, "collapsed": False}),
    ):
        with record.counted_warnings(warned):
            fits[name] = emjax.fit_bayes(prefs, emjax.Beta(), strength=emjax.Known(MU), key=0, **options)
    ours, theirs = fits["summed out"], fits["one latent per user"]
    rate = {name: fit.ess_bulk.min() / fit.seconds for name, fit in fits.items()}
    ratio = rate["summed out"] / rate["one latent per user"]
    out.figure(
        f"{m:,} users × about {n} votes, Beta: effective draws per second over the uncollapsed model's",
        ratio,
        f"{ratio:,.0f} ({ours.ess_bulk.min():,.0f} in {ours.seconds:.1f} s against "
        f"{theirs.ess_bulk.min():,.0f} in {theirs.seconds:.1f} s, both with compilation)",
        "≥ 100",
        ratio >= 100,
    )
    a, b = ours.estimates(), theirs.estimates()
    apart = np.abs(a.estimate - b.estimate) / a.std_err
    noise = 1.0 / np.sqrt(theirs.ess_bulk)
    shown = ", ".join(
        f"{name} {d:.3f} ± {s:.3f}" for name, d, s in zip(ours.names, apart, noise, strict=True)
    )
    judged = noise.max() < 0.04
    out.figure(
        f"{m:,} users × about {n} votes, Beta: posterior means apart, in posterior sd",
        apart,
        shown + ("" if judged else " (the uncollapsed model mixes too slowly to say more)"),
        "≤ 0.1" if judged else "",
        apart.max() <= 0.1 if judged else None,
    )
    kept = {k: {"mean": f.estimates().estimate, "sd": f.estimates().std_err, "ess": f.ess_bulk,
                "seconds": f.seconds, "r_hat": f.r_hat} for k, f in fits.items()}  # fmt: skip
    out.keep(f"per user, {n} votes", kept | {"warnings": warned})


def against_em(out, m, n, samples):
    """Estimates and standard errors of EM, posterior means and standard deviations: 100,000 users."""
    for title, prior, strength in (
        ("TwoPoint, known strength", emjax.TwoPoint(), emjax.Known(MU)),
        ("Beta, known strength", emjax.Beta(), emjax.Known(MU)),
    ):
        prefs, warned = votes(2, prior, m, n), {}
        with record.counted_warnings(warned):
            fit = emjax.fit_bayes(prefs, prior, strength=strength, key=0, num_samples=samples)
        compare_with_em(out, f"{title}, {m:,} users × about {n} votes", fit, warned)
    with record.counted_warnings(warned := {}):
        arena = arena_votes(m // 20, 60)
        fit = emjax.fit_bayes(arena, emjax.TwoPoint(), key=0, num_samples=samples)
    compare_with_em(out, f"TwoPoint, Bradley-Terry, 6 models, {m // 20:,} users × 60 votes", fit, warned)


def arena_votes(m, n):
    user, a, b, won, _, _ = simulated.arena(
        4, 6, m, m * n, lambda rng, k: np.where(rng.random(k) < 0.6, 0.9, 0.2)
    )
    names = np.array([f"model {i}" for i in range(6)])
    return emjax.Preferences.from_votes(user, np.stack([names[a], names[b]], axis=1), won)


def compare_with_em(out, title, fit, warned):
    em, full = fit.em.standard_errors(), fit.estimates()
    # A strength near nought has no relative error: those are measured by the spread of all.
    scale = np.where(
        [n.startswith("strength of") for n in em.names], np.abs(em.estimate).max(), np.abs(em.estimate)
    )
    moved, widened = np.abs(full.estimate - em.estimate) / scale, full.std_err / em.std_err - 1.0
    out.figure(
        f"{title}: posterior mean against EM's estimate, largest relative difference",
        moved,
        f"{moved.max():.2%} ({np.abs((full.estimate - em.estimate) / em.std_err).max():.2f} standard errors)",
        "≤ 5 %",
        moved.max() <= 0.05,
    )
    out.figure(
        f"{title}: posterior sd against EM's standard error, largest relative difference",
        widened,
        f"{np.abs(widened).max():.1%} ({fit.ess_bulk.min():,.0f} effective draws)",
        "≤ 5 %",
        np.abs(widened).max() <= 0.05,
    )
    out.keep(
        f"EM: {title}",
        {"names": list(em.names), "estimate": em.estimate, "std_err": em.std_err, "mean": full.estimate,
         "sd": full.std_err, "warnings": warned},
    )  # fmt: skip


def parting(out):
    """Where EM and full Bayes differ, and why."""
    rows, kept = [], {}
    few = votes(5, emjax.TwoPoint(), 40, 15)
    edge = emjax.Preferences.from_counts(
        *simulated.one_comparison(6, 300, 20, MU, np.where(np.arange(300) < 180, 1.0, 0.0))
    )
    plenty = votes(7, emjax.TwoPoint(), 20_000, 20)
    for title, prefs, strength in (
        ("few users: 40 × about 15 votes", few, emjax.Known(MU)),
        ("boundary: true low = 0, high = 1; 300 users × 20 votes", edge, emjax.Known(MU)),
        ("scale not identified: 20,000 users × about 20 votes", plenty, None),
    ):
        with record.counted_warnings(warned := {}):
            fit = emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=strength, key=0, num_samples=2000)
        em, full = fit.em.standard_errors(), fit.estimates()
        for e, f in zip(em, full, strict=True):
            rows.append(
                [
                    title,
                    e.name,
                    e.row(),
                    f"{f.estimate:.4f}",
                    f"{f.std_err:.4f}",
                    f"[{f.lower:.4f}, {f.upper:.4f}]",
                ]
            )
        kept[title] = {"em": em.estimate, "std_err": em.std_err, "mean": full.estimate, "sd": full.std_err,
                       "warnings": warned}  # fmt: skip
    columns = [
        "where",
        "parameter",
        "EM: estimate, standard error, 95 % interval",
        "posterior mean",
        "sd",
        "95 % interval",
    ]
    out.table("Where EM and full Bayes differ", columns, rows)
    out.keep("parting", kept)


def crowd(out, data):
    """The crowd's votes with Bradley–Terry strengths: time, and which prior predicts users best."""
    file = Path(data) / "crowd-comparisons.csv"
    if not file.is_file():
        out.not_run("crowd's votes (llmfao), Bradley-Terry strengths", f"{file.name} is not there", "≤ 120 s")
        return
    prefs, fits, warned = emjax.read_votes(file), {}, {}
    for name, prior in (
        ("TwoPoint", emjax.TwoPoint()),
        ("Points(3)", emjax.Points(3)),
        ("Beta", emjax.Beta()),
        ("Grid(17)", emjax.Grid(17)),
    ):
        with record.counted_warnings(warned):
            fits[name] = fit = emjax.fit_bayes(prefs, prior, key=0)
        out.figure(
            f"crowd's votes (llmfao), {name}, Bradley-Terry: four chains of 1,000 + 1,000 draws",
            fit.seconds,
            f"{fit.seconds:.1f} s; r̂ {fit.r_hat.max():.4f}, {fit.ess_bulk.min():,.0f} effective draws, "
            f"{fit.divergences} divergences",
            "≤ 120 s",
            fit.seconds <= 120,
        )
    with record.counted_warnings(warned):
        found = emjax.compare(fits, prefs).to_pydict()
    names = ["elpd", "std_err", "p_loo", "difference", "difference_std_err", "worst_k"]
    rows = [[found["model"][i], *(f"{found[n][i]:.2f}" for n in names)] for i in range(len(fits))]
    out.table("Which prior predicts a user of the crowd best (leave-one-user-out)", ["prior", *names], rows)
    out.keep("crowd", {"comparison": found, "warnings": warned})


def main():
    """Run all parts."""
    given = record.options(
        "bayes",
        __doc__,
        "python -m benchmarks.bayes --data llmfao",
        ("--data", {"default": "../shared/data/llmfao", "help": "folder of the crowd's votes"}),
    )
    out = record.Record("bayes", given)
    out.versions |= {name: record._version(name) for name in ("numpyro", "arviz-stats")}
    small = given.smoke
    large(out, 20_000 if small else 10_000_000, list(LARGE)[: 1 if small else None])
    for n in (5,) if small else (20, 200):
        per_user(out, 30 if small else 2_000, n, 100 if small else 1000)
    against_em(out, 2_000 if small else 100_000, 20, 300 if small else 4000)
    if not small:
        parting(out)
    crowd(out, "nowhere" if small else given.data)
    out.write()


if __name__ == "__main__":
    main()
