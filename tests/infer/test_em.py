"""fit_em: the maximum of general optimisers from any start; warnings; and what is refused."""

import warnings

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import oracles
from emjax import (
    Beta,
    BradleyTerry,
    EmjaxWarning,
    Fixed,
    Grid,
    Known,
    ModelError,
    NoAcceleration,
    PerPair,
    Points,
    Preferences,
    Shared,
    TwoPoint,
    fit_em,
)  # fmt: skip
from emjax.infer.em import default_strength

THREE = (np.array([0.1, 0.5, 0.9]), np.array([0.3, 0.3, 0.4]))
SEED = 10  # every maximum lies inside its bounds, but for the support of some discrete priors


def careful(rng, users):
    return rng.choice([0.15, 0.9], users)


def spread(rng, users):
    return rng.beta(3, 5, users)


def profile_maximum(counts, nodes, strength):
    """Best objective under free weights: SciPy over the strengths, the oracle's weights inside."""
    rows, multiplicity, _ = oracles.distinct(counts)
    bounds, start, split, _ = oracles.strength_parts(strength.oracle, 3, **strength.options)

    def negative_objective(x):
        mu = split(x)[0]
        weights = np.maximum(oracles.npmle(counts, mu, nodes, gap=1e-6), 1e-300)
        at = lambda z: oracles.marginal(rows, split(z)[0], nodes, np.log(weights), multiplicity) + split(z)[1]  # noqa: E731
        return -float(np.real(at(x))), -oracles.gradient(at, x)

    rng = np.random.default_rng(0)
    found = [
        minimize(negative_objective, start(rng), jac=True, bounds=bounds, method="L-BFGS-B") for _ in range(3)
    ]
    return -min(f.fun for f in found)


def test_every_prior_and_strength_reaches_the_maximum(arena, fit_of, prior, strength):
    """No less than a general-purpose optimiser finds from several starts (2e-3 is twice the tolerance)."""
    counts = arena(SEED)
    fit = fit_of(counts, prior.given, strength.given)
    if isinstance(prior.given, Grid) and isinstance(strength.given, Known):
        weights = oracles.npmle(counts, strength.given.value, np.linspace(0, 1, 9))
        truth = oracles.log_likelihood_discrete(counts, strength.given.value, np.linspace(0, 1, 9), weights)
    elif isinstance(prior.given, Grid):
        truth = profile_maximum(counts, np.linspace(0, 1, 9), strength)
    elif isinstance(prior.given, Fixed) and isinstance(strength.given, Known):
        truth = oracles.log_likelihood_discrete(counts, strength.given.value, *prior.options["fixed"])
    else:
        starts = 1 if isinstance(prior.given, Beta) else 4
        options = prior.options | strength.options
        truth = oracles.fit(counts, prior.oracle, strength.oracle, starts=starts, **options).value
    assert fit.converged and fit.gap <= 1e-3 and fit.outcome == "converged"
    assert fit.trace[-1] >= truth - 2e-3
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            fit.trace[-1] - float(fit.strength.log_prior()), fit.log_likelihood, rtol=1e-12
        )


@settings(max_examples=4)
@given(seed=st.integers(0, 2**20), votes=st.integers(3, 40))
def test_the_trace_never_falls(arena, as_arena, quiet, prior, strength, seed, votes):
    """Whatever the votes, and whoever comes first."""
    counts = arena(seed, votes=votes)
    fit = quiet(as_arena(counts), prior.given, strength=strength.given)
    assert len(fit.trace) >= 2 and np.isfinite(fit.trace).all()
    assert (np.diff(fit.trace) >= -1e-9 * np.abs(fit.trace[1:])).all()
    order = np.random.default_rng(seed).permutation(len(counts))
    again = quiet(as_arena(counts[order]), prior.given, strength=strength.given)
    np.testing.assert_allclose(again.log_likelihood, fit.log_likelihood, rtol=1e-12)


def test_results_are_numpy_arrays_in_double_precision(arena, fit_of, prior, strength):
    fit = fit_of(arena(SEED), prior.given, strength.given)
    for record in (fit.prior, fit.strength):
        for leaf in jax.tree.leaves(record):
            assert isinstance(leaf, np.ndarray | np.generic), type(leaf)
            assert leaf.dtype in (np.float64, np.int64)
    errors = fit.standard_errors()
    for array in (fit.trace, errors.estimate, errors.std_err, errors.covariance, errors.lower):
        assert isinstance(array, np.ndarray) and array.dtype == np.float64
    assert type(fit.prior) is type(prior.given) and type(fit.strength) is type(strength.given)


def test_a_fit_started_at_its_own_result_stays_there(arena, as_arena, fit_of, quiet, prior, strength):
    fit = fit_of(arena(SEED), prior.given, strength.given)
    again = quiet(as_arena(arena(SEED)), fit.prior, strength=fit.strength)
    assert again.trace[0] >= fit.trace[-1] - 1e-6
    assert abs(again.trace[-1] - fit.trace[-1]) <= 1e-3
    assert again.em_steps <= 12
    prefs = as_arena(arena(SEED))
    np.testing.assert_allclose(again.posterior(prefs).mean, fit.posterior(prefs).mean, atol=0.02)


def test_plain_steps_end_at_the_same_place(arena, fit_of):
    for prior, strength in (
        (TwoPoint(), Known(np.array([0.7, 0.93, 0.82]))), (TwoPoint(), Shared()), (Beta(), BradleyTerry()),
        (Grid(9), BradleyTerry()),
    ):  # fmt: skip
        squared = fit_of(arena(SEED), prior, strength)
        plain = fit_of(arena(SEED), prior, strength, acceleration=NoAcceleration())
        assert abs(plain.trace[-1] - squared.trace[-1]) <= 1e-3
        np.testing.assert_allclose(
            plain.standard_errors().estimate, squared.standard_errors().estimate, atol=0.05
        )


# --------------------------------------------------------------------------------------------- one comparison


def test_a_two_point_prior_and_a_shared_strength_from_two_starts(duel, fit_of):
    """The ridge of the scale: plain alternating steps would stop where they started."""
    counts = duel(careful, 5)
    truth = oracles.fit(counts, "points", "shared", beta=(8, 2)).value
    fits = [
        fit_of(counts, TwoPoint(*points), Shared(value=mu))
        for mu in (0.6, 0.95) for points in ((0.2, 0.9), (0.05, 0.5))
    ]  # fmt: skip
    for fit in fits:
        assert abs(fit.trace[-1] - truth) < 2e-3
        np.testing.assert_allclose(fit.strength.value, 0.875, atol=1e-4)
        ratio = (fit.prior.high - 0.0) * (0.875 - 0.5)
        np.testing.assert_allclose(ratio, 0.9 * 0.24, atol=0.02)


@pytest.mark.long
def test_a_beta_prior_and_a_shared_strength_from_two_starts(duel, fit_of):
    """Its maximum is twenty thousand plain EM steps away."""
    counts = duel(spread, 6, users=4000)
    truth = oracles.fit(counts, "beta", "shared", beta=(8, 2), starts=2).value
    fits = [
        fit_of(counts, Beta(a, b), Shared(value=mu)) for mu, a, b in ((0.6, 2, 2), (0.95, 2, 2), (0.75, 9, 1))
    ]
    for fit in fits:
        assert fit.converged and fit.trace[-1] >= truth - 2e-3
    np.testing.assert_allclose(
        [float(f.strength.value) for f in fits], float(fits[0].strength.value), atol=0.03
    )


@pytest.mark.parametrize("mu", [0.74, 0.26, 0.97])
def test_known_strength_on_either_side(duel, fit_of, mu):
    counts = duel(careful, 7, mu=mu)
    for prior, options in ((TwoPoint(), {"k": 2}), (Beta(), {})):
        kind = "points" if options else "beta"
        truth = oracles.fit(counts, kind, "known", value=mu, starts=2, **options).value
        assert fit_of(counts, prior, Known(mu)).trace[-1] >= truth - 2e-3
    weights = oracles.npmle(counts, mu, np.linspace(0, 1, 64))
    truth = oracles.log_likelihood_discrete(oracles.distinct(counts)[0], mu, np.linspace(0, 1, 64), weights)
    fit = fit_of(counts, Grid(64), Known(mu))
    rows, multiplicity, _ = oracles.distinct(counts)
    by_row = oracles.node_log_likelihoods(rows, mu, np.linspace(0, 1, 64))
    truth = multiplicity @ np.logaddexp.reduce(by_row + np.log(np.maximum(weights, 1e-300)), axis=1)
    assert truth - 1e-3 <= fit.log_likelihood <= truth + 1e-6


def test_votes_against_the_prior_on_the_strength(duel, fit_of):
    """A loses, though Beta(8, 2) expects it to win: the votes decide, as under the mirrored prior."""
    counts = duel(careful, 8, mu=0.26)
    truth = oracles.fit(counts, "points", "shared", beta=(8, 2)).value
    assert fit_of(counts, TwoPoint(), Shared()).trace[-1] >= truth - 2e-3
    assert fit_of(counts, TwoPoint(), Shared()).strength.value < 0.5


# --------------------------------------------------------------------------------------- what must not matter


def mirrored(strength):
    if isinstance(strength, Known):
        return Known(1.0 - strength.value)
    if isinstance(strength, Shared):
        return Shared((2, 8), 1.0 - strength.value)
    return strength


def test_swapping_the_sides_mirrors_the_strengths(arena, as_arena, fit_of, prior, strength):
    straight, turned = fit_of(arena(SEED), prior.given, strength.given), arena(SEED)[..., ::-1].copy()
    swapped = fit_of(turned, prior.given, mirrored(strength.given))
    np.testing.assert_allclose(swapped.log_likelihood, straight.log_likelihood, rtol=1e-7)
    mine, theirs = (np.asarray(fit.strength.natural()) for fit in (straight, swapped))
    bradley_terry = isinstance(strength.given, BradleyTerry)
    np.testing.assert_allclose(theirs, -mine if bradley_terry else 1.0 - mine, atol=1e-3)
    users = straight.posterior(as_arena(arena(SEED))).mean
    np.testing.assert_allclose(swapped.posterior(as_arena(turned)).mean, users, atol=1e-3)


def test_the_order_of_users_does_not_matter(arena, as_arena, fit_of, quiet, prior, strength):
    counts = arena(SEED)
    fit = fit_of(counts, prior.given, strength.given)
    order = np.random.default_rng(0).permutation(len(counts))
    shuffled = quiet(as_arena(counts[order]), prior.given, strength=strength.given)
    np.testing.assert_allclose(shuffled.log_likelihood, fit.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(
        shuffled.standard_errors().estimate, fit.standard_errors().estimate, rtol=1e-8, atol=1e-9
    )
    posterior = fit.posterior(as_arena(counts)).mean
    np.testing.assert_allclose(shuffled.posterior(as_arena(counts[order])).mean, posterior[order], atol=1e-9)


def vote_posteriors(counts):
    user, comparison, outcome = np.nonzero(counts)
    times = counts[user, comparison, outcome].astype(int)
    return np.repeat(user, times), np.repeat(comparison, times), np.repeat(outcome == 0, times)


def test_the_order_of_votes_and_the_way_they_are_merged_do_not_matter(arena, quiet):
    names = np.array([["ant", "bee"], ["ant", "cat"], ["bee", "cat"]], dtype=object)
    user, comparison, won = vote_posteriors(arena(SEED))
    order = np.random.default_rng(1).permutation(len(user))
    whole = Preferences.from_votes(user, names[comparison], won)
    shuffled = Preferences.from_votes(user[order], names[comparison[order]], won[order])
    third = np.arange(len(user)) % 3
    merged = None
    for part in range(3):
        here = third == part
        part = Preferences.from_votes(user[here], names[comparison[here]], won[here])
        merged = part if merged is None else merged + part
    for prior, strength in ((TwoPoint(), BradleyTerry()), (Grid(9), Shared()), (Beta(), PerPair())):
        values = [quiet(p, prior, strength=strength).log_likelihood for p in (whole, shuffled, merged)]
        np.testing.assert_allclose(values, values[0], rtol=1e-12)


def test_em_on_cells_is_em_on_users(arena, as_arena, quiet, prior, strength, monkeypatch):
    """Users with the same votes are kept once; that must be exact."""
    from emjax.data import Cells
    from emjax.infer import vote_sources

    def one_cell_per_user(prefs):
        indptr = np.concatenate([[0], np.cumsum(np.bincount(prefs.user, minlength=prefs.n_users))])
        ones, each = np.ones(prefs.n_users), np.arange(prefs.n_users)
        return Cells(indptr, prefs.comparison, prefs.counts, ones, each, prefs.n_comparisons)

    prefs = as_arena(arena(SEED))
    pooled = quiet(prefs, prior.given, strength=strength.given, max_steps=6)
    monkeypatch.setattr(vote_sources, "distinct", one_cell_per_user)
    alone = quiet(prefs, prior.given, strength=strength.given, max_steps=6)
    same = min(len(pooled.trace), len(alone.trace), 5)
    np.testing.assert_allclose(alone.trace[:3], pooled.trace[:3], rtol=1e-10)
    # an extrapolation enlarges the rounding of the steps it starts from
    np.testing.assert_allclose(alone.trace[:same], pooled.trace[:same], rtol=1e-8)
    np.testing.assert_allclose(alone.log_likelihood, pooled.log_likelihood, rtol=1e-7)


def test_the_callers_settings_stay_as_they_were(duel, as_duel, quiet):
    assert not jax.config.jax_enable_x64
    fit = quiet(as_duel(duel(careful, 5)), TwoPoint(), strength=Known(0.74))
    fit.posterior(as_duel(duel(careful, 5)))
    assert not jax.config.jax_enable_x64
    with jax.enable_x64(True):
        inside = quiet(as_duel(duel(careful, 5)), TwoPoint(), strength=Known(0.74))
        assert jax.config.jax_enable_x64
    assert inside.log_likelihood == fit.log_likelihood


def test_fractional_votes(arena, as_arena, quiet):
    """Half votes, as ties give them."""
    counts = arena(SEED) * 0.5
    prior = Fixed(Points(3, *THREE))
    fit = quiet(as_arena(counts), prior, strength=Shared())
    truth = oracles.fit(counts, "fixed", "shared", fixed=THREE, beta=(8, 2), starts=2).value
    np.testing.assert_allclose(fit.trace[-1], truth, atol=1e-3)


@pytest.mark.parametrize("seed, share", [(10, 0.5), (36, 0.5)])
def test_two_points_stay_separate_where_that_has_the_higher_likelihood(arena, fit_of, seed, share):
    """From the default start EM can pull both points together: a saddle, where the gradient vanishes."""
    counts = arena(seed) * share
    truth = oracles.fit(counts, "points", "shared", beta=(8, 2), starts=6).value
    assert fit_of(counts, TwoPoint(), Shared()).trace[-1] >= truth - 2e-3


# ------------------------------------------------------------------------------------------------ how it ends


def test_the_default_strength_depends_on_the_number_of_comparisons(arena, as_arena, duel, as_duel):
    assert isinstance(default_strength(as_duel(duel(careful, 5)).table), Shared)
    assert isinstance(default_strength(as_arena(arena(1)).table), BradleyTerry)
    assert isinstance(default_strength(Preferences.from_counts([[1, 1]], [[2, 2]]).table), PerPair)


def test_a_step_limit_ends_the_fit_with_a_warning(duel, as_duel):
    """With a tolerance that no arithmetic reaches, the limit is what ends the fit."""
    with pytest.warns(EmjaxWarning, match="raise max_steps"):
        fit = fit_em(as_duel(duel(spread, 6)), Beta(0.1, 9), strength=Known(0.74), max_steps=2, tol=1e-300)
    assert not fit.converged and fit.outcome == "step limit"
    assert fit.em_steps <= 4 and np.isfinite(fit.log_likelihood)


def test_a_converged_fit_gives_no_warning(duel, as_duel):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = fit_em(as_duel(duel(careful, 5)), TwoPoint(), strength=Known(0.74))
    assert "Converged" in fit.message


WRONG = {
    "votes": {"prefs": [1, 0]}, "prior": {"prior": "beta"}, "a class": {"prior": Beta},
    "strength": {"strength": 0.74}, "behavior": {"behavior": "random"},
    "acceleration": {"acceleration": "squarem"}, "no tolerance": {"tol": 0.0},
    "mesh": {"mesh": 4},
    "tolerance below zero": {"tol": -1.0}, "tolerance NaN": {"tol": np.nan}, "no steps": {"max_steps": 0},
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_cannot_be_fitted_is_refused_before_anything_is_computed(wrong):
    from emjax.infer import em

    prefs = Preferences.from_counts([8, 5], [10, 10])
    given = {"prefs": prefs, "prior": TwoPoint()} | wrong
    model = {name: given.pop(name, None) for name in ("prefs", "prior", "strength", "behavior")}
    options = {"acceleration": None, "tol": 1e-3, "max_steps": 10, "mesh": None} | given

    def check():
        em.as_source("fit_em", model.pop("prefs"))
        em.check_model("fit_em", *model.values())
        em._check_options(*options.values())

    with pytest.raises(ModelError) as caught:
        check()
    assert "\n" not in str(caught.value)


def test_votes_of_models_unknown_to_the_strength_are_refused(arena, as_arena, fit_of):
    fit = fit_of(arena(SEED), TwoPoint(), BradleyTerry())
    with pytest.raises(ModelError, match="not in the fit, first dog"):
        fit.posterior(Preferences.from_counts([1], [2], comparisons=["dog", "ant"]))
