"""Do 95 % intervals of Bradley-Terry strengths hold the truth? From 20 to 1,000 models, 10 to 100 votes each.

Simulated votes of users with ten votes each, 60 % of whom attend to 90 % of their votes, the others to 10
%; strengths are drawn from N(0, 1). emjax with attentiveness estimated, with the variance of strengths or
the distribution of attentiveness known, and its full Bayes, beside Bradley-Terry without attentiveness:
emjax's own, evalica's with a bootstrap of votes (it has no intervals), and choix's expectation propagation,
which is given the true variance of the strengths as its prior.
"""

import time
import warnings

import jax
import numpy as np

import emjax
from benchmarks import record

LOW, HIGH, SHARE = 0.1, 0.9, 0.4  # attentiveness of careless and of other users; share of careless ones
VOTES_PER_USER = 10
RESAMPLES = 100
NORMAL = 1.959964
PLAIN = "emjax, all attentive (plain Bradley-Terry)"
SEEDS = {20: 100, 100: 20, 1_000: 2}  # 2,000 strengths for each line of the table
VOTES = (10, 20, 100)


def drawn(seed, models, votes_per_model):
    """User, A, B and whether A won, of every vote; and the true strengths.

    Who judges which pair is the same for all seeds, so that nothing is compiled again.
    """
    rng, design = np.random.default_rng(seed), np.random.default_rng([models, votes_per_model])
    n = models * votes_per_model // 2
    user = np.repeat(np.arange(n // VOTES_PER_USER), VOTES_PER_USER)
    strengths = rng.normal(size=models)
    order = np.concatenate([design.permutation(models) for _ in range(votes_per_model)])
    a, b = order[:n], order[n:]
    b = np.where(a == b, (b + 1) % models, b)
    attentive = rng.random(n) < np.where(rng.random(user.max() + 1) < SHARE, LOW, HIGH)[user]
    won = np.where(
        attentive, rng.random(n) < 1 / (1 + np.exp(strengths[b] - strengths[a])), rng.random(n) < 0.5
    )
    return user, a, b, won, strengths - strengths.mean()


def read(user, a, b, won, models):
    """The votes, and the names of the models."""
    names = np.array([f"m{i:04d}" for i in range(models)], object)
    return emjax.Preferences.from_votes(user, names[np.stack([a, b], axis=1)], won), names


def of_strengths(se, names):
    """Strengths and intervals of a fit, with the error of their common scale, in the order of the names."""
    where = [se.names.index(f"strength of {name}") for name in names]
    return [values[where] for values in (se.estimate, se.lower, se.upper)]


def ours(prior):
    """A fit with a prior, and its standard errors."""

    def intervals(*votes):
        prefs, names = read(*votes)
        return of_strengths(emjax.fit_em(prefs, prior).standard_errors(), names)

    return intervals


def shrunk(user, a, b, won, models):
    """A fit whose ridge penalty is the true variance of the strengths, and intervals with the log prior."""
    prefs, names = read(user, a, b, won, models)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(l2=1.0))
    return of_strengths(fit.standard_errors(include_prior=True), names)


def full_bayes(user, a, b, won, models):
    """Posterior means and intervals of `fit_bayes`, with its default hyperpriors."""
    prefs, names = read(user, a, b, won, models)
    fit = emjax.fit_bayes(
        prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(), key=int(user.size + won.sum())
    )
    return of_strengths(fit.standard_errors(), names)


def evalica_bootstrap(user, a, b, won, models):
    """evalica's strengths, and intervals from resampled votes."""
    import evalica
    import pandas

    names = [f"m{i:04d}" for i in range(models)]
    outcome = np.where(won, evalica.Winner.X, evalica.Winner.Y)
    index = pandas.Index(names)
    left, right = (np.array(names, object)[side] for side in (a, b))

    def strengths(rows):
        sides = left[rows].tolist(), right[rows].tolist(), outcome[rows].tolist()
        scores = evalica.bradley_terry(*sides, index=index).scores.reindex(names).to_numpy(float)
        found = np.log(np.maximum(scores, 1e-300))
        return found - np.mean(found)

    rng = np.random.default_rng(0)
    every = np.arange(len(a))
    resampled = [strengths(rng.integers(len(a), size=len(a))) for _ in range(RESAMPLES)]
    return [strengths(every), *np.quantile(resampled, [0.025, 0.975], axis=0)]


def choix_ep(user, a, b, won, models):
    """choix's posterior mean and intervals, about the mean of all models."""
    import choix

    data = np.where(won[:, None], np.stack([a, b], axis=1), np.stack([b, a], axis=1))
    mean, covariance = choix.ep_pairwise(models, data.tolist(), alpha=1.0)
    centred = np.eye(models) - 1.0 / models
    mean, error = centred @ mean, np.sqrt(np.diag(centred @ covariance @ centred))
    return [mean, mean - NORMAL * error, mean + NORMAL * error]


WAYS = {
    "emjax, TwoPoint": ours(emjax.TwoPoint()),
    "emjax, TwoPoint, true variance given (l2 = 1)": shrunk,
    "emjax, fit_bayes": full_bayes,
    "emjax, prior known": ours(emjax.Fixed(emjax.TwoPoint(LOW, HIGH, 1 - SHARE))),
    PLAIN: ours(emjax.Fixed(emjax.Points(1, points=[1.0]))),
    "evalica, bootstrap of votes": evalica_bootstrap,
    "choix, expectation propagation": choix_ep,
}
# For time: the most votes, and the most sets of votes.
MOST = {
    "evalica, bootstrap of votes": 100_000,
    "choix, expectation propagation": 1_000,
    "emjax, fit_bayes": 200,
}
FEWER = {"emjax, fit_bayes": 10}


def one(way, votes, truth):
    """What one way finds of one set of votes."""
    begin = time.perf_counter()
    strength, lower, upper = WAYS[way](*votes, len(truth))
    seconds = time.perf_counter() - begin
    known = np.isfinite(lower) & np.isfinite(upper)
    inside = (lower <= truth) & (truth <= upper)
    return {
        "inside": float(inside[known].mean()) if known.any() else None,
        "known": float(known.mean()),
        "width": float(np.median((upper - lower)[known])) if known.any() else None,
        "slope": float(strength @ truth / (truth @ truth)),
        "seconds": seconds,
    }


def main():
    """Run, print, write."""
    given = record.options(
        "strength_coverage",
        __doc__,
        "python -m benchmarks.strength_coverage",
        (
            "--seeds",
            {"type": float, "default": 1.0, "help": "times as many simulated sets of votes (default: 1)"},
        ),
    )
    out = record.Record("strength_coverage", given)
    sizes = {6: 1} if given.smoke else {models: max(round(given.seeds * n), 1) for models, n in SEEDS.items()}
    rows = []
    for models, seeds in sizes.items():
        for votes_per_model in (10,) if given.smoke else VOTES:
            cell = f"{models:,} models, {votes_per_model} votes each"
            found = {}
            for seed in range(seeds):
                *votes, truth = drawn(seed, models, votes_per_model)
                for way in WAYS:
                    if len(votes[0]) <= MOST.get(way, np.inf) and seed < FEWER.get(way, np.inf):
                        with warnings.catch_warnings():
                            warnings.simplefilter("ignore")
                            found.setdefault(way, []).append(one(way, votes, truth))
            jax.clear_caches()  # other cells have other shapes, and a process has room for so many
            print(f"  {cell}: done", flush=True)
            out.keep(cell, found)
            for way, each in found.items():
                inside = [fit["inside"] for fit in each if fit["inside"] is not None]
                error = np.std(inside, ddof=1) / np.sqrt(len(inside)) if len(inside) > 1 else float("nan")
                if way.startswith("emjax") and way != PLAIN:
                    share = float(np.mean(inside)) if inside else float("nan")
                    out.figure(
                        f"{cell}, {way}: 95 % intervals of strengths hold the truth",
                        share,
                        f"{share:.1%} (standard error {error:.1%})",
                        "93 % to 97 %",
                        bool(0.93 <= share <= 0.97),
                    )
                numbers = {
                    name: [fit[name] for fit in each if fit[name] is not None]
                    for name in ("inside", "known", "width", "slope", "seconds")
                }
                shown = [f"{np.mean(numbers['inside']):.1%}", f"{np.mean(numbers['known']):.0%}"]
                shown += [f"{np.median(numbers['width']):.2f}", f"{np.mean(numbers['slope']):.2f}"]
                rows.append(
                    [
                        "" if rows and way != "emjax, TwoPoint" else cell,
                        way,
                        *shown,
                        f"{np.median(numbers['seconds']):.2f}",
                    ]
                )
    columns = ["intervals that hold the truth", "strengths with an interval", "width, median"]
    columns += ["slope on the truth", "seconds, median"]
    out.table(
        f"Coverage of 95 % intervals of strengths: {1 - SHARE:.0%} of users attend to {HIGH:.0%} of their "
        f"votes, the others to {LOW:.0%}; {VOTES_PER_USER} votes per user",
        ["votes", "way", *columns],
        rows,
    )
    out.write()


if __name__ == "__main__":
    main()
