"""When the model is wrong: what then is right of a leaderboard, its scale, its intervals, its ranks?

Eight models, users of whom six in ten are attentive in nine votes of ten and the others in one. The votes
are of the model, or of worlds that differ from it in one thing. Each fit is `fit_em(votes, Grid())`;
intervals are compared with the truth, and with the truth put on the scale of the estimates by a regression.
"""

import warnings

import numpy as np
from scipy.special import expit, ndtr

import emjax
from benchmarks import record

STRENGTHS = np.linspace(-1.2, 1.2, 8)
NAMES = np.array(list("ABCDEFGH"), object)
TRUE_RANK = 8 - np.arange(8)


def logit_link(rng, a, b, prompt):
    """The model: log-odds are differences of strengths."""
    return expit(STRENGTHS[a] - STRENGTHS[b])


def probit_link(rng, a, b, prompt):
    """A normal distribution in place of the logistic one, of the same slope at 0."""
    return ndtr((STRENGTHS[a] - STRENGTHS[b]) * np.sqrt(2 * np.pi) / 4)


def cauchit_link(rng, a, b, prompt):
    """A distribution with long tails, of the same slope at 0: attentive users err more often."""
    return 0.5 + np.arctan((STRENGTHS[a] - STRENGTHS[b]) * np.pi / 4) / np.pi


def difficulty(rng, a, b, prompt):
    """Prompts multiply the differences, with a log-normal factor of spread 0.8."""
    return expit((STRENGTHS[a] - STRENGTHS[b]) * np.exp(rng.normal(0, 0.8, a.size)))


def toss_ups(rng, a, b, prompt):
    """To half of the prompts both answers are alike."""
    return np.where(rng.random(a.size) < 0.5, expit(STRENGTHS[a] - STRENGTHS[b]), 0.5)


def prompt_noise(rng, a, b, prompt):
    """Each vote's log-odds have noise of standard deviation 1.5."""
    return expit(STRENGTHS[a] - STRENGTHS[b] + rng.normal(0, 1.5, a.size))


def cycles(rng, a, b, prompt):
    """Pairs have log-odds of their own beside the strengths, of spread 0.6."""
    own = np.triu(np.random.default_rng(rng.integers(1 << 30)).normal(0, 0.6, (8, 8)), 1)
    return expit(STRENGTHS[a] - STRENGTHS[b] + (own - own.T)[a, b])


def prompt_effects(rng, a, b, prompt):
    """Sixty prompts, on each of which every model is better or worse by 0.8."""
    effects = rng.normal(0, 0.8, (60, 8))
    return expit(STRENGTHS[a] - STRENGTHS[b] + effects[prompt, a] - effects[prompt, b])


WORLDS = {
    "the model, 3,000 users": (logit_link, 3_000, 20),
    "the model, 400 users": (logit_link, 400, 20),
    "the model, 50 users × 10 votes": (logit_link, 50, 10),
    "probit link, 3,000 users": (probit_link, 3_000, 20),
    "cauchit link, 3,000 users": (cauchit_link, 3_000, 20),
    "difficulty of prompts, 3,000 users": (difficulty, 3_000, 20),
    "half of the prompts are toss-ups, 400 users": (toss_ups, 400, 20),
    "noise of prompts, 400 users": (prompt_noise, 400, 20),
    "cyclic strengths, 400 users": (cycles, 400, 20),
    "60 shared prompts with effects, 400 users": (prompt_effects, 400, 20),
}


def votes(rng, world, users, each):
    """Votes of one world, and the users' attentiveness."""
    user = np.repeat(np.arange(users), each)
    a = rng.integers(0, 8, user.size)
    b = (a + rng.integers(1, 8, user.size)) % 8
    eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)
    attentive = world(rng, a, b, rng.integers(0, 60, user.size))
    won = rng.random(user.size) < 0.5 + eta[user] * (attentive - 0.5)
    return emjax.Preferences.from_votes(user, np.stack([NAMES[a], NAMES[b]], axis=1), won), eta


def one(seed, name):
    """What a fit says of one draw of a world, and what is true."""
    world, users, each = WORLDS[name]
    prefs, eta = votes(np.random.default_rng([seed, 16]), world, users, each)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        fit = emjax.fit_em(prefs, emjax.Grid())
    se = fit.standard_errors()
    where = [se.names.index(f"strength of {model}") for model in NAMES]
    board = fit.leaderboard(prefs).to_pandas().set_index("model").loc[NAMES]
    s = se.estimate[where]
    scaled = STRENGTHS * (STRENGTHS @ s) / (STRENGTHS @ STRENGTHS)
    best, worst = board["best_rank"].to_numpy(), board["worst_rank"].to_numpy()
    inside = (best <= TRUE_RANK) & (worst >= TRUE_RANK)
    return {
        "slope": float(s @ STRENGTHS / (STRENGTHS @ STRENGTHS)),
        "attentiveness": float(fit.posterior(prefs).mean.mean() / eta.mean()),
        "absolute": float(np.mean((se.lower[where] <= STRENGTHS) & (se.upper[where] >= STRENGTHS))),
        "relative": float(np.mean((board["lower"] <= scaled) & (scaled <= board["upper"]))),
        "ranks": bool(inside.all()),
        "width": float(np.mean(worst - best)),
        "scale": bool(fit.identified.open_scale),
    }


def main():
    """Every world, with as many seeds as asked for."""
    given = record.options(
        "robustness",
        __doc__,
        "python -m benchmarks.robustness --seeds 200",
        ("--seeds", {"type": int, "default": 200, "help": "draws of each world"}),
    )
    out = record.Record("robustness", given)
    rows, seeds = [], 2 if given.smoke else given.seeds
    for name in list(WORLDS)[1:3] if given.smoke else WORLDS:
        found = [one(seed, name) for seed in range(seeds)]
        mean = {what: float(np.mean([row[what] for row in found])) for what in found[0]}
        right = name.startswith("the model")
        out.figure(
            f"{name}: relative strengths within their 95 % intervals",
            mean["relative"],
            f"{mean['relative']:.1%}",
            "≥ 92 %",
            mean["relative"] >= 0.92,
        )
        if right:
            out.figure(
                f"{name}: all ranks within their intervals",
                mean["ranks"],
                f"{mean['ranks']:.1%} of {seeds}",
                "≥ 95 %",
                mean["ranks"] >= 0.95 - 1.64 * np.sqrt(0.05 * 0.95 / seeds),
            )
        rows.append(
            [
                name,
                f"{mean['slope']:.2f}",
                f"{mean['attentiveness']:.2f}",
                f"{mean['absolute']:.0%}",
                f"{mean['relative']:.0%}",
                f"{mean['ranks']:.0%}",
                f"{mean['width']:.1f}",
                f"{mean['scale']:.0%}",
            ]
        )
        out.keep(name, found)
    columns = ["votes", "slope on the truth", "attentiveness over the truth", "strengths inside"]
    columns += [
        "relative strengths inside",
        "all ranks inside",
        "ranks of an interval, less one",
        "scale said open",
    ]
    out.table("Order and scale", columns, rows)
    out.write()


if __name__ == "__main__":
    main()
