"""Policies by themselves: what they refuse, what the command line calls them, how ties are broken."""

import numpy as np
import pytest

import emjax
from emjax import ModelError
from emjax.decide.policy import Scored
from emjax.decide.policy_text import parse_policy


def scored(attentiveness, size=None) -> Scored:
    attentiveness = np.asarray(attentiveness, float)
    return Scored(
        attentiveness, attentiveness, np.ones(len(attentiveness)) if size is None else np.asarray(size)
    )


@pytest.mark.parametrize(
    "text, policy",
    [
        ("top:0.7", emjax.TopFraction(0.7)),
        ("TOP:0.7:users", emjax.TopFraction(0.7, of="users")),
        ("threshold:0.25", emjax.Threshold(0.25)),
        ("threshold", emjax.Threshold(0.5)),
        ("credible:0.5:0.9", emjax.Credible(0.5, 0.9)),
        ("credible", emjax.Credible(0.5, 0.9)),
        ("max-information", emjax.MaxInformation()),
        ("max_information", emjax.MaxInformation()),
        ("weights", emjax.Weights()),
        ("soft-labels", emjax.SoftLabels()),
        ("attentive", emjax.Attentive()),
    ],
)
def test_words_of_the_command_line(text, policy):
    assert parse_policy(text) == policy


@pytest.mark.parametrize(
    "text", ["", "top", "top:x", "top:0.7:votes:3", "weights:2", "best", "credible:1:2:3"]
)
def test_other_words_are_refused_with_those_there_are(text):
    with pytest.raises(ModelError, match=r"give top:0\.7"):
        parse_policy(text)


@pytest.mark.parametrize(
    "make",
    [
        lambda: emjax.TopFraction(0.0),
        lambda: emjax.TopFraction(1.2),
        lambda: emjax.TopFraction(float("nan")),
        lambda: emjax.TopFraction(0.5, of="models"),
        lambda: emjax.Threshold(-0.1),
        lambda: emjax.Threshold(float("nan")),
        lambda: emjax.Credible(0.5, 1.5),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(ModelError, match="got "):
        make()


@pytest.mark.parametrize("fraction", [0.1, 0.35, 0.7, 1.0])
def test_ties_at_the_cut_are_broken_so_that_the_fraction_is_met(fraction):
    votes = scored(np.repeat([0.9, 0.4, 0.1], 1000))
    _, kept = emjax.TopFraction(fraction).choose(scored([0.9, 0.4, 0.1]), votes)
    assert kept.sum() == round(fraction * 3000)
    assert votes.score[kept].min() >= votes.score[~kept].max(initial=0.0)
    _, again = emjax.TopFraction(fraction).choose(scored([0.9, 0.4, 0.1]), votes)
    assert np.array_equal(kept, again)


def test_a_tie_is_broken_without_regard_to_the_order():
    _, kept = emjax.TopFraction(0.5).choose(scored([0.5]), scored(np.full(10_000, 0.5)))
    position = np.arange(10_000)[kept]
    assert abs(position.mean() - 5000) < 5 * 10_000 / np.sqrt(12 * 5000)  # as of a random half
    assert abs((position % 2).mean() - 0.5) < 0.05


def test_groups_of_many_votes_miss_the_fraction_by_half_a_group_at_most():
    size = np.array([7.0, 3.0, 10.0, 5.0, 6.0])
    for fraction in np.linspace(0.2, 1.0, 17):
        _, kept = emjax.TopFraction(float(fraction)).choose(
            scored([0.5]), scored([0.5, 0.4, 0.3, 0.2, 0.1], size)
        )
        assert abs(size[kept].sum() - fraction * size.sum()) <= 0.5 * size.max()


def test_a_fraction_of_users_holds_votes_to_the_same_cut():
    users, votes = scored(np.linspace(0.0, 1.0, 11)), scored(np.linspace(0.0, 1.0, 101))
    of_users, of_votes = emjax.TopFraction(3 / 11, of="users").choose(users, votes)
    assert of_users.sum() == 3
    assert votes.score[of_votes].min() == users.score[of_users].min()
    of_users, of_votes = emjax.TopFraction(21 / 101).choose(users, votes)
    assert of_votes.sum() == 21
    assert np.array_equal(of_users, users.score >= 0.8 - 1e-9)


def test_max_information_is_the_best_of_all_thresholds():
    rng = np.random.default_rng(3)
    eta, size = rng.beta(0.5, 0.5, 200), rng.integers(1, 20, 200).astype(float)
    _, kept = emjax.MaxInformation().choose(scored(eta, size), scored(eta, size))

    def information(mask):
        return (size * eta)[mask].sum() ** 2 / size[mask].sum()

    assert information(kept) == pytest.approx(max(information(eta >= cut) for cut in eta))
    assert 0 < kept.sum() < 200
