"""Attentiveness of single votes by features: coverage of slopes, and detection of careless votes.

On simulated votes whose truth is known, and on the votes of llmfao (a folder that the option names), where
the length of the answers and the prompt are features.
"""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import emjax
from benchmarks import record
from emjax.decide.predictive_scores import held_out_votes, probability_of_votes
from emjax.infer.cross_validation import split
from emjax.infer.posteriors import posterior

VOTES, TEXTS = "crowd-comparisons.csv", "pairs-crowd.jsonl"
STRENGTHS = {"ant": 1.0, "bee": 0.1, "cat": -1.1}
PACES = (-1.4, -0.7, 0.0, 0.7, 1.4)
KINDS = emjax.VoteStrata.given(
    [f"pace {pace}, length {length}" for pace in PACES for length in (-1.0, 1.0)],
    [[pace, length] for pace in PACES for length in (-1.0, 1.0)],
    names=["pace", "length"],
)
SLOPES = (1.0, -0.5)
CROWDS = {
    "all half-attentive": emjax.Points(1, points=[0.5]),
    "Beta(2, 3)": emjax.Beta(2, 3),
    "0.1 or 0.9": emjax.TwoPoint(0.1, 0.9, 0.5),
}


def behavior_at(slopes, strata=KINDS):
    """A behavior with attention by features, with these slopes."""
    return emjax.AttentiveOrRandom(features=emjax.VoteFeatures(strata, slopes=slopes))


def drawn(seed, users, votes, prior, behavior):
    """Votes on three models."""
    return emjax.simulate(
        seed, n_users=users, votes_per_user=votes, strengths=STRENGTHS, prior=prior, behavior=behavior
    )


def coverage(out, seeds, users, votes):
    """How often 95 % intervals hold the truth."""
    crowd = emjax.TwoPoint(0.15, 0.85, 0.5)
    truth = {"low": 0.15, "high": 0.85, "weight": 0.5}
    truth |= {f"strength of {model}": s for model, s in STRENGTHS.items()}
    truth |= {f"attention by {name}": slope for name, slope in zip(KINDS.names, SLOPES, strict=True)}
    inside, estimates = {name: [] for name in truth}, {name: [] for name in truth}
    seen_warnings = {}
    with record.counted_warnings(seen_warnings):
        for seed in range(seeds):
            prefs = drawn(seed, users, votes, crowd, behavior_at(SLOPES)).preferences
            se = emjax.fit_em(prefs, emjax.TwoPoint()).standard_errors()
            for name, value in truth.items():
                inside[name].append(se[name].lower <= value <= se[name].upper)
                estimates[name].append(se[name].estimate)
    slack = 4 * np.sqrt(0.95 * 0.05 / seeds)
    for name, hits in inside.items():
        share, mean = float(np.mean(hits)), float(np.mean(estimates[name]))
        out.figure(
            f"{users:,} users, {votes} votes each, two features: 95 % interval of {name} covers the truth "
            f"({truth[name]:g}; {seeds} seeds)",
            share,
            f"{share:.1%} (mean estimate {mean:.3f})",
            f"95 % within {slack:.1%}",
            abs(share - 0.95) <= slack,
        )
    out.keep("warnings of the coverage fits", seen_warnings)


def area(score, truth):
    """Area under the ROC curve, by ranks."""
    ranks, n = rankdata(score), truth.sum()
    return (ranks[truth].sum() - n * (n + 1) / 2) / (n * (~truth).sum())


def strata_of(sim, strata=KINDS):
    """User, comparison and outcome of each simulated vote, as positions in its preferences."""
    prefs = sim.preferences
    places = enumerate(zip(prefs.comparisons, prefs.contexts, strict=True))
    labels = {(a, b, of): i for i, ((a, b), of) in places}
    comparison, outcome = np.empty((2, len(sim.user)), np.int64)
    votes = zip(sim.model_a, sim.model_b, sim.a_won, sim.kind, strict=True)
    for row, (a, b, won, kind) in enumerate(votes):
        pair = sim.models[a], sim.models[b]
        turned = (*pair, strata.contexts[kind]) not in labels
        comparison[row] = labels[(*(pair[::-1] if turned else pair), strata.contexts[kind])]
        outcome[row] = int(won == turned)
    return np.searchsorted(prefs.users, sim.user), comparison, outcome


def judged(after, at):
    """Probability of each vote that it was attentive, in the simulation's order; and the better half."""
    kept = emjax.filter_votes(after, emjax.TopFraction(0.5))
    place = kept.votes.find(*at)
    return emjax.vote_posteriors(after).prob_attentive[place], kept.votes.kept[place]


def detection(out, users, votes):
    """Which votes were attentive: by the truth, with features, without."""
    rows = []
    for number, (crowd, prior) in enumerate(CROWDS.items()):
        sim = drawn(2000 + number, users, votes, prior, behavior_at(SLOPES))
        prefs, at = sim.preferences, strata_of(sim)
        true = posterior(
            prefs, prior, emjax.BradleyTerry(strengths=sim.strengths, models=sim.models), sim.behavior
        )
        fits = {
            "the truth": true,
            "with features": emjax.fit_em(prefs, emjax.Beta()).posterior(prefs),
            "without": emjax.fit_em(prefs, emjax.Beta(), behavior=emjax.AttentiveOrRandom()).posterior(prefs),
        }
        areas = {}
        for name, after in fits.items():
            attended, kept = judged(after, at)
            areas[name] = area(attended, sim.looked)
            shares = f"{sim.looked[kept].mean():.1%}"
            rows.append([crowd, name, f"{areas[name]:.3f}", shares])
        out.figure(
            f"{crowd}: area under the curve for careless votes, features against without",
            areas["with features"],
            f"{areas['with features']:.3f} against {areas['without']:.3f} (the truth known: "
            f"{areas['the truth']:.3f})",
            "within 0.005 of the truth known",
            areas["with features"] > areas["the truth"] - 0.005,
        )
    out.table(
        f"Which votes were attentive: {users:,} users, {votes} votes each, slopes {SLOPES[0]:g} and "
        f"{SLOPES[1]:g} per unit",
        [
            "users",
            "judged",
            "area under the curve",
            "of the better half of the votes, by their users' other votes and features, were attentive",
        ],
        rows,
    )


def misspecified(out, users, votes):
    """Misspecified attention: an effect that is not linear, and hardness in place of attention."""
    bent = emjax.VoteStrata.given(
        [f"pace {pace}" for pace in PACES], [[pace, pace**2 - 1] for pace in PACES], names=["pace", "bend"]
    )
    linear = emjax.VoteStrata.given(bent.contexts, PACES, names=["pace"])
    levels = emjax.VoteStrata.given(bent.contexts, np.eye(5)[:, 1:], names=[f"bin {k}" for k in range(1, 5)])
    sim = drawn(2100, users, votes, CROWDS["Beta(2, 3)"], behavior_at((0.3, -0.9), bent))
    prefs, at, rows = sim.preferences, strata_of(sim, bent), []
    ways = {"a quadratic term": bent, "a straight line": linear, "a slope for each bin": levels}
    for name, strata in ways.items():
        given = replace(prefs, strata=strata)
        attended, _ = judged(emjax.fit_em(given, emjax.Beta()).posterior(given), at)
        rows.append([f"attention rises and falls with pace; {name}", f"{area(attended, sim.looked):.3f}"])
    attended, _ = judged(
        emjax.fit_em(prefs, emjax.Beta(), behavior=emjax.AttentiveOrRandom()).posterior(prefs), at
    )
    rows.append(["attention rises and falls with pace; no features", f"{area(attended, sim.looked):.3f}"])
    out.table(
        "An effect that is not linear in the feature", ["simulated; fitted", "area under the curve"], rows
    )
    hard = harder(np.random.default_rng(2200), users, votes)
    slope = emjax.fit_em(hard, emjax.Beta()).standard_errors()["attention by hardness"]
    out.figure(
        "equal attention, but models half as far apart (in log-odds) in one kind of question: slope of that "
        "kind, whose truth is 0",
        slope.estimate,
        f"{slope.estimate:.2f} ({slope.lower:.2f} to {slope.upper:.2f})",
        "holds 0",
        slope.lower <= 0.0 <= slope.upper,
    )


def harder(rng, users, votes):
    """Votes of users equally attentive to easy and to hard questions, in which the models differ less."""
    eta, s = rng.beta(2, 3, users), np.array([*STRENGTHS.values()])
    user = np.repeat(np.arange(users), votes)
    a = rng.integers(3, size=user.size)
    b = (a + rng.integers(1, 3, size=user.size)) % 3
    hard = rng.integers(2, size=user.size)
    p = 1 / (1 + np.exp((s[b] - s[a]) * np.where(hard, 0.5, 1.0)))
    won = rng.random(user.size) < 0.5 + eta[user] * (p - 0.5)
    names = np.array([*STRENGTHS], object)
    strata = emjax.VoteStrata.given(["easy", "hard"], [-0.5, 0.5], names=["hardness"])
    context = np.array(["easy", "hard"], object)[hard]
    prefs = emjax.Preferences.from_votes(user, np.column_stack([names[a], names[b]]), won, context=context)
    return prefs.with_strata(strata)


def cost(out, users, votes):
    """A fit with ten kinds of votes against one without strata, compiled code included."""
    sim = drawn(2300, users, votes, CROWDS["Beta(2, 3)"], behavior_at(SLOPES))
    prefs = sim.preferences
    names = np.array(sim.models, object)
    pairs = np.column_stack([names[sim.model_a], names[sim.model_b]])
    plain = emjax.Preferences.from_votes(sim.user, pairs, sim.a_won)
    seconds = {}
    for again in (False, True):
        for name, given in (("with features", prefs), ("without", plain)):
            start = time.perf_counter()
            emjax.fit_em(given, emjax.Beta())
            seconds[name, again] = time.perf_counter() - start
    ratio = seconds["with features", True] / seconds["without", True]
    out.figure(
        f"time of a fit with ten kinds of votes, as a multiple of one without strata "
        f"({users:,} users, {votes} votes each, second fit)",
        ratio,
        f"{ratio:.1f} ({seconds['with features', True]:.1f} s; {seconds['without', True]:.1f} s)",
    )


def real(folder, small):
    """Votes of llmfao without ties, with the length of the two answers and, if not small, the prompt."""
    length = {}
    for line in (folder / TEXTS).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        length[row["id"]] = len(row["result_x"]) + len(row["result_y"])
    rows = np.genfromtxt(
        folder / VOTES,
        delimiter=",",
        names=True,
        dtype=None,
        encoding="utf-8",
        usecols=("id", "prompt", "model_x", "model_y", "worker", "winner"),
    )
    rows = rows[rows["winner"] != "tie"]
    pairs = np.column_stack([rows["model_x"].astype(str), rows["model_y"].astype(str)]).astype(object)
    features = {
        "log:length of the answers": np.array([length[number] for number in rows["id"]], float),
    } | ({} if small else {"each:prompt": rows["prompt"]})
    return emjax.Preferences.from_votes(
        rows["worker"], pairs, rows["winner"] == "left", vote_features=features, feature_bins=4
    )


def on_real_votes(out, folder, folds, small):
    """Votes of llmfao predicted with and without features, the same votes held out."""
    prefs, parts = real(folder, small), []
    ways = {"with features": None, "without": emjax.AttentiveOrRandom()}
    seen_warnings = {}
    with record.counted_warnings(seen_warnings):
        for training, held_out in split(prefs, folds, 0):
            user, comparison, outcome, count = held_out_votes(held_out)
            fits = {name: emjax.fit_em(training, emjax.Beta(), behavior=way) for name, way in ways.items()}
            parts.append(
                (
                    user,
                    count,
                    {
                        name: probability_of_votes(fit.posterior(training), user, comparison, outcome)
                        for name, fit in fits.items()
                    },
                )
            )
        whole = emjax.fit_em(prefs, emjax.Beta()).standard_errors()
    users, counts, chances = zip(*parts, strict=True)
    scored = emjax.Calibration(
        user=np.concatenate(users),
        count=np.concatenate(counts),
        probability={name: np.concatenate([chance[name] for chance in chances]) for name in ways},
    )
    gain = scored.gains["without"]
    out.figure(
        f"llmfao, {prefs.n_votes:,.0f} votes, {folds} parts: log score per vote, features (length, prompt) "
        "less without",
        gain.mean,
        f"{gain.mean:+.4f} ({gain.lower:+.4f} to {gain.upper:+.4f})",
        "above 0",
        gain.lower > 0,
    )
    slopes = [estimate for estimate in whole if estimate.name.startswith("attention by")]
    out.table(
        "llmfao: what makes an attentive vote likelier, by the fit to all votes; a prompt on which models "
        "are more alike comes out as one with less attention",
        ["feature", "slope of the log-odds", "95 % interval"],
        [
            [e.name.removeprefix("attention by "), f"{e.estimate:.2f}", f"{e.lower:.2f} to {e.upper:.2f}"]
            for e in slopes
        ],
    )
    out.keep("warnings on llmfao", seen_warnings)


def main():
    """Read options, measure."""
    given = record.options(
        "vote_features",
        __doc__,
        "python -m benchmarks.vote_features --data ../shared/data/llmfao",
        ("--data", {"type": Path, "help": "folder of llmfao (default: ../shared/data/llmfao)"}),
    )
    data = given.data or record.ROOT.parent / "shared" / "data" / "llmfao"
    out = record.Record("vote_features", given)
    small = given.smoke
    coverage(out, 3 if small else 200, 200 if small else 1000, 20)
    detection(out, 200 if small else 4000, 30)
    misspecified(out, 200 if small else 4000, 30)
    cost(out, 300 if small else 100_000, 25)
    if (data / TEXTS).is_file():
        on_real_votes(out, data, 2 if small else 5, small)
    else:
        out.not_run("llmfao: length of answers and prompt as features", f"no {TEXTS} in {data.name}")
    out.write()


if __name__ == "__main__":
    main()
