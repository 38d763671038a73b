"""The ArviZ object: what is in it, under which names."""

import numpy as np
import pytest

import emjax


def test_the_data_tree_has_the_documented_groups_dimensions_and_names(two_point, prefs, wins):
    tree = two_point.to_arviz(prefs, key=0)
    assert set(tree.children) == {
        "posterior",
        "sample_stats",
        "log_likelihood",
        "observed_data",
        "posterior_predictive",
    }
    posterior = tree["posterior"]
    assert set(posterior.data_vars) == {"low", "high", "weight"}
    for i, name in enumerate(two_point.names):
        assert posterior[name].dims == ("chain", "draw")
        np.testing.assert_array_equal(posterior[name].values, two_point.draws.natural[..., i])
    stats = tree["sample_stats"]
    np.testing.assert_array_equal(stats["diverging"].values, two_point.draws.diverging)
    np.testing.assert_array_equal(stats["n_steps"].values, two_point.draws.n_steps)
    np.testing.assert_array_equal(stats["acceptance_rate"].values, two_point.draws.accept_prob)
    assert tree["log_likelihood"]["votes"].dims == ("chain", "draw", "user")
    np.testing.assert_array_equal(tree["log_likelihood"]["user"].values, prefs.users)
    assert tree["observed_data"]["wins"].dims == ("row",)
    np.testing.assert_array_equal(tree["observed_data"]["wins"].values, wins)
    np.testing.assert_array_equal(tree["observed_data"]["total"].values, np.full(100, 10))
    np.testing.assert_array_equal(
        tree["posterior_predictive"]["wins"].values[0], two_point.predictive(prefs, key=0)
    )


def test_arviz_gives_the_diagnostics_of_the_fit(two_point, prefs):
    import arviz_stats

    tree = two_point.to_arviz(prefs)
    assert "posterior_predictive" not in tree.children
    theirs, ours = arviz_stats.loo(tree, pointwise=True), two_point.loo(prefs)
    np.testing.assert_allclose(theirs.elpd_i, ours.elpd, atol=1e-3)  # it smooths a tail of another length
    np.testing.assert_allclose(theirs.pareto_k, ours.pareto_k, atol=0.15)
    assert theirs.elpd == pytest.approx(ours.total, abs=0.02) and theirs.se == pytest.approx(
        ours.std_err, rel=0.01
    )
    assert theirs.p == pytest.approx(ours.p_loo, abs=0.02)
    r_hat = arviz_stats.rhat(tree)
    np.testing.assert_allclose([float(r_hat[name]) for name in two_point.names], two_point.r_hat)
    for kind, own in (("bulk", two_point.ess_bulk), ("tail", two_point.ess_tail)):
        ess = arviz_stats.ess(tree, method=kind, **({"prob": (0.05, 0.95)} if kind == "tail" else {}))
        np.testing.assert_allclose([float(ess[name]) for name in two_point.names], own, rtol=1e-9)


def test_models_and_points_have_labels(ranked, one_point, beta, ridge):
    strength = ranked.to_arviz()["posterior"]["strength"]
    assert strength.dims == ("chain", "draw", "model")
    assert strength["model"].values.tolist() == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(strength.values, ranked.draws.natural)
    point = one_point.to_arviz()["posterior"]
    assert point["point"].dims == point["point_weight"].dims == ("chain", "draw", "kind")
    assert set(beta.to_arviz()["posterior"].data_vars) == {"a", "b"}
    both = ridge.to_arviz()["posterior"]
    np.testing.assert_array_equal(both["strength"].values, ridge.draws.natural[..., 3])


def test_without_votes_there_are_the_draws_alone(two_point):
    assert set(two_point.to_arviz().children) == {"posterior", "sample_stats"}


def test_too_many_log_likelihoods_are_refused(two_point, prefs, monkeypatch):
    monkeypatch.setattr("emjax.bayes.arviz._MAX_ELEMENTS", 1000)
    with pytest.raises(emjax.ModelError, match=r"100 users in 4,000 draws would not fit: call to_arviz\(\)"):
        two_point.to_arviz(prefs)
    with pytest.raises(emjax.ModelError, match="log_likelihood is about the votes that were fitted"):
        two_point.to_arviz(emjax.Preferences.from_counts([1], [2]))
    with pytest.raises(emjax.ModelError, match=r"call to_arviz\(prefs, key=...\)"):
        two_point.to_arviz(key=0)
