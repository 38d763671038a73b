"""Changes between two fits: found where there are some, and rarely where there are none."""

import numpy as np
import pytest

import emjax
from emjax.infer.changes import _holm

PRIOR = emjax.Fixed(emjax.Points(2, points=[0.1, 0.9], weights=[0.4, 0.6]))
MODELS = ("ant", "bee", "cat", "dog", "eel")
TRUTH = np.array([1.2, 0.6, 0.0, -0.6, -1.2])


def fit_of(seed, truth=TRUTH, prior=PRIOR, models=MODELS, users=200, each=20):
    """A fit of simulated votes; the users are attentive in nine votes of ten, or in one."""
    rng = np.random.default_rng(seed)
    user, n = np.repeat(np.arange(users), each), len(truth)
    a = rng.integers(n, size=len(user))
    b = (a + rng.integers(1, n, size=len(user))) % n
    eta = np.where(rng.random(users) < 0.6, 0.9, 0.1)[user]
    won = rng.random(len(user)) < 0.5 + eta * (1.0 / (1.0 + np.exp(truth[b] - truth[a])) - 0.5)
    names = np.array(models)
    prefs = emjax.Preferences.from_votes(user, np.stack([names[a], names[b]], axis=1), won)
    return emjax.fit_em(prefs, prior)


@pytest.fixture(scope="module")
def first():
    return fit_of(0)


def test_a_model_that_became_stronger_is_found(first):
    found = emjax.changes(first, fit_of(1, np.add(TRUTH, [0.0, 0.0, 0.0, 1.0, 0.0])))
    rows = found.table.to_pydict()
    assert rows["model"][0] == "dog" and rows["changed"] == [True, False, False, False, False]
    assert rows["change"][0] > 0.5 and rows["lower"][0] > 0.0 and found.p_value < 1e-3
    assert "dog" in repr(found).splitlines()[1] and repr(found).splitlines()[1].endswith("changed")


def test_the_same_strengths_on_another_scale_are_no_change(first):
    """Less attentiveness and larger strengths, in nearly one proportion."""
    less = emjax.Fixed(emjax.Points(2, points=[0.08, 0.72], weights=[0.4, 0.6]))
    found = emjax.changes(first, fit_of(1, prior=less))
    rows = found.table.to_pydict()
    assert not any(rows["changed"]) and found.p_value > 0.01
    assert max(np.abs(rows["after"])) > 1.2 * max(np.abs(first.strength.strengths))


def test_a_fit_does_not_differ_from_itself(first):
    found = emjax.changes(first, first)
    np.testing.assert_allclose(found.table["change"].to_numpy(), 0.0, atol=1e-9)
    assert found.p_value == pytest.approx(1.0) and found.gone == found.new == ()


def test_changes_are_relative_to_the_models_of_both_fits(first):
    """A model that is new, however strong, moves none of the others."""
    later = fit_of(2, np.append(TRUTH, 4.0), models=(*MODELS, "fox"))
    found = emjax.changes(first, later)
    assert found.new == ("fox",) and found.gone == () and not any(found.table["changed"].to_pylist())
    assert "new: fox" in repr(found)
    moved = [abs(change) for change in found.table["change"].to_pylist()]
    assert max(moved) < 0.5


def test_three_connected_models_are_needed(first):
    other = fit_of(1, models=("a", "b", "c", "ant", "bee"))
    with pytest.raises(emjax.ModelError, match="2 models are in both fits"):
        emjax.changes(first, other)
    prefs = emjax.Preferences.from_counts([8, 3], [10, 10])
    with pytest.raises(emjax.ModelError, match="leaderboard"):
        emjax.changes(first, emjax.fit_em(prefs, PRIOR, strength=emjax.Known(0.8)))


def test_holms_method_is_that_of_its_definition():
    p = np.array([0.04, 0.001, 0.02, 0.9, np.nan])
    assert _holm(p[:4], 0.05).tolist() == [False, True, False, False]
    assert _holm(np.array([0.001, 0.002]), 0.05).tolist() == [True, True]
    assert _holm(np.array([np.nan]), 0.05).tolist() == [False]


@pytest.mark.long
def test_where_nothing_changed_few_changes_are_found():
    """P-values are uniform, and one pair of fits in twenty has a model that is called changed."""
    fits = [fit_of(seed, prior=emjax.Grid(17)) for seed in range(80)]
    found = [emjax.changes(one, other) for one, other in zip(fits[::2], fits[1::2], strict=True)]
    p = np.sort([one.p_value for one in found])
    n = len(p)
    assert np.max(np.abs(p - (np.arange(n) + 0.5) / n)) < 1.63 / np.sqrt(n)  # Kolmogorov–Smirnov, 1 %
    assert sum(any(one.table["changed"].to_pylist()) for one in found) <= 6
