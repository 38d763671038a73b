"""Reading notes: what a reader of votes should look at, though nothing is wrong with them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from emjax.data.count_table import Tally, pc
from emjax.data.ids import SHARED_NAMES

_SIDES = ("left", "right", "first", "second", "1", "2", "top", "bottom")
# By how much the share of the first column must differ from one half: in standard errors, and itself.
_Z, _NOTABLE = 3.0, 0.05


def reading_notes(found: Tally, called: Sequence[str], *, sides: bool) -> Iterator[str]:
    """Names in several spellings, users who may be many people, and a column that is named after a side.

    Parameters
    ----------
    found : Tally
        That has passed its checks.
    called : two str
        What the columns of models are called.
    sides : bool
        Whether the side shown first was read.
    """
    if found.respelled:
        name, other = found.respelled[0]
        many = f"{len(found.respelled):,} name{'s are' if len(found.respelled) > 1 else ' is'}"
        yield (
            f"{many} written in several ways ({name!r} and {other!r}, for example): white space around a "
            "name and .0 behind a number do not distinguish names."
        )
    yield from _shared_names(found)
    share, decided = share_of_first(found)
    named = any(side in called[0].lower().replace("-", "_").split("_") for side in _SIDES)
    beyond_chance = decided * (share - 0.5) ** 2 > (_Z * 0.5) ** 2
    if named and not sides and beyond_chance and abs(share - 0.5) >= _NOTABLE:
        yield (
            f"{share:.0%} of the decided votes went to {called[0]!r}: if its answer was always shown first, "
            f"say so with shown_first={called[0]!r} (command line: --shown-first {called[0]})."
        )


def share_of_first(found: Tally) -> tuple[float, float]:
    """Share of the decided votes that went to the model in the first column, and how many are decided."""
    decided = np.isin(found.won, (0.0, 1.0)) & (found.skipped == 0)
    many = float(found.votes[decided].sum())
    return float(found.votes[decided] @ found.won[decided]) / max(many, 1.0), many


def votes_by_user(found: Tally) -> np.ndarray:
    """(m,) rows of each user."""
    there = found.user >= 0
    return np.bincount(found.user[there], found.votes[there], found.users.size)


def _shared_names(found: Tally) -> Iterator[str]:
    if found.users.dtype != object:
        return
    folded = pc.utf8_lower(pa.array(found.users, pa.large_string()))
    shared = np.flatnonzero(pc.is_in(folded, value_set=pa.array(SHARED_NAMES, pa.large_string())))
    votes = votes_by_user(found) if shared.size else found.votes
    for place in shared:
        share = votes[place] / found.votes.sum()
        yield (
            f"{votes[place]:,.0f} votes ({share:.0%}) are those of one user called {found.users[place]!r}, "
            "who may be many people: leave them out, or name another column of users."
        )
