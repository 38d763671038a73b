"""Gold questions and earlier votes, against a likelihood written out and against fits of all votes as one."""

import numpy as np
import pytest
import response_cases
from scipy.special import logsumexp

import emjax
import oracles
from emjax.infer.em import with_prior_users

LOG_ODDS = np.log([0.95 / 0.05, 0.8 / 0.2])
PRIORS = {
    "two-point": emjax.TwoPoint(0.2, 0.9, 0.5),
    "points": emjax.Points(3),
    "beta": emjax.Beta(2, 2),
    "grid": emjax.Grid(16),
    "fixed": emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.5)),
}
STRENGTHS = {
    "known": emjax.Known([0.7, 0.85, 0.75]),
    "shared": emjax.Shared(),
    "per-pair": emjax.PerPair(),
    "bradley-terry": emjax.BradleyTerry(),
}
PAIRS = [["ant", "bee"], ["ant", "cat"], ["bee", "cat"]]


def drawn(seed, users=300, votes=5, questions=4):
    """Votes in three comparisons and answers to gold questions of two accuracies; without the package."""
    rng = np.random.default_rng(seed)
    eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)
    p = 0.5 + eta[:, None] * (np.array([0.72, 0.85, 0.75]) - 0.5)
    wins = rng.binomial(votes, p)
    right = rng.binomial(questions, 0.5 + eta[:, None] * (np.array([0.95, 0.8]) - 0.5))
    prefs = emjax.Preferences.from_counts(wins, np.full_like(wins, votes), comparisons=PAIRS)
    of = np.repeat(np.arange(users), 2)
    known = emjax.AnchorVotes.from_counts(
        of, right.ravel(), questions - right.ravel(), accuracy=np.tile([0.95, 0.8], users)
    )
    return prefs.with_anchor_votes(known), eta, wins, right, votes, questions


@pytest.fixture(scope="module")
def simulated():
    return drawn(0)


def logits_of(fit):
    """Of the three comparisons."""
    return {
        emjax.Known: lambda s: np.log(s.value / (1 - s.value)),
        emjax.Shared: lambda s: np.full(3, np.log(s.value / (1 - s.value))),
        emjax.PerPair: lambda s: np.log(s.values / (1 - s.values)),
        emjax.BradleyTerry: lambda s: s.strengths[[0, 0, 1]] - s.strengths[[1, 2, 2]],
    }[type(fit.strength)](fit.strength)


@pytest.mark.parametrize(
    ("prior", "strength"),
    [(prior, "bradley-terry") for prior in PRIORS] + [("two-point", other) for other in list(STRENGTHS)[:3]],
)
def test_the_likelihood_is_that_of_questions_beside_comparisons(simulated, prior, strength, quiet):
    prefs, _, wins, right, votes, questions = simulated
    fit = quiet(prefs, PRIORS[prior], strength=STRENGTHS[strength])
    assert fit.converged
    assert (np.diff(fit.trace) > -1e-9 * abs(fit.log_likelihood)).all()
    counts = np.stack([np.hstack([wins, right]), np.hstack([votes - wins, questions - right])], axis=2)
    mu = 1 / (1 + np.exp(-np.concatenate([logits_of(fit), LOG_ODDS[::-1]])))
    counts = counts[:, [0, 1, 2, 4, 3]]  # questions are in the order of their accuracy
    if prior == "beta":
        a, b = float(fit.prior.a), float(fit.prior.b)
        expected = oracles.log_likelihood_beta(counts, mu, a, b)
        mean = oracles.posterior_moments_beta(counts, mu, a, b)[0]
    else:
        at = fit.prior.prior if prior == "fixed" else fit.prior
        with_x64 = [np.asarray(x, float) for x in (at.nodes().eta, np.exp(at.log_weights()))]
        expected = oracles.log_likelihood_discrete(counts, mu, *with_x64)
        mean = oracles.posterior_moments_discrete(counts, mu, *with_x64)[0]
    assert fit.log_likelihood == pytest.approx(expected, abs=2e-3)
    assert fit.posterior(prefs).mean == pytest.approx(np.asarray(mean), abs=1e-5)


def test_gold_questions_settle_the_scale_that_one_comparison_leaves_open():
    rng = np.random.default_rng(1)
    eta = np.where(rng.random(2000) < 0.6, 0.9, 0.1)
    wins = rng.binomial(20, 0.5 + eta * 0.2)
    right = rng.binomial(5, 0.5 + eta * 0.45)
    prefs = emjax.Preferences.from_counts(wins, np.full(2000, 20))
    with_gold = prefs.with_anchor_votes(emjax.AnchorVotes.from_counts(np.arange(2000), right, 5 - right))
    loose, tight = (emjax.fit_em(x, emjax.TwoPoint(), strength=emjax.PerPair()) for x in (prefs, with_gold))
    assert not loose.identified.identified and tight.identified.identified
    for name, truth in (("low", 0.1), ("high", 0.9), ("weight", 0.6), ("strength A over B", 0.7)):
        found = tight.standard_errors()[name]
        assert abs(found.estimate - truth) < 4 * found.std_err
    assert emjax.identifiability(with_gold, emjax.TwoPoint()).identified


@pytest.mark.long
def test_gold_determines_the_sign_where_most_users_choose_the_worse_answer(quiet):
    rng = np.random.default_rng(2)
    eta = np.where(rng.random(600) < 0.7, -0.9, 0.9)
    wins, right = rng.binomial(20, 0.5 + eta * 0.3), rng.binomial(5, 0.5 + eta * 0.45)
    prefs = emjax.Preferences.from_counts(wins, np.full(600, 20))
    with_gold = prefs.with_anchor_votes(emjax.AnchorVotes.from_counts(np.arange(600), right, 5 - right))
    fit = quiet(with_gold, emjax.Grid(21, low=-1), strength=emjax.PerPair())
    assert float(fit.strength.values[0]) == pytest.approx(0.8, abs=0.02)
    assert fit.posterior(with_gold).mean.mean() == pytest.approx(eta.mean(), abs=0.05)


@pytest.mark.parametrize("behavior", [emjax.AttentiveOrRandom(guess=0.6), emjax.Sharpness()])
def test_answers_follow_the_behavior(behavior, quiet):
    """An answer has the chance that a vote in a comparison of that strength has."""
    rng = np.random.default_rng(3)
    sides = isinstance(behavior, emjax.AttentiveOrRandom)
    n = 40 * 12
    user, won = np.repeat(np.arange(40), 12), rng.random(n) < 0.6
    gold = np.where(rng.random(n) < 0.3, 1.0, np.nan)
    first = rng.random(n) < 0.5 if sides else None
    prefs = emjax.Preferences.from_votes(
        user, [["a", "b"]] * n, won, gold=gold, gold_accuracy=0.9, shown_first=first
    )
    eta, weights = np.array([0.2, 0.9]), np.array([0.4, 0.6])
    prior = emjax.Fixed(emjax.Points(2, points=eta, weights=weights))
    fit = quiet(prefs, prior, strength=emjax.Known(0.7), behavior=behavior)

    def chances(point, logit):
        return (
            response_cases.mixture(point, logit, guess=0.6)
            if sides
            else response_cases.sharpness(point, logit)
        )

    column = (2 * (1 - first) if sides else 0) + (1 - won)
    counts = np.zeros((40, 2, 4 if sides else 2))
    np.add.at(counts, (user, np.where(np.isnan(gold), 0, 1), column), 1.0)
    logits = np.log([0.7 / 0.3, 0.9 / 0.1])
    expected = response_cases.log_likelihood(counts, logits, eta, np.log(weights), chances).real
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-6)


def test_two_fits_in_sequence_give_the_posterior_of_one_fit_under_known_strengths(quiet):
    """Under fixed strengths, two fits in sequence give the posteriors of one fit of all votes."""
    _, _, wins, _, votes, _ = drawn(4)
    users = np.arange(len(wins))
    known, prior = emjax.Known([0.7, 0.85, 0.75]), PRIORS["fixed"]
    day = [
        emjax.Preferences.from_counts(
            part, np.minimum(np.full_like(part, votes), part + k), comparisons=PAIRS
        )
        for part, k in ((wins, 1), (wins // 2, 2))
    ]
    earlier = quiet(day[0], prior, strength=known)
    later = quiet(day[1], prior, strength=known, prior_users=earlier.history(day[0]))
    both = quiet(day[0] + day[1], prior, strength=known)
    assert later.posterior(day[1]).mean == pytest.approx(both.posterior(day[0] + day[1]).mean, abs=1e-12)
    assert later.log_likelihood == pytest.approx(both.log_likelihood, abs=1e-8)
    # and so do three days, of which the second fit passes on both
    third = quiet(day[1], prior, strength=known, prior_users=later.history(day[1]))
    all_of_it = day[0] + day[1] + day[1]
    assert third.posterior(day[1]).mean == pytest.approx(
        quiet(all_of_it, prior, strength=known).posterior(all_of_it).mean, abs=1e-12
    )
    assert len(users) == later.prior_users.users.size


def test_votes_of_many_strengths_are_carried_over_closely(quiet):
    """Strengths are rounded to fifty values; the posterior hardly changes."""
    sim = emjax.simulate(
        5,
        n_users=400,
        votes_per_user=60,
        strengths={f"m{i}": 0.3 * i for i in range(12)},
        prior=PRIORS["beta"],
    )
    prefs = sim.preferences
    fit = quiet(prefs, emjax.Beta())
    held = emjax.Fixed(fit.prior)
    carried = fit.history(prefs)
    assert len(carried.accuracy) <= 50 and carried.n_votes == prefs.n_votes
    one = emjax.Preferences.from_counts(np.ones(400), np.ones(400), users=prefs.users)
    half = quiet(one, held, strength=emjax.Known(0.5 + 1e-6), prior_users=carried)  # a vote that says nothing
    exact = fit.posterior(prefs)
    assert (np.abs(half.posterior(one).mean - exact.mean) < 0.02 * exact.sd).all()


def test_newcomers_start_from_the_prior_and_old_users_from_their_history(quiet):
    known, prior = emjax.Known(0.9), emjax.Fixed(emjax.Beta(2, 2))
    monday = emjax.Preferences.from_counts([10, 5], [10, 10], users=["ann", "bob"])
    earlier = quiet(monday, prior, strength=known)
    tuesday = emjax.Preferences.from_counts([1, 1, 1], [1, 1, 1], users=["ann", "bob", "eve"])
    fit = quiet(tuesday, prior, strength=known, prior_users=earlier.history(monday))
    eta = np.linspace(0.0005, 0.9995, 1000)
    votes = {"ann": (11, 0), "bob": (6, 5), "eve": (1, 0)}
    for mean, (won, lost) in zip(fit.posterior(tuesday).mean, votes.values(), strict=True):
        log_p = np.log(eta * (1 - eta)) + won * np.log(0.5 + 0.4 * eta) + lost * np.log(0.5 - 0.4 * eta)
        assert mean == pytest.approx(np.exp(log_p - logsumexp(log_p)) @ eta, abs=1e-5)


def test_a_fit_with_history_is_saved_and_loaded_unchanged(tmp_path, quiet):
    known, prior = emjax.Known(0.9), emjax.Fixed(emjax.Beta(2, 2))
    prefs = emjax.Preferences.from_counts([9, 5], [10, 10], users=["ann", "bob"])
    earlier = quiet(prefs, prior, strength=known)
    fit = quiet(prefs, prior, strength=known, prior_users=earlier.history(prefs))
    back = emjax.load_fit(fit.save(tmp_path))
    assert np.array_equal(back.posterior(prefs).mean, fit.posterior(prefs).mean)
    assert not np.array_equal(fit.posterior(prefs).mean, earlier.posterior(prefs).mean)
    earlier.save(tmp_path)  # and leaves nothing of the other behind
    assert emjax.load_fit(tmp_path).prior_users is None
    assert not (tmp_path / "prior_users.parquet").exists()


@pytest.mark.long
def test_cross_validation_uses_gold_answers(simulated):
    prefs, *_ = simulated
    found = emjax.cross_validate(prefs, emjax.TwoPoint(), folds=2)
    assert found.gains["every user attentive"].mean > 0


def test_the_posterior_with_gold_is_calibrated():
    """Drawn from the model: a tenth of the users with the highest P(high) are attentive that often."""
    prior, rng = emjax.TwoPoint(0.1, 0.9, 0.5), np.random.default_rng(6)
    high = rng.random(20_000) < 0.5
    eta = np.where(high, 0.9, 0.1)
    wins, right = rng.binomial(4, 0.5 + eta * 0.2), rng.binomial(2, 0.5 + eta * 0.45)
    prefs = emjax.Preferences.from_counts(wins, np.full(20_000, 4))
    prefs = prefs.with_anchor_votes(emjax.AnchorVotes.from_counts(np.arange(20_000), right, 2 - right))
    fit = emjax.fit_em(prefs, emjax.Fixed(prior), strength=emjax.Known(0.7))
    probability = (fit.posterior(prefs).mean - 0.1) / 0.8
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        some = (probability >= low) & (probability < low + 0.2)
        if some.sum() > 100:
            off = high[some].mean() - probability[some].mean()
            assert abs(off) < 4 * np.sqrt(0.25 / some.sum())


def test_gold_answers_count_under_strengths_learned_from_scores(quiet):
    """Users of three prompts, of whom half answered gold questions well and the others badly."""
    rng = np.random.default_rng(7)
    n = 900
    user, prompt = rng.integers(60, size=n), rng.integers(3, size=n).astype(str)
    right = np.where(np.arange(60) < 30, 9, 5)
    votes = emjax.Preferences.from_votes(user, [["a", "b"]] * n, rng.random(n) < 0.6, context=prompt)
    known = emjax.AnchorVotes.from_counts(np.arange(60), right, 10 - right)
    answers = [(x, model) for x in "012" for model in "ab"]
    scores = emjax.MonotoneReward(answers, np.tile([1.0, 0.0], 3), knots=1)
    prior = emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.5))
    fit = quiet(votes.with_anchor_votes(known), prior, strength=scores)
    shared = quiet(
        votes.with_anchor_votes(known), prior, strength=emjax.Known(float(fit.strength.natural()[0]))
    )
    mean = fit.posterior(votes.with_anchor_votes(known)).mean
    assert mean == pytest.approx(shared.posterior(votes.with_anchor_votes(known)).mean, abs=1e-6)
    assert fit.log_likelihood == pytest.approx(shared.log_likelihood, abs=1e-6)
    assert mean[:30].mean() > mean[30:].mean() + 0.4
    assert fit.history(votes.with_anchor_votes(known)).n_votes == n + 600


def test_users_without_new_votes_keep_their_history(quiet):
    known, prior = emjax.Known(0.9), emjax.Fixed(emjax.Beta(2, 2))
    monday = emjax.Preferences.from_counts([9, 5, 2], [10, 10, 10], users=["ann", "bob", "eve"])
    tuesday = emjax.Preferences.from_counts([3], [4], users=["bob"])
    first = quiet(monday, prior, strength=known).history(monday)
    second = quiet(tuesday, prior, strength=known, prior_users=first).history(tuesday)
    assert second.users.tolist() == ["ann", "bob", "eve"]
    assert second.accuracy == pytest.approx([0.9])
    assert second.counts.tolist() == [[9, 1], [8, 6], [2, 8]]
    wednesday = emjax.Preferences.from_counts([1], [1], users=["eve"])
    fit = quiet(wednesday, prior, strength=known, prior_users=second)
    whole = emjax.Preferences.from_counts([3], [11], users=["eve"])
    expected = quiet(whole, prior, strength=known).posterior(whole).mean
    assert fit.posterior(wednesday).mean == pytest.approx(expected, abs=1e-12)


def test_evidence_about_other_users_gives_a_warning_and_does_not_determine_the_scale():
    prefs = emjax.Preferences.from_counts([8, 5, 6, 9], [10] * 4)
    other_users = emjax.AnchorVotes.from_counts(["x@y"], [3], [0])
    with pytest.warns(emjax.EmjaxWarning, match=r"name no user who voted here.*'x@y'"):
        fit = emjax.fit_em(prefs, emjax.TwoPoint(), prior_users=other_users)
    assert any("scale of attentiveness" in finding.what for finding in fit.identified.findings)
    nothing = emjax.AnchorVotes.from_counts([0, 1], [3, 2], [0, 1], accuracy=0.5)
    assert prefs.with_anchor_votes(nothing).anchor_votes is None


def test_cells_with_prior_users_are_refused(quiet):
    import pyarrow as pa

    rows = {"user": [0, 0, 1], "model_a": ["n"] * 3, "model_b": ["o"] * 3, "winner": ["a", "b", "a"]}
    prefs = emjax.read_votes(pa.table(rows))
    known = emjax.AnchorVotes.from_counts([0], [9], [0])
    fit = quiet(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8), prior_users=known)
    with pytest.raises(emjax.ModelError, match="cells do not identify users"):
        fit.cells(emjax.read_cells(pa.table(rows)))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda p, e: with_prior_users(p, 0.9), "earlier fit's history"),
        (lambda p, e: emjax.fit_em([p], emjax.Beta(), prior_users=e), "give one Preferences"),
        (
            lambda p, e: emjax.fit_em(p.with_anchor_votes(e), emjax.Beta(), strength=emjax.PerItem()),
            "do not go with anchor votes",
        ),
    ],
)
def test_models_that_do_not_go_with_anchor_votes_refuse_them(call, says):
    prefs = emjax.Preferences.from_counts([8, 5, 6], [10, 10, 10])
    with pytest.raises(emjax.ModelError, match=says):
        call(prefs, emjax.AnchorVotes.from_counts([0, 1], [3, 2], [0, 1]))


def test_users_in_parts_give_the_fit_of_all_users_with_gold(simulated, quiet, monkeypatch):
    """Users in parts that are processed one after the other."""
    prefs = simulated[0]
    whole = quiet(prefs, emjax.TwoPoint(), strength=emjax.PerPair())
    monkeypatch.setattr("emjax.infer.vote_sources._MAX_ELEMENTS", 200)
    parts = quiet(prefs, emjax.TwoPoint(), strength=emjax.PerPair())
    assert parts.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-6)
    assert parts.strength.values == pytest.approx(whole.strength.values, abs=1e-4)
