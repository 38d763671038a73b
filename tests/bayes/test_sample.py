"""fit_bayes against brute force, and against itself."""

import brute_force
import jax
import numpy as np
import pytest

import emjax

MU, VOTES = 0.9, 10


def agrees(fit, truth, columns=None):
    """Means and standard deviations as they should be, within Monte Carlo error."""
    columns = slice(None) if columns is None else columns
    estimates = fit.estimates()
    bulk, tail = fit.ess_bulk[columns], fit.ess_tail[columns]
    assert bulk.min() > 400 and fit.r_hat[columns].max() < 1.02, "too few effective draws"
    mean_error = (estimates.estimate[columns] - truth.mean) / truth.sd * np.sqrt(bulk)
    sd_error = np.log(estimates.std_err[columns] / truth.sd) * np.sqrt(2 * np.minimum(bulk, tail))
    assert np.abs(mean_error).max() < 4.5, mean_error
    assert np.abs(sd_error).max() < 6.0, sd_error  # tails are not normal, so a little more than five


def test_two_points(two_point, two_point_brute):
    agrees(two_point, two_point_brute)
    assert two_point.names == ("low", "high", "weight")
    assert (two_point.draws.natural[..., 0] < two_point.draws.natural[..., 1]).all()


def test_beta(beta, wins):
    agrees(beta, brute_force.beta_known(wins, VOTES, MU))
    assert 0 < beta.n_nodes < 512


def test_two_points_and_unknown_strength(ridge, wins):
    truth = brute_force.two_point_shared(wins, VOTES)
    agrees(ridge, truth)
    # the identified product is known far better than its factors
    natural = ridge.draws.natural.reshape(-1, 4)
    seen = natural[:, 1] * (2 * natural[:, 3] - 1)
    own = truth.points[:, 1] * (2 * truth.points[:, 3] - 1)
    centre = truth.probability @ own
    spread = np.sqrt(truth.probability @ (own - centre) ** 2)
    assert abs(seen.mean() - centre) < 0.2 * spread and abs(np.log(seen.std() / spread)) < 0.2


def test_grid(prefs, wins, quiet):
    fit = quiet(prefs, emjax.Grid(5), strength=emjax.Known(MU))
    eta = np.linspace(0, 1, 5)
    truth = brute_force.grid_known(wins, VOTES, MU, eta)
    weights = fit.draws.models.prior.weights.reshape(-1, 5)
    mean = truth @ eta
    sd = np.sqrt(truth @ eta**2 - mean**2)
    own = np.column_stack([mean, sd])
    estimates = fit.estimates()
    room = 4.5 * own.std(axis=0) * np.sqrt(1 / fit.ess_bulk + 1 / 1000)  # either side is made of draws
    assert (np.abs(estimates.estimate - own.mean(axis=0)) < room).all()
    assert (np.abs(weights.mean(axis=0) - truth.mean(axis=0)) < 0.15 * truth.std(axis=0)).all()
    assert (np.abs(np.log(weights.std(axis=0) / truth.std(axis=0))) < 0.15).all()


def test_strengths_of_models(ranked, arena_counts):
    truth, spread = brute_force.three_models_fixed(
        arena_counts, [(0, 1), (0, 2), (1, 2)], np.array([0.2, 0.9]), np.array([0.4, 0.6])
    )
    agrees(ranked, truth)
    np.testing.assert_allclose(ranked.draws.natural.sum(axis=-1), 0.0, atol=1e-9)
    assert ranked.strength.models == ("ant", "bee", "cat")
    assert 0.3 < spread < 3.0  # not at an edge of the brute-force grid


@pytest.mark.long
def test_sampling_users_gives_the_same_posterior(quiet):
    rng = np.random.default_rng(6)
    wins = rng.binomial(20, 0.5 + rng.beta(2, 2, 25) * 0.4)
    prefs = emjax.Preferences.from_counts(wins, np.full(25, 20))
    fit = quiet(
        prefs,
        emjax.Beta(),
        strength=emjax.Known(MU),
        collapsed=False,
        num_warmup=400,
        num_samples=6000,
        num_chains=2,
    )
    assert fit.n_nodes == 0
    agrees(fit, brute_force.beta_known(wins, 20, MU))
    assert fit.posterior(prefs).mean.shape == (25,)


@pytest.mark.long
def test_ranks_of_simulated_truths_are_uniform(quiet):
    """Truths drawn from the hyperpriors rank anywhere among the draws, as often (Talts et al. 2018)."""
    from scipy.stats import chisquare

    rng = np.random.default_rng(11)
    ranks = []
    for i in range(40):
        low, high = np.sort(rng.random(2))
        truth = np.array([low, high, rng.random()])
        eta = np.where(rng.random(100) < truth[2], high, low)
        wins = rng.binomial(VOTES, 0.5 + eta * (MU - 0.5))
        fit = quiet(
            emjax.Preferences.from_counts(wins, np.full(100, VOTES)),
            emjax.TwoPoint(),
            strength=emjax.Known(MU),
            num_samples=400,
            num_chains=2,
            key=i,
        )
        draws = fit.draws.natural.reshape(-1, 3)
        thinned = draws[np.linspace(0, len(draws) - 1, 19).astype(int)]
        ranks.append((thinned < truth).sum(axis=0))
    for of_one in np.array(ranks).T:
        seen = np.bincount(of_one // 5, minlength=4)
        assert chisquare(seen).pvalue > 0.001, seen


def test_draws_depend_on_the_key_alone(two_point, prefs, quiet):
    again = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU), key=jax.random.key(0))
    np.testing.assert_array_equal(again.draws.natural, two_point.draws.natural)
    other = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU), key=1)
    assert not np.any(other.draws.natural[:, 0] == two_point.draws.natural[:, 0])
    first, second, *_ = two_point.draws.natural
    assert not np.any(first == second)


def test_the_posterior_does_not_depend_on_starting_values(two_point, two_point_brute, prefs, quiet):
    fit = quiet(prefs, emjax.TwoPoint(0.45, 0.5, 0.9), strength=emjax.Known(MU))
    agrees(fit, two_point_brute)


def test_a_higher_target_makes_smaller_steps(prefs, quiet):
    """Draws are accepted more often, and trajectories of about the same length have more steps."""
    options = {"strength": emjax.Known(MU), "num_samples": 500, "num_chains": 2}
    low, high = (quiet(prefs, emjax.TwoPoint(), target_accept=x, **options) for x in (0.6, 0.97))
    assert (low.target_accept, high.target_accept) == (0.6, 0.97)
    accepted = [fit.draws.accept_prob.mean() for fit in (low, high)]
    assert accepted[0] < 0.85 and accepted[1] > 0.93
    assert high.draws.n_steps.mean() > 1.5 * low.draws.n_steps.mean()


def test_results_are_numpy_in_double_precision(two_point):
    for leaf in [*jax.tree.leaves(two_point.draws.models), two_point.draws.natural]:
        assert isinstance(leaf, np.ndarray) and leaf.dtype == np.float64
    assert two_point.draws.diverging.dtype == bool
    for estimates in (two_point.r_hat, two_point.ess_bulk, two_point.ess_tail, two_point.draws.accept_prob):
        assert isinstance(estimates, np.ndarray) and estimates.dtype == np.float64
    assert isinstance(two_point.draws.n_steps, np.ndarray)
    assert 0.6 < two_point.draws.accept_prob.mean() <= 1.0


def test_no_progress_is_shown_without_a_terminal(prefs, quiet, capfd):
    quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU), num_samples=1, num_chains=1)
    assert capfd.readouterr() == ("", "")


def test_one_chain_of_one_draw_gives_a_fit(prefs, quiet):
    fit = quiet(prefs, emjax.TwoPoint(), strength=emjax.Known(MU), num_samples=1, num_chains=1)
    assert fit.draws.natural.shape == (1, 1, 3)
