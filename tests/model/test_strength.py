"""Strengths: M-steps against SciPy, comparisons found by name, and checks of the constructors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import beta

from emjax import AttentiveOrRandom, EmjaxWarning, Known, ModelError, PerPair, Preferences, Shared
from emjax.model.likelihood import Nodes
from emjax.model.strength import beta_log_density

pytestmark = pytest.mark.usefixtures("double")

ETA = np.array([0.0, 0.3, 0.95])
maximise = jax.jit(
    lambda strength, votes, index: strength.maximise(
        votes, Nodes(jnp.asarray(ETA), 1.0 - ETA), index, AttentiveOrRandom()
    )
)


def arena(pairs=(("b", "a"), ("c", "a"), ("b", "c"))):
    """Three comparisons, in the orientation given, votes of two users."""
    wins, totals = np.array([[3, 4, 1], [2, 0, 5]]), np.array([[5, 4, 3], [2, 1, 9]])
    return Preferences.from_counts(wins, totals, comparisons=[list(p) for p in pairs])


def labelled():
    return Preferences.from_counts([[3, 4]], [[5, 6]])


def both_ways():
    """One pair, listed first "new" and later "old"; "new" wins 3 of 4."""
    listed = [["new", "old"], ["new", "old"], ["old", "new"], ["new", "old"]]
    return Preferences.from_votes([1, 1, 2, 2], listed, [True, True, True, True])


def value_of(mu, votes, prior):
    """Expected log-likelihood plus log prior of one strength, written out."""
    a_wins = 0.5 + ETA * (mu - 0.5)
    return np.sum(votes * np.log([a_wins, 1.0 - a_wins])) + beta.logpdf(mu, *prior)


def best(votes, prior):
    found = minimize_scalar(
        lambda mu: -value_of(mu, votes, prior), bounds=(1e-12, 1 - 1e-12), method="bounded",
        options={"xatol": 1e-11},
    )  # fmt: skip
    return found.x, -found.fun


@pytest.mark.parametrize("prior", [(8.0, 2.0), (2.0, 8.0), (1.5, 1.5)])
@pytest.mark.parametrize("seed", range(5))
def test_the_m_step_of_a_shared_strength(prior, seed):
    rng = np.random.default_rng(seed)
    votes = rng.random((3, 2, 3)) * 30 * rng.random((3, 1, 1)) ** 4
    found = maximise(Shared(prior), jnp.asarray(votes), jnp.zeros((3, 2), int)).value
    pooled = votes.sum(axis=0)
    mu, value = best(pooled, prior)
    assert value_of(found, pooled, prior) >= value - 1e-10
    np.testing.assert_allclose(found, mu, atol=1e-5)


@pytest.mark.parametrize("prior", [(2.0, 2.0), (1.0, 1.0)])
def test_the_m_step_of_one_strength_per_pair(prior):
    rng = np.random.default_rng(4)
    votes = rng.random((3, 2, 3)) * 20
    prefs = arena()
    strength = PerPair(prior).start(prefs.table)
    found = maximise(strength.bare(), jnp.asarray(votes), jnp.asarray(strength.index(prefs.table))).values
    for c in range(3):
        mu, value = best(votes[c], prior)
        assert value_of(found[c], votes[c], prior) >= value - 1e-10
        np.testing.assert_allclose(found[c], mu, atol=1e-4)


def test_votes_listed_the_other_way_round_count_for_the_same_strength():
    """A fit made on (a, b) reads votes on (b, a) mirrored, whoever is listed first."""
    prefs, mirrored = arena(), arena([("a", "b"), ("a", "c"), ("c", "b")])
    strength = PerPair().start(prefs.table)
    votes = jnp.asarray(np.random.default_rng(1).random((3, 2, 3)) * 9)
    straight = maximise(strength.bare(), votes, jnp.asarray(strength.index(prefs.table)))
    turned = maximise(strength.bare(), votes[:, ::-1], jnp.asarray(strength.index(mirrored.table)))
    np.testing.assert_allclose(straight.values, turned.values, rtol=1e-12)
    np.testing.assert_allclose(
        straight.logits(strength.index(prefs.table)),
        -turned.logits(strength.index(mirrored.table)),
        rtol=1e-12,
    )


def test_where_no_vote_was_cast_the_prior_has_its_mode():
    found = maximise(Shared((8, 2)), jnp.zeros((1, 2, 3)), jnp.zeros((1, 2), int)).value
    np.testing.assert_allclose(found, 7 / 8, rtol=1e-12)


@pytest.mark.parametrize("prior", [(8.0, 2.0), (1.0, 3.5)])
def test_log_prior_is_that_of_a_beta(prior):
    mu = np.array([1e-6, 0.3, 0.74, 1 - 1e-9])
    found = np.asarray(beta_log_density(jnp.log(mu) - jnp.log1p(-mu), prior))
    truth = beta.logpdf(mu, *prior)
    np.testing.assert_allclose(found - found[1], truth - truth[1], rtol=1e-8)
    assert np.asarray(Shared(prior, 0.6).log_prior()).shape == ()
    pair = PerPair(prior, [0.6, 0.9], (1, 2))
    np.testing.assert_allclose(
        pair.log_prior(), Shared(prior, 0.6).log_prior() + Shared(prior, 0.9).log_prior(), rtol=1e-13
    )
    np.testing.assert_allclose(Known(0.7).log_prior(), 0.0)


@pytest.mark.parametrize(
    "strength", [Shared(value=0.6), PerPair(values=[0.3, 0.999], comparisons=(1, 2))], ids=repr
)
def test_coordinates_lead_back_to_the_strength(strength):
    again = strength.at(strength.coordinates())
    np.testing.assert_allclose(again.natural(), strength.natural(), rtol=1e-13)
    assert len(strength.names()) == len(strength.natural()) == len(strength.limits())


def test_known_strengths_find_their_comparisons():
    prefs = arena()
    assert [tuple(p) for p in prefs.comparisons] == [("b", "a"), ("c", "a"), ("b", "c")]
    pairs = {("a", "b"): 0.3, ("c", "a"): 0.6, ("c", "b"): 0.8, ("x", "y"): 0.9}
    known = Known(pairs).start(prefs.table)
    mu = 1.0 / (1.0 + np.exp(-known.logits(known.index(prefs.table))))
    np.testing.assert_allclose(mu, [0.7, 0.6, 0.2], rtol=1e-13)
    in_order = Known([0.7, 0.6, 0.2]).start(prefs.table)
    np.testing.assert_allclose(
        in_order.logits(in_order.index(prefs.table)), known.logits(known.index(prefs.table)), rtol=1e-13
    )
    single = Known(0.7).start(prefs.table)
    np.testing.assert_allclose(single.logits(single.index(prefs.table)), np.log(7 / 3), rtol=1e-13)


def test_labels_without_models_have_strengths_too():
    prefs = labelled()
    known = Known({1: 0.6, 0: 0.9}).start(prefs.table)
    np.testing.assert_allclose(known.logits(known.index(prefs.table)), np.log([9.0, 1.5]), rtol=1e-13)


def test_a_comparison_without_a_known_strength_is_named():
    with pytest.raises(ModelError, match=r"2 of 3 comparisons have no known strength, first b over a"):
        Known({("c", "a"): 0.7}).start(arena().table).index(arena().table)
    with pytest.raises(ModelError, match="Known has 2 strengths"):
        Known([0.7, 0.6]).start(arena().table)
    with pytest.raises(ModelError, match="no fitted strength"):
        PerPair(values=[0.5], comparisons=(("x", "y"),)).start(arena().table)


def test_one_number_for_a_pair_shown_both_ways_is_oriented_by_the_votes_with_a_warning():
    prefs = both_ways()
    with pytest.warns(EmjaxWarning, match="an attentive user prefers 'new' to 'old'"):
        known = Known(0.8).start(prefs.table)
    np.testing.assert_allclose(known.logits(known.index(prefs.table)), np.log(4.0), rtol=1e-13)
    with pytest.warns(EmjaxWarning, match="prefers 'old' to 'new'"):
        known = Known(0.2).start(prefs.table)
    np.testing.assert_allclose(known.logits(known.index(prefs.table)), np.log(4.0), rtol=1e-13)


def test_starting_values_are_the_shares_of_votes():
    prefs = arena()
    np.testing.assert_array_equal(prefs.wins_by_comparison(), [[5, 2], [4, 1], [6, 6]])
    started = PerPair((2, 3)).start(prefs.table)
    np.testing.assert_allclose(started.values, [7 / 12, 6 / 10, 8 / 17])
    assert started.names() == ("strength b over a", "strength c over a", "strength b over c")
    assert PerPair((2, 3)).start(labelled().table).names() == ("strength of 0", "strength of 1")
    kept = PerPair(values=[0.9, 0.8, 0.7], comparisons=started.comparisons).start(prefs.table)
    np.testing.assert_array_equal(kept.values, [0.9, 0.8, 0.7])


WRONG = {
    "one half": lambda: Known(0.5),
    "all one half": lambda: Known([0.5, 0.5]),
    "above one": lambda: Known(1.2),
    "certain": lambda: Known(1.0),
    "impossible": lambda: Known(0.0),
    "a word": lambda: Known("x"),
    "nothing": lambda: Known(None),
    "no values": lambda: Known([]),
    "no pairs": lambda: Known({}),
    "not a number": lambda: Known(np.nan),
    "a word for a pair": lambda: Known({("a", "b"): "x"}),
    "one of them outside": lambda: Known([0.7, 1.0]),
    "prior below one": lambda: Shared(prior=(0, 2)),
    "prior not finite": lambda: Shared(prior=(np.inf, 2)),
    "start at one": lambda: Shared(value=1.0),
    "start at nothing": lambda: Shared(value=np.nan),
    "pairs' prior below one": lambda: PerPair(prior=(0.5, 0.5)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_invalid_strengths_are_refused_in_one_line(wrong):
    with pytest.raises(ModelError) as caught:
        wrong()
    assert "\n" not in str(caught.value)


def test_one_half_is_refused_with_the_reason():
    with pytest.raises(ModelError, match="attentive and careless users vote alike"):
        Known(0.5)
    assert Known([0.5, 0.7]).value.shape == (2,)  # one of several may be a toss-up


@pytest.mark.parametrize("strength", [Known(0.8), Shared(value=0.8)], ids=repr)
def test_one_strength_for_all_remembers_which_model_came_first(strength):
    """Votes that list the same pair the other way round are read the other way round."""
    seen = Preferences.from_counts([[8, 3]], [[10, 10]], comparisons=[["new", "old"], ["new", "older"]])
    turned = Preferences.from_counts([[2, 3]], [[10, 10]], comparisons=[["old", "new"], ["new", "older"]])
    complete = strength.start(seen.table)
    assert mu_by_pair(complete, seen) == {("new", "old"): 0.8, ("new", "older"): 0.8}
    assert mu_by_pair(complete, turned) == {("old", "new"): 0.2, ("new", "older"): 0.8}


def mu_by_pair(strength, prefs):
    mu = jax.nn.sigmoid(strength.logits(strength.index(prefs.table)))
    return {(str(a), str(b)): round(float(x), 12) for (a, b), x in zip(prefs.comparisons, mu, strict=True)}


def test_a_shared_strength_pools_votes_in_one_direction():
    """An M-step from votes and from the same votes with a pair turned ends at the same strength."""
    names = [["new", "old"], ["new", "older"]]
    start = Shared().start(Preferences.from_counts([[8, 6]], [[10, 10]], comparisons=names).table)
    nodes = Nodes(jnp.asarray([0.9]), jnp.asarray([0.1]))
    votes = jnp.asarray([[[8.0], [2.0]], [[6.0], [4.0]]])
    upright = start.maximise(votes, nodes, jnp.asarray([[0, 1], [0, 1]]), AttentiveOrRandom())
    turned = start.maximise(
        votes.at[0].set(votes[0, ::-1]), nodes, jnp.asarray([[0, -1], [0, 1]]), AttentiveOrRandom()
    )
    np.testing.assert_allclose(turned.value, upright.value, rtol=1e-12)


@pytest.mark.parametrize("prior", [(1.0, 1.0), (8.0, 2.0)])
@pytest.mark.parametrize(
    "pairs", [(("b", "a"), ("c", "a"), ("b", "c")), (("a", "b"), ("c", "a"), ("c", "b"))]
)
def test_unadjusted_strengths_are_modes_of_binomial_votes(prior, pairs):
    """Against SciPy on the log posterior; with the pairs listed the other way round too."""
    first = PerPair(prior).start(arena().table)
    shared, prefs = Shared(prior).start(arena().table), arena(pairs)
    turned = np.array([pair not in (("b", "a"), ("c", "a"), ("b", "c")) for pair in pairs])
    wins = np.where(turned[:, None], prefs.wins_by_comparison()[:, ::-1], prefs.wins_by_comparison())

    def mode(votes):
        return minimize_scalar(
            lambda mu: -beta.logpdf(mu, votes[0] + prior[0], votes[1] + prior[1]),
            bounds=(1e-9, 1 - 1e-9),
            method="bounded",
            options={"xatol": 1e-10},
        ).x

    by_pair = dict(zip(map(tuple, prefs.comparisons), map(mode, wins), strict=True))
    found = first.unadjusted(prefs.table)
    mu = 1 / (1 + np.exp(-np.asarray(found.logits(found.index(prefs.table)))))
    wanted = [
        1 - by_pair[pair] if t else by_pair[pair] for pair, t in zip(map(tuple, pairs), turned, strict=True)
    ]
    np.testing.assert_allclose(mu, wanted, atol=1e-6)
    np.testing.assert_allclose(shared.unadjusted(prefs.table).value, mode(wins.sum(axis=0)), atol=1e-6)


def test_unadjusted_known_strengths_stay_as_they_are():
    known = Known(0.74).start(labelled().table)
    assert known.unadjusted(labelled().table) is known
