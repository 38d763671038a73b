"""BayesFit: numbers, tables, and warnings about its draws."""

import dataclasses
import warnings

import numpy as np
import pytest

import emjax
from emjax.bayes.diagnostics import sampling_warnings
from emjax.bayes.notes import notes_on_draws
from emjax.infer.identifiability import Finding
from emjax.model.pytree import replace

MU = 0.9


def doctored(fit, **changes):
    """The same fit with other draws."""
    return dataclasses.replace(fit, draws=dataclasses.replace(fit.draws, **changes))


def test_a_good_fit_gives_no_warning(two_point):
    assert list(sampling_warnings(two_point)) == []
    assert "warning" not in repr(two_point)
    assert two_point.divergences == 0


def test_disagreeing_chains_give_a_warning(two_point):
    natural = two_point.draws.natural.copy()
    natural[0, :, 1] += 3 * natural[0, :, 1].std()
    messages = " ".join(sampling_warnings(doctored(two_point, natural=natural)))
    assert "The chains do not agree yet (r-hat 1." in messages and "for high, over 1.01)" in messages


def test_one_chain_cannot_disagree(two_point):
    draws = two_point.draws
    one = doctored(two_point, natural=draws.natural[:1], diverging=draws.diverging[:1])
    assert not any("do not agree" in message for message in sampling_warnings(one))


def test_few_effective_draws_give_a_warning(two_point):
    draws = two_point.draws
    few = doctored(two_point, natural=draws.natural[:, :40], diverging=draws.diverging[:, :40])
    assert any(message.startswith("Few effective draws (") for message in sampling_warnings(few))


def test_few_effective_draws_in_the_tails_give_a_warning(two_point):
    """Enough for means, and not for the ends of intervals: the extreme draws of a chain come in one run."""
    natural = two_point.draws.natural.copy()
    for chain in natural[..., 0]:
        low = np.sort(chain)[: len(chain) // 10]
        inside = chain[chain > low[-1]]
        chain[:] = np.concatenate([inside[:450], low, inside[450:]])
    fit = doctored(two_point, natural=natural)
    (message,) = [m for m in sampling_warnings(fit) if "tails" in m]
    assert f"({fit.ess_tail[0]:.0f} for low, under 400)" in message and "Raise num_samples" in message
    assert fit.ess_tail[0] < 400 and "\n" not in message and f"warning: {message}" in repr(fit)


def test_standard_errors_are_the_estimates_under_the_name_that_em_has(two_point):
    se, estimates = two_point.standard_errors(level=0.8), two_point.estimates(0.8)
    for name in ("estimate", "std_err", "lower", "upper", "covariance"):
        np.testing.assert_array_equal(getattr(se, name), getattr(estimates, name))
    assert se.level == 0.8 and type(se) is type(two_point.em.standard_errors())


def test_a_chain_that_never_moved_gives_a_warning(two_point):
    natural = two_point.draws.natural.copy()
    natural[:] = natural[:, :1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert any(
            "do not agree" in message for message in sampling_warnings(doctored(two_point, natural=natural))
        )


def test_a_constant_parameter_gives_no_warning(one_point):
    """The weight of a single point is 1, and its draws agree."""
    assert one_point.names == ("point 1", "weight 1")
    assert one_point.r_hat[1] == 1.0 and one_point.ess_bulk[1] == 4000
    assert one_point.r_hat[0] != 1.0 and list(sampling_warnings(one_point)) == []


@pytest.mark.parametrize("known", [True, False])
def test_a_ridge_gives_a_warning_before_sampling(known, prefs, monkeypatch):
    """Before sampling, where votes leave something to the hyperpriors; and only there."""

    class Stop(Exception):
        pass

    def stop(*args):
        raise Stop

    monkeypatch.setattr("emjax.bayes.sample._summed_out", stop)
    strength = emjax.Known(MU) if known else emjax.Shared()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Stop):
            emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=strength, key=0)
    messages = [str(w.message) for w in caught]
    if known:
        assert messages == []
        return
    assert len(messages) == 1 and "scale of attentiveness is not determined" in messages[0]
    assert "a ridge in the posterior, along which the hyperpriors alone decide" in messages[0]
    assert "\n" not in messages[0]


def test_estimates_are_means_deviations_and_quantiles_of_draws(two_point):
    flat = two_point.draws.natural.reshape(-1, 3)
    estimates = two_point.estimates(0.9)
    np.testing.assert_allclose(estimates.estimate, flat.mean(axis=0))
    np.testing.assert_allclose(estimates.std_err, flat.std(axis=0, ddof=1))
    np.testing.assert_allclose(estimates.lower, np.quantile(flat, 0.05, axis=0))
    np.testing.assert_allclose(estimates.upper, np.quantile(flat, 0.95, axis=0))
    np.testing.assert_allclose(estimates.covariance, np.cov(flat.T))
    assert estimates.level == 0.9 and estimates.names == ("low", "high", "weight")
    for wrong in (0.0, 1.0, 95.0):
        with pytest.raises(emjax.ModelError, match="level lies between 0 and 1"):
            two_point.estimates(wrong)


def test_prior_and_strength_are_at_their_posterior_means(two_point, ranked):
    estimates = two_point.estimates()
    np.testing.assert_allclose(two_point.prior.natural(), estimates.estimate, rtol=1e-6)
    assert isinstance(two_point.strength, emjax.Known) and abs(two_point.strength.value - MU) < 1e-12
    np.testing.assert_allclose(ranked.strength.natural(), ranked.estimates().estimate, atol=1e-6)
    assert isinstance(two_point.behavior, emjax.AttentiveOrRandom)


def test_tables_hold_posterior_means_and_deviations(ranked, arena):
    users, board, pairs = ranked.users(arena), ranked.leaderboard(arena), ranked.comparisons(arena)
    for table, of_em in zip(
        (users, board, pairs),
        (ranked.em.users(arena), ranked.em.leaderboard(arena), ranked.em.comparisons(arena)),
        strict=True,
    ):
        assert table.column_names == of_em.column_names
    np.testing.assert_allclose(users["attentiveness"].to_numpy(), ranked.posterior(arena).mean)
    estimates = ranked.estimates()
    order = np.argsort(-estimates.estimate)
    assert board["model"].to_pylist() == [("ant", "bee", "cat")[i] for i in order]
    np.testing.assert_allclose(board["strength"].to_numpy(), estimates.estimate[order], atol=1e-6)
    np.testing.assert_allclose(board["std_err"].to_numpy(), estimates.std_err[order])


def test_repr_shows_model_sizes_and_diagnostics(two_point, beta):
    text = repr(two_point)
    assert "TwoPoint prior, Known strength, full Bayes: 1,000 votes, 100 users, 1 comparison" in text
    assert "4 chains of 1,000 draws in " in text and "r-hat at most 1.0" in text
    assert all(name in text for name in ("low", "high", "weight"))
    assert two_point.seconds > 0 and two_point.hyperpriors == emjax.Hyperpriors()
    assert beta.em.prior.names() == beta.names


def said_of(fit, *findings):
    """The notes of a fit whose EM fit had these findings."""
    identified = dataclasses.replace(fit.em.identified, findings=findings)
    return list(
        notes_on_draws(dataclasses.replace(fit, em=dataclasses.replace(fit.em, identified=identified)))
    )


def test_what_em_says_of_standard_errors_is_not_said_of_draws(two_point):
    bound = Finding("note", "A standard error cannot say.", "Report it.", about="bound")
    errors = Finding("note", "Look at the standard errors.", "", about="errors")
    loose = Finding("note", "Hardly (standard error 0.3).", "Votes.", about="scale")
    few = Finding("warning", "There is one user.", "Add users.")
    assert said_of(two_point, bound, errors) == []
    hardly, other = said_of(two_point, loose, few)
    assert hardly.startswith("note: The scale of attentiveness is hardly") and "error" not in hardly
    assert other == "warning: There is one user."


def test_draws_of_the_guess_rate_at_an_end_name_the_usual_reason(two_point):
    """The draws are made up: a rate near 1, in place of a weight."""
    behavior = replace(emjax.AttentiveOrRandom(), sides=True)
    em = dataclasses.replace(two_point.em, behavior=behavior, prior=emjax.Fixed(two_point.em.prior))
    for rate, is_said in ((0.995, True), (0.9, False), (0.01, True)):
        fit = dataclasses.replace(doctored(two_point, natural=np.full((4, 1000, 1), rate)), em=em)
        notes = list(notes_on_draws(fit))
        assert fit.names == ("guess",) and bool(notes) == is_said
        assert all("always vote for one side" in n and "--guess" in n and "\n" not in n for n in notes)
