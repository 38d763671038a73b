"""The ArviZ object: what is in it, under which names, with which labels; and that files can hold it."""

import importlib.util

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


NAMES = [["ant", "bee"], ["ant", "cat"], ["bee", "cat"]]


@pytest.fixture(scope="module")
def voted():
    """Named users with ties and sides, in three comparisons."""
    rng = np.random.default_rng(12)
    user = np.repeat([f"user {i}" for i in range(30)], 12)
    won = rng.choice([1.0, 0.0, 0.5], len(user), p=[0.5, 0.3, 0.2])
    pairs = np.array(NAMES)[np.tile(np.arange(3), len(user) // 3)]
    return emjax.Preferences.from_votes(
        user, pairs, won, ties="model", shown_first=rng.random(len(user)) < 0.5
    )


@pytest.fixture(scope="module")
def tree(voted, quiet):
    fit = quiet(voted, emjax.TwoPoint(), strength=emjax.BradleyTerry(), num_chains=2, num_samples=100)
    return fit, fit.to_arviz(voted, key=1)


def test_users_models_and_comparisons_are_labels(tree, voted):
    fit, made = tree
    place = fit.names.index("strength of bee")
    bee = made["posterior"]["strength"].sel(model="bee")
    np.testing.assert_array_equal(bee.values, fit.draws.natural[..., place])
    assert made["log_likelihood"]["votes"].sel(user="user 7").dims == ("chain", "draw")
    observed, predicted = made["observed_data"], made["posterior_predictive"]
    for group, dims in ((observed, ("row",)), (predicted, ("chain", "draw", "row"))):
        for name in ("wins", "ties"):
            assert group[name].dims == dims
        for name in ("user", "comparison", "model_a", "model_b"):
            assert group[name].dims == ("row",) and group[name].dtype.kind == "U"
        np.testing.assert_array_equal(group["user"].values, voted.users.astype(str)[voted.user])
    mine = observed["wins"].sel(row=observed["user"] == "user 7")
    np.testing.assert_array_equal(mine.values, voted.wins[voted.users[voted.user] == "user 7", 0])
    assert mine["comparison"].values.tolist() == [" against ".join(pair) for pair in NAMES]
    of_ant = predicted["ties"].sel(row=predicted["model_a"] == "ant")
    assert of_ant.sizes["row"] == 60 and of_ant.sizes["draw"] == 200
    total = observed["total"].values
    np.testing.assert_array_equal(total, voted.counts.sum(axis=1))
    assert (predicted["wins"].values + predicted["ties"].values <= total).all()
    for row, count in enumerate(observed["ties"].values):
        assert count == voted.counts[row, 4:].sum()


def test_strengths_of_comparisons_are_labelled_by_their_models(arena, quiet):
    prior = emjax.Fixed(emjax.Points(2, [0.2, 0.9], [0.4, 0.6]))
    fit = quiet(arena, prior, strength=emjax.PerPair(), num_chains=1, num_samples=50)
    strength = fit.to_arviz()["posterior"]["strength"]
    assert strength.dims == ("chain", "draw", "comparison")
    np.testing.assert_array_equal(
        strength.sel(comparison="ant against cat").values, fit.draws.natural[..., 1]
    )
    assert strength["model_a"].values.tolist() == ["ant", "ant", "bee"]
    assert strength.sel(comparison=strength["model_b"] == "cat").sizes["comparison"] == 2
    plain = emjax.Preferences.from_counts(arena.wins[:, :1].reshape(60, 3), np.full((60, 3), 12))
    unnamed = quiet(plain, prior, strength=emjax.PerPair(), num_chains=1, num_samples=50)
    posterior = unnamed.to_arviz(plain)["posterior"]
    assert posterior["comparison"].values.tolist() == ["0", "1", "2"] and "model_a" not in posterior.coords


def test_labels_are_types_that_files_can_hold(tree, two_point, prefs, tmp_path):
    """Each group as a netCDF file of the plainest version, which SciPy writes; and as a dict."""
    for made in (tree[1], two_point.to_arviz(prefs, key=0)):
        assert made.children
        for name, group in made.children.items():
            data = group.to_dataset()
            for variable in data.variables.values():
                assert variable.dtype.kind in "biufU", (name, variable)
            data.to_netcdf(tmp_path / f"{name}.nc", engine="scipy")
            assert data.to_dict()["dims"]


@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("h5netcdf", "netCDF4")), reason="needs netCDF4 files"
)
def test_the_tree_is_the_same_after_a_file(tree, tmp_path):
    import xarray

    tree[1].to_netcdf(tmp_path / "fit.nc")
    with xarray.open_datatree(tmp_path / "fit.nc") as back:
        assert set(back.children) == set(tree[1].children)
        strength = back["posterior"]["strength"].sel(model="bee").values
        np.testing.assert_array_equal(strength, tree[1]["posterior"]["strength"].sel(model="bee").values)
        assert (
            back["observed_data"]["user"].values.tolist() == tree[1]["observed_data"]["user"].values.tolist()
        )
