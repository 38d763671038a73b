"""Style control: strengths at equal length where attentive users favour length, and some users are careless.

Simulated votes whose truth is known. Some models write longer answers, and attentive users prefer longer
ones beyond what the models' strengths say. Fits with and without the covariate, with and without
attentiveness: how far strengths are from the truth, and how often 95 % intervals hold it.
"""

import time

import numpy as np
from scipy.stats import spearmanr

import emjax
from benchmarks import record

CARELESS, LOW = 0.4, 0.1  # share of careless users, and their attentiveness
NEARLY, OFTEN = 0.95, 0.8  # attentiveness of the others: near the bound at 1, and away from it
EFFECT = 0.6  # log-odds per root mean square of the difference in length
ATTENTIVE_ONLY = emjax.Fixed(emjax.Points(1, points=[1.0]))
WAYS = {
    "emjax, TwoPoint, length": (emjax.TwoPoint(), True),
    "emjax, Grid, length": (emjax.Grid(), True),
    "emjax, prior known, length": (None, True),
    "plain Bradley-Terry, length": (ATTENTIVE_ONLY, True),
    "emjax, TwoPoint": (emjax.TwoPoint(), False),
    "plain Bradley-Terry": (ATTENTIVE_ONLY, False),
}


def drawn(seed, models, users, votes, *, high, steps):
    """Votes with and without their covariate, true strengths by model, and attentiveness of each user.

    With `steps` the difference in length has five values, which all pairs have: shapes are then the same for
    all seeds, and nothing is compiled again. Else it is continuous, and the fit sees bins of it.
    """
    rng = np.random.default_rng(seed)
    strengths = rng.normal(0.0, 0.7, models)
    strengths -= strengths.mean()
    length = rng.normal(0.0, 1.0, models) - strengths  # weaker models write more
    eta = np.where(rng.random(users) < CARELESS, LOW, high)
    user = np.repeat(np.arange(users), votes)
    a = rng.integers(0, models, user.size)
    b = (a + rng.integers(1, models, user.size)) % models
    difference = 0.7 * (length[a] - length[b]) + rng.normal(0.0, 1.5, user.size)
    if steps:
        difference = np.clip(np.round(difference), -2, 2)
    unit = np.sqrt(np.mean(difference**2))
    logit = strengths[a] - strengths[b] + EFFECT * difference / unit
    attentive = rng.random(user.size) < eta[user]
    won = np.where(attentive, rng.random(user.size) < 1 / (1 + np.exp(-logit)), rng.random(user.size) < 0.5)
    names = np.array([f"m{i:03d}" for i in range(models)], object)
    pairs = names[np.stack([a, b], axis=1)]
    plain = emjax.Preferences.from_votes(user, pairs, won)
    with_length = emjax.Preferences.from_votes(user, pairs, won, covariates={"length": difference})
    return {True: with_length, False: plain}, dict(zip(names, strengths, strict=True)), eta


def one(prefs, prior, truth, eta):
    """Errors and coverage of one fit."""
    begin = time.perf_counter()
    fit = emjax.fit_em(prefs, prior)
    seconds = time.perf_counter() - begin
    se = fit.standard_errors()
    where = [se.names.index(f"strength of {name}") for name in truth]
    true = np.array(list(truth.values()))
    strength, lower, upper = (values[where] for values in (se.estimate, se.lower, se.upper))
    found = {
        "seconds": seconds,
        "strengths inside": float(np.mean((lower <= true) & (true <= upper))),
        "error": float(np.sqrt(np.mean((strength - true) ** 2))),
        "slope": float(strength @ true / (true @ true)),
        "rank": float(spearmanr(strength, true).statistic),
    }
    if prefs.strata is not None:
        table = fit.covariates().to_pydict()
        found["effect"] = table["effect"][0]
        found["effect inside"] = bool(table["lower"][0] <= EFFECT <= table["upper"][0])
    mean = fit.posterior(prefs).mean
    if np.ptp(mean) > 1e-9:
        found["users"] = float(spearmanr(mean, eta).statistic)
    return found


def part(out, seeds, sizes, *, high, steps, ways):
    """All fits of some ways to one kind of simulated votes: figures of coverage, and a table."""
    models, users, votes = sizes
    found = {way: [] for way in ways}
    for seed in range(seeds):
        prefs, truth, eta = drawn(seed, models, users, votes, high=high, steps=steps)
        for way in ways:
            prior, covariate = WAYS[way]
            prior = emjax.Fixed(emjax.TwoPoint(LOW, high, 1 - CARELESS)) if prior is None else prior
            found[way].append(one(prefs[covariate], prior, truth, eta))
    length = "length in five steps" if steps else "continuous length"
    of = (
        f"{models} models, {users:,} users of whom {CARELESS:.0%} are careless, the others attentive in "
        f"{high:.0%} of votes, {votes} votes each, {length}"
    )
    rows = []
    for way in ways:
        each = {name: [fit[name] for fit in found[way] if name in fit] for name in found[way][0]}
        mean = {name: float(np.mean(values)) for name, values in each.items()}
        mine = way.startswith("emjax") and way.endswith("length")
        for what, name in (("strengths", "strengths inside"), ("the effect of length", "effect inside")):
            if name in mean:
                error = float(np.std(each[name])) / np.sqrt(seeds)
                out.figure(
                    f"{of}, {seeds} seeds, {way}: 95 % intervals of {what} hold the truth",
                    mean[name],
                    f"{mean[name]:.1%} (standard error {error:.1%})",
                    "93 % to 97 %" if mine and steps else "",
                    0.93 <= mean[name] <= 0.97 if mine and steps else None,
                )
        shown = [mean["slope"], mean["error"], mean["rank"], mean.get("effect"), mean.get("users")]
        cells = ["–" if x is None else f"{x:.3f}" for x in shown]
        rows.append([way, *cells, f"{np.median(each['seconds']):.2f}"])
    columns = ["strengths: slope on the truth", "root mean square error", "rank correlation"]
    columns += ["effect of length", "users: rank correlation with true attentiveness", "seconds, median"]
    title = f"Style control: {of}; the true effect of length is {EFFECT}; means over {seeds} seeds"
    out.table(title, ["fit", *columns], rows)
    raw = {way: {name: [fit.get(name) for fit in fits] for name in fits[0]} for way, fits in found.items()}
    out.keep(of, raw)


def main():
    """Run, print, write."""
    given = record.options(
        "style_control",
        __doc__,
        "python -m benchmarks.style_control",
        ("--seeds", {"type": int, "help": "simulated sets of votes (default: 200)"}),
    )
    out = record.Record("style_control", given)
    seeds = given.seeds or (2 if given.smoke else 200)
    sizes = (4, 60, 12) if given.smoke else (10, 600, 25)
    seen_warnings = {}
    with record.counted_warnings(seen_warnings):
        part(out, seeds, sizes, high=OFTEN, steps=True, ways=list(WAYS))
        part(out, seeds, sizes, high=NEARLY, steps=True, ways=list(WAYS))
        part(out, -(-seeds // 10), sizes, high=NEARLY, steps=False, ways=["emjax, TwoPoint, length"])
    out.keep("warnings", seen_warnings)
    out.write()


if __name__ == "__main__":
    main()
