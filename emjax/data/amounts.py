"""Amounts: numbers of votes, users and the like in words, and ranks."""

from collections.abc import Iterable


def amount(value: float) -> str:
    """A number of votes, with one decimal where half votes count.

    Examples
    --------
    >>> amount(1200.0), amount(2.5)
    ('1,200', '2.5')
    """
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def counted(value: float, noun: str) -> str:
    """So many of what a noun names.

    Examples
    --------
    >>> counted(1, "vote"), counted(2.5, "vote")
    ('1 vote', '2.5 votes')
    """
    return f"{amount(value)} {noun}{'' if value == 1 else 's'}"


def lines_left_out(left_out: Iterable[tuple[str, float]]) -> list[str]:
    """What was left out, one line for each reason, as below the first line on some votes.

    Examples
    --------
    >>> lines_left_out([("ties dropped", 3.0)])
    ['  left out: ties dropped, 3']
    """
    return [f"  left out: {what}, {amount(value)}" for what, value in left_out]


def rank_text(best: float, worst: float) -> str:
    """A rank with what is not known of it.

    Examples
    --------
    >>> rank_text(1.0, 1.0), rank_text(2.0, 5.0), rank_text(float("nan"), float("nan"))
    ('1', '2–5', '')
    """
    if best != best:  # not a number
        return ""
    return f"{best:.0f}" if best == worst else f"{best:.0f}–{worst:.0f}"
