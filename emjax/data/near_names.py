"""Near names: which of the known names, of columns or of formats, a name that is not among them resembles."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher


def plain_name(name: str) -> str:
    """A column's name in lower case with underscores.

    Examples
    --------
    >>> plain_name("Worker ID")
    'worker_id'
    """
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def closest(known: Iterable[str], names: Sequence[str]) -> list[str]:
    """Up to two of the known names that resemble one of the others, best first.

    Examples
    --------
    >>> closest(["user", "Winners", "winner_of_all"], ["winner"])
    ['Winners', 'winner_of_all']
    """
    likeness = {one: max(_likeness(plain_name(one), plain_name(name)) for name in names) for one in known}
    close = [one for one in likeness if likeness[one] >= 0.6]
    return sorted(close, key=lambda one: -likeness[one])[:2]


def _likeness(column: str, name: str) -> float:
    """How much two names are alike, from 0 to 1; a column that begins with the name is close."""
    begins = 0.6 if len(name) > 3 and column.startswith(name) else 0.0
    return max(SequenceMatcher(None, column, name).ratio(), begins)
