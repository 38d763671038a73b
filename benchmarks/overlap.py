"""Several votes on the same pair of answers: consensus labels and attentiveness, against crowd-kit.

On the votes of llmfao (a folder that the option names), where GPT-4's verdicts are an independent answer, and
on simulated votes whose truth is known. crowd-kit is searched for in this environment and in build/peers.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import rankdata, spearmanr

import emjax
from benchmarks import labels, peers, record
from emjax.infer.cross_validation import split

LEAST = 15  # decisive votes of a worker, judged by GPT-4 too
DRAWS = 4000


def real(folder):
    """Decisive votes of llmfao as arrays, GPT-4's verdicts on them, and the votes as emjax reads them."""
    table = pd.read_csv(folder / "crowd-comparisons.csv")
    prefs = emjax.read_votes(table, user="worker", model_a="left", model_b="right", context="id")
    table = table[table["winner"] != "tie"]
    verdict = pd.read_csv(folder / "gpt4-crowd-comparisons.csv").set_index("id")["winner"]
    users, user = np.unique(table["worker"], return_inverse=True)
    items, item = np.unique(table["id"], return_inverse=True)
    won = (table["winner"] == "left").to_numpy(int)
    said = verdict.reindex(items).map({"left": 1.0, "right": 0.0}).to_numpy(float)  # NaN for a tie
    assert (users == prefs.users).all()
    return user, item, won, said, items, prefs


def of_workers(user, item, won, said):
    """Agreement with GPT-4 of the workers with votes enough, and which workers they are."""
    judged = np.isfinite(said[item])
    cast = np.bincount(user[judged], minlength=user.max() + 1)
    agreed = np.bincount(user[judged], won[judged] == said[item[judged]], minlength=user.max() + 1)
    enough = cast >= LEAST
    return enough, agreed[enough] / cast[enough]


def rank_correlations(skills, agreement, draws, seed=0):
    """Spearman correlation of every skill with agreement, and in bootstrap samples of the workers."""
    rng = np.random.default_rng(seed)
    found = {name: float(spearmanr(skill, agreement)[0]) for name, skill in skills.items()}
    drawn = {name: np.empty(draws) for name in skills}
    for draw in range(draws):
        rows = rng.integers(len(agreement), size=len(agreement))
        against = rankdata(agreement[rows])
        for name, skill in skills.items():
            drawn[name][draw] = np.corrcoef(rankdata(skill[rows]), against)[0, 1]
    return found, drawn


def labels_of(fit, prefs, items):
    """Probability that the answer on the left is the better one, in the order of the items."""
    table = fit.comparisons(prefs).to_pandas() if prefs.frame != "pandas" else fit.comparisons(prefs)
    by_item = table.set_index(table["item"].astype(int))
    return by_item["prob_a"].reindex(items).to_numpy(float), by_item["model_a"].reindex(items).to_numpy()


def mean_field(user, item, won, nodes, grid, sweeps=300):
    """The same model by mean-field variational EM, in NumPy: users' means and items' labels."""
    chance = 0.5 + grid[:, None] * (nodes[None] - 0.5)
    log_p = np.log(np.stack([1 - chance, chance]))
    m, n = user.max() + 1, item.max() + 1
    weights, shares = np.full(len(grid), 1 / len(grid)), np.full(len(nodes), 1 / len(nodes))
    users = np.tile(weights, (m, 1))
    for _ in range(sweeps):
        log_items = np.zeros((n, len(nodes))) + np.log(shares)
        np.add.at(log_items, item, np.einsum("vg,vgh->vh", users[user], log_p[won]))
        items = np.exp(log_items - logsumexp(log_items, axis=1, keepdims=True))
        heard = np.zeros((m, len(grid))) + np.log(weights)
        np.add.at(heard, user, np.einsum("vh,vgh->vg", items[item], log_p[won]))
        users = np.exp(heard - logsumexp(heard, axis=1, keepdims=True))
        weights = np.maximum(users.mean(axis=0), 1e-300)
        shares = np.maximum(0.5 * (items.mean(axis=0) + items.mean(axis=0)[::-1]), 1e-300)
    return users @ grid, items @ (0.5 * (1 + np.sign(np.round(nodes - 0.5, 12))))


def on_real_votes(out, data, python, grid, draws, folds):
    """Workers against GPT-4, consensus against GPT-4, held-out votes."""
    user, item, won, said, items, prefs = real(data)
    enough, agreement = of_workers(user, item, won, said)
    skills, consensus, took, scores = {}, {}, {}, {}
    named = {
        "Bradley-Terry": (emjax.BradleyTerry(), prefs),
        "PerItem(2)": (emjax.PerItem(2), prefs),
        "PerItem(3), the default": (emjax.PerItem(), prefs),
        "PerItem(5)": (emjax.PerItem(5), prefs),
        "PerItem(3) without names": (emjax.PerItem(), emjax.Preferences.from_votes(user, items[item], won)),
    }
    left = pd.read_csv(data / "crowd-comparisons.csv").drop_duplicates("id").set_index("id")["left"]
    parts = list(split(prefs, folds, 0))
    warned = {}
    with record.counted_warnings(warned):
        for name, (strength, votes) in named.items():
            start = time.perf_counter()
            fit = emjax.fit_em(votes, emjax.Grid(grid), strength=strength)
            took[name] = time.perf_counter() - start
            skills[name] = fit.posterior(votes).mean[enough]
            if isinstance(strength, emjax.PerItem):
                named_items = votes is prefs
                if named_items:
                    chance, first = labels_of(fit, votes, items)
                    consensus[name] = np.where(first == left.reindex(items).to_numpy(), chance, 1 - chance)
                else:
                    consensus[name] = np.array(fit.comparisons(votes).to_pydict()["prob_a"])
            if votes is prefs:
                after = [
                    emjax.score_votes(
                        emjax.fit_em(seen, emjax.Grid(grid), strength=strength).posterior(seen), held_out
                    )
                    for seen, held_out in parts
                ]
                scores[name] = np.concatenate([np.log(x.probability["attentiveness"]) for x in after])
        found = mean_field(user, item, won, np.asarray(emjax.PerItem().nodes), np.linspace(0, 1, grid))
        skills["mean field, 3 nodes, without names"] = found[0][enough]
        consensus["mean field, 3 nodes, without names"] = found[1]
    out.keep("llmfao, warnings", warned)
    if python is not None:
        others, version = labels.elsewhere(python, user, item, won)
        for name, (chance, skill, seconds) in others.items():
            full = f"{name} (crowd-kit {version})"
            skills[full], consensus[full], took[full] = np.nan_to_num(skill[enough]), chance, seconds
    else:
        out.not_run("llmfao: crowd-kit's aggregators", "crowd-kit was not found")
    rows = []
    correlation, drawn = rank_correlations(skills, agreement, draws)
    judged = np.isfinite(said)
    for name, value in correlation.items():
        low, high = np.quantile(drawn[name] - drawn["Bradley-Terry"], [0.025, 0.975])
        less = f"{value - correlation['Bradley-Terry']:+.3f} ({low:+.3f} to {high:+.3f})"
        agrees = "–"
        if name in consensus:
            clear = judged & (np.abs(consensus[name] - 0.5) > 1e-9)
            right = (consensus[name] > 0.5) == (said > 0.5)
            half = judged & ~clear
            agrees = f"{(right[clear].sum() + 0.5 * half.sum()) / judged.sum():.1%}"
        score = f"{scores[name].mean():.4f}" if name in scores else "–"
        rows.append(
            [name, f"{value:.3f}", less, agrees, score, f"{took[name]:.1f} s" if name in took else "–"]
        )
    out.table(
        f"llmfao: {len(agreement)} workers with at least {LEAST} decisive votes that GPT-4 judged too; "
        f"{judged.sum():,} pairs of answers with a verdict",
        [
            "method",
            "Spearman with agreement with GPT-4",
            "less that of Bradley-Terry (95 % interval, paired)",
            "consensus is GPT-4's",
            "log score per held-out vote",
            "time",
        ],
        rows,
    )
    best = correlation["PerItem(3), the default"]
    out.figure(
        "llmfao: Spearman of attentiveness with GPT-4 agreement, PerItem()",
        best,
        f"{best:.3f}",
        "≥ 0.74",
        best >= 0.74,
    )
    gain = scores["PerItem(3), the default"].mean() - scores["Bradley-Terry"].mean()
    out.figure("llmfao: log score per held-out vote, PerItem() less Bradley-Terry", gain, f"{gain:+.4f}")


def drawn(seed, users, items, each, toss_up=0.0):
    """Users, a share of them careless, on items with a right answer, or none for a share of them."""
    rng = np.random.default_rng(seed)
    eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)
    better = rng.random(items) < 0.5
    mu = np.where(better, 0.98, 0.02)
    mu[rng.random(items) < toss_up] = 0.5
    item = np.repeat(np.arange(items), each)
    user = rng.integers(users, size=item.size)
    won = (rng.random(item.size) < 0.5 + eta[user] * (mu[item] - 0.5)).astype(int)
    return user, item, won, eta, np.where(mu == 0.5, np.nan, better)


def area(score, good):
    """Area under the curve: how often one of the good is above one of the others."""
    ranks = rankdata(score)
    n = good.sum()
    return (ranks[good].sum() - n * (n + 1) / 2) / (n * (~good).sum())


def against_peers(out, python, users, items, each):
    """The same simulated labels through everyone."""
    for toss_up in (0.0, 0.4):
        user, item, won, eta, better = drawn(3, users, items, each, toss_up)
        clear, rows = np.isfinite(better), []
        found = {}
        prefs = emjax.Preferences.from_votes(user, item, won)
        for name, prior, strength in (
            ("PerItem(2)", emjax.TwoPoint(), emjax.PerItem(2)),
            ("PerItem(), the default", emjax.TwoPoint(), emjax.PerItem()),
            ("PerItem(), Grid", emjax.Grid(), emjax.PerItem()),
        ):
            start = time.perf_counter()
            fit = emjax.fit_em(prefs, prior, strength=strength)
            seconds = time.perf_counter() - start
            chance = np.array(fit.comparisons(prefs).to_pydict()["prob_a"])
            found[f"emjax, {name}"] = chance, fit.posterior(prefs).mean, seconds
        if python is not None:
            others, version = labels.elsewhere(python, user, item, won)
            found |= {f"{name} (crowd-kit {version})": answer for name, answer in others.items()}
        grid = np.linspace(0, 1, 33)
        start = time.perf_counter()
        means, chance = mean_field(user, item, won, np.asarray(emjax.PerItem().nodes), grid, 100)
        found["mean field, 3 nodes"] = chance, means, time.perf_counter() - start
        for name, (chance, skill, seconds) in found.items():
            right = np.where(chance == 0.5, 0.5, (chance > 0.5) == (better > 0.5))[clear]
            sure = np.clip(np.where(better > 0.5, chance, 1 - chance)[clear], 1e-6, 1)
            rows.append(
                [
                    name,
                    f"{right.mean():.2%}",
                    f"{np.log(sure).mean():.3f}",
                    f"{area(np.nan_to_num(skill), eta > 0.5):.3f}",
                    f"{seconds:.1f} s",
                ]
            )
        out.table(
            f"Simulated: {users:,} users, 40 % of them careless, {items:,} items, {each} votes each, "
            f"{toss_up:.0%} of the items toss-ups (which labels are not scored on)",
            ["method", "labels right", "log probability of the right label", "area: attentive users", "time"],
            rows,
        )


def at_scale(out, users, items, each):
    """Time and truth for many users."""
    user, item, won, eta, better = drawn(0, users, items, each)
    start = time.perf_counter()
    prefs = emjax.Preferences.from_votes(user, item, won)
    counted = time.perf_counter() - start
    for nodes in (2, 3):
        start = time.perf_counter()
        fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.PerItem(nodes))
        seconds = time.perf_counter() - start
        chance = fit.comparison_columns(prefs)["prob_a"]
        mean = fit.posterior(prefs).mean
        majority = np.bincount(item, won) * 2 > each
        found = tuple(float(x) for x in (fit.prior.low, fit.prior.high, fit.prior.weight))
        what = f"simulated, {users:,} users, {items:,} items, {each} votes each, PerItem({nodes})"
        out.figure(
            f"{what}: seconds",
            seconds + counted,
            f"{seconds + counted:.1f} s ({fit.em_steps} sweeps)",
            "≤ 60 s",
            seconds + counted <= 60,
        )
        out.figure(
            f"{what}: labels right",
            float(((chance > 0.5) == better).mean()),
            f"{((chance > 0.5) == better).mean():.2%} (majority {(majority == better).mean():.2%}); "
            f"users classified correctly {((mean > 0.5) == (eta > 0.5)).mean():.2%}; "
            f"low, high, weight {found[0]:.3f}, {found[1]:.3f}, {found[2]:.3f} (truth 0.1, 0.9, 0.6)",
        )


def main():
    """Read options, measure."""
    given = record.options(
        "overlap",
        __doc__,
        "python -m benchmarks.overlap --data ../shared/data/llmfao --python-peers build/peers/bin/python",
        ("--data", {"type": Path, "help": "folder of llmfao (default: ../shared/data/llmfao)"}),
        ("--python-peers", {"type": Path, "help": "a Python that has crowd-kit (default: build/peers)"}),
    )
    out = record.Record("overlap", given)
    data = given.data or record.ROOT.parent / "shared" / "data" / "llmfao"
    here = Path(sys.executable)
    python = peers.found_in((here, given.python_peers or Path("build/peers/bin/python")), "crowd_kit")
    if (data / "crowd-comparisons.csv").is_file():
        quick = given.smoke
        on_real_votes(
            out,
            data,
            None if quick else python,
            9 if quick else 64,
            50 if quick else DRAWS,
            2 if quick else 5,
        )
    else:
        out.not_run("llmfao: workers and consensus against GPT-4", f"no crowd-comparisons.csv in {data}")
    if given.smoke:
        against_peers(out, None, 50, 300, 4)
        at_scale(out, 200, 1000, 4)
    else:
        against_peers(out, python, 2000, 10_000, 5)
        at_scale(out, 100_000, 1_000_000, 5)
    out.write()


if __name__ == "__main__":
    main()
