"""Divergences: when they are a fact in the printed fit, when a warning, and with which advice."""

import dataclasses
import warnings

import numpy as np
import pytest

import emjax
from emjax.bayes.diagnostics import diverged_but_few, sampling_warnings


def diverged(fit, count, chains=4, draws=1000, **changes):
    """The same fit with so many divergent draws, spread over the chains."""
    diverging = np.zeros(chains * draws, bool)
    diverging[np.linspace(0, diverging.size - 1, count).astype(int)] = True
    natural = changes.pop("natural", fit.draws.natural)[:chains, :draws]
    held = dataclasses.replace(fit.draws, diverging=diverging.reshape(chains, draws), natural=natural)
    return dataclasses.replace(fit, draws=held, **changes)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_few_divergences_are_a_fact_and_no_warning(count, two_point):
    """Up to 0.247 % of 4,000 draws, while the chains agree."""
    fit = diverged(two_point, count)
    assert fit.divergences == count
    assert list(sampling_warnings(fit)) == []
    lines = repr(fit).splitlines()
    assert lines[2] == f"{count} of 4,000 draws diverged, which is few"
    assert "warning" not in repr(fit)


def test_more_divergences_are_a_warning_that_advises_smaller_steps_first(two_point):
    fit = diverged(two_point, 11)
    (message,) = sampling_warnings(fit)
    assert message.startswith("11 draws of 4,000 diverged (0.28%): the posterior has corners")
    first, then = message.index("Fit again with target_accept=0.95"), message.index("a prior with fewer")
    assert first < then and "If that does not help" in message and "\n" not in message
    assert f"warning: {message}" in repr(fit) and "which is few" not in repr(fit)


def test_with_small_steps_a_simpler_prior_is_advised(two_point):
    for target in (0.95, 0.99):
        (message,) = sampling_warnings(diverged(two_point, 40, target_accept=target))
        assert f"Steps are small already (target_accept={target:g}): use a prior with fewer" in message
        assert "Fit again" not in message
    (message,) = sampling_warnings(diverged(two_point, 40, target_accept=0.9))
    assert "target_accept=0.95" in message


def test_the_share_counts_and_not_the_number(two_point):
    natural = np.random.default_rng(0).normal(size=(4, 600, 3))
    fewer, more = (diverged(two_point, count, draws=600, natural=natural) for count in (5, 8))
    assert diverged_but_few(fewer) == "5 of 2,400 draws diverged, which is few"
    assert next(sampling_warnings(more)).startswith("8 draws of 2,400 diverged (0.33%)")


def test_few_divergences_with_chains_that_disagree_are_a_warning(two_point):
    natural = two_point.draws.natural.copy()
    natural[0, :, 1] += 3 * natural[0, :, 1].std()
    fit = diverged(two_point, 2, natural=natural)
    messages = list(sampling_warnings(fit))
    assert len(messages) >= 2 and messages[0].startswith("2 draws of 4,000 diverged")
    assert any("do not agree" in message for message in messages) and diverged_but_few(fit) == ""


def test_fit_bayes_warns_of_what_is_a_warning_alone(prefs, two_point, monkeypatch):
    """Nothing is sampled: the draws are those of another fit, some of them marked as divergent."""
    for count in (4, 400):
        draws = diverged(two_point, count).draws
        monkeypatch.setattr("emjax.bayes.sample._summed_out", lambda *args, draws=draws: (draws, 2))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit = emjax.fit_bayes(
                prefs, emjax.TwoPoint(), strength=emjax.Known(0.9), key=0, target_accept=0.9
            )
        assert fit.target_accept == 0.9
        messages = [str(w.message) for w in caught]
        assert messages == list(sampling_warnings(fit)) and len(messages) == (count > 10)


def test_spreads_that_are_drawn_badly_make_any_divergence_a_warning(two_point):
    """The neck of the posterior is where a spread is small."""
    rng = np.random.default_rng(0)
    good = np.exp(rng.normal(size=(4, 1000)))
    stuck = good * np.array([1.0, 1.0, 1.0, 9.0])[:, None]
    for drawn, few in ((good, True), (stuck, False)):
        fit = diverged(two_point, 2)
        fit = dataclasses.replace(fit, draws=dataclasses.replace(fit.draws, spreads={"spread": drawn}))
        assert (diverged_but_few(fit) != "") == few and (list(sampling_warnings(fit)) == []) == few
        (line,) = [line for line in repr(fit).splitlines() if line.startswith("spread ")]
        assert "effective draws" in line and ("r-hat 1.00" in line) == few


def test_spreads_of_strengths_are_those_that_were_drawn():
    """It is large in the draws in which the strengths are."""
    rng = np.random.default_rng(1)
    pairs = np.array([("a", "b"), ("b", "c"), ("a", "c")])[rng.integers(3, size=600)]
    prefs = emjax.Preferences.from_votes(np.repeat(np.arange(30), 20), pairs, rng.random(600) < 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        few = {"num_warmup": 200, "num_samples": 200, "num_chains": 2, "key": 0}
        fit = emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=emjax.BradleyTerry(), **few)
    (name,) = fit.draws.spreads
    drawn = fit.draws.spreads[name]
    assert name == "spread of strengths" and drawn.shape == (2, 200) and (drawn > 0).all()
    own = np.std(fit.draws.models.strength.strengths, axis=2)
    assert np.corrcoef(np.log(drawn).ravel(), np.log(own).ravel())[0, 1] > 0.3
    assert any(line.startswith("spread of strengths ") for line in repr(fit).splitlines())
