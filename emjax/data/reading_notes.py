"""Reading notes: what a reader of votes should look at, though nothing is wrong with them."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from emjax.data.columns import columns_in_words
from emjax.data.count_table import Tally, pc
from emjax.data.ids import SHARED_NAMES
from emjax.data.row_rules import NO_WINNER, Reading
from emjax.data.vote_formats import VoteFormat

_SIDES = ("left", "right", "first", "second", "top", "bottom")
MEANINGS = {1.0: "model A won", 0.0: "model B won", 0.5: "a tie"}
_HEAVY, _MANY = 0.2, 20  # a share of the votes, and a number of users of which one should not have it
_RUN, _ENOUGH = 20, 50  # votes for one side only, which are no chance; users of whom few do so
_FEW = 6  # words of winners that one line names
# By how much the share of the first column must differ from one half: in standard errors, and itself.
_Z, _NOTABLE = 3.0, 0.05


def reading_notes(
    found: Tally, called: Sequence[str], *, sides: bool, form: VoteFormat | None = None
) -> Iterator[str]:
    """Names in several spellings, users who may be many people, and a column that is named after a side.

    Parameters
    ----------
    found : Tally
        That has passed its checks.
    called : two str
        What the columns of models are called.
    sides : bool
        Whether the side shown first was read.
    form : VoteFormat, optional
        The format in which the votes came; in some the two columns are no sides.
    """
    if found.respelled:
        name, other = found.respelled[0]
        many = f"{len(found.respelled):,} name{'s are' if len(found.respelled) > 1 else ' is'}"
        yield (
            f"{many} written in several ways ({name!r} and {other!r}, for example): white space around a "
            "name and .0 behind a number do not distinguish names."
        )
    yield from _shared_names(found)
    yield from _heavy_users(found)
    if sides:
        yield from _one_sided_users(found)
    share, decided = share_of_first(found)
    named = any(side in called[0].lower().replace("-", "_").split("_") for side in _SIDES)
    beyond_chance = decided * (share - 0.5) ** 2 > (_Z * 0.5) ** 2
    may_be_sides = named and not sides and (form is None or form.sides)
    if may_be_sides and beyond_chance and abs(share - 0.5) >= _NOTABLE:
        yield (
            f"{share:.0%} of the decided votes went to {called[0]!r}: if its answer was always shown first, "
            "and models were put there at random, say so with "
            f"shown_first={called[0]!r} (command line: --shown-first {called[0]})."
        )


def words_read(found: Tally) -> tuple[tuple[str, str, int], ...]:
    """What was written as the winner, with its meaning and its rows, most frequent first."""
    # Entries can be millions, one for each user and comparison: only what they say goes through Python.
    won = np.select([found.won == 1.0, found.won == 0.0, found.won == 0.5], [0, 1, 2], 3)
    key = ((found.said + 1) * 4 + won) * 2 + (found.skipped == NO_WINNER)
    by_key = np.bincount(key, found.votes)
    counted: dict[tuple[str, str], float] = {}
    names = set(found.models.tolist())
    for place in np.flatnonzero(by_key):
        said, which, left_out = int(place) // 8 - 1, int(place) // 2 % 4, bool(place % 2)
        word = "(empty)" if said < 0 else str(found.words[said])
        meaning = "left out" if said < 0 and left_out else None
        meaning = meaning or ("the model of that name won" if word in names and which < 2 else None)
        meaning = meaning or MEANINGS.get((1.0, 0.0, 0.5, np.nan)[which], "not understood")
        counted[word, meaning] = counted.get((word, meaning), 0.0) + float(by_key[place])
    listed = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple((word, meaning, int(votes)) for (word, meaning), votes in listed)


def read_as(columns: Mapping[str, str], found: Tally, form: VoteFormat | None, how: Reading) -> str:
    """Two lines that say which columns were read, and what stands in that of the winner."""
    roles = columns_in_words(columns, how.read_from)
    words = words_read(found)
    named = [entry for entry in words if entry[1].startswith("the model")]
    said = [
        f"{word!r} ({meaning}) {many:,}" for word, meaning, many in words if not meaning.startswith("the")
    ]
    said += [f"names of models {sum(many for *_, many in named):,}"] if named else []
    more = [f"and {len(said) - _FEW} more"] if len(said) > _FEW else []
    known = f"format {form.name} ({form.title}); " if form is not None else ""
    return f"{known}columns: {roles}\nwinners: {', '.join(said[:_FEW] + more)}"


def share_of_first(found: Tally) -> tuple[float, float]:
    """Share of the decided votes that went to the model in the first column, and how many are decided."""
    decided = np.isin(found.won, (0.0, 1.0)) & (found.skipped == 0)
    many = float(found.votes[decided].sum())
    return float(found.votes[decided] @ found.won[decided]) / max(many, 1.0), many


def votes_by_user(found: Tally, kept: np.ndarray | None = None) -> np.ndarray:
    """(m,) rows of each user; of those entries of the tally that are kept, if they are given."""
    there = found.user >= 0 if kept is None else kept & (found.user >= 0)
    return np.bincount(found.user[there], found.votes[there], found.users.size)


def _heavy_users(found: Tally) -> Iterator[str]:
    """Users who cast so many of the votes that strengths can be theirs."""
    votes = votes_by_user(found)
    total = max(float(votes.sum()), 1.0)
    for place in np.flatnonzero(votes > _HEAVY * total):
        if found.users.size > _MANY:
            yield (
                f"User {found.users[place]} cast {votes[place]:,.0f} of {total:,.0f} votes "
                f"({votes[place] / total:.0%}): fit without these votes too, and compare the two rankings."
            )


def _one_sided_users(found: Tally) -> Iterator[str]:
    """Users who always vote for the side shown first, or always for the other: they can decide its rate."""
    decided = np.isin(found.won, (0.0, 1.0)) & np.isin(found.shown_first, (0.0, 1.0)) & (found.skipped == 0)
    user, votes = found.user[decided], found.votes[decided]
    for_first = np.bincount(user, votes * (found.won == found.shown_first)[decided], found.users.size)
    of_user = np.bincount(user, votes, found.users.size)
    alike = np.flatnonzero((of_user >= _RUN) & ((for_first == 0) | (for_first == of_user)))
    if found.users.size >= _ENOUGH and 0 < alike.size <= 0.02 * found.users.size:
        most = alike[np.argmax(of_user[alike])]
        which = "first" if for_first[most] else "second"
        users = f"{alike.size:,} user{'s' if alike.size > 1 else ''}"
        yield (
            f"{users} gave all of {_RUN} or more votes to one side, most of all {found.users[most]!r} "
            f"({of_user[most]:,.0f} to the {which}). The rate of inattentive votes for the first side is one "
            "number for all users, and a few such users can decide it: leave them out, or give the rate "
            "(guess=, command line: --guess)."
        )


def _shared_names(found: Tally) -> Iterator[str]:
    if found.users.dtype != object:
        return
    folded = pc.utf8_lower(pa.array(found.users, pa.large_string()))
    shared = np.flatnonzero(pc.is_in(folded, value_set=pa.array(SHARED_NAMES, pa.large_string())))
    votes = votes_by_user(found) if shared.size else found.votes
    for place in shared:
        yield shared_name(found.users[place], votes[place], found.votes.sum())


def shared_name(name: str, votes: float, total: float) -> str:
    """The note on a user whose name many people may have."""
    return (
        f"{votes:,.0f} votes ({votes / total:.0%}) are those of one user called {name!r}, who may be many "
        "people: leave them out, or name another column of users."
    )
