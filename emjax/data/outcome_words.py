"""Outcome words: who won a vote, from the text in the winner column."""

from collections.abc import Sequence

import numpy as np

from emjax.data.ids import unique_ids

_ANSWER = ("model", "response", "answer", "completion", "output", "option", "assistant")
_FIRST = (
    *("model_a", "left", "a", "first", "true", "leftvote", "A>B", "A>>B", "B<A", "B<<A"),
    *("A is better", "A better", "A wins", "left is better", "left better", "left wins", "L"),
    *(f"{what}_{sign}" for what in _ANSWER for sign in "a1"),
)
_SECOND = (
    *("model_b", "right", "b", "second", "false", "rightvote", "B>A", "B>>A", "A<B", "A<<B"),
    *("B is better", "B better", "B wins", "right is better", "right better", "right wins", "R"),
    *(f"{what}_{sign}" for what in _ANSWER for sign in "b2"),
)
_TIE = (
    *("tie", "ties", "tied", "draw", "same", "equal", "both", "neither", "no preference", "a=b", "b=a"),
    *("both good", "tie (both good)", "both bad", "tie (both bad)", "tievote", "bothbad_vote"),
    *(
        "both fine",
        "both ok",
        "both okay",
        "both equal",
        "both same",
        "no difference",
        "similar",
        "undecided",
    ),
    *("tie (inconsistent)", "equally good", "equally bad", "about the same", "both are bad", "both are good"),
)
_VERDICT_OF_TIE = "[[c]]"  # of a model as judge; "c" alone could be a name
# The words above in the one line that fits into a message or onto a page.
ACCEPTED = (
    "model_a, left, a, first, 1 or true for the model in the first column; model_b, right, b, second, 0 or "
    "false for the other; tie, draw, same, equal, both good, both bad, both, neither, no preference or 0.5 "
    "for a tie; or the winning model's name"
)


def outcomes(
    first: np.ndarray,
    second: np.ndarray,
    said: np.ndarray,
    models: np.ndarray,
    words: np.ndarray,
    columns: Sequence[str] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Who won each vote: 1 for the model listed first, 0 for the other, 0.5 for a tie, NaN if not understood.

    Parameters
    ----------
    first, second : (n,) int64
        The models, as indices into `models`.
    said : (n,) int64
        What was written as the winner, as an index into `words`; -1 if nothing.
    models : (K,) sorted names
    words : (W,) text, what was written
    columns : two str
        Names of the columns that hold the models: these count as words for the models, too.

    Returns
    -------
    won : (n,) float64
    ambiguous : (n,) bool
        The word is the name of one model and means the other, and the rest of the column does not settle
        which reading is meant (NaN in `won`).

    Notes
    -----
    A model's own name, spelt exactly, takes precedence over a word ("A" where a model is called "A"). But
    where other rows can only be words (1 and 0 with models numbered 0, 1, 2, ...), all rows are read as
    words. Case matters only where two models differ by it; spaces, underscores, hyphens and brackets never
    do. A limit: `left`, `first` and 1 mean the order of the columns, whatever stood there on the screen.

    Examples
    --------
    >>> models, words = np.array(["base", "new"], object), np.array(["New", "left", "tie", "?"], object)
    >>> outcomes(np.zeros(4, int), np.ones(4, int), np.arange(4), models, words)[0]
    array([0. , 1. , 0.5, nan])
    """
    by_name = _read_names(first, second, said, models, words)
    by_word = _lookup(words, columns)[said]
    by_word[said < 0] = np.nan
    folded = _fold(models)
    _, alike = unique_ids(folded)
    unknown = np.append(alike, -1)  # an index of -1 stays one
    loose = _read_names(unknown[first], unknown[second], said, folded, _fold(words), codes=alike)
    torn = ~np.isnan(by_name) & ~np.isnan(by_word) & (by_name != by_word)
    words_rule, ambiguous = False, np.zeros(said.size, bool)
    if torn.any():
        only_word = np.any(np.isin(by_word, (0.0, 1.0)) & np.isnan(by_name) & np.isnan(loose))
        only_name = np.any(np.isnan(by_word) & ~(np.isnan(by_name) & np.isnan(loose)))
        words_rule = bool(only_word and not only_name)
        ambiguous = torn & bool(only_word and only_name)
    won = by_word if words_rule else by_name
    for other in (by_name, by_word, loose):
        won = np.where(np.isnan(won), other, won)
    return np.where(ambiguous, np.nan, won), ambiguous


def _squash(word: str) -> str:
    """A word without case, spaces and punctuation; a leading sign stays, or -1 would be 1."""
    bare = "".join(letter for letter in word.casefold() if letter not in " _()[]:,/\t")
    return bare[:1] + bare[1:].replace("-", "")


def _fold(names: np.ndarray) -> np.ndarray:
    return np.array([name.strip().casefold() for name in names], dtype=object)


def _lookup(words: np.ndarray, columns: Sequence[str]) -> np.ndarray:
    """(W,) the meaning of each word; NaN if it has none. One entry more, so that -1 is a valid index."""
    first, second = (*_FIRST, *columns[:1]), (*_SECOND, *columns[1:2])
    meaning = dict.fromkeys(map(_squash, _TIE), 0.5)
    meaning |= dict.fromkeys(map(_squash, first), 1.0) | dict.fromkeys(map(_squash, second), 0.0)
    meanings = [meaning.get(_squash(word), _number(word)) for word in words]
    verdicts = [
        0.5 if word.casefold() == _VERDICT_OF_TIE else of for word, of in zip(words, meanings, strict=True)
    ]
    return np.array([*verdicts, np.nan])


def _number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return np.nan
    return value if value in (0.0, 0.5, 1.0) else np.nan


def _read_names(
    first: np.ndarray,
    second: np.ndarray,
    said: np.ndarray,
    models: np.ndarray,
    words: np.ndarray,
    codes: np.ndarray | None = None,
) -> np.ndarray:
    """1 where the word names the first model, 0 where it names the second, NaN where neither or both."""
    codes = np.arange(models.size) if codes is None else codes
    code_of = dict(zip(models, codes, strict=True))
    named = np.array([code_of.get(word, -1) for word in words] + [-1])[said]
    won = np.full(said.size, np.nan)
    won[(named == first) & (named >= 0) & (named != second)] = 1.0
    won[(named == second) & (named >= 0) & (named != first)] = 0.0
    return won
