"""Winner formats: tables that say who won in several columns, or in numbers of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import narwhals as nw

_YES = ["1", "1.0", "true", "t", "yes", "y"]
_BETWEEN = {
    "model_a": r"^1(?:\.[0-4][0-9]*|\.)?$",
    "model_b": r"^(?:1\.5[0-9]*[1-9][0-9]*|1\.[6-9][0-9]*|2(?:\.0*)?)$",
    "tie": r"^(?:1\.50*|0(?:\.0*)?)$",
}
Build = Callable[..., nw.Expr]


@dataclass(frozen=True)
class WinnerFormat:
    """A way of saying who won that one column of words does not.

    Attributes
    ----------
    name : str
    needs : tuple of tuple of str
        The columns that must be there, each under one of several names, in lower case with underscores.
    beside : tuple of str
        Columns that tell this format from others with the same `needs`.
    may_have : tuple of tuple of str
        Columns that may be missing.
    build : callable
        The winner in the words of `outcomes`, from the columns as lower-case text; None for one that is not
        there.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    build: Build
    beside: tuple[str, ...] = ()
    may_have: tuple[tuple[str, ...], ...] = ()

    def positions(self, plain: Sequence[str]) -> tuple[int | None, ...] | None:
        """Where the columns of this format stand among the names of a table; None where it is another."""
        found = [_position(plain, names) for names in self.needs]
        if None in found or not set(self.beside) <= set(plain):
            return None
        return (*found, *(_position(plain, names) for names in self.may_have))


def winner_format(plain: Sequence[str]) -> tuple[WinnerFormat, tuple[int | None, ...]] | None:
    """The format of a table with these columns, and where they stand; None for one column of words."""
    for one in FORMATS:
        positions = one.positions(plain)
        if positions is not None:
            return one, positions
    return None


def winner_expression(found: WinnerFormat, columns: Sequence[str | None]) -> nw.Expr:
    """The winner as words; nothing where the columns contradict one another or say nothing."""
    texts = [None if name is None else nw.col(name).cast(nw.String).str.strip_chars() for name in columns]
    return found.build(*texts)


def _position(plain: Sequence[str], names: Sequence[str]) -> int | None:
    return next((plain.index(name) for name in names if name in plain), None)


def _yes(column: nw.Expr | None) -> nw.Expr:
    return (
        nw.lit(value=False)
        if column is None
        else column.str.to_lowercase().is_in(_YES).fill_null(value=False)
    )


def _one_hot(a: nw.Expr, b: nw.Expr, tie: nw.Expr | None, both_bad: nw.Expr | None) -> nw.Expr:
    first, second, tied = _yes(a), _yes(b), _yes(tie) | _yes(both_bad)
    words = {
        "model_a": first & ~second & ~tied,
        "model_b": second & ~first & ~tied,
        "tie": tied & ~first & ~second,
    }
    return _chosen(words)


def _name_or_equal(chosen: nw.Expr, equal: nw.Expr) -> nw.Expr:
    return nw.when(_yes(equal)).then(nw.lit("tie")).otherwise(chosen)


def _first_or_second(number: nw.Expr) -> nw.Expr:
    """1 for the first, 2 for the second, 1.5 or 0 for neither; between them what is nearer."""
    # As text, since an engine may stop at a word that is no number.
    meant = {word: number.str.contains(pattern) for word, pattern in _BETWEEN.items()}
    return _chosen(meant, otherwise=number)


def _chosen(words: Mapping[str, nw.Expr], otherwise: nw.Expr | None = None) -> nw.Expr:
    chosen: nw.Expr = nw.lit(None, nw.String) if otherwise is None else otherwise
    for word, where in words.items():
        chosen = nw.when(where).then(nw.lit(word)).otherwise(chosen)
    return chosen


FORMATS = (
    WinnerFormat(
        "one column for each outcome",
        needs=(("winner_model_a", "winner_a"), ("winner_model_b", "winner_b")),
        may_have=(
            ("winner_tie", "winner_ties"),
            ("winner_both_bad", "winner_tie_both_bad", "winner_bothbad"),
        ),
        build=_one_hot,
    ),
    WinnerFormat(
        "the chosen model's name, and whether both are equal",
        needs=(("chosen_model_name",), ("both_equal",)),
        build=_name_or_equal,
    ),
    WinnerFormat(
        "a preference from 1 to 2",
        needs=(("preference",),),
        beside=("generator_1", "generator_2"),
        build=_first_or_second,
    ),
)
