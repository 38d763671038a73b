"""The effect of each assumption about behavior on the same votes: ties, sides, sharpness, adversarial users.

On the votes of llmfao (a folder that the option names), each held out once in five parts, and on simulated
votes whose truth is known.
"""

import dataclasses
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

import emjax
from benchmarks import record
from emjax.data.outcome_schema import Outcomes
from emjax.decide.predictive_scores import Calibration, held_out_votes, probability_of_votes
from emjax.infer.cross_validation import split

VOTES = "crowd-comparisons.csv"
STRENGTHS = {f"m{k}": s for k, s in enumerate(np.linspace(1.5, -1.5, 8))}


def without_ties(prefs, share):
    """The same votes with each tie counted as `share` of a vote for either side."""
    counts = prefs.counts[:, :2] + share * prefs.counts[:, 2:]
    rows = counts.any(axis=1)
    return dataclasses.replace(
        prefs,
        user=prefs.user[rows],
        comparison=prefs.comparison[rows],
        counts=counts[rows],
        outcomes=Outcomes(),
    )


def of_decided(prefs):
    """Users, comparisons, outcomes and counts of the votes that one side won."""
    return held_out_votes(without_ties(prefs, 0.0))


def given_no_tie(posterior, user, comparison, outcome):
    """Probability of the side that won, given that the vote is no tie."""
    both = [probability_of_votes(posterior, user, comparison, np.full_like(outcome, o)) for o in (0, 1)]
    return np.where(outcome == 0, both[0], both[1]) / (both[0] + both[1])


def all_outcomes(training, decided, votes):
    """Probability of every vote, ties too, from that of those with a winner: ties as frequent as before."""
    share = training.counts[:, 2].sum() / training.n_votes
    chance = np.full(len(votes[0]), share)
    chance[votes[2] < 2] = (1.0 - share) * decided
    return chance


def tie_rules(out, prefs, prior, folds):
    """Ties modelled, dropped, halved: prediction of all votes, and of the winner of decided votes."""
    parts, everything = [], []
    ways = {
        "ties modelled (Davidson)": emjax.AttentiveOrRandom(ties=emjax.Davidson()),
        "ties modelled (Rao-Kupper)": emjax.AttentiveOrRandom(ties=emjax.RaoKupper()),
    }
    seen_warnings = {}
    with record.counted_warnings(seen_warnings):
        for training, held_out in split(prefs, folds, 0):
            user, comparison, outcome, count = of_decided(held_out)
            votes = held_out_votes(held_out)
            chance, of_all = {}, {}
            for name, behavior in ways.items():
                after = emjax.fit_em(training, prior, behavior=behavior).posterior(training)
                chance[name] = given_no_tie(after, user, comparison, outcome)
                of_all[name] = probability_of_votes(after, *votes[:3])
            for name, share in (("ties dropped", 0.0), ("ties halved", 0.5)):
                some = without_ties(training, share)
                after = emjax.fit_em(some, prior).posterior(some)
                chance[name] = probability_of_votes(after, user, comparison, outcome)
                of_all[name] = all_outcomes(training, chance[name], votes)
            parts.append((user, count, chance))
            everything.append((votes[0], votes[3], of_all))
    for what, scored in (("all votes, ties too", everything), ("who wins where somebody does", parts)):
        users, counts, chances = zip(*scored, strict=True)
        found = Calibration(
            np.concatenate(users),
            np.concatenate(counts),
            {name: np.concatenate([one[name] for one in chances]) for name in chances[0]},
        )
        for name, score in found.log_scores.items():
            gain, beside = found.gains.get(name), ""
            if gain is not None:
                beside = f"; Davidson gains {gain.mean:+.4f} ({gain.lower:+.4f} to {gain.upper:+.4f}) on it"
            behind = gain is not None and name in ("ties dropped", "ties halved")
            out.figure(
                f"llmfao, {what}, log score per vote: {name}",
                score.mean,
                f"{score.mean:.4f}{beside}",
                "Davidson ahead" if behind else "",
                gain.mean > 0 if behind else None,
            )
    out.keep("tie rules, warnings", seen_warnings)


def careless_ties(out, prefs, priors):
    """Whether there are users who tie carelessly."""
    with record.counted_warnings({}):
        for prior in priors:
            fit = emjax.fit_em(prefs, prior)
            se = fit.standard_errors()
            tie, careless = se["tie"], se["careless ties"]
            out.figure(
                f"llmfao, {type(prior).__name__}: share of ties among careless votes",
                careless.estimate,
                f"{careless.estimate:.3f} (95 % interval to {careless.upper:.3f}); among equals, attentive "
                f"users tie {tie.estimate / (2 + tie.estimate):.0%} of votes; of all votes "
                f"{prefs.counts[:, 2].sum() / prefs.n_votes:.0%} are ties",
            )


def sides(out, prefs, users, seeds):
    """The preference for a side: of real votes, and where it is known."""
    with record.counted_warnings({}):
        guess = emjax.fit_em(prefs, emjax.Grid()).standard_errors()["guess"]
    out.figure(
        "llmfao: how often a careless vote goes to the answer on the left",
        guess.estimate,
        f"{guess.estimate:.3f} (standard error {guess.std_err:.3f}), if no strength depends on the prompt",
    )
    errors = []
    for seed in range(seeds):
        sim = emjax.simulate(
            seed,
            n_users=users,
            votes_per_user=25,
            strengths=STRENGTHS,
            prior=emjax.TwoPoint(0.1, 0.9, 0.6),
            behavior=emjax.AttentiveOrRandom(guess=0.7),
        )
        found = emjax.fit_em(sim.preferences, emjax.TwoPoint()).standard_errors()["guess"]
        errors.append((found.estimate - 0.7) / found.std_err)
    errors = np.array(errors)
    within = float(np.mean(np.abs(errors) < 1.96))
    out.figure(
        f"simulated, {users:,} users, {seeds} data sets: guess rate less the truth, in standard errors",
        errors,
        f"mean {errors.mean():+.2f}, sd {errors.std():.2f}; {within:.0%} within 1.96",
        "≥ 80 % within",
        within >= 0.8,
    )


def log_score(prefs, prior, behavior, folds):
    """Held-out votes under two behaviors, vote by vote."""
    return emjax.cross_validate(prefs, prior, behavior=behavior, folds=folds).probability["attentiveness"]


def curves(out, prefs, users, folds):
    """Mixture and sharpness on the same votes: real ones, and simulated under each of the two."""
    sets, apart = {"llmfao": prefs}, {name: 2.0 * s for name, s in STRENGTHS.items()}
    for name, truth in (("mixture", emjax.AttentiveOrRandom()), ("sharpness", emjax.Sharpness())):
        sim = emjax.simulate(
            7, n_users=users, votes_per_user=40, strengths=apart, prior=emjax.Beta(2, 2), behavior=truth
        )
        sets[f"simulated, strengths within ±3, {name}"] = sim.preferences
    with record.counted_warnings({}):
        for name, votes in sets.items():
            calibration = emjax.cross_validate(votes, emjax.Grid(), folds=folds)
            sharp = log_score(votes, emjax.Grid(), emjax.Sharpness(), folds)
            both = dataclasses.replace(
                calibration,
                probability={"mixture": calibration.probability["attentiveness"], "sharpness": sharp},
            )
            gain = both.gains["sharpness"]
            target = "" if name == "llmfao" else f"{name.split()[-1]} ahead"
            ahead = gain.mean > 0 if name.endswith("mixture") else gain.mean < 0
            out.figure(
                f"{name}: log score per held-out vote, mixture less sharpness",
                gain.mean,
                f"{gain.mean:+.5f} ({gain.lower:+.5f} to {gain.upper:+.5f})",
                target,
                ahead if target else None,
            )


def adversarial(out, users):
    """How many votes it takes to distinguish adversarial from careless users."""
    truth = emjax.Points(3, points=[-0.8, 0.0, 0.9], weights=[0.1, 0.3, 0.6], low=-1)
    rows = []
    for votes in (5, 10, 20, 40, 80, 160):
        sim = emjax.simulate(votes, n_users=users, votes_per_user=votes, strengths=STRENGTHS, prior=truth)
        fit = emjax.fit_em(sim.preferences, emjax.Points(3, low=-1))
        below = fit.posterior(sim.preferences).mean < -0.4
        share = [float(below[sim.attentiveness == eta].mean()) for eta in (-0.8, 0.0, 0.9)]
        rows.append([votes, *share])
    out.table(
        f"{users:,} users over 8 models; share with a posterior mean below -0.4, by votes per user",
        ["votes per user", "adversarial (-0.8)", "careless (0)", "attentive (0.9)"],
        [[str(votes), *(f"{x:.1%}" for x in share)] for votes, *share in rows],
    )
    enough = [votes for votes, found, wrong, _ in rows if found >= 0.9 and wrong <= 0.02]
    out.figure(
        "votes per user until 90 % of adversarial users are found, and at most 2 % of careless users too",
        min(enough, default=-1),
        str(min(enough)) if enough else "more than 160",
    )
    out.keep("contrarians", rows)


def vote_posteriors(out, users):
    """Users of attentiveness one half: which of their votes were careless, and which are right?"""
    rng = np.random.default_rng(5)
    user = np.repeat(np.arange(users), 40)
    names, s = np.array([*STRENGTHS], object), np.array([*STRENGTHS.values()])
    a = rng.integers(len(s), size=user.size)
    b = (a + rng.integers(1, len(s), user.size)) % len(s)
    chance = 1.0 / (1.0 + np.exp(s[b] - s[a]))
    attended, would = rng.random(user.size) < 0.5, rng.random(user.size) < chance
    won = np.where(attended, would, rng.random(user.size) < 0.5)
    prefs = emjax.Preferences.from_votes(user, np.column_stack([names[a], names[b]]), won)
    with record.counted_warnings({}):
        found = emjax.vote_posteriors(emjax.fit_em(prefs, emjax.TwoPoint()).posterior(prefs)).columns
    first, second = np.where(won, names[a], names[b]), np.where(won, names[b], names[a])
    a_won = found["outcome"] == "A won"
    winner = np.where(a_won, found["model_a"], found["model_b"])
    loser = np.where(a_won, found["model_b"], found["model_a"])
    place = {key: i for i, key in enumerate(zip(found["user"], winner, loser, strict=True))}
    at = np.array([place[key] for key in zip(user, first, second, strict=True)])
    mine, right = found["prob_attentive"][at], found["prob_right"][at]
    by_truth = np.where(won, chance, 1.0 - chance)
    best = by_truth / (by_truth + 0.5)  # the posterior, if strengths and attentiveness were known

    def area(score, good):
        ranks = rankdata(score)[good]
        return float((ranks.mean() - (good.sum() + 1) / 2) / (~good).sum())

    what = f"simulated, {users:,} users of attentiveness one half, 40 votes each"
    values = area(mine, attended), area(best, attended)
    out.figure(
        f"{what}: area under the curve, careless votes",
        values[0],
        f"{values[0]:.4f}; with strengths and attentiveness known {values[1]:.4f}",
        "within 0.01 of that",
        values[0] > values[1] - 0.01,
    )
    error = float(np.abs(mine.mean() - attended.mean())), float(np.abs(right.mean() - (won == would).mean()))
    out.figure(
        f"{what}: mean probability less frequency, of attentive votes and of right ones",
        error,
        f"{error[0]:.4f}, {error[1]:.4f}",
    )


def topics(out, users):
    """Eight models with the reverse order in a second topic: which strengths recover attentiveness?"""
    rng = np.random.default_rng(11)
    eta = np.where(rng.random(users) < 0.6, 0.95, 0.1)
    user = np.repeat(np.arange(users), 30)
    names, s = np.array([*STRENGTHS], object), np.array([*STRENGTHS.values()])
    a = rng.integers(len(s), size=user.size)
    b = (a + rng.integers(1, len(s), user.size)) % len(s)
    prose = rng.random(user.size) < 0.5
    margin = np.where(prose, -1.0, 1.0) * (s[a] - s[b])
    won = rng.random(user.size) < 0.5 + eta[user] * (1.0 / (1.0 + np.exp(-margin)) - 0.5)
    prefs = emjax.Preferences.from_votes(
        user, np.column_stack([names[a], names[b]]), won, context=np.where(prose, "prose", "code")
    )
    kinds = {
        "one strength per model for both topics": emjax.BradleyTerry(),
        "one per model and topic, pooled": emjax.BradleyTerry(l2_context=1.0),
    }
    with record.counted_warnings({}):
        for name, strength in kinds.items():
            mean = emjax.fit_em(prefs, emjax.TwoPoint(), strength=strength).posterior(prefs).mean
            correlation = float(np.corrcoef(mean, eta)[0, 1]) if np.ptp(mean) > 1e-9 else 0.0
            pooled = strength.l2_context is not None
            out.figure(
                f"simulated, 2 topics, {users:,} users: correlation of attentiveness with the truth, {name}",
                correlation,
                f"{correlation:.3f}",
                "≥ 0.9" if pooled else "",
                correlation >= 0.9 if pooled else None,
            )


def main():
    """Read options, measure."""
    given = record.options(
        "behavior",
        __doc__,
        "python -m benchmarks.behavior --data ../shared/data/llmfao",
        ("--data", {"type": Path, "help": "folder of llmfao (default: ../shared/data/llmfao)"}),
    )
    out = record.Record("behavior", given)
    data = given.data or record.ROOT.parent / "shared" / "data" / "llmfao"
    path = data / VOTES
    users, folds = (300, 2) if given.smoke else (3000, 5)
    prior = emjax.Grid(17) if given.smoke else emjax.Grid()
    if path.is_file():
        tied = emjax.read_votes(path, ties="model")
        if not given.smoke:
            careless_ties(out, tied, (emjax.TwoPoint(), emjax.Grid()))
        tie_rules(out, tied, prior, folds)
        sides(out, emjax.read_votes(path, shown_first="model_x"), users, 3 if given.smoke else 20)
        curves(out, emjax.read_votes(path), users, folds)
    else:
        out.not_run("llmfao: ties, sides, sharpness", f"no {VOTES} in {data}")
    topics(out, users)
    vote_posteriors(out, users)
    adversarial(out, 500 if given.smoke else 5000)
    out.write()


if __name__ == "__main__":
    main()
