"""Binning of one column of votes: numbers at quantiles, signed numbers by size, other columns by level."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from emjax.data.ids import WHOLE_NUMBER, array_of, numbers_in_text
from emjax.errors import VotesError, warn

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

MOST_LEVELS = 30
FILL = "fill them in, or leave those rows out"
_NUMBER = re.compile(r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)\s*", re.IGNORECASE | re.ASCII)

# Which of some values cannot be used, what is wrong with them, and what to do.
Fault = tuple[np.ndarray, str, str]


@dataclass(frozen=True)
class Feature:
    """A column that votes are stratified by, as a caller names it.

    Attributes
    ----------
    column : str
    log : bool
        Whether its logarithm is meant: "log:seconds".
    each : bool
        Whether each of its values is a level of its own: "each:hour".
    signed : bool
        Whether it is a difference, A less B, which changes its sign when the two answers change places.

    Examples
    --------
    >>> Feature.named("log:seconds")
    Feature(column='seconds', log=True, each=False, signed=False)
    """

    column: str
    log: bool = False
    each: bool = False
    signed: bool = False

    @classmethod
    def named(cls, name: str, *, signed: bool = False) -> "Feature":
        """The feature that a name with its prefix stands for."""
        for prefix in ("log", "each"):
            if name.startswith(f"{prefix}:") and name != f"{prefix}:":
                return cls(name.removeprefix(f"{prefix}:"), signed=signed, **{prefix: True})
        return cls(name, signed=signed)


@dataclass(frozen=True)
class Cut:
    """How one column of votes falls into B bins, and the numbers that each bin stands for.

    Attributes
    ----------
    column : str
    log : bool
        Whether the numbers are those of the logarithm.
    names : tuple of str
        Names of the d numbers of a bin.
    words : tuple of str
        The bins in words, as in "seconds 4.1 to 9.8".
    values : (B, d) tuple of tuples of float
    edges : (B - 1,) tuple of float
        Cut points of a column of numbers; a value at a cut point is in the bin below it.
    levels : (B,) tuple of str
        The levels of any other column.
    signed : bool
        Whether the numbers are differences. The bins are then mirrored around one that holds 0; `edges` are
        the cut points of sizes, and a size at a cut point is in the bin nearer to 0.
    scale : float
        What a number of 1 is in units of the column: the root mean square of differences.
    """

    column: str
    log: bool
    names: tuple[str, ...]
    words: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()
    signed: bool = False
    scale: float = 1.0

    @property
    def feature(self) -> Feature:
        """What was cut."""
        return Feature(self.column, self.log, each=bool(self.levels), signed=self.signed)

    @property
    def n_bins(self) -> int:
        """Number of bins, B."""
        return len(self.words)

    def bins(self, values: np.ndarray) -> np.ndarray:
        """(n,) bin of each value; `fault_of` comes first."""
        if self.levels:
            place = {level: number for number, level in enumerate(self.levels)}
            return np.array([place[level] for level in levels_of(values)], np.int64)
        if self.signed:
            numbers = numbers_of(values)[0]
            size = np.searchsorted(np.array(self.edges), np.abs(numbers), side="left")
            return (len(self.edges) + np.sign(numbers) * size).astype(np.int64)
        return np.searchsorted(np.array(self.edges), numbers_of(values)[0], side="left").astype(np.int64)


# A covariate of its own: 1 where A was shown first, -1 where B was.
SIDE = Feature("shown_first", signed=True)
SIDES = Cut(
    column="shown_first",
    log=False,
    names=("shown first",),
    words=("B shown first", "no side", "A shown first"),
    values=((-1.0,), (0.0,), (1.0,)),
    edges=(0.5,),
    signed=True,
)


def cut_of(feature: Feature, values: np.ndarray, counts: np.ndarray, bins: int) -> Cut:
    """One feature cut into bins.

    Parameters
    ----------
    feature : Feature
    values : (v,)
        What occurs in the column, in which `fault_of` finds no fault.
    counts : (v,) votes of each
    bins : int
        At most so many of them, for numbers.

    Raises
    ------
    VotesError
        There is one value only, or more levels than 30.
    """
    if _is_levels(feature, values):
        return _cut_levels(feature.column, values, counts)
    numbers, _ = numbers_of(values)
    distinct, back = np.unique(np.abs(numbers) if feature.signed else numbers, return_inverse=True)
    votes = np.bincount(back, counts)
    if feature.signed:
        if numbers.size and (numbers.min() >= 0.0 or numbers.max() <= 0.0) and distinct.size > 2:
            warn(
                f"Column {feature.column!r} never changes its sign: a covariate is a difference, A less "
                "B. If it is of one answer alone, subtract that of the other first."
            )
        return _cut_differences(feature, distinct, votes, bins)
    _check_several(feature.column, [f"{x:g}" for x in distinct])
    return _cut_numbers(feature, distinct, votes, bins)


def fault_of(feature: Feature, values: np.ndarray, cut: Cut | None = None) -> Fault | None:
    """What is wrong with values of a feature, if anything is.

    Parameters
    ----------
    feature : Feature
    values : (n,)
    cut : Cut, optional
        If the bins are there already: the values must fall into them.

    Returns
    -------
    mask, what is wrong, what to do; or None
    """
    where, missing = f"in column {feature.column!r}", is_missing(values)
    if missing.any():
        return missing, f"hold nothing {where}", FILL
    if cut is not None and cut.levels:
        levels = levels_of(values)
        strange = np.array([level not in cut.levels for level in levels], bool)
        what = f"hold {where} a level that none of the strata has ({_some(levels[strange])})"
        return (
            (strange, what, "leave those rows out, or make the strata again with them")
            if strange.any()
            else None
        )
    if cut is None and _is_levels(feature, values):
        return None
    numbers, odd = numbers_of(values)
    texts = np.array([str(value) for value in values[odd]], object)
    problems = (
        (odd, f"hold no number {where} ({_some(texts)})", "correct them, or leave those rows out"),
        (~np.isfinite(numbers), f"hold a number that is not finite {where}", FILL),
        (
            (numbers <= 0.0) & (feature.log and not feature.signed),
            f"hold a number of 0 or less {where}, which has no logarithm",
            f"name it {feature.column} and not log:{feature.column}, or leave those rows out",
        ),
    )
    return next((problem for problem in problems if problem[0].any()), None)


def distinct_values(values: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """What occurs in a column, None or NaN for what is missing, and for each entry its index there."""
    array = array_of(values)
    if array.ndim != 1:
        raise VotesError(f"column {what!r} must have one entry per vote, got an array of shape {array.shape}")
    if array.dtype.kind in "biuf":
        distinct, code = np.unique(array, return_inverse=True)
        return distinct, code.astype(np.int64, copy=False)
    try:
        encoded = pa.array(array, from_pandas=True).dictionary_encode()
    except (pa.ArrowException, OverflowError, TypeError, ValueError):  # Python objects of several kinds
        return array, np.arange(array.size)
    code = np.asarray(encoded.indices.cast(pa.int64()).fill_null(-1), np.int64)
    return with_missing(encoded.dictionary.to_numpy(zero_copy_only=False), code)


def with_missing(values: np.ndarray, code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with an entry None for what has the index -1, if anything has."""
    if code.size == 0 or code.min() >= 0:
        return values, code
    return np.array([*values.tolist(), None], object), np.where(code < 0, values.size, code)


def as_numbers(feature: Feature, values: np.ndarray) -> np.ndarray:
    """The values as float64 if all are numbers, also as text, NaN where nothing is; else as they are."""
    if feature.each or values.dtype.kind in "biuf":
        return values
    there = ~is_missing(values)
    try:
        text = pc.utf8_trim_whitespace(pa.array(values[there], pa.large_string()))
        known = pc.cast(text, pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowException, TypeError):  # no text, or no number to Arrow
        known, odd = numbers_of(values[there])
        if odd.any():
            return values
    numbers = np.full(values.shape, np.nan)
    numbers[there] = known
    return numbers


def is_missing(values: np.ndarray) -> np.ndarray:
    """(n,) whether nothing is there: null, NaN or blank text."""
    if values.dtype.kind in "biu":
        return np.zeros(values.shape, bool)
    if values.dtype.kind == "f":
        return np.isnan(values)
    return np.array([_is_nothing(value) for value in values], bool)


def numbers_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) float64 numbers, also out of text; and where there is none."""
    if values.dtype.kind in "iuf":
        return values.astype(np.float64), np.zeros(values.shape, bool)
    read = [_number_of(value) for value in values]
    odd = np.array([number is None for number in read], bool)
    return np.array([0.0 if number is None else number for number in read], np.float64), odd


def levels_of(values: np.ndarray) -> np.ndarray:
    """(n,) object holding str: the level that each value stands for, the same in text and in tables."""
    return np.array([_level_of(value) for value in values.tolist()], object)


def _is_levels(feature: Feature, values: np.ndarray) -> bool:
    """Whether the values are levels, and not numbers; what is asked a logarithm of is meant as numbers."""
    if feature.signed:
        return False
    if feature.each or values.dtype.kind == "b":
        return True
    return not feature.log and bool(numbers_of(values)[1].any())


def _at_quantiles(
    distinct: np.ndarray, counts: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bin of each of some sorted numbers, and the smallest and largest number in each bin."""
    place = np.arange(distinct.size)
    if distinct.size > bins:
        middle = (np.cumsum(counts) - 0.5 * counts) / counts.sum()
        _, place = np.unique((bins * middle).astype(np.int64), return_inverse=True)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    last = np.append(first[1:], distinct.size) - 1
    return place, distinct[first], distinct[last]


def _cut_differences(feature: Feature, sizes: np.ndarray, counts: np.ndarray, bins: int) -> Cut:
    """Bins of differences, by their sizes, which are sorted and unique: those of 0 alone, others in pairs."""
    total = counts.sum()
    counts, sizes = counts[sizes > 0.0], sizes[sizes > 0.0]
    if not sizes.size:
        raise VotesError(f"column {feature.column!r} holds one value only (0): leave it out")
    place, low, high = _at_quantiles(sizes, counts, bins)
    numbers = np.log1p(sizes) if feature.log else sizes
    number = np.bincount(place, counts * numbers) / np.bincount(place, counts)
    with np.errstate(over="ignore"):
        scale = float(np.sqrt(np.sum(counts * numbers**2) / total))
    if not (np.isfinite(scale) and scale > 0.0):
        raise VotesError(f"column {feature.column!r} holds numbers too small or too large: rescale it")
    upper = [f"{feature.column} {words}" for words in _ranges(low, high)]
    lower = [f"{feature.column} {words}" for words in _ranges(-high[::-1], -low[::-1])]
    numbers = np.concatenate([-number[::-1], [0.0], number]) / scale
    return Cut(
        column=feature.column,
        log=feature.log,
        names=(f"log {feature.column}" if feature.log else feature.column,),
        words=(*lower, f"{feature.column} 0", *upper),
        values=tuple((value,) for value in numbers.tolist()),
        edges=tuple(_between(np.append(0.0, high[:-1]), low).tolist()),
        signed=True,
        scale=scale,
    )


def _cut_numbers(feature: Feature, distinct: np.ndarray, counts: np.ndarray, bins: int) -> Cut:
    """Bins of numbers that are sorted and unique."""
    place, low, high = _at_quantiles(distinct, counts, bins)
    scale = np.log(distinct) if feature.log else distinct / np.abs(distinct).max()
    reach = scale[-1] - scale[0]
    scale = (scale - scale[0]) / (reach if reach > 0.0 else 1.0)  # large and small numbers alike
    votes = np.bincount(place, counts)
    number = np.bincount(place, counts * scale) / votes
    number = number - np.average(number, weights=votes)
    spread = np.sqrt(np.average(number**2, weights=votes))
    if not spread > 0.0:  # the numbers differ, and their logarithms do not
        _check_several(feature.column, [f"{distinct[0]:g}"])
    return Cut(
        column=feature.column,
        log=feature.log,
        names=(f"log {feature.column}" if feature.log else feature.column,),
        words=tuple(f"{feature.column} {words}" for words in _ranges(low, high)),
        values=tuple((value,) for value in (number / spread).tolist()),
        edges=tuple(_between(high[:-1], low[1:]).tolist()),
    )


def _cut_levels(column: str, values: np.ndarray, counts: np.ndarray) -> Cut:
    """One bin per level; one number for each but the most frequent."""
    found, back = np.unique(levels_of(values).astype(str), return_inverse=True)
    texts, votes = found.astype(object), np.bincount(back, counts)
    _check_several(column, texts.tolist())
    if texts.size > MOST_LEVELS:
        strange = values[numbers_of(values)[1]]
        why = f" ({str(strange[0])[:40]!r} is not a number)" if strange.size else ""
        raise VotesError(
            f"column {column!r} has {texts.size:,} levels{why}, more than the {MOST_LEVELS} allowed: "
            "group them"
        )
    order = np.argsort(numbers_in_text(texts), kind="stable")
    texts, share = texts[order], votes[order] / votes.sum()
    others = np.delete(np.arange(texts.size), np.argmax(share))
    numbers = np.eye(texts.size)[:, others] - share[others]
    return Cut(
        column=column,
        log=False,
        names=tuple(f"{column} = {texts[level]}" for level in others),
        words=tuple(f"{column} = {text}" for text in texts),
        values=tuple(map(tuple, numbers.tolist())),
        levels=tuple(texts.tolist()),
    )


def _check_several(column: str, said: list[str]) -> None:
    if len(said) < 2:
        raise VotesError(f"column {column!r} holds one value only ({', '.join(said)}): leave it out")


def _between(below: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Cut points halfway; where no number lies between, the lower of the two."""
    middle = below / 2 + above / 2
    return np.where((below <= middle) & (middle < above), middle, below)


def _ranges(low: np.ndarray, high: np.ndarray) -> list[str]:
    """The observed range of each bin, with so many digits that no two numbers are printed the same."""
    ends = np.unique(np.concatenate([low, high]))
    digits = next(d for d in range(3, 18) if d == 17 or len({_said(x, d) for x in ends}) == ends.size)
    pairs = zip(low, high, strict=True)
    return [_said(a, digits) if a == b else f"{_said(a, digits)} to {_said(b, digits)}" for a, b in pairs]


def _said(number: float, digits: int) -> str:
    whole = abs(number) < 1e6 and number == round(number)
    return f"{number + 0.0:.0f}" if whole else f"{number:.{digits}g}"  # and -0 is 0


def _is_nothing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # the latter two are pandas's
        return True
    if isinstance(value, str):
        return not value.strip()
    return bool(isinstance(value, float | np.generic | Decimal) and value != value)


def _number_of(value: Any) -> float | None:
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int | float | Decimal | np.integer | np.floating):
        return float(value)
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def _level_of(value: Any) -> str:
    """One level as text: 13, 13.0 and "13.0" are one, and so are true, "true" and "True"."""
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return str(int(value)) if np.isfinite(float(value)) and value == int(value) else str(value)
    text = str(value).strip()
    if text.lower() in ("true", "false"):
        return text.capitalize()
    return str(int(text.partition(".")[0])) if re.match(WHOLE_NUMBER, text) else text


def _some(texts: np.ndarray) -> str:
    """The first few of some texts."""
    different = list(dict.fromkeys(texts.tolist()))
    shown = [repr(text if len(text) <= 40 else text[:37] + "...") for text in different[:3]]
    return ", ".join(shown) + (f" and {len(different) - 3:,} more" if len(different) > 3 else "")
