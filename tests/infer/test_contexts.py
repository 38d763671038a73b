"""Strengths by topic: partially pooled by a ridge, and attentiveness that common strengths cannot recover."""

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

import emjax
from emjax.infer.standard_errors import StandardErrors
from emjax.infer.summaries import parameter_lines

MODELS = ("ant", "bee", "cat")
# ant is best at code and worst at prose; cat the other way round
TRUTH = {"code": np.array([1.2, 0.0, -1.2]), "prose": np.array([-1.2, 0.0, 1.2])}


def drawn(seed: int, users: int = 1500, votes: int = 30):
    """Votes of attentive and careless users on two topics, drawn without the package; true attentiveness."""
    rng = np.random.default_rng(seed)
    eta = np.where(rng.random(users) < 0.6, 0.95, 0.1)
    user = np.repeat(np.arange(users), votes)
    a = rng.integers(3, size=user.size)
    b = (a + rng.integers(1, 3, user.size)) % 3
    topic = rng.choice(["code", "prose"], user.size)
    s = np.where((topic == "code")[:, None], TRUTH["code"], TRUTH["prose"])
    row = np.arange(user.size)
    p = 0.5 + eta[user] * (1 / (1 + np.exp(s[row, b] - s[row, a])) - 0.5)
    names = np.array(MODELS, object)
    prefs = emjax.Preferences.from_votes(
        user, np.column_stack([names[a], names[b]]), rng.random(user.size) < p, context=topic
    )
    return prefs, eta


def test_attentiveness_is_recovered_with_strengths_by_topic_and_not_with_common_ones():
    prefs, eta = drawn(0)
    by_topic = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(l2_context=0.1))
    correlation = np.corrcoef(by_topic.posterior(prefs).mean, eta)[0, 1]
    known = emjax.Known({("ant", "bee"): 0.55, ("ant", "cat"): 0.6, ("bee", "cat"): 0.55})
    truly = emjax.Fixed(emjax.TwoPoint(0.1, 0.95, 0.6))  # even the true prior does not help common strengths
    one = emjax.fit_em(prefs, truly, strength=known).posterior(prefs).mean
    assert correlation > 0.9 and abs(np.corrcoef(one, eta)[0, 1]) < 0.1
    se = by_topic.standard_errors()
    for topic, strengths in TRUTH.items():
        for name, value in zip(MODELS, strengths, strict=True):
            found = se[f"strength of {name} in {topic}"]
            assert abs(found.estimate - value) < 4 * found.std_err
    assert by_topic.identifiability().identified


def test_the_leaderboard_ranks_models_overall_and_within_topics():
    prefs, _ = drawn(1, users=300)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(l2_context=1.0))
    board = fit.leaderboard(prefs).to_pydict()
    rows = list(zip(board["context"], board["model"], board["rank"], strict=True))
    assert [(of, rank) for of, _, rank in rows[:3]] == [(None, 1), (None, 2), (None, 3)]
    votes = {topic: (prefs.table.contexts == topic) @ prefs.table.votes.sum(axis=1) for topic in TRUTH}
    order = sorted(TRUTH, key=lambda topic: -votes[topic])
    assert [of for of, _, _ in rows[3:]] == [topic for topic in order for _ in MODELS]
    ranked = {of: [model for one, model, _ in rows if one == of] for of in TRUTH}
    assert ranked == {"code": ["ant", "bee", "cat"], "prose": ["cat", "bee", "ant"]}
    assert [rank for _, _, rank in rows] == [1, 2, 3] * 3
    cast = np.array(board["n_votes"]).reshape(3, 3)
    assert cast.sum(axis=1).tolist() == [2 * prefs.n_votes, *(2 * votes[topic] for topic in order)]
    by_model = dict(zip(board["model"][:3], cast[0], strict=True))
    assert by_model == {m: sum(n for (_, of, _), n in zip(rows[3:], cast[1:].ravel(), strict=True) if of == m)
                        for m in MODELS}  # fmt: skip


def test_a_fit_in_lines_says_that_strengths_are_of_models_in_contexts():
    names = [f"m{i} in {of}" for of in "xy" for i in range(7)]
    order = {"models": tuple(names), "components": np.repeat([0, 1], 7), "model_of": (*range(7), *range(7))}
    s = np.arange(14.0)
    strength = emjax.BradleyTerry(l2_context=1.0, strengths=s, **order)
    se = StandardErrors(
        tuple(f"strength of {name}" for name in names), s, s, s, s, ("",) * 14, np.eye(14), 0.95, np.eye(14)
    )
    lines = parameter_lines(strength, se)
    assert lines[0].startswith("model in context  strength")
    assert lines[-2] == "… and 2 more models in contexts" and lines[-1].startswith(
        "apart from a common factor"
    )


def test_the_context_penalty_is_that_of_a_hierarchical_normal_prior():
    """With every model's own strength at its best, by a general-purpose optimiser."""
    prefs, _ = drawn(2, users=50)
    start = emjax.BradleyTerry(l2=0.3, l2_context=0.7).start(prefs.table)
    u = np.random.default_rng(0).normal(size=len(start.models))
    model = np.array(start.model_of)
    assert [MODELS[i] for i in model] == [name.split(" in ")[0] for name in start.models]

    def penalty(own):
        return 0.35 * np.sum((u - own[model]) ** 2) + 0.15 * np.sum(own**2)

    with jax.enable_x64(True):
        found = float(start.at(u).log_prior())
    np.testing.assert_allclose(found, -minimize(penalty, np.zeros(3), tol=1e-12).fun, rtol=1e-8)


def test_a_strong_context_penalty_gives_common_strengths_and_a_weak_one_separate_strengths():
    prefs, _ = drawn(3, users=200)
    attentive = emjax.Fixed(emjax.TwoPoint(0.1, 0.95, 0.6))
    one = emjax.fit_em(prefs, attentive, strength=emjax.BradleyTerry())
    strong = emjax.fit_em(prefs, attentive, strength=emjax.BradleyTerry(l2=0.005, l2_context=1e6))
    together = np.repeat(np.asarray(one.strength.strengths), 2)
    np.testing.assert_allclose(strong.strength.strengths, together, atol=2e-3)
    weak = emjax.fit_em(prefs, attentive, strength=emjax.BradleyTerry(l2_context=1e-3))
    alone = emjax.fit_em(prefs, attentive, strength=emjax.PerPair(prior=(1, 1)))
    assert alone.log_likelihood > weak.log_likelihood > strong.log_likelihood + 50


def test_a_saved_fit_by_context_gives_posteriors_of_new_votes(tmp_path):
    prefs, _ = drawn(4, users=200)
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(l2_context=1.0))
    again = emjax.load_fit(fit.save(tmp_path / "fit"))
    np.testing.assert_array_equal(again.posterior(prefs).mean, fit.posterior(prefs).mean)
    warm = emjax.fit_em(prefs, again.prior, strength=again.strength)
    assert abs(warm.log_likelihood - fit.log_likelihood) < 1e-2


def test_unknown_contexts_are_refused():
    plain = emjax.Preferences.from_votes([1, 1, 2], [["a", "b"]] * 3, [1, 1, 0])
    with pytest.raises(emjax.ModelError, match="read them with context=COLUMN"):
        emjax.fit_em(plain, emjax.TwoPoint(), strength=emjax.BradleyTerry(l2_context=1.0))
    with pytest.raises(emjax.ModelError, match="l2_context > 0"):
        emjax.BradleyTerry(l2_context=-1)
    prefs, _ = drawn(5, users=30)
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.BradleyTerry(l2_context=1.0))
    other = emjax.Preferences.from_votes([1], [["ant", "bee"]], [1], context=["maths"])
    with pytest.raises(emjax.ModelError, match="2 models of these votes are not in the fit, first ant in"):
        fit.posterior(other)


def test_attentiveness_by_topic_equals_that_of_one_user_per_topic():
    """Users attentive to code and not to prose: recovered as two numbers per user."""
    rng = np.random.default_rng(9)
    users, n = 400, 400 * 40
    user, topic = np.repeat(np.arange(users), 40), np.tile(["code", "prose"], n // 2)
    expert = np.arange(users) < 200
    eta = np.where((topic == "code") & expert[user], 0.9, 0.1)
    won = rng.random(n) < 0.5 + eta * 0.35
    prefs = emjax.Preferences.from_votes(user, [["new", "old"]] * n, won, context=topic)
    apart = prefs.users_by_context()
    assert apart.n_users == 2 * users and apart.n_votes == n
    fit = emjax.fit_em(apart, emjax.TwoPoint(), strength=emjax.Known(0.85))
    found = dict(zip(apart.users, fit.posterior(apart).mean, strict=True))
    by_topic = np.array([[found[f"{u} in {t}"] for t in ("code", "prose")] for u in range(users)])
    assert (
        by_topic[expert, 0].mean() > 0.7 and by_topic[~expert, 0].mean() < 0.2 and by_topic[:, 1].mean() < 0.2
    )
    for name, truth in (("low", 0.1), ("high", 0.9), ("weight", 0.25)):
        se = fit.standard_errors()[name]
        assert abs(se.estimate - truth) < 4 * se.std_err
    # the same counts, grouped by hand
    by_hand = np.zeros((2 * users, 2))
    np.add.at(by_hand, (2 * user + (topic == "prose"), 1 - won), 1.0)
    place = [2 * int(name.split()[0]) + (name.split()[2] == "prose") for name in apart.users]
    wins = np.zeros((apart.n_users, 2))
    np.add.at(wins, apart.user, apart.counts)
    assert np.array_equal(wins, by_hand[place])


def test_users_by_context_refuses_unsupported_votes():
    votes = [["a", "b"]] * 2, [1, 0]
    with pytest.raises(emjax.VotesError, match="no contexts"):
        emjax.Preferences.from_votes(["u", "v"], *votes).users_by_context()
    alike = emjax.Preferences.from_votes(["u", "u in x"], *votes, context=["x in y", "y"])
    with pytest.raises(emjax.VotesError, match="'u in x in y'"):
        alike.users_by_context()
    known = emjax.Preferences.from_votes(["u", "v"], *votes, context=["x", "y"], gold=[1, None])
    with pytest.raises(emjax.VotesError, match="gold questions"):
        known.users_by_context()
