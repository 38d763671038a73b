"""Ties, sides and contexts counted separately, against votes counted one by one."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

import emjax
from emjax.data.outcome_schema import Outcomes
from emjax.data.row_matching import opened_rows

N = 400
MODELS = np.array(["ant", "bee", "cat"], object)


def drawn(seed: int) -> dict[str, list]:
    """Rows of votes, pairs both ways round, with what was shown first and a topic."""
    rng = np.random.default_rng(seed)
    first = rng.integers(3, size=N)
    second = (first + rng.integers(1, 3, N)) % 3
    won = rng.choice([0.0, 0.5, 1.0], N)
    in_front = rng.random(N) < 0.5
    return {
        "user": rng.integers(20, size=N).tolist(),
        "model_a": MODELS[first].tolist(),
        "model_b": MODELS[second].tolist(),
        "winner": np.array(["model_b", "tie", "model_a"], object)[(2 * won).astype(int)].tolist(),
        "on_top": np.where(in_front, MODELS[first], MODELS[second]).tolist(),
        "topic": rng.choice(["code", "prose"], N).tolist(),
    }


def one_by_one(rows: dict[str, list], *, ties: bool, sides: bool, contexts: bool) -> Counter:
    """Votes by user, pair (as a set), context, the model that won (or none), and the one shown first."""
    found: Counter = Counter()
    for user, a, b, said, top, topic in zip(*rows.values(), strict=True):
        if said == "tie" and not ties:
            continue
        winner = {"model_a": a, "model_b": b, "tie": None}[said]
        key = (user, frozenset((a, b)), topic if contexts else None, winner, top if sides else None)
        found[key] += 1
    return found


def told(prefs: emjax.Preferences) -> Counter:
    """The same, read back from counts by what their columns are called."""
    found: Counter = Counter()
    for user, c, counts in zip(prefs.user, prefs.comparison, prefs.counts, strict=True):
        a, b = prefs.comparisons[c]
        context = None if prefs.contexts is None else prefs.contexts[c]
        for name, count in zip(prefs.outcomes.names, counts, strict=True):
            winner = {"A": a, "B": b, "t": None}[name[0]]
            top = {"A first": a, "B first": b}.get(name.partition(", ")[2])
            if count:
                found[prefs.users[user], frozenset((a, b)), context, winner, top] += int(count)
    return found


@pytest.mark.parametrize("ties", [False, True], ids=["decided", "ties"])
@pytest.mark.parametrize("sides", [False, True], ids=["", "sides"])
@pytest.mark.parametrize("contexts", [False, True], ids=["", "contexts"])
def test_counts_are_those_of_the_rows(tmp_path, ties, sides, contexts):
    """From a table, from a file, from arrays; and a part added to another."""
    rows = drawn(1)
    named = {
        "shown_first": "on_top" if sides else None,
        "context": "topic" if contexts else None,
        "ties": "model" if ties else "drop",
    }
    table = pa.table(rows)
    prefs = emjax.read_votes(table, **named)
    assert told(prefs) == one_by_one(rows, ties=ties, sides=sides, contexts=contexts)
    assert prefs.n_votes == prefs.votes_by_comparison().sum() == sum(told(prefs).values())
    assert prefs.wins.sum() == sum(said != "tie" for said in rows["winner"])
    import pyarrow.csv

    pyarrow.csv.write_csv(table, tmp_path / "votes.csv")
    assert told(emjax.read_votes(tmp_path / "votes.csv", **named)) == told(prefs)
    halves = [emjax.read_votes(table.slice(start, N // 2), **named) for start in (0, N // 2)]
    assert told(halves[0] + halves[1]) == told(prefs)
    kept = np.array([ties or said != "tie" for said in rows["winner"]])
    a, b, top = (np.array(rows[name], object)[kept] for name in ("model_a", "model_b", "on_top"))
    arrays = emjax.Preferences.from_votes(
        np.array(rows["user"])[kept],
        np.column_stack([a, b]),
        np.array([{"model_a": 1, "model_b": 0, "tie": 0.5}[said] for said in rows["winner"]])[kept],
        shown_first=top == a if sides else None,
        context=np.array(rows["topic"])[kept] if contexts else None,
        ties="model" if ties else "half",
    )
    assert told(arrays) == told(prefs)


def test_the_column_of_models_itself_says_what_came_first():
    rows = drawn(2)
    by_column = emjax.read_votes(pa.table(rows), shown_first="model_a")
    rows["on_top"] = rows["model_a"]
    assert told(by_column) == told(emjax.read_votes(pa.table(rows), shown_first="on_top"))


def test_names_exchanged_exchange_the_outcomes():
    """A comparison the other way round has each outcome where `mirror` says."""
    for outcomes in (Outcomes(s, t) for s in (False, True) for t in (False, True)):
        swap = str.maketrans("AB", "BA")
        mirrored = [outcomes.names[i].translate(swap) for i in outcomes.mirror]
        assert tuple(mirrored) == outcomes.names


def test_each_row_is_found_among_the_counts():
    rows = drawn(3)
    table, named = pa.table(rows), {"shown_first": "on_top", "context": "topic"}
    prefs = emjax.read_votes(table, **named, ties="model")
    with opened_rows(table, named) as opened:
        matched = opened.match(prefs)
    assert matched.ties == sum(said == "tie" for said in rows["winner"])
    counts = np.zeros((prefs.n_users, prefs.n_comparisons, prefs.outcomes.n))
    seen = matched.decisive
    np.add.at(counts, (matched.user[seen], matched.comparison[seen], matched.outcome[seen]), 1)
    np.testing.assert_array_equal(counts[prefs.user, prefs.comparison, :4], prefs.counts[:, :4])
    assert counts[..., 4:].sum() == 0
    a_won = np.isin(matched.outcome, (0, 2))
    np.testing.assert_array_equal(matched.a_won[seen], a_won[seen])
    with opened_rows(table, {}) as opened, pytest.raises(emjax.VotesError, match="counted by shown_first"):
        opened.match(prefs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"on_top": ["dodo"] * 2 + ["ant"] * 2}, "2 of 4 rows do not say which model was shown first"),
        ({"topic": [None, "x", "x", "x"]}, "1 of 4 rows have no context, first at data row 1"),
        ({"on_top": [None] * 4}, "4 of 4 rows do not say"),
    ],
)
def test_what_is_not_told_is_refused(change, message):
    rows = {"user": [1, 1, 2, 2], "model_a": ["ant"] * 4, "model_b": ["bee"] * 4, "winner": ["a", "b"] * 2}
    rows |= {"on_top": ["ant"] * 4, "topic": ["x"] * 4} | change
    with pytest.raises(emjax.VotesError, match=message):
        emjax.read_votes(pa.table(rows), shown_first="on_top", context="topic")


def test_parts_read_in_different_ways_do_not_add_up():
    table = pa.table(drawn(4))
    with pytest.raises(emjax.VotesError, match="read in one part and not in the other"):
        _ = emjax.read_votes(table) + emjax.read_votes(table, ties="model")


def test_arrays_that_do_not_fit_are_refused():
    some = [1, 2], [["a", "b"]] * 2, [1, 0]
    for options, message in (
        ({"shown_first": [True]}, "for each of 2 votes"),
        ({"context": ["x"]}, "one context per vote is needed, got 1 for 2 votes"),
        ({"ties": "drop"}, 'give "half" or "model"'),
    ):
        with pytest.raises(emjax.VotesError, match=message):
            emjax.Preferences.from_votes(*some, **options)
    with pytest.raises(emjax.VotesError, match="context needs pairs of models"):
        emjax.Preferences.from_votes([1, 2], ["x", "y"], [1, 0], context=["p", "q"])


def test_a_strength_of_a_pair_serves_every_context():
    prefs = emjax.Preferences.from_votes(
        [1, 1, 2, 2], [["b", "a"]] * 4, [1, 1, 0, 1], context=["x", "y", "x", "y"]
    )
    known = emjax.Known({("a", "b"): 0.3})
    fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=known)
    assert fit.comparisons(prefs).to_pydict()["strength"] == pytest.approx([0.7, 0.7])
    assert fit.comparisons(prefs).to_pydict()["context"] == ["x", "y"]
    each = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.PerPair())
    assert each.standard_errors().names == ("strength b over a in x", "strength b over a in y")
