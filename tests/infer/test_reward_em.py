"""Networks and users learned together: against Bradley–Terry, against the truth, and what is refused."""

import numpy as np
import pytest

import emjax
from emjax.infer.em_loop import run
from emjax.infer.reward_em import _held_out, _learning, _set_aside
from emjax.model.model import Model

pytest.importorskip("flax", reason="Flax is not installed: pip install 'emjax[contextual]'")

MODELS = np.array(["ant", "bee", "cat", "dog"])
ALL_ATTENTIVE = emjax.Fixed(emjax.Points(1, points=[1.0]))


class World:
    """Users, two in five of them careless, who vote on answers whose reward is a function of features."""

    def __init__(self, seed=0, m=300, prompts=80, each=60):
        rng = np.random.default_rng(seed)
        self.answers = [(f"p{c}", model) for c in range(prompts) for model in MODELS]
        self.features = rng.normal(size=(len(self.answers), 4))
        self.reward = self.of(self.features)
        self.eta = np.where(np.arange(m) < 0.4 * m, 0.0, 0.95)
        self.user = np.repeat(np.arange(m), each)
        n = len(self.user)
        self.prompt, self.a = rng.integers(prompts, size=n), rng.integers(4, size=n)
        self.b = (self.a + rng.integers(1, 4, size=n)) % 4
        apart = self.reward[4 * self.prompt + self.a] - self.reward[4 * self.prompt + self.b]
        p = 1 / (1 + np.exp(-apart))
        self.won = rng.random(n) < 0.5 + self.eta[self.user] * (p - 0.5)
        self.prefs = self.votes()

    @staticmethod
    def of(x):
        return x @ [1.3, -0.9, 0.5, 0.0] + np.tanh(2 * x[:, 3])

    def votes(self, *, turned=False):
        pairs = np.stack([MODELS[self.a], MODELS[self.b]], axis=1)
        won = ~self.won if turned else self.won
        context = np.char.add("p", self.prompt.astype(str))
        return emjax.Preferences.from_votes(
            self.user, pairs[:, ::-1] if turned else pairs, won, context=context
        )

    def strength(self, **options):
        return emjax.RewardNetwork(self.answers, self.features, **({"hidden": (8,)} | options))

    def error(self, fit):
        """Root mean square error of rewards of answers outside the training votes."""
        new = np.random.default_rng(99).normal(size=(2000, 4))
        found, true = fit.strength.rewards(new), self.of(new)
        return np.sqrt(np.mean(((found - found.mean()) - (true - true.mean())) ** 2))


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def fitted(world):
    return emjax.fit_em(world.prefs, emjax.TwoPoint(), strength=world.strength())


def test_careless_users_and_rewards_are_recovered(world, fitted):
    assert fitted.converged
    prior = fitted.prior
    np.testing.assert_allclose([prior.low, prior.high, prior.weight], [0.0, 0.95, 0.6], atol=0.06)
    found = fitted.posterior(world.prefs).mean
    assert ((found > 0.5) == (world.eta > 0.5)).mean() > 0.98
    table = fitted.users(world.prefs).to_pydict()
    assert np.mean(np.array(table["agreement"])[world.eta == 0]) < 0.55
    strengths = np.array(fitted.comparisons(world.prefs).to_pydict()["strength"])
    place = {answer: i for i, answer in enumerate(world.answers)}
    apart = [
        world.reward[place[c, a]] - world.reward[place[c, b]]
        for c, (a, b) in zip(world.prefs.contexts, world.prefs.comparisons, strict=True)
    ]
    assert np.abs(strengths - 1 / (1 + np.exp(-np.array(apart)))).mean() < 0.04


@pytest.mark.long
def test_the_error_is_less_than_half_of_that_without_attentiveness(world, fitted):
    flat = emjax.fit_em(world.prefs, ALL_ATTENTIVE, strength=world.strength())
    assert world.error(fitted) < 0.5 * world.error(flat)


def test_the_objective_never_falls_and_learning_stops_at_the_best_held_out_score(world, fitted):
    assert (np.diff(fitted.trace) >= -1e-9 * np.abs(fitted.trace[1:])).all() and len(fitted.trace) > 5
    notes = [f.what for f in fitted.identified.findings]
    assert any("8 of 80 contexts" in note for note in notes)
    assert any("no standard errors" in note for note in notes)
    assert np.isnan(fitted.standard_errors().std_err).all()


def test_the_held_out_score_is_that_of_single_votes(world):
    """Round by hand: each vote set aside, under its user's posterior from the user's other votes."""
    strength = world.strength(hidden=()).start(world.prefs.table)
    weights = tuple(0.8 * np.ones_like(w) for w in strength.weights)
    strength = world.strength(hidden=(), weights=weights).start(world.prefs.table)
    prior = emjax.Points(2, points=[0.2, 0.9], weights=[0.5, 0.5])
    aside = _set_aside(world.prefs, strength)
    assert len(set(world.prefs.contexts[aside])) == 8
    import jax
    import jax.numpy as jnp

    from emjax.data.partition import part_of
    from emjax.infer.reward_em import _score
    from emjax.infer.vote_sources import prepare

    prefs, mine = world.prefs, ~aside[world.prefs.comparison]
    with jax.enable_x64(True):
        seen = part_of(prefs, np.where(mine[:, None], prefs.counts, 0.0))
        votes, model, row = prepare(seen, prior, strength, emjax.AttentiveOrRandom())
        found = float(_score(votes, model, _held_out(prefs, ~mine, [row], None)))
        logits = np.asarray(strength.logits(jnp.asarray(strength.index(prefs.table))))
    mu = 1 / (1 + np.exp(-logits))
    p = 0.5 + np.array([0.2, 0.9]) * (mu[:, None] - 0.5)
    rows = prefs.counts[:, :1] * np.log(p[prefs.comparison])
    rows = rows + prefs.counts[:, 1:] * np.log(1 - p[prefs.comparison])
    posterior = np.zeros((prefs.n_users, 2))
    np.add.at(posterior, prefs.user[mine], rows[mine])
    posterior = np.exp(posterior - posterior.max(axis=1, keepdims=True))
    posterior /= posterior.sum(axis=1, keepdims=True)
    here = p[prefs.comparison[~mine]]
    chance = (posterior[prefs.user[~mine]] * here).sum(axis=1)
    other = (posterior[prefs.user[~mine]] * (1 - here)).sum(axis=1)
    counts = prefs.counts[~mine]
    expected = (counts[:, 0] * np.log(chance) + counts[:, 1] * np.log(other)).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_one_hot_features_of_models_are_bradley_terry():
    """Each model answers each prompt, so the standardised columns have one scale: l2·(K − 1)/K."""
    world = World(seed=1, m=120, prompts=6, each=40)
    hot = np.array([[model == name for name in MODELS] for _, model in world.answers], dtype=float)
    strength = emjax.RewardNetwork(world.answers, hot, hidden=(), l2=0.4, held_out=0, steps=8)
    linear = emjax.fit_em(world.prefs, emjax.TwoPoint(), strength=strength, tol=1e-7)
    plain = emjax.fit_em(world.prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(l2=0.3), tol=1e-7)
    assert linear.converged
    np.testing.assert_allclose(linear.log_likelihood, plain.log_likelihood, atol=1e-4)
    np.testing.assert_allclose(linear.strength.rewards(np.eye(4)), plain.strength.natural(), atol=2e-3)
    for name in ("low", "high", "weight"):
        np.testing.assert_allclose(getattr(linear.prior, name), getattr(plain.prior, name), atol=2e-3)
    np.testing.assert_allclose(
        linear.posterior(world.prefs).mean, plain.posterior(world.prefs).mean, atol=2e-3
    )
    assert (np.diff(linear.trace) >= -1e-9 * np.abs(linear.trace[1:])).all()


@pytest.fixture(scope="module")
def small():
    return World(seed=2, m=60, prompts=10, each=40)


@pytest.mark.parametrize(
    "prior, behavior",
    [
        pytest.param(emjax.Points(3), None, marks=pytest.mark.long),
        (emjax.Grid(9), None),
        (emjax.Beta(), None),
        pytest.param(emjax.Fixed(emjax.Beta(2, 2)), None, marks=pytest.mark.long),
        (emjax.TwoPoint(), emjax.Sharpness()),
    ],
    ids=["points", "grid", "beta", "fixed", "sharpness"],
)
def test_every_prior_and_behavior_can_be_fitted_with_a_network(small, prior, behavior):
    strength = small.strength(hidden=(), patience=4)
    fit = emjax.fit_em(small.prefs, prior, strength=strength, behavior=behavior)
    assert type(fit.prior) is type(prior) and fit.converged
    assert (np.diff(fit.trace) >= -1e-9 * np.abs(fit.trace[1:])).all()
    found = fit.posterior(small.prefs).mean
    assert ((found > np.median(found)) == (small.eta > 0.5)).mean() > 0.75


def test_ties_can_be_fitted_with_a_network(small):
    rng = np.random.default_rng(5)
    pairs = np.stack([MODELS[small.a], MODELS[small.b]], axis=1)
    won = np.where(rng.random(len(small.won)) < 0.2, 0.5, small.won)
    prefs = emjax.Preferences.from_votes(
        small.user, pairs, won, context=np.char.add("p", small.prompt.astype(str)), ties="model"
    )
    fit = emjax.fit_em(prefs, emjax.TwoPoint(), strength=small.strength(hidden=(), patience=4))
    assert fit.converged and 0.1 < fit.behavior.careless_ties < 0.4


@pytest.mark.long
def test_adversarial_users_are_below_zero_whatever_the_networks_start(small):
    eta = np.where(np.arange(60) < 12, -0.9, 0.9)
    rng = np.random.default_rng(6)
    apart = small.reward[4 * small.prompt + small.a] - small.reward[4 * small.prompt + small.b]
    won = rng.random(len(apart)) < 0.5 + eta[small.user] * (1 / (1 + np.exp(-apart)) - 0.5)
    pairs = np.stack([MODELS[small.a], MODELS[small.b]], axis=1)
    context = np.char.add("p", small.prompt.astype(str))
    prefs = emjax.Preferences.from_votes(small.user, pairs, won, context=context)
    prior = emjax.Points(2, points=[-0.8, 0.6], low=-1)
    for start in (small.strength(hidden=()), small.strength(hidden=()).mirrored()):
        fit = emjax.fit_em(prefs, prior, strength=start)
        found = fit.posterior(prefs).mean
        assert (np.sign(found) == np.sign(eta)).mean() > 0.95
        assert np.corrcoef(fit.strength.rewards(small.features), small.reward)[0, 1] > 0.9


def test_swapping_the_sides_leaves_the_rewards_unchanged(small):
    fits = [
        emjax.fit_em(prefs, emjax.TwoPoint(), strength=small.strength(hidden=(3,), patience=4))
        for prefs in (small.prefs, small.votes(turned=True))
    ]
    np.testing.assert_allclose(fits[0].log_likelihood, fits[1].log_likelihood, rtol=1e-9)
    rewards = [fit.strength.rewards(small.features) for fit in fits]
    np.testing.assert_allclose(*rewards, atol=1e-5)


def test_a_fit_can_be_continued_from_its_result(small):
    fit = emjax.fit_em(small.prefs, emjax.TwoPoint(), strength=small.strength(hidden=(), held_out=0))
    again = emjax.fit_em(small.prefs, fit.prior, strength=fit.strength)
    assert again.trace[-1] >= fit.trace[-1] - fit.tol and again.trace[0] > fit.trace[0]


def test_a_saved_fit_says_the_same(world, fitted, tmp_path):
    again = emjax.load_fit(fitted.save(tmp_path))
    np.testing.assert_array_equal(again.posterior(world.prefs).mean, fitted.posterior(world.prefs).mean)
    new = np.random.default_rng(1).normal(size=(7, 4))
    np.testing.assert_array_equal(again.strength.rewards(new), fitted.strength.rewards(new))
    assert repr(again) == repr(fitted)
    with np.load(tmp_path / "strength.npz") as held:  # by NumPy alone, as docs/files.md says
        x = (new - held["centre"]) / held["scale"]
        inner = np.tanh(x @ held["weights.kernels.0"] / np.sqrt(4) + held["weights.biases.0"])
        reward = x @ held["weights.linear"] / np.sqrt(4) + inner @ held["weights.last"] / np.sqrt(8)
    found = fitted.strength.rewards(new)
    np.testing.assert_allclose(reward - reward.mean(), found - found.mean(), atol=1e-12)


def test_a_damaged_or_missing_file_raises_an_error(fitted, tmp_path):
    fitted.save(tmp_path)
    (tmp_path / "strength.npz").unlink()
    with pytest.raises(emjax.OutputError, match=r"strength\.npz is missing"):
        emjax.load_fit(tmp_path)


def test_a_fit_with_a_network_of_ones_own_is_not_saved(small, tmp_path):
    from flax import nnx

    class Plain(nnx.Module):
        def __init__(self, rngs, n):
            self.inner = nnx.Linear(n, 1, use_bias=False, rngs=rngs)

        def __call__(self, x):
            return self.inner(x)[:, 0]

    fit = emjax.fit_em(small.prefs, emjax.TwoPoint(), strength=small.strength(network=Plain, patience=3))
    assert np.corrcoef(fit.strength.rewards(small.features), small.reward)[0, 1] > 0.85
    with pytest.raises(emjax.OutputError, match="a network of your own cannot be saved"):
        fit.save(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.long
def test_held_out_votes_are_predicted_better_with_attentiveness(small):
    found = emjax.cross_validate(
        small.prefs, emjax.TwoPoint(), strength=small.strength(hidden=(), held_out=0), folds=2
    )
    assert found.gains["every user attentive"].lower > 0
    assert found.gains["one attentiveness for all"].lower > 0


def test_a_step_limit_gives_a_warning(small):
    with pytest.warns(emjax.EmjaxWarning, match="limit"):
        fit = emjax.fit_em(
            small.prefs, emjax.TwoPoint(), strength=small.strength(hidden=(), held_out=0), max_steps=3
        )
    assert fit.outcome == "step limit"


def test_unsupported_models_are_refused(small):
    strength = small.strength(hidden=())
    with pytest.raises(emjax.ModelError, match="and no shards"):
        emjax.fit_em([small.prefs], emjax.TwoPoint(), strength=strength)
    with pytest.raises(emjax.ModelError, match="RewardNetwork strengths are learned otherwise"):
        emjax.identifiability(small.prefs, emjax.TwoPoint(), strength=strength)
    with pytest.raises(emjax.ModelError, match="cannot be done exactly under RewardNetwork"):
        emjax.fit_bayes(small.prefs, emjax.TwoPoint(), strength=strength, key=0)
    one = emjax.Preferences.from_votes([1, 1, 2], [["ant", "bee"]] * 3, [1, 0, 1], context=["p0", "p0", "p0"])
    with pytest.raises(emjax.ModelError, match="held_out=0"):
        emjax.fit_em(one, emjax.TwoPoint(), strength=strength)


def test_units_of_features_do_not_matter(small):
    """Other units and origins of a feature change nothing."""
    other = small.features * [1e6, 1e-6, -3.0, 1.0] + [5e6, 0.0, 100.0, -7.0]
    fits = [
        emjax.fit_em(
            small.prefs,
            emjax.TwoPoint(),
            strength=emjax.RewardNetwork(small.answers, f, hidden=(), patience=3),
        )
        for f in (small.features, other)
    ]
    np.testing.assert_allclose(fits[0].log_likelihood, fits[1].log_likelihood, atol=1e-3)


def test_rounds_are_compiled_once(small, monkeypatch):
    """Later rounds take the time of the arithmetic: one program for all of them."""
    monkeypatch.delenv("EMJAX_EXPORTED_PROGRAMS", raising=False)
    from emjax.infer.em_loop import _loop
    from emjax.infer.votes_on_device import compiled

    import jax  # isort: skip

    emjax.fit_em(small.prefs, emjax.TwoPoint(), strength=small.strength(hidden=(2,), patience=4))
    jitted = compiled(_loop, ("capacity",), small=True).jitted
    before = jitted._cache_size()
    emjax.fit_em(small.prefs, emjax.TwoPoint(0.3, 0.8), strength=small.strength(hidden=(2,), patience=4))
    assert jitted._cache_size() == before
    with jax.enable_x64(True):
        strength = small.strength(hidden=(2,), patience=4).start(small.prefs.table)
        model = Model(emjax.TwoPoint(), strength, emjax.AttentiveOrRandom())
        problem, votes, at = _learning(small.prefs, _set_aside(small.prefs, strength), model, 1e-3, None)
        run(problem, votes, at, emjax.NoAcceleration(), 1000)
    assert jitted._cache_size() == before


@pytest.mark.long
def test_a_network_learns_under_a_prior_symmetric_about_zero(world):
    """A prior symmetric about 0 does not determine the sign, and rewards could stay at 0."""
    small = World(seed=3, m=80, prompts=30, each=60)
    adversarial = np.arange(80) >= 60
    small.won = np.where(adversarial[small.user], ~small.won, small.won)
    prefs = small.votes()
    fit = emjax.fit_em(prefs, emjax.Grid(21, low=-1), strength=small.strength(held_out=0.1))
    eta = np.where(adversarial, -small.eta, small.eta)
    assert np.corrcoef(fit.posterior(prefs).mean, eta)[0, 1] > 0.9
    assert small.error(fit) < 1.0


@pytest.mark.long
def test_gold_determines_the_sign_where_most_users_are_adversarial():
    small = World(seed=4, m=80, prompts=30, each=40)
    adversarial = np.arange(80) >= 40
    small.won = np.where(adversarial[small.user], ~small.won, small.won)
    eta = np.where(adversarial, -small.eta, small.eta)
    right = np.random.default_rng(0).binomial(20, 0.5 + eta * 0.45)
    prefs = small.votes().with_anchor_votes(emjax.AnchorVotes.from_counts(np.arange(80), right, 20 - right))
    fit = emjax.fit_em(prefs, emjax.Grid(21, low=-1), strength=small.strength(held_out=0.1))
    assert eta.mean() < 0 and np.corrcoef(fit.posterior(prefs).mean, eta)[0, 1] > 0.9


def test_a_network_that_learns_nothing_raises_an_error(world):
    blank = emjax.RewardNetwork(world.answers, np.ones((len(world.answers), 1)), hidden=())
    with pytest.warns(emjax.EmjaxWarning, match="learned nothing"):
        emjax.fit_em(world.prefs, emjax.Fixed(emjax.TwoPoint(0.1, 0.9, 0.5)), strength=blank)


def test_whole_numbers_of_any_kind_are_saved(world, tmp_path):
    odd = world.strength(patience=np.int64(3), steps=np.int32(2), seed=np.int64(1))
    fit = emjax.fit_em(world.prefs, emjax.Fixed(emjax.TwoPoint(0.0, 0.95, 0.6)), strength=odd, max_steps=4)
    assert emjax.load_fit(fit.save(tmp_path)).strength.patience == 3
