"""Standard errors: against the oracle's Hessian on the natural scale, and in simulation."""

import warnings

import numpy as np
import pytest
from scipy.stats import norm

import oracles
from emjax import (
    Beta,
    BradleyTerry,
    EmjaxWarning,
    Fixed,
    Grid,
    Known,
    ModelError,
    PerPair,
    Points,
    Preferences,
    Shared,
    TwoPoint,
    fit_em,
    simulate,
)
from emjax.infer.linear_algebra import flat_directions


def natural_likelihood(kind, counts, strength, n_prior, rows=None, times=None):
    """Log L of natural parameters: those of the prior, then strengths (one less, for Bradley–Terry)."""
    rows, times = oracles.distinct(counts)[:2] if rows is None else (rows, times)

    def prior(x):
        if kind == "beta":
            return oracles.beta_nodes(*x)
        if kind == "two":
            return x[:2], np.log([1.0 - x[2], x[2]])
        weights = np.concatenate([x[3:5], [1.0 - x[3] - x[4]]])
        return x[:3], np.log(weights)

    def mu(s):
        if isinstance(strength, Known):
            return strength.value
        if isinstance(strength, Shared | PerPair):  # as logits, which is where the package has its Hessian:
            return 1.0 / (1.0 + np.exp(-s * np.ones(3)))  # a log prior's gradient makes the two scales differ
        s = np.concatenate([s, [-np.sum(s)]])
        return 1.0 / (1.0 + np.exp(-np.array([s[0] - s[1], s[0] - s[2], s[1] - s[2]])))

    return lambda x: oracles.marginal(rows, mu(x[n_prior:]), *prior(x[:n_prior]), times)


def free_of(fit, kind):
    """The independent natural parameters of a fit, and the slope of all of them in these."""
    estimate = fit.standard_errors().estimate
    n_prior = {"beta": 2, "two": 3, "points": 6}[kind]
    slope = np.eye(len(estimate))
    drop = []
    if kind == "points":  # the last weight is what the others leave
        drop.append(5)
        slope[5, [3, 4]] = -1.0
    if isinstance(fit.strength, BradleyTerry):
        drop.append(len(estimate) - 1)
        slope[-1, n_prior:-1] = -1.0
    free = estimate.copy()
    if isinstance(fit.strength, Shared | PerPair):
        mu = estimate[n_prior:]
        free[n_prior:] = np.log(mu / (1.0 - mu))
        slope[range(n_prior, len(free)), range(n_prior, len(free))] = mu * (1.0 - mu)
    keep = [i for i in range(len(estimate)) if i not in drop]
    return free[keep], slope[:, keep], n_prior - (kind == "points")


CASES = [
    (TwoPoint(), "two", Known(np.array([0.7, 0.93, 0.82])), 4), (TwoPoint(), "two", BradleyTerry(), 4),
    (Points(3), "points", Known(np.array([0.7, 0.93, 0.82])), 11),
    (Beta(), "beta", Known(np.array([0.7, 0.93, 0.82])), 10),
    (Beta(), "beta", Shared(), 10), (Beta(), "beta", PerPair(), 10), (Beta(), "beta", BradleyTerry(), 10),
]  # fmt: skip


@pytest.mark.parametrize("prior, kind, strength, seed", CASES, ids=str)
def test_standard_errors_on_the_natural_scale_are_those_of_the_oracle(
    arena, fit_of, prior, kind, strength, seed
):
    """Information and sandwich by brute force: Hessian and scores of the oracle's likelihood."""
    counts = arena(seed)
    fit = fit_of(counts, prior, strength)
    x, slope, n_prior = free_of(fit, kind)
    assert not any(fit.standard_errors().notes), fit.standard_errors()
    inverse = np.linalg.inv(
        -oracles.hessian(natural_likelihood(kind, counts, strength, n_prior), x, step=1e-6)
    )
    rows, times, _ = oracles.distinct(counts)
    scores = np.array(
        [oracles.gradient(natural_likelihood(kind, counts, strength, n_prior, r[None], 1.0), x) for r in rows]
    )
    outer = np.einsum("j,jp,jq->pq", times, scores, scores)
    for sandwich, covariance in ((False, inverse), (True, inverse @ outer @ inverse)):
        found = fit.standard_errors(sandwich=sandwich)
        truth = slope @ covariance @ slope.T
        np.testing.assert_allclose(found.std_err, np.sqrt(np.diag(truth)), rtol=5e-3)
        scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
        np.testing.assert_allclose(found.covariance / scale, truth / scale, atol=5e-3)


def test_log_priors_count_when_asked_for(arena, fit_of):
    counts = arena(10)
    fit = fit_of(counts, Beta(), Shared())
    x, slope, _ = free_of(fit, "beta")
    data = natural_likelihood("beta", counts, Shared(), 2)
    at = lambda z: data(z) - 7 * np.log(1 + np.exp(-z[2])) - np.log(1 + np.exp(z[2]))  # noqa: E731
    truth = slope @ np.linalg.inv(-oracles.hessian(at, x, step=1e-6)) @ slope.T
    found = fit.standard_errors(include_prior=True).std_err
    np.testing.assert_allclose(found, np.sqrt(np.diag(truth)), rtol=5e-3)
    assert (found < fit.standard_errors().std_err).all()


def test_intervals_are_normal_on_the_scale_of_each_parameter_and_end_where_it_does(arena, fit_of):
    fit = fit_of(arena(10), Beta(), Shared())
    wide, narrow = fit.standard_errors(level=0.99), fit.standard_errors(level=0.5)
    for found, level in ((wide, 0.99), (narrow, 0.5)):
        reach = norm.ppf(0.5 + level / 2) * found.std_err
        assert found.names == ("a", "b", "strength")
        shapes, strength = found.estimate[:2], found.estimate[2]
        np.testing.assert_allclose(found.lower[:2], np.exp(np.log(shapes) - reach[:2] / shapes))
        np.testing.assert_allclose(found.upper[:2], np.exp(np.log(shapes) + reach[:2] / shapes))
        np.testing.assert_allclose(found.lower[2], max(strength - reach[2], 0.0))
        np.testing.assert_allclose(found.upper[2], min(strength + reach[2], 1.0))
        assert (found.lower > 0.0).all() and found.level == level
    for level in (0.0, 1.0, 95):
        with pytest.raises(ModelError, match="level"):
            fit.standard_errors(level=level)


def test_estimates_are_found_by_name(arena, fit_of):
    errors = fit_of(arena(10), Beta(), BradleyTerry()).standard_errors()
    assert len(errors) == 5 and errors.names[2:] == tuple(f"strength of {m}" for m in ("ant", "bee", "cat"))
    assert errors["a"].estimate == errors.estimate[0]
    assert [e.name for e in errors] == list(errors.names)
    with pytest.raises(KeyError, match="not among the parameters"):
        errors["alpha"]
    with pytest.raises(KeyError, match="did you mean 'strength of ant'"):
        errors["ant"]
    with pytest.raises(KeyError, match="did you mean 'strength of bee'"):
        errors["strength of beee"]
    assert len(repr(errors).splitlines()) == 6


def test_an_estimate_at_its_bound_has_a_note_and_no_standard_error():
    rng = np.random.default_rng(4)
    eta = rng.choice([0.0, 1.0], 400)
    prefs = Preferences.from_counts(rng.binomial(20, 0.5 + 0.45 * eta), np.full(400, 20))
    found = fit_em(prefs, TwoPoint(), strength=Known(0.9)).standard_errors()
    assert found["high"].estimate == 1.0 and found["high"].note == "at its upper bound"
    assert found["high"].at_bound and not found["weight"].at_bound
    assert np.isnan([found["high"].std_err, found["high"].lower, found["high"].upper]).all()
    assert np.isfinite(found["weight"].std_err) and found["weight"].note == ""


def first_clicks(seed, careless=0.0, first=1.0):
    """Votes of 30 users who choose by strength, and of 30 who click on the first answer."""
    rng, strength = np.random.default_rng(seed), np.array([1.5, 0.0, -1.5])
    user, a = np.repeat(np.arange(60), 20), rng.integers(0, 3, 1200)
    b = (a + rng.integers(1, 3, 1200)) % 3
    chosen = rng.random(1200) < 1.0 / (1.0 + np.exp(strength[b] - strength[a]))
    attentive = rng.random(1200) < np.where(user < 30, careless, 0.95)
    won = np.where(attentive, chosen, rng.random(1200) < first)
    pairs = [[f"m{i}", f"m{j}"] for i, j in zip(a, b, strict=True)]
    return Preferences.from_votes(user, pairs, won.astype(float), shown_first=[True] * 1200)


@pytest.mark.parametrize("first, end", [(1.0, "upper"), (0.0, "lower")])
@pytest.mark.parametrize("seed", [0, 2])
def test_a_share_whose_logit_grows_without_end_is_at_its_bound(first, end, seed):
    fit = fit_em(first_clicks(seed, first=first), TwoPoint())
    found = fit.standard_errors()["guess"]
    assert abs(found.estimate - first) < 1e-6 and found.note == f"at its {end} bound"
    assert np.isnan([found.std_err, found.lower, found.upper]).all()
    assert not fit.identifiability().identified
    assert f"guess = {first:g} (at its {end} bound)" in " ".join(f.what for f in fit.identified.findings)
    entry = next(p for p in fit.summary()["parameters"] if p["name"] == "guess")
    assert entry["note"] == f"at its {end} bound" and entry["lower"] is None
    assert f"at its {end} bound" in repr(fit) and "0.0000   [" not in repr(fit)


def test_a_small_share_that_votes_support_is_not_at_its_bound():
    """One user in two thousand is attentive, and has many votes: the share is small, and determined."""
    wins = np.random.default_rng(0).binomial(100, np.r_[np.full(4, 0.95), np.full(7996, 0.5)])
    fit = fit_em(Preferences.from_counts(wins, np.full(8000, 100)), TwoPoint(), strength=Known(0.95))
    found = fit.standard_errors()["weight"]
    assert found.estimate < 1e-3 and found.note == "" and found.std_err < found.estimate


def several_alike():
    """Three models in a cycle, and users whose votes vary less than those of equal users would."""
    wins = np.random.default_rng(0).integers(6, 9, (180, 3))
    return Preferences.from_counts(
        wins, np.full((180, 3), 10), comparisons=[["a", "b"], ["a", "c"], ["b", "c"]]
    )


def test_a_beta_at_the_edge_of_its_range_leaves_the_scale_open():
    """Users all alike: a Beta without width says nothing of the strength."""
    prefs = Preferences.from_counts([12, 13, 14, 13] * 100, [20] * 400)
    fit = fit_em(prefs, Beta())
    assert fit.standard_errors()["a"].at_edge_of_density
    assert fit.standard_errors()["strength"].note == "its scale is not determined by these votes"
    assert any(f.about == "scale" and f.undetermined for f in fit.identified.findings)
    assert not fit.identifiability().identified and "(on an assumed scale" in repr(fit)
    ranked = fit_em(several_alike(), Beta())
    assert ranked.standard_errors()["b"].at_edge_of_density and ranked.identified.open_scale
    known = fit_em(prefs, Beta(), strength=Known(0.8))
    assert not any(f.about == "scale" for f in known.identified.findings)


def test_an_undetermined_scale_has_no_standard_error_without_its_prior(arena, fit_of):
    for strength in (Shared(), PerPair()):
        fit = fit_of(arena(4), TwoPoint(), strength)
        plain, with_prior = fit.standard_errors(), fit.standard_errors(include_prior=True)
        for i, name in enumerate(plain.names):
            if name == "weight":
                assert np.isfinite(plain.std_err[i])
            else:
                assert np.isnan(plain.std_err[i]) and plain.notes[i]
        assert np.isfinite(with_prior["weight"].std_err)


def test_few_users_with_many_votes_have_standard_errors(arena):
    """Eight users and twelve models: fewer scores than parameters, and yet all strengths are determined."""
    rng = np.random.default_rng(0)
    models = [f"m{i:02}" for i in range(12)]
    strengths, eta = np.linspace(-1.5, 1.5, 12), np.linspace(0.3, 0.95, 8)
    pairs = [(a, b) for a in range(12) for b in range(a)]
    mu = np.array([1 / (1 + np.exp(strengths[b] - strengths[a])) for a, b in pairs])
    total = np.full((8, len(pairs)), 12)
    wins = rng.binomial(total, 0.5 + eta[:, None] * (mu - 0.5))
    prefs = Preferences.from_counts(wins, total, comparisons=[[models[a], models[b]] for a, b in pairs])
    fit = fit_em(prefs, Beta())
    found = fit.standard_errors()
    assert (
        np.linalg.eigvalsh(fit.curvature.observed)[1] > 0.1
    )  # one flat direction: the level of the strengths
    assert np.isfinite(found.std_err).all(), found
    assert fit.identifiability().identified
    with pytest.raises(ModelError, match="more users than parameters"):
        fit.standard_errors(sandwich=True)


def test_a_grid_has_moments_with_standard_errors(duel, fit_of):
    counts = duel(lambda rng, n: rng.choice([0.2, 0.9], n), 3)
    found = fit_of(counts, Grid(64), Known(0.74)).standard_errors()
    assert found.names == ("mean attentiveness", "sd of attentiveness")
    assert abs(found["mean attentiveness"].estimate - 0.55) < 0.03


@pytest.mark.long
def test_intervals_cover_the_truth_at_their_level(as_duel):
    """One hundred small data sets of a known prior; binomial noise allows 0.88 to 1."""
    truth = {"low": 0.2, "high": 0.85, "weight": 0.6}
    held = dict.fromkeys(truth, 0)
    rng = np.random.default_rng(12)
    for _ in range(100):
        eta = np.where(rng.random(1500) < truth["weight"], truth["high"], truth["low"])
        prefs = Preferences.from_counts(rng.binomial(30, 0.5 + 0.4 * eta), np.full(1500, 30))
        found = fit_em(prefs, TwoPoint(), strength=Known(0.9)).standard_errors()
        for name, value in truth.items():
            held[name] += found[name].lower <= value <= found[name].upper
    assert all(0.88 <= count / 100 <= 1.0 for count in held.values()), held


@pytest.mark.long
def test_intervals_of_the_shapes_of_a_beta_cover_them():
    """Three hundred data sets; at a coverage of 0.95, binomial noise allows 0.925 to 0.975.

    On the natural scale the lower end of most would be 0, and those of b would cover it less often.
    """
    held, zero = np.zeros(2), 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        wins = rng.binomial(12, 0.5 + 0.4 * rng.beta(2.0, 1.0, 400))
        found = fit_em(Preferences.from_counts(wins, np.full(400, 12)), Beta(), strength=Known(0.9))
        found = found.standard_errors()
        held += (found.lower <= [2.0, 1.0]) & (found.upper >= [2.0, 1.0])
        zero += np.nanmin(found.lower) <= 0.0
    assert (np.abs(held / 300 - 0.95) <= 0.025).all() and zero == 0, (held / 300, zero)


def test_flat_directions_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 4))
    for units in (np.ones(4), np.array([1e-6, 1.0, 1e5, 10.0])):
        scaled = scores * units
        flat, values = flat_directions(scaled.T @ scaled)
        assert flat.shape == (4, 1) and len(values) == 4
        np.testing.assert_allclose(scaled @ flat / np.abs(scaled).max(axis=0).max(), 0.0, atol=1e-6)


def test_warnings_are_only_given_where_due(arena, as_arena):
    with warnings.catch_warnings():
        warnings.simplefilter("error", EmjaxWarning)
        assert fit_em(as_arena(arena(10)), Beta(), strength=BradleyTerry()).converged


@pytest.mark.long
def test_intervals_of_a_grid_cover_the_moments():
    """Its nodes stand for points that can move: were they held, intervals of small data would be too short.

    Eighty data sets; binomial noise allows 0.86 to 1.
    """
    held = np.zeros(2)
    for seed in range(80):
        rng = np.random.default_rng(seed)
        wins = rng.binomial(15, 0.5 + 0.4 * rng.choice([0.0, 1.0], 300, p=[0.3, 0.7]))
        fit = fit_em(Preferences.from_counts(wins, np.full(300, 15)), Grid(64), strength=Known(0.9))
        found = fit.standard_errors()
        held += (found.lower <= [0.7, np.sqrt(0.21)]) & (found.upper >= [0.7, np.sqrt(0.21)])
    assert (held / 80 >= 0.86).all(), held


def test_nodes_of_a_coarse_grid_are_held_fixed():
    """On a coarse grid far apart points cannot be one: the nodes themselves are the model."""
    rng = np.random.default_rng(2)
    wins = rng.binomial(30, 0.5 + 0.4 * rng.choice([0.0, 0.5, 1.0], 2000))
    fit = fit_em(Preferences.from_counts(wins, np.full(2000, 30)), Grid([0, 0.5, 1]), strength=Known(0.9))
    assert fit.curvature.held.sum() == 3 and not fit.curvature.at_edge.any()
    weights = np.asarray(fit.prior.weights)
    scores = oracles.node_log_likelihoods(
        np.stack([np.arange(31), 30 - np.arange(31)], axis=1)[:, None, :].astype(float),
        np.array([0.9]),
        np.array([0.0, 0.5, 1.0]),
    )
    density = np.exp(scores)
    times = np.bincount(wins, minlength=31)
    slope = (density[:, :2] - density[:, 2:]) / (density @ weights)[:, None]
    inverse = np.linalg.inv((slope * times[:, None]).T @ slope)
    by_mean = np.array([-1.0, -0.5])
    se = fit.standard_errors()["mean attentiveness"].std_err
    np.testing.assert_allclose(se, np.sqrt(by_mean @ inverse @ by_mean), rtol=1e-4)


def test_intervals_allow_for_a_support_point_at_its_bound():
    """At times `high` comes out at 1; the strengths, whose scale leans on it, allow for that."""
    names, s = ["a", "b", "c", "d"], np.array([1.2, 0.4, -0.4, -1.2])
    pairs = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    mu = np.array([1 / (1 + np.exp(s[b] - s[a])) for a, b in pairs])
    at_edge, held = 0, 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        total = rng.multinomial(24, np.ones(6) / 6, 150)
        wins = rng.binomial(total, 0.5 + rng.choice([0.1, 0.85], (150, 1)) * (mu - 0.5))
        prefs = Preferences.from_counts(wins, total, comparisons=[[names[a], names[b]] for a, b in pairs])
        fit = fit_em(prefs, TwoPoint())
        if fit.prior.high == 1.0:
            found = fit.standard_errors()["strength of a"]
            at_edge, held = at_edge + 1, held + (found.lower <= 1.2 <= found.upper)
    assert at_edge >= 5 and held >= 0.8 * at_edge, (held, at_edge)


@pytest.mark.long
def test_intervals_of_a_leaderboard_cover_the_strengths():
    """Users of four kinds, whose fitted points are gathered from a grid and so near a maximum, not at it."""
    names = [f"m{i}" for i in range(8)]
    users = Fixed(Points(4, [0.0, 0.5, 0.8, 0.95], [0.3, 0.2, 0.25, 0.25]))
    held, missing = 0, 0
    for seed in range(8):
        s = np.random.default_rng(seed).normal(size=8)
        sim = simulate(
            seed, n_users=1500, votes_per_user=25, prior=users, strengths=dict(zip(names, s, strict=True))
        )
        found = fit_em(sim.preferences, Grid()).standard_errors()
        for name, strength in zip(names, s - s.mean(), strict=True):
            e = found[f"strength of {name}"]
            held += e.lower <= strength <= e.upper
            missing += np.isnan(e.std_err)
    assert missing == 0 and held >= 0.85 * 64, (held, missing)
