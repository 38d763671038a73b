"""Sides, ties, adversarial users, sharpness: derivatives against the oracle, estimates against the truth."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
import response_cases

import emjax
import oracles
from emjax.infer.coordinates import all_coordinates
from emjax.infer.newton import derivatives
from emjax.infer.steps import e_step
from emjax.infer.vote_sources import prepare

STRENGTHS = {"ant": 1.1, "bee": 0.2, "cat": -0.4, "dog": -0.9}
TWO = emjax.TwoPoint(0.15, 0.9, 0.6)
THREE = emjax.Points(3, points=[-0.8, 0.1, 0.9], weights=[0.15, 0.3, 0.55], low=-1)


@dataclass(frozen=True, eq=False)
class Case:
    """How users voted, what is fitted, and the oracle's chances given the behavior's coordinates."""

    name: str
    truth: Any
    given: Any
    chances: Callable
    users: Any = TWO
    prior: Any = None
    slopes: Any = ()

    def __repr__(self) -> str:
        return self.name


def _sides(x):
    return lambda eta, logit: response_cases.mixture(eta, logit, guess=response_cases.logistic(x[0]))


def _ties(rule, guess=False):
    def read(x):
        first = int(guess)
        parameters = {"guess": response_cases.logistic(x[0]) if guess else None, "rule": rule}
        parameters |= {"tie": np.exp(x[first]), "careless_ties": response_cases.logistic(x[first + 1])}
        return lambda eta, logit: response_cases.mixture(eta, logit, **parameters)

    return read


_DAVIDSON, _RAO = emjax.Davidson(0.8), emjax.RaoKupper(0.7)
_BOTH = emjax.AttentiveOrRandom(guess=0.7, ties=_DAVIDSON, careless_ties=0.5)
_KINDS = emjax.VoteStrata.given(
    [f"{pace}, {length}" for pace in ("quick", "usual", "slow") for length in ("short", "long")],
    [[pace, length] for pace in (-1.2, 0.1, 1.1) for length in (-1.0, 1.0)],
    names=["pace", "length"],
)
_SLOPES = np.array([0.9, -0.6])


def _featured(**others) -> tuple[Any, Any]:
    """How users voted, and what is fitted."""
    known = {"features": emjax.VoteFeatures(_KINDS, slopes=_SLOPES)}
    free = {"features": _KINDS} | ({"ties": emjax.Davidson()} if "ties" in others else {})
    return emjax.AttentiveOrRandom(**others, **known), emjax.AttentiveOrRandom(**free)


CASES = [
    Case("sides", emjax.AttentiveOrRandom(guess=0.75), emjax.AttentiveOrRandom(), _sides),
    Case(
        "davidson",
        emjax.AttentiveOrRandom(ties=_DAVIDSON, careless_ties=0.5),
        emjax.AttentiveOrRandom(ties=emjax.Davidson()),
        _ties(response_cases.davidson),
    ),
    Case(
        "rao-kupper",
        emjax.AttentiveOrRandom(ties=_RAO, careless_ties=0.2),
        emjax.AttentiveOrRandom(ties=emjax.RaoKupper()),
        _ties(response_cases.rao_kupper),
    ),
    Case("both", _BOTH, emjax.AttentiveOrRandom(ties=emjax.Davidson()), _ties(response_cases.davidson, True)),
    Case(
        "adversarial users",
        emjax.AttentiveOrRandom(),
        emjax.AttentiveOrRandom(),
        lambda x: response_cases.mixture,
        THREE,
        emjax.Points(3, low=-1),
    ),
    Case(
        "adversarial users with sides and ties",
        _BOTH,
        emjax.AttentiveOrRandom(ties=emjax.Davidson()),
        _ties(response_cases.davidson, True),
        THREE,
        emjax.Points(3, low=-1),
    ),
    Case("features", *_featured(), lambda x: response_cases.mixture, slopes=_SLOPES),
    Case(
        "features and adversarial users with sides and ties",
        *_featured(guess=0.7, ties=_DAVIDSON, careless_ties=0.5),
        _ties(response_cases.davidson, True),
        THREE,
        emjax.Points(3, low=-1),
        slopes=_SLOPES,
    ),
    Case("sharpness", emjax.Sharpness(), emjax.Sharpness(), lambda x: response_cases.sharpness),
]


@pytest.fixture(params=CASES, ids=repr)
def case(request) -> Case:
    return request.param


def drawn(case: Case, users: int, votes: float, seed: int = 4) -> emjax.Preferences:
    sim = emjax.simulate(
        seed, n_users=users, votes_per_user=votes, strengths=STRENGTHS, prior=case.users, behavior=case.truth
    )
    return sim.preferences


@cache
def fitted(case: Case) -> tuple[emjax.Preferences, emjax.Fit]:
    """Votes of 300 users, and a fit to them that several tests look at."""
    prefs = drawn(case, 300, 20)
    return prefs, emjax.fit_em(prefs, case.prior or emjax.Points(2), behavior=case.given, tol=1e-8)


def dense(prefs: emjax.Preferences) -> np.ndarray:
    counts = np.zeros((prefs.n_users, prefs.n_comparisons, prefs.counts.shape[1]))
    counts[prefs.user, prefs.comparison] = prefs.counts
    return counts


def oracle_at(prefs: emjax.Preferences, case: Case, cuts) -> tuple[Callable, Callable]:
    """Log L of all users, and of one, as functions of the package's coordinates; Bradley-Terry strengths."""
    counts = dense(prefs)
    place = {name: i for i, name in enumerate(sorted(STRENGTHS))}
    pairs = [(place[a], place[b]) for a, b in prefs.comparisons]

    def of(rows, x):
        support, s, behavior, shape = np.split(x, cuts)
        behavior, slopes = np.split(behavior, [len(behavior) - len(case.slopes)])
        tilts = None
        if len(case.slopes):
            numbers = dict(zip(_KINDS.contexts, np.array(_KINDS.values), strict=True))
            tilts = [numbers[str(of)] @ slopes for of in prefs.contexts]
        log_weights = np.concatenate([[0.0], shape])
        log_weights = log_weights - np.log(np.sum(np.exp(log_weights)))
        logits = [s[a] - s[b] for a, b in pairs]
        chances = case.chances(behavior)
        return response_cases.log_likelihood(rows, logits, support, log_weights, chances, tilts=tilts)

    return (lambda x: of(counts, x)), (lambda x, j: of(counts[j : j + 1], x))


def test_likelihood_and_derivatives_are_those_of_the_oracle(case):
    """At a place where nothing vanishes: value, gradient, Hessian and the users' scores."""
    prefs = drawn(case, 25, 14)
    usual = emjax.Points(2, points=[0.2, 0.9], weights=[0.4, 0.6])
    prior = usual if case.prior is None else THREE
    behavior = case.given.start(prefs.table)
    start = emjax.BradleyTerry().start(prefs.table)
    with jax.enable_x64(True):
        data, model, _ = prepare(prefs, prior, start.at(np.array([0.7, 0.3, -0.2, -0.8])), behavior)
        model = jax.tree.map(np.asarray, model)
        expected = data.run(e_step, model)
        _, found = derivatives(model, data, expected.mass)
        x = np.asarray(all_coordinates(model))
    sizes = [len(prior.support()), len(STRENGTHS), len(behavior.coordinates())]
    whole, one = oracle_at(prefs, case, np.cumsum(sizes))
    np.testing.assert_allclose(expected.log_likelihood, whole(x + 0j).real, rtol=1e-12)
    gradient = oracles.gradient(whole, x)
    tight = {"rtol": 1e-6, "atol": 1e-6 * max(np.abs(gradient).max(), 1.0)}
    np.testing.assert_allclose(found.gradient, gradient, **tight)
    np.testing.assert_allclose(found.observed, -oracles.hessian(whole, x), **tight)
    scores = np.array([oracles.gradient(lambda y, j=j: one(y, j), x) for j in range(prefs.n_users)])
    np.testing.assert_allclose(found.outer, scores.T @ scores, **tight)


@pytest.mark.long
@pytest.mark.parametrize("grid", [False, True], ids=["points", "grid"])
def test_the_truth_is_recovered_within_its_standard_errors(case, grid):
    """A few thousand users; the objective never falls, and a behavior's estimates are near the truth."""
    prefs = drawn(case, 4000, 30)
    low = -1 if case.prior is not None else 0
    prior = emjax.Grid(41 if low else 33, low=low) if grid else case.prior or emjax.TwoPoint()
    fit = emjax.fit_em(prefs, prior, behavior=case.given)
    assert fit.converged and (np.diff(fit.trace) > -1e-9 * abs(fit.trace[-1])).all()
    assert type(fit.behavior) is type(case.given)
    se = fit.standard_errors()
    truth = {"guess": float(case.truth.guess)} if "guess" in se.names else {}
    if "tie" in se.names:
        truth |= {"tie": case.truth.ties.tie, "careless ties": case.truth.careless_ties}
    truth |= {f"attention by {n}": b for n, b in zip(_KINDS.names, case.slopes, strict=False)}
    assert len(truth) == len(fit.behavior.names())
    if not isinstance(case.given, emjax.Sharpness):  # under which votes leave the scale open
        truth |= {f"strength of {name}": s for name, s in STRENGTHS.items()}
    for name, value in truth.items():
        found = se[name]
        assert abs(found.estimate - value) < 4 * found.std_err, name


def test_the_gradient_vanishes_at_the_end(case):
    """The gradient of the oracle's likelihood plus the ridge vanishes where the fit ended."""
    prefs, fit = fitted(case)
    assert fit.converged
    with jax.enable_x64(True):
        places = (fit.strength, fit.behavior)
        moving = [np.asarray(place.coordinates(), float) for place in places]
        points, shape = (np.asarray(x, float) for x in (fit.prior.support(), fit.prior.shape()))
    x, n = np.concatenate([points, *moving, shape]), len(points)
    cuts = np.cumsum([n, *(len(part) for part in moving)])
    whole, _ = oracle_at(prefs, case, cuts)
    np.testing.assert_allclose(fit.log_likelihood, whole(x + 0j).real, rtol=1e-12)

    def penalised(x):
        _, s, behavior, _ = np.split(x, cuts)
        slopes = behavior[len(behavior) - len(case.slopes) :]
        return whole(x) - 0.005 * np.sum(s**2) - 0.05 * np.sum(slopes**2)

    slope = oracles.gradient(penalised, x)
    inside = np.append((points > fit.prior.low + 1e-6) & (points < 1 - 1e-6), np.abs(x[n:]) < 30)
    assert np.abs(slope[inside]).max() < 2e-2


def test_the_gradient_vanishes_under_a_fixed_prior_with_adversarial_users():
    """Nodes that do not move are placed_votes by their place: those below 0 are not at 0."""
    crowd = emjax.Points(4, points=[-0.9, -0.3, 0.0, 0.9], weights=[0.2, 0.1, 0.2, 0.5], low=-1)
    case = Case(
        "", emjax.AttentiveOrRandom(), emjax.AttentiveOrRandom(), lambda x: response_cases.mixture, crowd
    )
    prefs = drawn(case, 300, 20)
    fit = emjax.fit_em(prefs, emjax.Fixed(crowd), tol=1e-8)
    assert fit.converged
    with jax.enable_x64(True):
        parts = [np.asarray(x, float) for x in (crowd.support(), fit.strength.coordinates(), crowd.shape())]
    whole, _ = oracle_at(prefs, case, [4, 8, 8])
    np.testing.assert_allclose(fit.log_likelihood, whole(np.concatenate(parts) + 0j).real, rtol=1e-12)
    slope = oracles.gradient(lambda s: whole(np.concatenate([parts[0], s, parts[2]])), parts[1])
    np.testing.assert_allclose(slope, 0.01 * parts[1], atol=2e-3)


@pytest.mark.long
def test_the_sign_of_adversarial_users_follows_the_majority():
    """Two thirds choose the worse answer, which then comes out as the better one."""
    truth = emjax.Points(2, points=[-0.9, 0.5], weights=[0.7, 0.3], low=-1)
    sim = emjax.simulate(1, n_users=1500, votes_per_user=30, strengths=STRENGTHS, prior=truth)
    for prior in (emjax.Points(2, low=-1), emjax.Grid(21, low=-1)):
        fit = emjax.fit_em(sim.preferences, prior)
        mean = float(fit.posterior(sim.preferences).mean.mean())
        assert fit.converged and 0.4 < mean < 0.56
        assert fit.strength.strengths[0] < 0  # "ant", which is the best


@pytest.mark.long
def test_a_grid_has_little_weight_below_zero_without_adversarial_users():
    sim = emjax.simulate(2, n_users=2000, votes_per_user=40, strengths=STRENGTHS, prior=TWO)
    usual, wider = (emjax.fit_em(sim.preferences, p) for p in (emjax.Grid(21), emjax.Grid(41, low=-1)))
    assert 0 <= wider.log_likelihood - usual.log_likelihood + 1e-3 < 4
    assert wider.prior.weights[wider.prior.points < -0.05].sum() < 0.02


def test_sharpness_leaves_the_scale_undetermined_with_a_finding():
    sim = emjax.simulate(
        3, n_users=500, votes_per_user=20, strengths=STRENGTHS, prior=TWO, behavior=emjax.Sharpness()
    )
    fit = emjax.fit_em(sim.preferences, emjax.TwoPoint(), behavior=emjax.Sharpness())
    assert any("log-odds of the strength" in f.what for f in fit.identifiability().findings)
    with jax.enable_x64(True):
        half = emjax.TwoPoint(float(fit.prior.low) / 2, float(fit.prior.high) / 2, float(fit.prior.weight))
    double = fit.strength.at(2 * np.asarray(fit.strength.strengths))
    fixed = emjax.fit_em(
        sim.preferences,
        emjax.Fixed(half),
        strength=emjax.Known(dict(zip(*_as_known(double, sim.preferences), strict=True))),
        behavior=emjax.Sharpness(),
    )
    np.testing.assert_allclose(fixed.log_likelihood, fit.log_likelihood, rtol=1e-10)


def _as_known(strength, prefs):
    with jax.enable_x64(True):
        mu = response_cases.logistic(np.asarray(strength.logits(strength.index(prefs.table))))
    return [tuple(pair) for pair in prefs.comparisons], mu


def test_pairs_always_shown_in_one_order_are_refused_for_side_effects():
    prefs = emjax.Preferences.from_votes(
        [1, 1, 2, 2], [["new", "old"]] * 4, [1, 0, 1, 1], shown_first=[True] * 4
    )
    with pytest.raises(
        emjax.ModelError, match="cannot be distinguished from one for a model here: 0 of 4 votes"
    ):
        emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)))
    fixed = emjax.AttentiveOrRandom(guess=0.6)
    assert emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), behavior=fixed).behavior.guess == 0.6


def test_votes_and_behaviors_that_do_not_go_together_are_refused():
    with_ties = emjax.Preferences.from_votes([1, 1, 2], [["a", "b"]] * 3, [1, 0.5, 0], ties="model")
    plain = emjax.Preferences.from_votes([1, 1, 2], [["a", "b"]] * 3, [1, 1, 0])
    prior, known = emjax.Fixed(emjax.Beta(2, 2)), emjax.Known(0.7)
    for prefs, behavior, message in (
        (with_ties, emjax.AttentiveOrRandom(), "count ties as an outcome"),
        (with_ties, emjax.Sharpness(), "Sharpness has the outcomes A won and B won alone"),
        (plain, emjax.AttentiveOrRandom(ties=emjax.Davidson()), 'read them with ties="model"'),
        (plain, emjax.AttentiveOrRandom(guess=0.7), "shown_first=COLUMN"),
    ):
        with pytest.raises(emjax.ModelError, match=message):
            emjax.fit_em(prefs, prior, strength=known, behavior=behavior)
    fit = emjax.fit_em(with_ties, prior, strength=known)
    with pytest.raises(emjax.ModelError, match="a rule for ties needs votes with ties"):
        fit.posterior(plain)


def test_a_fitted_behavior_is_saved_and_can_start_another_fit(case, tmp_path):
    prefs, fit = fitted(case)
    again = emjax.load_fit(fit.save(tmp_path / "fit"))
    np.testing.assert_array_equal(again.posterior(prefs).mean, fit.posterior(prefs).mean)
    warm = emjax.fit_em(prefs, again.prior, strength=again.strength, behavior=again.behavior)
    assert warm.converged and abs(warm.log_likelihood - fit.log_likelihood) < 1e-2


def test_shards_of_votes_with_sides_and_ties_give_the_fit_of_all_of_them():
    case = CASES[3]
    prefs = drawn(case, 400, 20)
    half = prefs.user < 200

    def part(mine):
        users, user = np.unique(prefs.user[mine], return_inverse=True)
        rows = {"comparison": prefs.comparison[mine], "counts": prefs.counts[mine]}
        return dataclasses.replace(prefs, users=prefs.users[users], user=user, **rows)

    whole = emjax.fit_em(prefs, emjax.TwoPoint(), behavior=case.given, tol=1e-7)
    shards = emjax.fit_em([part(half), part(~half)], emjax.TwoPoint(), behavior=case.given, tol=1e-7)
    np.testing.assert_allclose(
        shards.standard_errors().estimate, whole.standard_errors().estimate, rtol=1e-8, atol=1e-9
    )


@pytest.mark.long
def test_ties_are_predicted_better_with_attentiveness():
    case = CASES[1]
    found = emjax.cross_validate(drawn(case, 600, 30), emjax.TwoPoint(), behavior=case.given, folds=2)
    assert found.gains["one attentiveness for all"].lower > 0
    assert found.gains["every user attentive"].lower > 0
    with pytest.raises(emjax.ModelError, match="ties are among these"):
        _ = found.reliability
