"""Posterior predictive checks: not extreme under the true model, extreme under the failure they are for.

So that this takes seconds, most draws are made from a fit of `fit_em`, which the failure has affected as it
would affect draws by NUTS; the long tests do the same with these.
"""

import warnings
from typing import NamedTuple

import jax
import numpy as np
import pytest

import emjax
from emjax.bayes.predictive_checks import STATISTICS, PredictiveCheck, PredictiveChecks, predictive_checks
from emjax.model.model import Model

TWO = emjax.Fixed(emjax.Points(2, [0.2, 0.9], [0.4, 0.6]))
DRAWS = 100


class World(NamedTuple):
    """How votes are simulated; by default as the models here assume."""

    users: int = 300
    models: int = 3
    each: int = 4  # votes of a user in each comparison
    adversarial: float = 0.0  # share of users with attentiveness −0.9
    topics: bool = False  # half of the users attend to even comparisons alone, the others to odd ones
    own: float = 0.0  # share of comparisons in which a user always votes for a favourite of his own
    cycle: bool = False  # strengths 1, 2, 3 beat each other in a cycle
    reversed_pair: bool = False  # the strongest against the weakest has the other result
    odd_model: bool = False  # the first model's results do not depend on its strength
    ties: float | None = None  # share of ties; None for no ties
    ties_of_unequal: float | None = None  # between the first and the third model, of three
    tying_users: bool = False  # one user of eight nearly always ties, the others hardly ever
    guess: float | None = None  # how often careless votes go to the first side; None for no sides
    one_sided: bool = False  # a careless vote goes to the user's own side


def simulated(seed: int, w: World) -> emjax.Preferences:
    rng = np.random.default_rng(seed)
    strength = np.linspace(1.2, -1.2, w.models)
    pairs = np.array([(a, b) for a in range(w.models) for b in range(a + 1, w.models)])
    logit = strength[pairs[:, 0]] - strength[pairs[:, 1]]
    if w.cycle:
        logit = np.array([1.2, -1.2, 1.2])
    if w.reversed_pair:
        logit[w.models - 2] *= -1.0
    if w.odd_model:
        of_first = pairs[:, 0] == 0
        logit[of_first] = np.where(pairs[of_first, 1] % 2 == 0, 1.5, -1.5)
    user = np.repeat(np.arange(w.users), len(pairs) * w.each)
    pair = np.tile(np.repeat(np.arange(len(pairs)), w.each), w.users)
    n = len(user)
    eta = rng.choice([0.2, 0.9], w.users, p=[0.4, 0.6])
    eta[rng.random(w.users) < w.adversarial] = -0.9
    on = eta[user]
    if w.topics:
        on = np.where(pair % 2 == rng.integers(2, size=w.users)[user], 0.95, 0.0)
    attentive = rng.random(n) < np.abs(on)
    to_a = 1 / (1 + np.exp(-logit[pair] * np.sign(on)))
    first = rng.random(n) < 0.5
    guess = 0.5 if w.guess is None else w.guess
    guess_of = np.where(rng.random(w.users) < 0.5, 0.02, 0.98)[user] if w.one_sided else guess
    won = rng.random(n) < np.where(attentive, to_a, np.where(first, guess_of, 1 - guess_of))
    stubborn, favourite = rng.random((w.users, len(pairs))) < w.own, rng.random((w.users, len(pairs))) < 0.5
    won = np.where(stubborn[user, pair], favourite[user, pair], won).astype(float)
    told = {}
    if w.ties is not None:
        share = np.full(n, w.ties)
        if w.ties_of_unequal is not None:
            share[pair == 1] = w.ties_of_unequal
        if w.tying_users:
            share = np.where(rng.random(w.users) < 0.125, 0.9, 0.02)[user]
        won[rng.random(n) < share] = 0.5
        told["ties"] = "model"
    if w.guess is not None:
        told["shown_first"] = first
    names = np.array([f"m{i}" for i in range(w.models)])
    return emjax.Preferences.from_votes(user, names[pairs[pair]], won, **told)


def at_estimates(prefs, prior=TWO, **options) -> PredictiveChecks:
    """The checks with draws from the normal approximation of strengths and behavior, at the fitted prior."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        em = emjax.fit_em(prefs, prior, **({"strength": emjax.BradleyTerry()} | options))
    centre = Model(em.prior, em.strength, em.behavior)
    at, own = em.curvature, em.curvature.of_strength
    values, vectors = np.linalg.eigh((at.observed + at.log_prior)[np.ix_(own, own)])
    rng, n = np.random.default_rng(0), len(np.asarray(em.strength.coordinates()))
    made = []
    with jax.enable_x64(True):
        for _ in range(DRAWS):
            move = vectors @ (rng.normal(size=len(values)) / np.sqrt(np.maximum(values, 1 / 16)))
            strength = em.strength.at(np.asarray(em.strength.coordinates()) + move[:n])
            behavior = em.behavior.at(np.asarray(em.behavior.coordinates()) + move[n:])
            made.append(Model(em.prior, strength.bare(), behavior))
        draws = jax.tree.map(lambda *x: np.stack(x), *made)
    return predictive_checks(prefs, centre, draws, jax.random.key(0))


RIGHT = {"plain": World(), "many models": World(models=6, each=2), "ties and sides": None}


def right(seed: int, name: str) -> emjax.Preferences:
    """Votes as the model assumes; those with ties follow Davidson's rule, so the package draws them."""
    if RIGHT[name] is not None:
        return simulated(seed, RIGHT[name])
    behavior = emjax.AttentiveOrRandom(guess=0.7, ties=emjax.Davidson(0.7), careless_ties=0.2)
    strengths = {"m0": 1.2, "m1": 0.0, "m2": -1.2}
    return emjax.simulate(
        seed, n_users=300, votes_per_user=12, prior=TWO, strengths=strengths, behavior=behavior
    ).preferences


@pytest.mark.parametrize("name", RIGHT)
def test_under_the_true_model_p_values_are_not_extreme(name):
    p = {}
    for seed in range(5):
        checks = at_estimates(right(seed, name))
        for check in checks:
            p.setdefault(check.name, []).append(check.p_value)
    values = np.array(list(p.values()))
    assert ((values <= 0.01) | (values >= 0.99)).sum() <= 2, p
    assert (values.mean(axis=1) > 0.2).all() and (values.mean(axis=1) < 0.8).all(), p


FAILURES = {
    "users below one half": World(adversarial=0.08, each=6),
    "halves of comparisons": World(topics=True, each=8),
    "repeated votes": World(own=0.3),
    "misfit of comparisons": World(cycle=True),
    "misfit of one comparison": World(models=8, each=1, reversed_pair=True),
    "misfit of one model": World(models=8, each=1, odd_model=True),
    "ties by comparison": World(ties=0.1, ties_of_unequal=0.4),
    "ties by user": World(ties=0.2, tying_users=True),
    "first side by user": World(guess=0.5, one_sided=True),
}


def prior_for(name):
    """A prior to be fitted; not for users who tie by habit, which two points would take for one group."""
    return TWO if name == "ties by user" else emjax.TwoPoint()


@pytest.mark.parametrize("name", FAILURES)
def test_each_statistic_detects_its_failure(name):
    checks = at_estimates(simulated(1, FAILURES[name]), prior_for(name))
    assert checks[name].extreme, checks
    assert f"{checks[name].name}" in repr(checks) and f"It detects {STATISTICS[name]}." in repr(checks)
    if name != "ties by user":  # to which the rates of ties adapt, and beyond
        assert (checks[name].p_value > 0.5) == (name == "halves of comparisons")


def test_the_residuals_say_where_they_are():
    checks = at_estimates(simulated(1, FAILURES["misfit of one comparison"]))
    assert checks["misfit of one comparison"].where == "m0 against m7"
    assert at_estimates(simulated(1, FAILURES["misfit of one model"]))["misfit of one model"].where == "m0"


def test_a_wrong_known_guess_rate_is_detected():
    prefs = simulated(2, World(guess=0.8))
    wrong = at_estimates(prefs, behavior=emjax.AttentiveOrRandom(guess=0.5))
    assert wrong["votes for the first side"].p_value < 0.01
    assert not at_estimates(prefs)["votes for the first side"].extreme


def test_wrong_known_strengths_are_detected():
    prefs = simulated(3, World())
    known = emjax.Known({("m0", "m1"): 0.77, ("m0", "m2"): 0.6, ("m1", "m2"): 0.77})
    assert at_estimates(prefs, strength=known)["misfit of comparisons"].p_value < 0.01


def test_the_spread_is_that_of_win_rates(one_point, two_point, prefs):
    wrong, right = (fit.predictive_checks(prefs, key=3) for fit in (one_point, two_point))
    assert wrong["spread of win rates"].p_value < 0.01
    assert not any(check.extreme for check in right)
    rates = two_point.win_rates(prefs, key=3)
    spread = right["spread of win rates"]
    assert spread.observed == pytest.approx(rates.sd_seen)
    np.testing.assert_allclose(
        two_point.predictive_checks(prefs, key=3)["spread of win rates"].predicted_values,
        spread.predicted_values,
    )
    assert abs(spread.predicted_values.mean() - rates.sd_drawn.mean()) < 0.01
    # One comparison has no halves, and no other comparisons to be compared with.
    assert [check.name for check in right] == [
        "spread of win rates",
        "users below one half",
        "misfit of comparisons",
    ]


def test_draws_of_a_fit_have_all_statistics_of_its_votes(ranked, arena):
    checks = ranked.predictive_checks(arena, key=1, draws=100)
    assert len(checks["repeated votes"].predicted_values) == 100
    assert {"halves of comparisons", "misfit of one comparison"} <= {check.name for check in checks}
    assert "misfit of one model" not in {check.name for check in checks}  # three models have one cycle
    misfit = checks["misfit of comparisons"]
    assert np.ptp(misfit.observed_values) > 0  # a residual depends on the parameters
    with pytest.raises(emjax.ModelError, match="predictive_checks takes as key a seed"):
        ranked.predictive_checks(arena, key="x")


@pytest.mark.parametrize("few", [1, 2, 5])
def test_few_users(few):
    rng = np.random.default_rng(few)
    for comparisons in (["new"], [["a", "b"], ["b", "c"], ["a", "c"]]):
        total = rng.integers(1, 4, (few, len(comparisons)))
        prefs = emjax.Preferences.from_counts(rng.binomial(total, 0.7), total, comparisons=comparisons)
        strength = emjax.Known(0.8) if len(comparisons) == 1 else emjax.BradleyTerry()
        checks = at_estimates(prefs, strength=strength)
        assert "misfit of comparisons" in repr(checks)
        assert ("spread of win rates" in {check.name for check in checks}) == (few > 1)
        assert all(np.isfinite([check.observed, check.p_value]).all() for check in checks)


def test_half_votes_and_users_without_votes():
    """A tie as two half votes: as many votes in predictive draws, and their residuals are defined."""
    won = np.array([1.0, 0.5, 0.0, 1.0, 0.5])
    prefs = emjax.Preferences.from_votes([0, 0, 1, 1, 2], [["a", "b"]] * 5, won)
    checks = at_estimates(prefs, strength=emjax.Known(0.8))
    assert np.isfinite(checks["misfit of comparisons"].observed)
    silent = emjax.Preferences.from_counts([3, 0, 1], [4, 0, 2])
    assert np.isfinite(at_estimates(silent, strength=emjax.Known(0.8))["spread of win rates"].observed)


def test_under_a_density_moments_are_those_of_all_its_nodes():
    from emjax.bayes.predictive_checks import fewer_nodes

    with jax.enable_x64(True):
        for prior in (emjax.Beta(2.0, 3.0), emjax.Beta(0.1, 0.2), emjax.Beta(150.0, 50.0)):
            eta, weights = np.asarray(prior.nodes().eta), np.exp(np.asarray(prior.log_weights()))
            fewer, mass = fewer_nodes(eta, weights)
            assert len(fewer) == 64 and mass.sum() == pytest.approx(1.0)
            assert fewer @ mass == pytest.approx(eta @ weights, abs=1e-12)
            a, b = float(prior.a), float(prior.b)
            variance = a * b / ((a + b) ** 2 * (a + b + 1))
            assert (fewer - fewer @ mass) ** 2 @ mass == pytest.approx(variance, rel=0.01)


def test_the_table_as_columns_and_by_name():
    checks = at_estimates(simulated(0, World(users=40)))
    columns = checks.columns()
    assert columns["statistic"].tolist() == [check.name for check in checks] and len(checks) == len(
        columns["p_value"]
    )
    assert (columns["lower"] <= columns["upper"]).all()
    with pytest.raises(KeyError, match="none of the statistics here: spread of win rates"):
        checks["nothing"]
    with pytest.raises(emjax.ModelError, match="level lies between 0 and 1"):
        checks["spread of win rates"].interval(95.0)
    assert "spread of win rates: 0." in repr(checks["spread of win rates"])
    assert repr(PredictiveChecks(())).startswith("posterior predictive checks, 0 draws")


def test_equal_values_count_half():
    check = PredictiveCheck("x", "nothing", np.full(4, 1.0), np.array([0.0, 1.0, 1.0, 2.0]))
    assert check.p_value == 0.5 and not check.extreme
    assert PredictiveCheck("x", "nothing", np.zeros(100), np.ones(100)).extreme


def test_few_draws_give_no_extreme_p_value():
    """Whatever they are: with twenty of them each, one of ten true models would have one."""
    for values in (np.ones(20), -np.ones(20)):
        assert not PredictiveCheck("x", "nothing", np.zeros(20), values).extreme


@pytest.mark.long
@pytest.mark.parametrize("name", FAILURES)
def test_draws_detect_the_same_failures(name, quiet):
    prefs = simulated(1, FAILURES[name])
    fit = quiet(prefs, prior_for(name), strength=emjax.BradleyTerry(), num_chains=2, num_samples=500)
    assert fit.predictive_checks(prefs, key=0)[name].extreme


@pytest.mark.long
@pytest.mark.parametrize("name", RIGHT)
def test_under_draws_of_the_true_model_p_values_are_not_extreme(name, quiet):
    p = []
    for seed in range(4):
        prefs = right(seed, name)
        fit = quiet(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(), num_chains=2, num_samples=500)
        p += [check.p_value for check in fit.predictive_checks(prefs, key=seed)]
    assert np.mean([x <= 0.01 or x >= 0.99 for x in p]) <= 0.05, p
