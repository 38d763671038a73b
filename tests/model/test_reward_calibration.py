"""MonotoneReward: odd, rising, and what a NumPy interpolation says; found again from simulated votes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emjax

ANSWERS = [(f"p{i}", model) for i in range(300) for model in ("ant", "bee", "cat")]
SCORES = np.random.default_rng(0).normal(size=900)


def truth(difference):
    """What is to be found: steep near 0, flat further out."""
    return 2.5 * np.tanh(0.9 * difference)


def votes(seed=1, n=24_000, m=400, careless=0.4):
    rng = np.random.default_rng(seed)
    prompt, first = rng.integers(300, size=n), rng.integers(3, size=n)
    second = (first + rng.integers(1, 3, size=n)) % 3
    user = rng.integers(m, size=n)
    eta = np.where(np.arange(m) < careless * m, 0.05, 0.95)
    p = 1 / (1 + np.exp(-truth(SCORES[3 * prompt + first] - SCORES[3 * prompt + second])))
    won = rng.random(n) < 0.5 + eta[user] * (p - 0.5)
    names = np.array(["ant", "bee", "cat"])
    context = np.char.add("p", prompt.astype(str))
    pairs = np.stack([names[first], names[second]], axis=1)
    return emjax.Preferences.from_votes(user, pairs, won, context=context), eta


@pytest.fixture(scope="module")
def crowd():
    return votes()


@pytest.fixture(scope="module")
def fitted(crowd):
    return emjax.fit_em(crowd[0], emjax.TwoPoint(), strength=emjax.MonotoneReward(ANSWERS, SCORES))


def test_the_map_is_what_interpolation_says():
    places, raw = np.array([0.5, 1.0, 2.5]), np.array([-1.0, 0.3, 2.0])
    strength = emjax.MonotoneReward(ANSWERS, SCORES, knots=3, raw=raw, places=places)
    slopes = np.log1p(np.exp(raw)) / 1.0  # the middle knot is the unit
    heights = np.concatenate([[0.0], np.cumsum(slopes * np.diff(np.append(0.0, places)))])
    x = np.linspace(-2.5, 2.5, 41)
    expected = np.sign(x) * np.interp(np.abs(x), np.append(0.0, places), heights)
    np.testing.assert_allclose(strength.map(x), expected, atol=1e-12)
    np.testing.assert_allclose(strength.map(4.5), heights[-1] + 2.0 * slopes[-1])
    np.testing.assert_allclose(strength.map(x), -strength.map(-x), atol=0)
    assert (np.diff(strength.map(np.linspace(-9, 9, 501))) > 0).all()


def test_logits_are_those_of_the_right_answers(crowd):
    prefs = crowd[0]
    strength = emjax.MonotoneReward(ANSWERS, SCORES).start(prefs.table)
    place = {answer: i for i, answer in enumerate(ANSWERS)}
    apart = [
        SCORES[place[c, a]] - SCORES[place[c, b]]
        for c, (a, b) in zip(prefs.contexts, prefs.comparisons, strict=True)
    ]
    with jax.enable_x64(True):
        found = strength.logits(jnp.asarray(strength.index(prefs.table)))
    np.testing.assert_allclose(found, strength.map(np.array(apart)), atol=1e-12)


@pytest.mark.long
def test_the_map_and_the_users_are_found_again(crowd, fitted):
    prefs, eta = crowd
    assert fitted.converged and (np.diff(fitted.trace) >= -1e-9 * np.abs(fitted.trace[1:])).all()
    x = np.linspace(0.2, 2.5, 12)
    assert np.abs(fitted.strength.map(x) - truth(x)).max() < 0.35
    found = fitted.posterior(prefs).mean
    assert ((found > 0.5) == (eta[prefs.users] > 0.5)).mean() > 0.97
    names = fitted.standard_errors().names
    assert sum("probability at a difference of" in name for name in names) == 8
    at_knots = fitted.standard_errors().estimate[3:]
    places = np.asarray(fitted.strength.places)
    np.testing.assert_allclose(at_knots, 1 / (1 + np.exp(-fitted.strength.map(places))), atol=1e-12)


def test_without_attentiveness_the_map_is_flattened(crowd, fitted):
    """The same votes, unadjusted."""
    sure = emjax.Fixed(emjax.Points(1, points=[1.0]))
    flat = emjax.fit_em(crowd[0], sure, strength=emjax.MonotoneReward(ANSWERS, SCORES))
    x = np.linspace(0.2, 2.5, 12)
    wrong, right = (np.abs(f.strength.map(x) - truth(x)).mean() for f in (flat, fitted))
    assert right < 0.3 * wrong


def test_a_saved_fit_says_the_same(crowd, fitted, tmp_path):
    again = emjax.load_fit(fitted.save(tmp_path))
    np.testing.assert_array_equal(again.posterior(crowd[0]).mean, fitted.posterior(crowd[0]).mean)
    assert repr(again) == repr(fitted) and "MonotoneReward strength" in repr(again)
    with np.load(tmp_path / "strength.npz") as held:
        np.testing.assert_array_equal(held["scores"], SCORES)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scores": SCORES[:5]}, "one row of scores per answer, 900 here; got 5 rows"),
        ({"scores": np.where(np.arange(900) == 3, np.inf, SCORES)}, "1 of 900 .* first 'ant' in 'p1'"),
        ({"scores": np.zeros((900, 2))}, "one score per answer"),
        ({"scores": ["x"] * 900}, "numbers"),
        ({"knots": 0}, "knots"),
        ({"l2": -1.0}, "l2 > 0"),
    ],
)
def test_invalid_scores_and_options_are_refused(change, message):
    with pytest.raises(emjax.ModelError, match=message):
        emjax.MonotoneReward(**({"answers": ANSWERS, "scores": SCORES} | change))


def test_equal_scores_are_refused(crowd):
    with pytest.raises(emjax.ModelError, match="no two answers"):
        emjax.fit_em(crowd[0], emjax.TwoPoint(), strength=emjax.MonotoneReward(ANSWERS, np.ones(900)))
    with pytest.raises(emjax.ModelError, match="have no scores"):
        emjax.fit_em(crowd[0], emjax.TwoPoint(), strength=emjax.MonotoneReward(ANSWERS[3:], SCORES[3:]))
    with pytest.raises(emjax.ModelError, match="before a fit"):
        emjax.MonotoneReward(ANSWERS, SCORES).map(1.0)
