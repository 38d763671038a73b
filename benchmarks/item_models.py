"""Random effects of items whose models are named: does estimating the models' effects ever cost accuracy?

Simulated votes on pairs of answers by K models, each of which is first in two pairs. How clear an item is,
and to which side, depends on the strengths of its two models, which are drawn with a standard deviation of
0, 1 or 3. The same votes are fitted without the models' names, with names and an estimated variance (the
default), and with names and a fixed penalty. A tenth of the votes is held out.
"""

import time

import jax
import numpy as np
from scipy.stats import spearmanr

import emjax
from benchmarks import record
from emjax.infer.cross_validation import split

NODES, SHARES = np.array([0.018, 0.5, 0.982]), np.array([0.35, 0.3, 0.35])
ATTENTIVE = 0.95, 0.1  # attentiveness of 60 % of the users, and of the others
VOTES_PER_USER = 16
WITHOUT = "without names"
WAYS = {
    WITHOUT: emjax.PerItem(3),
    "names, variance estimated": emjax.PerItem(3),
    "names, l2 = 0.01": emjax.PerItem(3, l2=0.01),
}


def drawn(seed, n_models, votes_per_item, sd):
    """Votes with the names of the models, and the attentiveness of each user."""
    rng = np.random.default_rng(seed)
    n_items = 2 * n_models
    n_users = max(n_items * votes_per_item // VOTES_PER_USER, 2 * votes_per_item)
    eta = np.where(rng.random(n_users) < 0.6, *ATTENTIVE)
    strengths = sd * rng.normal(size=n_models)
    a = rng.permutation(np.repeat(np.arange(n_models), 2))
    b = (a + rng.integers(1, n_models, size=n_items)) % n_models
    # A side's share is multiplied by e^{±difference/2}, as in PerItem.
    shares = SHARES * np.exp(np.outer(strengths[a] - strengths[b], [-0.5, 0.0, 0.5]))
    chance = NODES[
        (rng.random(n_items)[:, None] > (shares / shares.sum(axis=1, keepdims=True)).cumsum(axis=1)).sum(
            axis=1
        )
    ]
    item = np.repeat(np.arange(n_items), votes_per_item)
    user = np.concatenate([rng.choice(n_users, votes_per_item, replace=False) for _ in range(n_items)])
    won = rng.random(len(item)) < 0.5 + eta[user] * (chance[item] - 0.5)
    pair = np.stack([a, b], axis=1)[item].astype(str)
    return emjax.Preferences.from_votes(user, pair, won, context=item.astype(str)), eta


def without_names(prefs):
    """The same votes on the same items, whose models nobody names."""
    items = np.array([f"item {c}" for c in range(prefs.n_comparisons)], dtype=object)
    return emjax.Preferences(
        users=prefs.users,
        comparisons=items,
        user=prefs.user,
        comparison=prefs.comparison,
        counts=prefs.counts,
        shown=prefs.shown,
    )


def one_seed(seed, n_models, votes_per_item, sd):
    """Held-out log score per vote, Spearman with the truth, seconds, and the sd found, of each way."""
    prefs, eta = drawn(seed, n_models, votes_per_item, sd)
    training, held_out = next(iter(split(prefs, 10, seed)))
    found = {}
    for name, strength in WAYS.items():
        mine, others = (training, held_out) if name != WITHOUT else map(without_names, (training, held_out))
        start = time.perf_counter()
        fit = emjax.fit_em(mine, emjax.TwoPoint(), strength=strength)
        seconds = time.perf_counter() - start
        after = fit.posterior(mine)
        scored = emjax.score_votes(after, others)
        score = np.average(np.log(scored.probability["attentiveness"]), weights=scored.count)
        rank = spearmanr(after.mean, eta[np.asarray(mine.users, dtype=int)]).statistic
        spread = float("nan") if name == WITHOUT else float(np.std(fit.strength.strengths))
        found[name] = [float(score), float(rank), seconds, spread]
    return found


def main():
    """Read options, measure."""
    given = record.options(
        "item_models",
        __doc__,
        "python -m benchmarks.item_models --seeds 5",
        ("--seeds", {"type": int, "default": 20, "help": "simulations of each cell (default: 20)"}),
    )
    out = record.Record("item_models", given)
    seeds, many = (2, (10,)) if given.smoke else (given.seeds, (100, 400))
    rows, least_score, least_rank, warned = [], np.inf, np.inf, {}
    with record.counted_warnings(warned):
        for n_models in many:
            for votes_per_item in (4, 20):
                for sd in (0.0, 1.0, 3.0):
                    cell = f"{n_models} models, {votes_per_item} votes per item, sd {sd:g}"
                    each = []
                    for seed in range(seeds):
                        each.append(one_seed(seed, n_models, votes_per_item, sd))
                    jax.clear_caches()  # other cells have other shapes, and a process has room for so many
                    print(f"  {cell}: done", flush=True)
                    out.keep(cell, each)
                    values = {name: np.array([found[name] for found in each]) for name in WAYS}
                    base = values[WITHOUT]
                    for name, these in values.items():
                        gain, error = these[:, :2] - base[:, :2], np.sqrt(seeds)
                        shown = [f"{x.mean():+.4f} ± {x.std(ddof=1) / error:.4f}" for x in gain.T]
                        rows.append(
                            [
                                cell if name == WITHOUT else "",
                                name,
                                f"{these[:, 0].mean():.4f}" if name == WITHOUT else shown[0],
                                f"{these[:, 1].mean():.3f}" if name == WITHOUT else shown[1],
                                "–" if name == WITHOUT else f"{these[:, 3].mean():.2f}",
                            ]
                        )
                    gain = (values["names, variance estimated"] - base)[:, :2].mean(axis=0)
                    least_score, least_rank = min(least_score, gain[0]), min(least_rank, gain[1])
    out.keep("warnings", warned)
    out.table(
        f"Two items per model, {VOTES_PER_USER} votes per user, {seeds} seeds: means, and gains over the "
        "same votes without names with their standard errors",
        [
            "votes",
            "way",
            "log score per held-out vote",
            "Spearman with true attentiveness",
            "sd found",
        ],
        rows,
    )
    out.figure(
        "smallest mean gain in log score from names",
        float(least_score),
        f"{least_score:+.4f}",
        "≥ −0.003",
        bool(least_score >= -0.003),
    )
    out.figure(
        "smallest mean gain in Spearman correlation from names",
        float(least_rank),
        f"{least_rank:+.4f}",
        "≥ −0.01",
        bool(least_rank >= -0.01),
    )
    out.write()


if __name__ == "__main__":
    main()
