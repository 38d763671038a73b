"""alignment_sim: its losses, its judging and its arms against NumPy, brute force and what is known."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.optimize import minimize

import emjax

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def parts():
    """The three modules: world, train, arms."""
    sys.path.insert(0, str(ROOT))
    try:
        return [
            importlib.import_module(f"benchmarks.alignment_{name}") for name in ("world", "train", "arms")
        ]
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def small(parts):
    """Worlds of two seeds with 60 users of 20 votes, and their attentiveness."""
    return parts[0].draw(range(2), 0.74, "two-point", 60, 20, prompts=40)


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


# ------------------------------------------------------------------------------------------------- the losses

# Each loss once more in NumPy, from probabilities: P(chosen) = sigmoid(margin).
NUMPY_LOSSES = {
    "dpo": lambda p, a: -np.log(p),
    "soft": lambda p, a: -a * np.log(p) - (1 - a) * np.log(1 - p),
    "rdpo": lambda p, a: (-(1 - a) * np.log(p) + a * np.log(1 - p)) / (1 - 2 * a),
    "attentive": lambda p, a: -np.log(a * p + (1 - a) / 2),
}


@pytest.mark.parametrize("name", NUMPY_LOSSES)
def test_values_and_slopes_of_losses(parts, name):
    loss, plain = getattr(parts[1], name), NUMPY_LOSSES[name]
    rng = np.random.default_rng(1)
    margin, about = rng.normal(scale=3.0, size=50), rng.uniform(0.05, 0.45, size=50)
    np.testing.assert_allclose(loss(margin, about), plain(sigmoid(margin), about), rtol=1e-12)
    step = 1e-5
    ends = [plain(sigmoid(margin + s * step), about) for s in (1, -1)]
    slope = jax.vmap(jax.grad(loss))(margin, about)
    np.testing.assert_allclose(slope, (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-9)


def test_the_attentive_slope_is_responsibility_times_dpo(parts):
    train = parts[1]
    margin, eta = np.linspace(-4.0, 4.0, 9), np.linspace(0.0, 1.0, 9)
    judged = eta * sigmoid(margin) / (eta * sigmoid(margin) + (1 - eta) / 2)
    found = jax.vmap(jax.grad(train.attentive))(margin, eta)
    np.testing.assert_allclose(found, judged * jax.vmap(jax.grad(train.dpo))(margin, eta), rtol=1e-12)


def test_rdpo_is_unbiased(parts):
    """Mean over flips of rDPO's loss is DPO's loss on votes that were not flipped."""
    margin, flip = np.array([-2.0, 0.5, 3.0]), np.array([0.1, 0.3, 0.4])
    mean = (1 - flip) * parts[1].rdpo(margin, flip) + flip * parts[1].rdpo(-margin, flip)
    np.testing.assert_allclose(mean, parts[1].dpo(margin, flip), rtol=1e-12)


# --------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("name", NUMPY_LOSSES)
def test_training_ends_where_a_general_optimiser_does(parts, small, name):
    world, train, _ = parts
    worlds, eta = small
    signed = np.where(worlds.won, 1.0, -1.0)[..., None] * worlds.difference
    rng = np.random.default_rng(2)
    weight = rng.uniform(0.0, 1.0, signed.shape[:2])
    about = np.repeat(eta, 20, axis=1) if name == "attentive" else np.full(signed.shape[:2], 0.1)
    u, decrement = train.train(getattr(train, name), signed, weight, about)
    assert np.all(np.asarray(decrement) < 1e-12)

    def lost(v, s):
        p = sigmoid(signed[s] @ v)
        return np.average(NUMPY_LOSSES[name](p, about[s]), weights=weight[s]) + train.RIDGE * v @ v / 2

    for s in range(2):
        best = minimize(lost, np.zeros(world.FEATURES), args=(s,), tol=1e-12)
        assert lost(np.asarray(u[s]), s) <= best.fun + 1e-10
        np.testing.assert_allclose(u[s], best.x, atol=2e-3)


def test_the_margin_is_that_of_the_policies(parts, small):
    """difference @ u is beta times the log-ratio of log-ratios that DPO is defined by, for any beta."""
    world = parts[0]
    rng = np.random.default_rng(3)
    features, u, beta = small[0].held_out[0], rng.normal(size=world.FEATURES), 0.3
    log_pi, log_reference = (np.asarray(world.policy(features, d)) for d in (u / beta, 0 * u))
    ratio = log_pi - log_reference
    np.testing.assert_allclose(
        beta * (ratio[:, 3] - ratio[:, 5]), (features[:, 3] - features[:, 5]) @ u, atol=1e-12
    )


def test_the_ridge_that_foretells_best_is_taken(parts, small):
    _, train, _ = parts
    worlds, eta = small
    signed = np.where(worlds.won, 1.0, -1.0)[..., None] * worlds.difference
    about = np.repeat(eta, 20, axis=1)
    u, _, ridge = train.train_with_ridge(train.attentive, signed, about)
    out = np.arange(signed.shape[1]) % 5 == 4

    def trained(rows, strength):
        def lost(v):
            p = sigmoid(signed[0, rows] @ v)
            return NUMPY_LOSSES["attentive"](p, about[0, rows]).mean() + strength * v @ v / 2

        return minimize(lost, np.zeros(signed.shape[2]), tol=1e-10).x

    missed = [
        NUMPY_LOSSES["attentive"](sigmoid(signed[0, out] @ trained(~out, r)), about[0, out]).sum()
        for r in train.RIDGES
    ]
    assert float(ridge[0]) == train.RIDGES[int(np.argmin(missed))]
    np.testing.assert_allclose(u[0], trained(np.ones_like(out), float(ridge[0])), atol=2e-3)


def test_repo_ends_at_its_fixed_point(parts, small):
    """There, reliability is the labels' mean correctness, and the policy is cDPO's on labels so correct."""
    _, train, _ = parts
    worlds, eta = small
    signed = np.where(worlds.won, 1.0, -1.0)[..., None] * worlds.difference
    u, reliability, moved = train.repo(signed, eta, rounds=2000)
    assert np.all(np.asarray(moved) <= 1e-3)
    p, r = sigmoid(np.einsum("svf,sf->sv", signed, u)), np.repeat(np.asarray(reliability), 20, axis=1)
    correct = r * p / (r * p + (1 - r) * (1 - p))
    np.testing.assert_allclose(correct.reshape(2, -1, 20).mean(axis=2), reliability, atol=5e-3)
    gradient = np.einsum("sv,svf->sf", correct - p, signed) / p.shape[1]
    np.testing.assert_allclose(gradient, 0.0, atol=1e-3)
    assert np.ptp(np.asarray(reliability)) > 0.2, "reliabilities never left their start"


def test_attentiveness_again_is_that_of_the_other_votes(parts, small):
    """Each vote's attentiveness is the posterior mean given the user's other votes, enumerated here."""
    _, train, _ = parts
    worlds, _ = small
    signed = np.where(worlds.won, 1.0, -1.0)[..., None] * worlds.difference
    start, _ = train.train(train.dpo, signed, np.ones(signed.shape[:2]), np.ones(signed.shape[:2]))
    prior = np.full((2, train.NODES), 1.0 / train.NODES)
    u, eta, _ = train.reestimated(signed, prior, np.zeros((2, 60)), start, rounds=1)
    nodes, p = np.linspace(0, 1, train.NODES), sigmoid(signed[0] @ np.asarray(start[0]))
    for vote in (0, 7, 25):
        user = vote // 20
        others = [i for i in range(20 * user, 20 * user + 20) if i != vote]
        likelihood = np.prod([0.5 + nodes * (p[i] - 0.5) for i in others], axis=0)
        assert float(eta[0, vote]) == pytest.approx(likelihood @ nodes / likelihood.sum(), rel=1e-9)
    assert np.all(np.isfinite(u))


# ---------------------------------------------------------------------------------------------------- judging


def test_scores_are_those_of_a_brute_force(parts, small):
    world = parts[0]
    theta, held_out = small[0].theta[0], small[0].held_out[0]
    direction = np.random.default_rng(4).normal(size=world.FEATURES)
    found = world.score(direction, theta, held_out)
    rewards, wins, kls = [], [], []
    for features in held_out:
        reward, pi = features @ theta, np.exp(features @ direction)
        pi /= pi.sum()
        rewards.append(pi @ reward - reward.mean())
        kls.append(sum(q * np.log(q * world.ANSWERS) for q in pi))
        beats = sum(
            pi[i] / world.ANSWERS * (1.0 if reward[i] > reward[j] else 0.5 if i == j else 0.0)
            for i in range(world.ANSWERS)
            for j in range(world.ANSWERS)
        )
        wins.append(beats)
    expected = (np.mean(rewards), np.mean(wins), np.mean(kls))
    np.testing.assert_allclose((found.reward, found.win_rate, found.kl), expected, rtol=1e-10)


def test_matched_kl_matches(parts, small):
    world = parts[0]
    theta, held_out = small[0].theta[1], small[0].held_out[1]
    goal = float(world.divergence(theta / world.BETA, held_out))
    rng = np.random.default_rng(5)
    for scale in (0.01, 1.0, 100.0):
        direction = scale * (theta + rng.normal(size=theta.size))
        scaled = np.asarray(world.matched(direction, theta, held_out))
        assert float(world.divergence(scaled, held_out)) == pytest.approx(goal, rel=1e-8)
        cosine = scaled @ direction / np.linalg.norm(scaled) / np.linalg.norm(direction)
        assert cosine == pytest.approx(1.0)
    np.testing.assert_allclose(world.matched(3.0 * theta, theta, held_out), theta / world.BETA, rtol=1e-9)


# -------------------------------------------------------------------------------------------------- the world


def test_a_gap_gives_the_preference_it_was_calibrated_for(parts):
    world = parts[0]
    for mu in (0.6, 0.98):
        worlds, _ = world.draw(range(3), mu, "Beta(½, ½)", 100, 30, prompts=2)
        spread = worlds.chance.std() / np.sqrt(worlds.chance.size)
        assert abs(worlds.chance.mean() - mu) < 4 * spread + 0.002
        assert abs(worlds.attentive_won.mean() - mu) < 4 * np.sqrt(mu * (1 - mu) / worlds.won.size) + 0.002
    with pytest.raises(ValueError, match="no gap"):
        world.calibrated(0.9999)


def test_votes_follow_the_behavior_model(parts):
    world = parts[0]
    eta = np.repeat([0.0, 0.5, 1.0], 4000)
    drawn = world.one_world(8, world.calibrated(0.74), eta, prompts=2)
    for value in (0.0, 0.5, 1.0):
        here = eta == value
        expected = 0.5 + value * (drawn.chance[here] - 0.5)
        assert abs(drawn.won[here].mean() - expected.mean()) < 4 * 0.5 / np.sqrt(here.sum())
    np.testing.assert_array_equal(drawn.won[eta == 1], drawn.attentive_won[eta == 1])
    assert np.all(np.abs(drawn.difference).max(axis=1) > 0), "an answer was compared with itself"


# --------------------------------------------------------------------------------------------------- the arms


@pytest.fixture(scope="module")
def judged(parts, small):
    arms = parts[2]
    return [arms.judge(won, 20, emjax.TwoPoint(), emjax.Known(0.74)) for won in small[0].won]


def test_votes_are_judged_by_the_users_other_votes(small, judged):
    """Against a posterior of the fitted prior's two points, by hand."""
    won = small[0].won[0].reshape(-1, 20)
    prefs = emjax.Preferences.from_counts(won.sum(axis=1), np.full(60, 20))
    prior = emjax.fit_em(prefs, emjax.TwoPoint(), strength=emjax.Known(0.74)).prior
    eta, share = np.array([prior.low, prior.high]), np.array([1 - prior.weight, prior.weight])
    for user, vote in ((0, 0), (5, 3), (41, 19)):
        others = np.delete(won[user], vote)
        p = 0.5 + eta * 0.24
        likelihood = share * p ** others.sum() * (1 - p) ** (19 - others.sum())
        expected = likelihood @ eta / likelihood.sum()
        assert judged[0].eta[20 * user + vote] == pytest.approx(expected, rel=1e-6)


def test_the_predicted_sweet_spot_is_the_largest_information(parts, judged):
    """(sum of attentiveness kept)² / votes kept, over every cut, as a share of what weights reach."""
    for one in judged:
        best = np.sort(one.eta)[::-1]
        information = np.cumsum(best) ** 2 / np.arange(1, best.size + 1) / (best**2).sum()
        share, told, at = one.curve
        assert told[at] == pytest.approx(information.max(), rel=1e-9)
        kept = one.keeps[parts[2].MOST]
        assert kept.mean() == pytest.approx(share[at])
        assert (one.eta[kept].sum() ** 2 / kept.sum()) / (one.eta**2).sum() == pytest.approx(told[at])


def test_what_arms_are_made_of(parts, small, judged):
    _, train, arms = parts
    worlds, eta = small
    todo = arms.recipes(worlds, eta, judged)
    n = worlds.won.shape[1]
    for arm in arms.FILTERS:
        assert set(np.unique(todo[arm][2])) <= {0.0, 1.0} and todo[arm][0] is train.dpo
    np.testing.assert_array_equal(todo[arms.RANDOM][2].sum(axis=1), todo[arms.PAPER][2].sum(axis=1))
    np.testing.assert_allclose(todo[arms.top(0.3)][2].mean(axis=1), 0.3, atol=0.1)
    # all votes of a user stand or fall together where the user is judged, as in the paper
    assert np.all(np.isin(todo[arms.PAPER][2].reshape(2, 60, 20).sum(axis=2), (0, 20)))
    np.testing.assert_array_equal(todo[arms.ORACLE][3], np.repeat(eta, 20, axis=1))
    clean = np.where(worlds.attentive_won, 1.0, -1.0)[..., None] * worlds.difference
    np.testing.assert_array_equal(todo[arms.FREE][1], clean)
    assert n == 1200 and np.all(todo[arms.RDPO_USER][3] <= 0.45)


def test_full_attentiveness_is_dpo_on_what_attentive_users_chose(parts, small, judged):
    """With users who always judge, the attentive loss, noise-free labels and no filter are the same."""
    world, _, arms = parts
    worlds, eta = small
    always = worlds._replace(won=worlds.attentive_won)
    found = arms.run(always, np.ones_like(eta), judged, (arms.UNFILTERED, arms.ORACLE, arms.FREE))
    for arm in (arms.ORACLE, arms.FREE):
        for kind in ("fixed", "matched"):
            expected = found[arms.UNFILTERED][kind]["reward"]
            np.testing.assert_allclose(found[arm][kind]["reward"], expected, rtol=1e-6)
    signed = np.where(worlds.attentive_won[0], 1.0, -1.0)[:, None] * worlds.difference[0]

    def lost(v):
        return np.logaddexp(0.0, -signed @ v).mean()

    best = minimize(lost, np.zeros(world.FEATURES), tol=1e-12).x
    expected = world.score(best / world.BETA, worlds.theta[0], worlds.held_out[0])
    assert found[arms.FREE]["fixed"]["reward"][0] == pytest.approx(float(expected.reward), rel=1e-4)


def test_a_filter_that_keeps_nobody_leaves_the_reference(parts, small, judged):
    arms = parts[2]
    empty = [j._replace(keeps=j.keeps | {arms.PAPER: np.zeros(1200, bool)}) for j in judged]
    found = arms.run(*small, empty, (arms.PAPER,))[arms.PAPER]
    assert np.all(found["kept"] == 0) and np.all(found["fixed"]["reward"] == 0)
    np.testing.assert_allclose(found["fixed"]["win_rate"], 0.5)


def test_a_prior_on_the_grid_keeps_its_mean(parts):
    rng = np.random.default_rng(6)
    eta, weights = rng.uniform(size=30), rng.dirichlet(np.ones(30))
    grid = parts[2].on_grid(np.append(eta, 1.0), np.append(0.5 * weights, 0.5))
    assert grid.sum() == pytest.approx(1.0)
    assert grid @ np.linspace(0, 1, grid.size) == pytest.approx(0.5 * eta @ weights + 0.5)


# --------------------------------------------------------------------------------------------- the whole run


@pytest.mark.long
def test_the_benchmark_runs(tmp_path):
    file = tmp_path / "alignment_sim.json"
    command = [sys.executable, "-m", "benchmarks.alignment_sim", "--smoke", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    text = file.read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["benchmark"] == "alignment_sim" and content["smoke"] is True
    assert str(ROOT) not in text, "where the repository lies does not belong into a result"
    assert all(row["met"] is None for row in content["figures"])
    whole = content["raw"]["two-point, μ 0.74, 60 x 20"]
    by_arm = {row["arm"]: row for row in whole}
    assert by_arm["noise-free labels"]["kept"][0] == 1
    for row in whole:
        assert len(row["reward, fixed"]) == len(row["reward, matched"]) == 2
        assert -1 <= row["cosine"][0] <= 1 and 0 <= row["win rate, fixed"][0] <= 1
    reference = content["tables"][0]
    assert [line[0] for line in reference["rows"]] == [row["arm"] for row in whole]
    for one in content["tables"]:
        assert {len(line) for line in one["rows"]} == {len(one["columns"])}
        assert one["title"] in done.stdout
