"""Gold questions and earlier fits as evidence on users: the scale of estimates, and their accuracy.

Everything is simulated from the model, so that the truth is known.
"""

import warnings

import numpy as np

import emjax
from benchmarks import record

LOW, HIGH, SHARE, MU, ACCURACY = 0.1, 0.9, 0.6, 0.7, 0.95


def drawn(rng, users, votes, questions, accuracy=ACCURACY, eta=None):
    """Attentiveness of users, their votes in one comparison, and their right answers to gold questions."""
    if eta is None:
        eta = np.where(rng.random(users) < SHARE, HIGH, LOW)
    wins = rng.binomial(votes, 0.5 + eta * (MU - 0.5))
    right = rng.binomial(questions, 0.5 + eta * (accuracy - 0.5))
    return eta, wins, right


def with_gold(wins, votes, right, questions):
    """The votes, with the answers as evidence."""
    prefs = emjax.Preferences.from_counts(wins, np.full(len(wins), votes))
    if not questions:
        return prefs
    return prefs.with_anchor_votes(
        emjax.AnchorVotes.from_counts(np.arange(len(wins)), right, questions - right)
    )


def quiet(prefs, prior, **options):
    """A fit; that the scale is open where there is no gold is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        return emjax.fit_em(prefs, prior, **options)


def scale(out, seeds, users, votes, questions):
    """Intervals of everything in a model that one comparison leaves open, with gold questions."""
    truth = {"low": LOW, "high": HIGH, "weight": SHARE, "strength A over B": MU}
    inside = {name: [] for name in truth}
    for seed in range(seeds):
        _, wins, right = drawn(np.random.default_rng(seed), users, votes, questions)
        fit = quiet(with_gold(wins, votes, right, questions), emjax.TwoPoint(), strength=emjax.PerPair())
        for name, value in truth.items():
            found = fit.standard_errors()[name]
            inside[name].append(found.lower <= value <= found.upper)
    for name, hits in inside.items():
        share = float(np.mean(hits))
        slack = 4 * np.sqrt(0.95 * 0.05 / seeds)
        out.figure(
            f"one comparison, {users:,} users, {votes} votes and {questions} gold questions each: 95 % "
            f"interval of {name.removesuffix(' A over B')} covers the truth ({seeds} seeds)",
            share,
            f"{share:.1%}",
            f"95 % within {slack:.1%}",
            abs(share - 0.95) <= slack,
        )


def user_recovery(out, users, votes):
    """How well users are recovered from votes, with gold questions, and with an earlier fit."""
    rng, rows = np.random.default_rng(1000), []
    eta, wins, _ = drawn(rng, users, votes, 0)
    past, questions = 60, (0, 1, 3, 10)
    _, before, _ = drawn(rng, users, past, 0, eta=eta)
    earlier_prefs = emjax.Preferences.from_counts(before, np.full(users, past))
    earlier = quiet(earlier_prefs, emjax.TwoPoint(), strength=emjax.Shared((8, 2)))
    for many in questions:
        given = rng.binomial(many, 0.5 + eta * (ACCURACY - 0.5))
        prefs = with_gold(wins, votes, given, many)
        fit = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU))
        rows.append([f"{votes} votes, {many} gold questions", *known(fit.posterior(prefs), eta)])
    prefs = emjax.Preferences.from_counts(wins, np.full(users, votes))
    one = {"prior": emjax.Fixed(emjax.TwoPoint(LOW, HIGH, SHARE)), "strength": emjax.Known(MU)}
    history = quiet(earlier_prefs, **one).history(earlier_prefs)
    later = quiet(prefs, **one, prior_users=history)
    both = quiet(prefs + earlier_prefs, **one)
    rows.append([f"{votes} votes, and {past} in an earlier fit", *known(later.posterior(prefs), eta)])
    apart = np.abs(later.posterior(prefs).mean - both.posterior(prefs + earlier_prefs).mean).max()
    out.figure(
        "history against one fit of all votes, at the same strength: largest difference of E[η]",
        apart,
        f"{apart:.1e}",
        "≤ 1e-9",
        apart <= 1e-9,
    )
    with_estimates = quiet(
        prefs,
        emjax.Fixed(earlier.prior),
        strength=earlier.strength,
        prior_users=earlier.history(earlier_prefs),
    )
    rows.append(
        [
            "the same, the earlier fit not knowing the strength: its undetermined scale is passed on",
            *known(with_estimates.posterior(prefs), eta),
        ]
    )
    out.table(
        f"Simulated: {users:,} users of attentiveness {LOW} or {HIGH}, one comparison of strength {MU}",
        ["what is known", "correlation of E[η] with the truth", "users on the right side of 0.5"],
        rows,
    )


def known(posterior, eta):
    """How well users are known, as texts."""
    right = np.mean((posterior.mean > 0.5) == (eta > 0.5))
    return f"{np.corrcoef(posterior.mean, eta)[0, 1]:.3f}", f"{right:.1%}"


def wrong_accuracy(out, users, votes, questions):
    """The effect of a gold accuracy that is assumed too high."""
    rows = []
    for truly in (0.95, 0.9, 0.8):
        _, wins, right = drawn(np.random.default_rng(7), users, votes, questions, accuracy=truly)
        prefs = with_gold(wins, votes, right, questions)
        loose = quiet(prefs, emjax.TwoPoint(), strength=emjax.PerPair())
        tight = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU))
        of = [f"{float(x):.2f}" for x in (loose.prior.high, loose.strength.values[0], tight.prior.high)]
        rows.append([f"{truly}", *of])
    out.table(
        f"Gold questions that attentive users get right less often than the {ACCURACY} that is assumed "
        f"({users:,} users, {votes} votes and {questions} questions each)",
        [
            "truly",
            f"high, truth {HIGH}",
            f"strength, truth {MU}",
            "high where the strength is known",
        ],
        rows,
    )


def main():
    """Read options, measure."""
    given = record.options("evidence", __doc__, "python -m benchmarks.evidence")
    out = record.Record("evidence", given)
    small = given.smoke
    scale(out, 3 if small else 300, 300 if small else 1000, 20, 3)
    user_recovery(out, 300 if small else 5000, 5)
    wrong_accuracy(out, 300 if small else 20_000, 20, 5)
    out.write()


if __name__ == "__main__":
    main()
