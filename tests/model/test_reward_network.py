"""RewardNetwork: logits against plain NumPy, the M-step against a general optimiser, refusals."""

import importlib.util
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import emjax
from emjax.model.likelihood import nodes_at

pytest.importorskip("flax", reason="Flax is not installed: pip install 'emjax[contextual]'")

ANSWERS = [(f"p{i}", model) for i in range(4) for model in ("ant", "bee", "cat")]
FEATURES = np.random.default_rng(0).normal(2.0, 3.0, size=(12, 3))


def votes(n=60, seed=1):
    rng = np.random.default_rng(seed)
    first = rng.integers(3, size=n)
    second = (first + rng.integers(1, 3, size=n)) % 3
    names = np.array(["ant", "bee", "cat"])
    context = np.char.add("p", rng.integers(4, size=n).astype(str))
    pairs = np.stack([names[first], names[second]], axis=1)
    return emjax.Preferences.from_votes(rng.integers(8, size=n), pairs, rng.random(n) < 0.6, context=context)


def with_weights(hidden, seed=2):
    """A strength whose weights are all drawn, and none is zero."""
    start = emjax.RewardNetwork(ANSWERS, FEATURES, hidden=hidden).start(votes().table)
    rng = np.random.default_rng(seed)
    return emjax.RewardNetwork(
        ANSWERS, FEATURES, hidden=hidden, weights=tuple(rng.normal(size=w.shape) for w in start.weights)
    )


def plain_rewards(weights, features, hidden):
    """The network again, in NumPy: biases, kernels, last and linear are in alphabetical order."""
    n = len(hidden)
    biases, kernels, last, linear = weights[:n], weights[n : 2 * n], weights[2 * n], weights[2 * n + 1]
    x = (features - FEATURES.mean(axis=0)) / FEATURES.std(axis=0)
    reward = x @ linear / np.sqrt(x.shape[1])
    for bias, kernel in zip(biases, kernels, strict=True):
        x = np.tanh(x @ kernel / np.sqrt(x.shape[1]) + bias)
    return reward + (x @ last / np.sqrt(x.shape[1]) if n else 0.0)


@pytest.mark.parametrize("hidden", [(), (5,), (4, 3)])
def test_logits_are_differences_of_rewards_of_the_right_answers(hidden):
    strength, prefs = with_weights(hidden), votes()
    rewards = plain_rewards(strength.weights, FEATURES, hidden)
    place = {answer: i for i, answer in enumerate(ANSWERS)}
    expected = [
        rewards[place[c, a]] - rewards[place[c, b]]
        for c, (a, b) in zip(prefs.contexts, prefs.comparisons, strict=True)
    ]
    with jax.enable_x64(True):
        index = jnp.asarray(strength.index(prefs.table))
        np.testing.assert_allclose(strength.logits(index), expected, rtol=1e-12)
        np.testing.assert_allclose(strength.bare().logits(index), expected, rtol=1e-12)
    new = np.random.default_rng(3).normal(size=(5, 3))
    found = plain_rewards(strength.weights, new, hidden) - rewards.mean()
    np.testing.assert_allclose(strength.rewards(new), found, atol=1e-12)
    np.testing.assert_allclose(strength.mirrored().rewards(new), -found, atol=1e-12)


def test_the_network_starts_at_zero_reward_and_the_seed_sets_its_weights():
    prefs = votes()
    one, same, other = (emjax.RewardNetwork(ANSWERS, FEATURES, seed=s).start(prefs.table) for s in (3, 3, 4))
    assert np.abs(one.rewards(FEATURES)).max() == 0.0
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, same.weights, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))


def test_the_m_step_reaches_the_maximum_of_a_linear_reward():
    """What a general optimiser finds for expected votes, ridge included."""
    prefs, l2 = votes(), 0.7
    strength = emjax.RewardNetwork(ANSWERS, FEATURES, hidden=(), l2=l2, steps=40).start(prefs.table)
    rng = np.random.default_rng(4)
    expected = rng.gamma(1.0, size=(prefs.n_comparisons, 2, 3))
    eta = np.array([0.1, 0.5, 0.9])
    index = strength.index(prefs.table)
    x = (FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0) / np.sqrt(3)
    apart = x[index[:, 0]] - x[index[:, 1]]

    def loss(w):
        p = 0.5 + eta * (1 / (1 + np.exp(-apart @ w)) - 0.5)[:, None]
        return 0.5 * l2 * w @ w - (expected[:, 0] * np.log(p) + expected[:, 1] * np.log(1 - p)).sum()

    best = minimize(loss, np.zeros(3), tol=1e-12)
    with jax.enable_x64(True):
        nodes = nodes_at(jnp.asarray(eta))
        given = jnp.asarray(expected), nodes, jnp.asarray(index), emjax.AttentiveOrRandom()
        found = jax.jit(lambda s: s.bare().maximise(*given))(strength)
        (weights,) = (w for w in found.weights if w.size)
    np.testing.assert_allclose(weights, best.x, atol=1e-5)
    assert loss(np.asarray(weights)) <= best.fun + 1e-8


def test_a_network_of_ones_own_is_used():
    from flax import nnx

    class Squares(nnx.Module):
        def __init__(self, rngs, n):
            self.inner = nnx.Linear(n, 1, use_bias=False, rngs=rngs)

        def __call__(self, x):
            return self.inner(x**2)[:, 0]

    strength = emjax.RewardNetwork(ANSWERS, FEATURES, network=Squares).start(votes().table)
    (kernel,) = strength.weights
    x = (FEATURES - FEATURES.mean(axis=0)) / FEATURES.std(axis=0)
    expected = (x**2 @ np.asarray(kernel))[:, 0]
    np.testing.assert_allclose(strength.rewards(FEATURES), expected - expected.mean(), atol=1e-12)
    assert "your own" in repr(strength) and "cannot be saved" in strength.unsaved


def test_invalid_networks_are_refused():
    from flax import nnx

    def wide(rngs, n):
        return nnx.Linear(n, 1, rngs=rngs)

    def dropping(rngs, n):
        return nnx.Sequential(nnx.Linear(n, 1, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))

    for network, message in (
        (wide, r"shape \(3, 1\)"),
        (dropping, "more than parameters"),
        (lambda rngs, n: None, "NoneType"),
        (7, "takes a function"),
    ):
        with pytest.raises(emjax.ModelError, match=message):
            emjax.RewardNetwork(ANSWERS, FEATURES, network=network).start(votes().table)


def holed(rows):
    features = FEATURES.copy()
    features[rows, 1] = np.nan
    return features


@pytest.mark.parametrize(
    "change, message",
    [
        ({"features": FEATURES[:5]}, "12 here; got 5 rows"),
        (
            {"features": holed([4, 7])},
            r"2 of 12 answers have features that are .* 'bee' in 'p1', 'bee' in 'p2'",
        ),
        ({"features": [["x"]] * 12}, "that are numbers"),
        ({"features": np.zeros((12, 0))}, "a table"),
        ({"features": 3.0}, "one number"),
        ({"answers": [a[0] for a in ANSWERS]}, "pairs"),
        ({"answers": []}, "at least one"),
        (
            {"answers": [*ANSWERS[:-1], ANSWERS[0]]},
            "1 answers are listed more than once, first 'ant' in 'p0'",
        ),
        ({"hidden": (0,)}, "hidden"),
        ({"hidden": 3}, "hidden"),
        ({"l2": 0.0}, "l2 > 0"),
        ({"held_out": 1.0}, "held_out"),
        ({"patience": 0}, "patience"),
        ({"steps": 2.5}, "steps"),
    ],
)
def test_invalid_options_are_refused(change, message):
    with pytest.raises(emjax.ModelError, match=message):
        emjax.RewardNetwork(**({"answers": ANSWERS, "features": FEATURES} | change))


def test_missing_answers_are_counted_and_named():
    with pytest.raises(emjax.VotesError, match="have no model"):
        emjax.RewardNetwork([("p0", None)], [[1.0]])
    some = emjax.RewardNetwork(ANSWERS[3:], FEATURES[3:])
    with pytest.raises(emjax.ModelError, match="3 of 12 answers that were voted on have no features, first"):
        some.start(votes().table)
    flat = emjax.Preferences.from_votes([1, 2], [["ant", "bee"]] * 2, [1, 0])
    with pytest.raises(emjax.ModelError, match="context=COLUMN"):
        some.start(flat.table)


def test_rewards_are_refused_for_what_is_no_features():
    fresh = emjax.RewardNetwork(ANSWERS, FEATURES)
    with pytest.raises(emjax.ModelError, match="before a fit"):
        fresh.rewards(FEATURES)
    strength = with_weights((4,))
    with pytest.raises(emjax.ModelError, match="3 features per answer; got 2"):
        strength.rewards(FEATURES[:, :2])
    with pytest.raises(emjax.ModelError, match=r"2 of 12 rows .* first row 5"):
        strength.rewards(holed([4, 7]))
    with pytest.raises(emjax.ModelError, match="numbers"):
        strength.rewards([["x"]])


def test_constant_features_have_unit_scale_and_finite_rewards():
    strength = emjax.RewardNetwork(ANSWERS, np.column_stack([FEATURES, np.full(12, 0.1)])).start(
        votes().table
    )
    assert np.isfinite(strength.rewards(np.column_stack([FEATURES, np.full(12, 0.1)]))).all()
    assert strength.scale[3] == 1.0


@pytest.mark.parametrize("package", ["flax", "optax"])
def test_what_is_missing_is_named(package, root):
    assert importlib.util.find_spec(package) is not None
    code = (
        f"import sys\nsys.modules[{package!r}] = None\n"
        "import emjax\n"
        "prefs = emjax.Preferences.from_votes([1, 2], [['a', 'b']] * 2, [1, 0], context=['p', 'q'])\n"
        "answers = [(c, m) for c in 'pq' for m in 'ab']\n"
        "strength = emjax.RewardNetwork(answers, [[0.0], [1.0], [2.0], [4.0]])\n"
        "scored = emjax.MonotoneReward(answers, [0.0, 1.0, 2.0, 4.0])\n"
        "emjax.fit_em(prefs, emjax.TwoPoint(), strength=scored)\n"
        "try:\n"
        "    emjax.fit_em(prefs, emjax.TwoPoint(), strength=strength)\n"
        "except emjax.MissingExtra as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    line = f'RewardNetwork needs {package}, which is not installed: pip install "emjax[contextual]"'
    assert done.stdout.strip() == line
