"""Statistics of predictive checks, against loops over users and comparisons in plain NumPy."""

import itertools

import numpy as np
import pytest

from emjax.bayes.predictive_statistics import (
    Structure,
    cast_of,
    misfit_by_model,
    residuals,
    user_statistics,
)
from emjax.data.outcome_schema import Outcomes

SCHEMAS = [Outcomes(), Outcomes(ties=True), Outcomes(sides=True), Outcomes(sides=True, ties=True)]
PAIRS = np.array([[0, 1], [0, 2], [1, 2], [0, 3], [1, 3]])


def votes(outcomes, seed=0, users=12, each=5):
    """Random votes: the structure of the statistics, and counts (rows, O), some rows without votes."""
    rng = np.random.default_rng(seed)
    user, comparison = (x.ravel() for x in np.meshgrid(np.arange(users), np.arange(5), indexing="ij"))
    counts = rng.integers(0, each, (len(user), outcomes.n)) * (rng.random((len(user), 1)) < 0.7)
    favoured, half = np.array([1.0, -1.0, 0.0, 1.0, -1.0]), np.array([0, 1, 1, 0, 0])
    s = Structure(user, comparison, users, outcomes, favoured, half, PAIRS)
    return s, counts.astype(float)


def named(outcomes, row):
    """Votes of one row by who won ("A", "B", "tie") and by which side was first ("A", "B")."""
    return {
        (who, side): sum(
            float(n)
            for n, name in zip(row, outcomes.names, strict=True)
            if name.startswith(who) and (not outcomes.sides or name.endswith(f"{side} first"))
        )
        / (1.0 if outcomes.sides else 2.0)
        for who, side in itertools.product(("A", "B", "tie"), "AB")
    }


def slow_user_statistics(s, counts):
    rows = [
        (int(u), int(c), named(s.outcomes, row))
        for u, c, row in zip(s.user, s.comparison, counts, strict=True)
    ]

    def shares(part, whole, among=lambda c: True):
        """A share of each user's votes, of users who have any."""
        found = {}
        for user in range(s.n_users):
            mine = [(c, n) for u, c, n in rows if u == user and among(c)]
            total = sum(whole(c, n) for c, n in mine)
            if total > 0:
                found[user] = (sum(part(c, n) for c, n in mine) / total, total)
        return found

    def won(c, n):
        return sum(n["A" if s.favoured[c] > 0 else "B", side] for side in "AB") * (s.favoured[c] != 0)

    def cast(c, n):
        return sum(n[who, side] for who in "AB" for side in "AB") * (s.favoured[c] != 0)

    rates = shares(won, cast)
    enough = [(rate, total) for rate, total in rates.values() if total >= 4]
    first, second = (shares(won, cast, lambda c, h=h: s.half[c] == h) for h in (0, 1))
    both = sorted(set(first) & set(second))
    agree = pairs = 0.0
    for _, _, n in rows:
        k = [sum(n[who, side] for side in "AB") for who in ("A", "B", "tie")]
        if sum(k) >= 2:
            agree += sum(x * (x - 1) for x in k)
            pairs += sum(k) * (sum(k) - 1)
    found = {
        "spread of win rates": np.std([rate for rate, _ in rates.values()]),
        "users below one half": np.mean(
            [(rate - 0.5) / np.sqrt(0.25 / n) <= -2 + 1e-9 for rate, n in enough]
        ),
        "halves of comparisons": np.corrcoef([first[u][0] for u in both], [second[u][0] for u in both])[0, 1],
        "repeated votes": agree / pairs,
    }
    if s.outcomes.ties:
        tied = shares(lambda c, n: n["tie", "A"] + n["tie", "B"], lambda c, n: sum(n.values()))
        found["ties by user"] = np.std([share for share, _ in tied.values()])
    if s.outcomes.sides:

        def to_first(c, n):
            return n["A", "A"] + n["B", "B"]

        def decided(c, n):
            return sum(n[who, side] for who in "AB" for side in "AB")

        found["votes for the first side"] = sum(to_first(c, n) for _, c, n in rows) / sum(
            decided(c, n) for _, c, n in rows
        )
        found["first side by user"] = np.std([x for x, _ in shares(to_first, decided).values()])
    return found


@pytest.mark.parametrize("outcomes", SCHEMAS, ids=str)
def test_statistics_of_users(outcomes):
    for seed in range(4):
        s, counts = votes(outcomes, seed)
        found, slow = user_statistics(s, counts), slow_user_statistics(s, counts)
        assert set(found) == set(slow)
        for name, value in slow.items():
            assert found[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("what", ["wins", "ties"])
@pytest.mark.parametrize("outcomes", SCHEMAS, ids=str)
def test_residuals_have_the_moments_of_users_drawn_from_the_prior(outcomes, what):
    """Mean and variance user by user: over nodes of attentiveness, then over votes given the node."""
    if what == "ties" and not outcomes.ties:
        return
    rng = np.random.default_rng(1)
    s, counts = votes(outcomes)
    weights, p = rng.dirichlet(np.ones(3)), np.zeros((5, outcomes.n, 3))
    for group in outcomes.by_side:
        p[:, list(group)] = rng.dirichlet(np.ones(len(group)), (5, 3)).transpose(0, 2, 1)
    value = [{"wins": (1, -1, 0), "ties": (0, 0, 1)}[what][i] for i in range(3)]
    expected = []
    for c in range(5):
        mean = variance = observed = 0.0
        for row in counts[s.comparison == c]:
            at_node, square = np.zeros(3), np.zeros(3)
            for group in outcomes.by_side:
                n = row[list(group)].sum()
                one = sum(v * p[c, o] for v, o in zip(value, group, strict=False))
                two = sum(v**2 * p[c, o] for v, o in zip(value, group, strict=False))
                at_node += n * one
                square += n * (two - one**2)
                observed += sum(v * row[o] for v, o in zip(value, group, strict=False))
            mean += weights @ at_node
            variance += weights @ (square + at_node**2) - (weights @ at_node) ** 2
        expected.append((observed - mean) / np.sqrt(variance))
    found = residuals(s, counts, cast_of(s, counts), p, weights, what)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_residuals_are_standard_under_the_model():
    """Drawn from the model, with ten votes per user: mean 0 and variance 1, whatever users share."""
    rng = np.random.default_rng(2)
    user, comparison = np.repeat(np.arange(40), 2), np.tile([0, 1], 40)
    s = Structure(user, comparison, 40, Outcomes(), np.ones(2), np.array([0, 1]), None)
    eta, weights = np.array([0.1, 0.9]), np.array([0.4, 0.6])
    to_a = 0.5 + eta * np.array([[0.4], [0.2]])
    p = np.stack([to_a, 1 - to_a], axis=1)
    z = []
    for _ in range(2000):
        node = rng.choice(2, 40, p=weights)[user]
        won = rng.binomial(10, to_a[comparison, node])
        counts = np.column_stack([won, 10.0 - won])
        z.append(residuals(s, counts, cast_of(s, counts), p, weights, "wins"))
    z = np.array(z)
    assert np.abs(z.mean(axis=0)).max() < 4.5 / np.sqrt(2000)
    assert np.abs(z.var(axis=0) - 1).max() < 4.5 * np.sqrt(2 / 2000)


def test_misfit_by_model_sums_its_comparisons():
    s, _ = votes(Outcomes())
    z = np.array([1.0, -2.0, 0.5, 3.0, 0.0])
    found = misfit_by_model(s, z)
    for k in range(4):
        mine = [z[c] ** 2 for c in range(5) if k in PAIRS[c]]
        assert found[k] == pytest.approx((sum(mine) - len(mine)) / np.sqrt(2 * len(mine)))
    assert misfit_by_model(s._replace(models=PAIRS[:3]), z[:3]).size == 0  # three models
    assert misfit_by_model(s._replace(models=None), z).size == 0


def test_statistics_that_votes_do_not_have_are_not_a_number():
    one = Structure(
        np.zeros(1, int), np.zeros(1, int), 1, Outcomes(True, True), np.ones(1), np.zeros(1), None
    )
    found = user_statistics(one, np.array([[1.0, 0, 0, 0, 0, 0]]))
    assert found.pop("votes for the first side") == 1.0
    assert np.isnan(list(found.values())).all()
    tied = user_statistics(one, np.array([[0.0, 0, 0, 0, 2, 0]]))
    assert np.isnan(tied["votes for the first side"])
