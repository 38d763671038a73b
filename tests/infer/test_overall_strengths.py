"""Overall strengths of models with strengths by context: against the joint density, and simulations."""

from itertools import product

import numpy as np
import pytest

import emjax
import oracles
from emjax.infer.overall_strengths import pooling
from emjax.model.bradley_terry import _in_context
from emjax.model.pytree import replace

# eta of careless and attentive users, and the share of the latter
PRIOR = emjax.Fixed(emjax.TwoPoint(0.1, 0.95, 0.6))
ETA, WEIGHTS = np.array([0.1, 0.95]), np.array([0.4, 0.6])
# dog never meets a model of the other pair in prose, and neither ant nor dog are compared in law.
PAIRS = {
    "code": [("ant", "bee"), ("bee", "cat"), ("ant", "cat"), ("cat", "dog")],
    "prose": [("ant", "bee"), ("cat", "dog")],
    "law": [("bee", "cat")],
}
COMPARED = [(a, b, of) for of, pairs in PAIRS.items() for a, b in pairs]
MODELS = ["ant", "bee", "cat", "dog"]
L2, L2_CONTEXT = 0.3, 0.8


def votes_of(seed, compared, strengths, users, votes):
    """Votes, and counts (users, C, 2) of them, where the strength of A over B in comparison c is given."""
    rng = np.random.default_rng(seed)
    eta = np.where(rng.random(users) < WEIGHTS[1], ETA[1], ETA[0])
    user, which = np.repeat(np.arange(users), votes), rng.integers(len(compared), size=users * votes)
    p = 0.5 + eta[user] * (1.0 / (1.0 + np.exp(-strengths[which])) - 0.5)
    won = rng.random(user.size) < p
    counts = np.zeros((users, len(compared), 2))
    np.add.at(counts, (user, which, 1 - won), 1.0)
    pairs = np.array([(a, b) for a, b, _ in compared], object)[which]
    context = np.array([of for _, _, of in compared], object)[which]
    return emjax.Preferences.from_votes(user, pairs, won, context=context), counts


@pytest.fixture(scope="module")
def uneven():
    """Votes on models that are not all compared in all contexts, their fit, and the joint maximum."""
    logits = np.random.default_rng(5).normal(0, 1, len(COMPARED))
    prefs, counts = votes_of(0, COMPARED, logits, users=60, votes=25)
    strength = emjax.BradleyTerry(l2=L2, l2_context=L2_CONTEXT)
    fit = emjax.fit_em(prefs, PRIOR, strength=strength, tol=1e-9)
    entries = sorted({(name, of) for a, b, of in COMPARED for name in (a, b)})
    place = {entry: len(MODELS) + i for i, entry in enumerate(entries)}
    of_model = [MODELS.index(name) for name, _ in entries]
    first, second = ([place[(c[i], c[2])] for c in COMPARED] for i in (0, 1))

    def joint(x):
        """Log density of the votes, of strengths in contexts and of overall ones, x = (s, u)."""
        s, u = x[: len(MODELS)], x[len(MODELS) :]
        mu = 1.0 / (1.0 + np.exp(x[second] - x[first]))
        prior = -0.5 * L2 * np.sum(s**2) - 0.5 * L2_CONTEXT * np.sum((u - s[of_model]) ** 2)
        return oracles.marginal(counts, mu, ETA, np.log(WEIGHTS)) + prior

    size = len(MODELS) + len(entries)
    best = oracles.maximise(joint, [np.zeros(size)], [(-9.0, 9.0)] * size)
    covariance = np.linalg.inv(-oracles.hessian(joint, best.x))
    # Mean over the three contexts; without votes in one a model lies there around its own strength.
    mean, absent = np.zeros((len(MODELS), size)), np.zeros(len(MODELS))
    for k, name in enumerate(MODELS):
        for of in PAIRS:
            there = (name, of) in place
            mean[k, place[name, of] if there else k] += 1 / len(PAIRS)
            absent[k] += not there
    variance = mean @ covariance @ mean.T + np.diag(absent / (len(PAIRS) ** 2 * L2_CONTEXT))
    return fit, prefs, mean @ best.x, variance


def overall(board):
    table = board.to_pydict()
    rows = [i for i, of in enumerate(table["context"]) if of is None]
    return {name: [values[i] for i in rows] for name, values in table.items()}


def test_overall_strengths_are_those_of_the_joint_maximum(uneven):
    fit, prefs, s, _ = uneven
    board = overall(fit.leaderboard(prefs))
    found = dict(zip(board["model"], board["strength"], strict=True))
    np.testing.assert_allclose([found[name] for name in MODELS], s - s.mean(), atol=1e-5)
    assert board["model"] == [MODELS[i] for i in np.argsort(-s)] and board["rank"] == [1, 2, 3, 4]
    assert board["component"] == [1] * 4


def test_their_standard_errors_are_those_of_the_joint_information(uneven):
    fit, prefs, _, covariance = uneven
    board = overall(fit.leaderboard(prefs))
    centred = np.eye(4) - 0.25
    expected = np.sqrt(np.diag(centred @ covariance @ centred))
    found = dict(zip(board["model"], board["std_err"], strict=True))
    np.testing.assert_allclose([found[name] for name in MODELS], expected, rtol=1e-5)
    half_width = (np.array(board["upper"]) - board["lower"]) / 2
    np.testing.assert_allclose(half_width, 1.959964 * np.array(board["std_err"]), rtol=1e-6)


def test_a_ranking_lists_the_models_with_votes_in_its_context_by_component(uneven):
    fit, prefs, _, _ = uneven
    board = fit.leaderboard(prefs).to_pydict()
    rows = list(zip(board["context"], board["model"], board["component"], board["rank"], strict=True))
    assert {name for of, name, _, _ in rows if of == "law"} == {"bee", "cat"}
    prose = {name: (component, rank) for of, name, component, rank in rows if of == "prose"}
    assert prose["ant"][0] == prose["bee"][0] != prose["cat"][0] == prose["dog"][0]
    assert sorted(rank for _, rank in prose.values()) == [1, 1, 2, 2]
    # of other votes, only what they are on
    few = emjax.Preferences.from_votes([1, 1], [["cat", "bee"]] * 2, [1, 0], context=["law", "law"])
    board = fit.leaderboard(few).to_pydict()
    assert sorted(zip(map(str, board["context"]), board["model"], strict=True)) == [
        ("None", "bee"), ("None", "cat"), ("law", "bee"), ("law", "cat"),
    ]  # fmt: skip


def test_without_a_ridge_the_level_of_all_strengths_is_left_out():
    """As the limit of small ridges; and models that no votes connect are components of their own."""
    of, groups = [0, 1, 0, 2, 3, 4], np.array([0, 0, 1, 1, 2, 2])
    none, small = (pooling(of, groups, groups, l2, 2.0) for l2 in (0.0, 1e-9))
    assert none.components.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(none.weights, small.weights, atol=1e-7)
    np.testing.assert_allclose(none.given, small.given, atol=1e-7)
    together = none.components[:, None] == none.components
    np.testing.assert_allclose(together @ none.weights, 0.0, atol=1e-12)
    assert (none.weights[:3, 4:] == 0).all()


def test_no_two_models_in_contexts_have_one_name():
    words = ["a", "b", "in", "a in", "in b", "a in b", "b in a in b", '"a"', '"a" in', "a in in", ' "', "a\\"]
    names = {(model, of): _in_context(model, of) for model, of in product(words, words)}
    assert len(set(names.values())) == len(names)
    assert names["a", "b"] == "a in b"


def test_names_that_could_be_divided_in_two_ways_are_kept_whole(tmp_path):
    """The strengths of ("ant in x", "y") and ("ant", "x in y") are two."""
    rng = np.random.default_rng(2)
    compared = [("ant in x", "bee", "y"), ("bee", "ant", "x in y")]  # ant in x wins in y, and ant loses
    prefs, _ = votes_of(3, compared, np.array([1.5, 1.5]), users=80, votes=20)
    fit = emjax.fit_em(prefs, PRIOR, strength=emjax.BradleyTerry(l2_context=0.5))
    assert len(set(fit.strength.models)) == 4
    board = emjax.load_fit(fit.save(tmp_path / "fit")).leaderboard(prefs).to_pydict()
    first = {of: name for of, name, r in zip(board["context"], board["model"], board["rank"], strict=True)
             if r == 1}  # fmt: skip
    assert first["y"] == "ant in x" and first["x in y"] == "bee"
    assert set(board["model"]) == {"ant", "bee", "ant in x"} and len(board["model"]) == 7
    # a fit of an earlier version has no name in quotes
    old = tuple(f"{name} in {of}" for name, of in [("ant", "x in y"), ("bee", "x in y"), ("bee", "y")])
    keep = [fit.strength.models.index(_in_context(*entry)) for entry in
            [("ant", "x in y"), ("bee", "x in y"), ("bee", "y")]]  # fmt: skip
    earlier = replace(fit.strength, models=old, strengths=np.asarray(fit.strength.strengths)[keep])
    few = emjax.Preferences.from_votes([1], [["bee", "ant"]], rng.integers(2, size=1), context=["x in y"])
    assert earlier.index(few.table).tolist() in ([[0, 1]], [[1, 0]])


def test_a_model_that_is_in_few_contexts_has_a_wide_interval():
    """However many votes there are: what it would be in the others is not known."""
    of = [k for _ in range(8) for k in range(3)] + [3]
    contexts = np.array([g for g in range(8) for _ in range(3)] + [0])
    sd = np.sqrt(pooling(of, contexts, contexts, 0.01, 1.0).covariance(np.zeros((25, 25))).diagonal())
    # By simulation of strengths in contexts that are known exactly.
    rng = np.random.default_rng(0)
    u = rng.normal(0, 1, (20_000, 1, 4)) + rng.normal(0, 1, (20_000, 8, 4))
    known = np.concatenate([u[:, :, :3].reshape(-1, 24), u[:, :1, 3]], axis=1)
    level = np.repeat(u[:, :, :3].mean(axis=2), 3, axis=1)
    level = np.concatenate([level, level[:, :1]], axis=1)
    level[:, [0, 1, 2, 24]] = u[:, 0].mean(axis=1)[:, None]
    estimate = (known - level) @ pooling(of, contexts, contexts, 0.01, 1.0).weights.T
    truth = u.mean(axis=1) - u.mean(axis=(1, 2))[:, None]
    np.testing.assert_allclose(sd, (estimate - truth).std(axis=0), rtol=0.03)
    assert sd[3] > 0.7 and sd[0] < 0.3


@pytest.mark.long
def test_intervals_of_overall_strengths_cover_the_mean_over_these_contexts():
    """And not the models' own strengths, from which such a mean differs however many votes there are."""
    models, contexts, pull = 5, [f"c{i}" for i in range(4)], 1.0
    names = np.array([f"m{i}" for i in range(models)])
    pairs = [(a, b) for a in range(models) for b in range(a)]
    inside, of_own = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        own = rng.normal(0, 1, models)
        u = own + rng.normal(0, pull**-0.5, (len(contexts), models))
        compared = [(names[a], names[b], of) for of in contexts for a, b in pairs]
        logits = np.array([u[i, a] - u[i, b] for i in range(len(contexts)) for a, b in pairs])
        prefs, _ = votes_of(seed, compared, logits, users=200, votes=40)
        fit = emjax.fit_em(prefs, PRIOR, strength=emjax.BradleyTerry(l2_context=pull))
        board = overall(fit.leaderboard(prefs))
        mean = u.mean(axis=0) - u.mean()
        estimate = np.array(board["strength"])
        of_mean = np.array([mean[int(name[1:])] for name in board["model"]])
        level = own - own.mean()
        reach = 1.96 * np.array(board["std_err"])
        inside += (np.abs(estimate - of_mean) < reach).tolist()
        of_own += (np.abs(estimate - [level[int(name[1:])] for name in board["model"]]) < reach).tolist()
    assert 0.9 < np.mean(inside) < 0.99
    assert np.mean(of_own) < 0.7
