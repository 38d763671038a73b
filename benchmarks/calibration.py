"""Votes of a real crowd (llmfao), each predicted by a fit without it, and GPT-4 as an independent judge.

Every vote is held out once. The log score of the model is compared with those of three baselines, and the
rank of the workers by each with how often each agrees with GPT-4, which no fit uses. The data are
no part of this repository; without them nothing is run, and the result says so.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow.csv
from scipy.stats import spearmanr

import emjax
from benchmarks import record
from benchmarks.real_votes import agreement
from emjax.decide.predictive_scores import held_out_votes
from emjax.infer.cross_validation import ALL_ATTENTIVE, MAJORITY, MODEL, ONE_FOR_ALL, split
from emjax.infer.majority_agreement import majority_agreement, majority_probability

OTHER_PRIORS = {"TwoPoint": emjax.TwoPoint(), "Beta": emjax.Beta()}
SAME_ANSWERS = "agreement with the majority on the same two answers"
TARGETS = {"gain": "> 0", "curve": "all but 1", "rank": "≥ 0.68"}
BOOTSTRAP = 5000


def measure(out, data, folds, splits, priors):
    """The four log scores, the curves, other priors and splits, and the order of the workers."""
    prefs = emjax.read_votes(data / "crowd-comparisons.csv", ties="drop")
    found = emjax.cross_validate(prefs, emjax.Grid(), folds=folds, seed=0)
    scores(out, found)
    groups(out, prefs, found, folds)
    answers = by_answers(data)
    score = on_same_answers(answers, folds).log_scores[MAJORITY]
    out.figure(f"log score per vote: {SAME_ANSWERS}", score.mean, f"{score.mean:.4f} ± {score.std_err:.4f}")
    gains = [found.gains] + [
        emjax.cross_validate(prefs, emjax.Grid(), folds=folds, seed=seed).gains for seed in range(1, splits)
    ]
    for name in (ALL_ATTENTIVE, MAJORITY):
        means = [one[name].mean for one in gains]
        shown = f"{min(means):.4f} to {max(means):.4f} (standard deviation {np.std(means):.4f})"
        out.figure(f"gain on “{name}” over {splits} splits", means, shown)
    by_prior = {"Grid": found} | {
        name: emjax.cross_validate(prefs, prior, folds=folds, seed=0) for name, prior in priors.items()
    }
    rows = []
    for name, one in by_prior.items():
        score, gain, sure = one.log_scores[MODEL], one.gains[ALL_ATTENTIVE], one.overconfidence[MODEL]
        rows.append(
            [
                name,
                f"{score.mean:.4f} ± {score.std_err:.4f}",
                f"{gain.mean:.4f} ({gain.lower:.4f} to {gain.upper:.4f})",
                f"{sure.mean:+.4f} ({sure.lower:+.4f} to {sure.upper:+.4f})",
            ]
        )
    out.table(
        "Priors over attentiveness, the same split",
        ["prior", "log score per vote", f"gain on “{ALL_ATTENTIVE}”", "promised less kept"],
        rows,
    )
    workers(out, data, prefs, answers)


def scores(out, found):
    """Log scores, gains and curves of one validation."""
    out.figure("votes predicted", found.n_votes, f"{found.n_votes:,.0f} of {found.n_users} workers")
    for name, score in found.log_scores.items():
        out.figure(f"log score per vote: {name}", score.mean, f"{score.mean:.4f} ± {score.std_err:.4f}")
    for name, gain in found.gains.items():
        shown = f"{gain.mean:.4f} (95 % interval {gain.lower:.4f} to {gain.upper:.4f})"
        out.figure(f"gain on “{name}”", gain.mean, shown, TARGETS["gain"], gain.lower > 0)
    for name, curve in found.reliability.items():
        held = int(((curve.lower <= curve.predicted) & (curve.predicted <= curve.upper)).sum())
        target = (TARGETS["curve"], held >= curve.predicted.size - 1) if name == MODEL else ("", None)
        shown = f"{held} of {curve.predicted.size}"
        out.figure(f"bins of the curve whose interval holds what was promised: {name}", held, shown, *target)
    for name, sure in found.overconfidence.items():
        shown = f"{sure.mean:+.4f} (95 % interval {sure.lower:+.4f} to {sure.upper:+.4f})"
        out.figure(f"promised less kept, of the favoured side: {name}", sure.mean, shown)
    curves = {name: dataclasses.asdict(curve) for name, curve in found.reliability.items()}
    out.keep("reliability", curves)
    out.keep("gains", {name: dataclasses.asdict(gain) for name, gain in found.gains.items()})


def groups(out, prefs, found, folds):
    """Promised less kept, separately for workers who are careless and attentive by their other votes."""
    trained_on = []
    for training, held_out in split(prefs, folds, seed=0):
        user = held_out_votes(held_out)[0]
        trained_on.append((user, emjax.fit_em(training, emjax.Grid()).posterior(training).mean[user]))
    user, eta = (np.concatenate(column) for column in zip(*trained_on, strict=True))
    assert np.array_equal(user, found.user)
    names = [name for name in found.probability if name != ONE_FOR_ALL]
    rows, raw = [], []
    for low, high in ((0.0, 0.25), (0.25, 0.75), (0.75, 1.0)):
        there = (eta >= low) & ((eta < high) | (high == 1.0))
        part = emjax.Calibration(
            user[there], found.count[there], {name: found.probability[name][there] for name in names}
        )
        sure = {name: dataclasses.asdict(one) for name, one in part.overconfidence.items()}
        intervals = [
            f"{one['mean']:+.3f} ({one['lower']:+.3f} to {one['upper']:+.3f})" for one in sure.values()
        ]
        rows.append([f"{low:g} to {high:g}", f"{part.n_votes:,.0f}", str(part.n_users), *intervals])
        raw.append({"low": low, "high": high, "votes": part.n_votes, "workers": part.n_users, **sure})
    out.table(
        "Promised less kept, by the worker\u2019s attentiveness in the training votes (95 % intervals)",
        ["attentiveness", "votes", "workers", *names],
        rows,
    )
    out.keep("groups", raw)


def by_answers(data):
    """The decisive votes with the very pair of answers as the comparison, not the pair of models."""
    votes = pyarrow.csv.read_csv(data / "crowd-comparisons.csv").to_pydict()
    rows = [
        (worker, pair, winner == "left")
        for worker, pair, winner in zip(votes["worker"], votes["id"], votes["winner"], strict=True)
        if winner != "tie"
    ]
    worker, pair, won = (np.array(column) for column in zip(*rows, strict=True))
    return emjax.Preferences.from_votes(worker, pair, won)


def on_same_answers(prefs, folds):
    """Predictions by the majority on the same two answers: a rule that needs several votes on each."""
    parts = []
    for training, held_out in split(prefs, folds, seed=0):
        user, comparison, outcome, count = held_out_votes(held_out)
        parts.append((user, count, majority_probability(training, user, comparison, outcome)))
    user, count, probability = (np.concatenate(column) for column in zip(*parts, strict=True))
    return emjax.Calibration(user, count, {MAJORITY: probability})


def workers(out, data, prefs, answers, least=15):
    """Rank of the workers by each method, against their agreement with GPT-4."""
    judged, agreed = agreement(data)
    fit = emjax.fit_em(prefs, emjax.Grid())
    names = [str(user) for user in prefs.users]
    known = np.array([i for i, name in enumerate(names) if judged.get(name, 0) >= least])
    reference = np.array([agreed[names[i]] for i in known])
    orders = {
        MODEL: fit.posterior(prefs).mean[known],
        MAJORITY: majority_agreement(prefs)[known],
        SAME_ANSWERS: majority_agreement(answers)[known],
    }
    rng = np.random.default_rng(0)
    drawn = rng.integers(known.size, size=(BOOTSTRAP, known.size))
    again = {
        name: np.array([spearmanr(order[i], reference[i]).statistic for i in drawn])
        for name, order in orders.items()
    }
    for name, order in orders.items():
        rank = float(spearmanr(order, reference).statistic)
        low, high = np.quantile(again[name], [0.025, 0.975])
        shown = f"{rank:.3f} (95 % interval {low:.3f} to {high:.3f}; {known.size} workers)"
        target = (TARGETS["rank"], rank >= 0.68) if name == MODEL else ("", None)
        out.figure(f"rank correlation with agreement with GPT-4: {name}", rank, shown, *target)
    for name in (MAJORITY, SAME_ANSWERS):
        more = again[MODEL] - again[name]
        rank = spearmanr(orders[MODEL], reference).statistic - spearmanr(orders[name], reference).statistic
        low, high = np.quantile(more, [0.025, 0.975])
        shown = f"{rank:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
        out.figure(f"that of attentiveness less that of {name}", rank, shown)
    votes = prefs.votes_by_user()
    rows = [
        {
            "worker": names[i],
            "votes": votes[i],
            "judged by both": judged[names[i]],
            "agreement with GPT-4": agreed[names[i]],
            **{name: order[at] for name, order in orders.items()},
        }
        for at, i in enumerate(known)
    ]
    out.keep("workers", rows)


def main():
    given = record.options(
        "calibration",
        __doc__,
        "python -m benchmarks.calibration --data ../shared/data/llmfao",
        ("--data", {"type": Path, "help": "folder of llmfao (default: ../shared/data/llmfao)"}),
    )
    data = given.data or record.ROOT.parent / "shared" / "data" / "llmfao"
    out = record.Record("calibration", given)
    if (data / "crowd-comparisons.csv").is_file():
        if given.smoke:
            measure(out, data, folds=2, splits=1, priors={})
        else:
            measure(out, data, folds=5, splits=10, priors=OTHER_PRIORS)
    else:
        out.not_run(f"log score per vote: {MODEL}", "data absent")
    out.write()


if __name__ == "__main__":
    main()
