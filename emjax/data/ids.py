"""Ids of users, models and comparisons: normalised, sorted, matched, and named in errors."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from emjax.errors import VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

WHOLE = 2.0**53  # beyond this a float no longer distinguishes neighbouring whole numbers
# What Unicode calls white space, of which a blank name consists; engines differ in what they trim unasked.
BLANK = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
WHOLE_NUMBER = r"^\s*-?(0|[1-9][0-9]{0,17})(\.0*)?\s*$"


def offenders(bad: np.ndarray, what: str, *, noun: str = "rows", remedy: str = "") -> str:
    """One line that counts the offending entries of a mask and names the first of them (counted from 1).

    Parameters
    ----------
    bad : (n,) bool
        True where an entry is bad.
    what : str
        What is wrong, as in "have no user".
    noun : str
        What the entries are called.
    remedy : str
        What to do, added after a colon.

    Examples
    --------
    >>> offenders(np.array([False, True, True]), "have no user", remedy="fill them in")
    '2 of 3 rows have no user, first at row 2: fill them in'
    """
    first = int(np.flatnonzero(bad)[0]) + 1
    line = f"{int(bad.sum()):,} of {bad.size:,} {noun} {what}, first at row {first:,}"
    return f"{line}: {remedy}" if remedy else line


def as_ids(values: Any, what: str) -> np.ndarray:
    """Names in their uniform shape: whole numbers as int64, anything else as text (object dtype).

    Parameters
    ----------
    values : (n,) array-like
        Integers, floats, text, or Python objects.
    what : str
        What one of them is called in a message ("user").

    Returns
    -------
    (n,) int64, or (n,) object holding str

    Raises
    ------
    VotesError
        Some are missing (None, NaN, empty or blank text), or there is more than one dimension.

    Notes
    -----
    A float that is a whole number names the same thing as the integer does. Text is never turned into
    a number.

    Examples
    --------
    >>> as_ids([3.0, 7.0], "user")
    array([3, 7])
    >>> as_ids(["ann", 7], "user")
    array(['ann', '7'], dtype=object)
    """
    ids, missing = identify(values, what)
    if missing.any():
        remedy = "fill them in, or leave those rows out"
        raise VotesError(offenders(missing, f"have no {what}", remedy=remedy))
    return ids


def identify(values: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """As as_ids, but with a mask of what is missing in place of an error (there the id means nothing)."""
    array = array_of(values)
    if array.ndim != 1:
        raise VotesError(f"the {what} names must be one column, got an array of shape {array.shape}")
    none = np.zeros(array.shape, bool)
    if array.dtype.kind == "i":
        return array.astype(np.int64, copy=False), none
    if array.dtype.kind == "u" and (array.size == 0 or int(array.max()) <= np.iinfo(np.int64).max):
        return array.astype(np.int64), none
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        known = np.where(missing, 0.0, array)
        if np.all((known == np.trunc(known)) & (np.abs(known) < WHOLE)):
            return known.astype(np.int64), missing
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    return _identify_objects(array.astype(object))


def unique_ids(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct ids, and for each id its index among them (what as_ids returns goes in).

    Examples
    --------
    >>> unique_ids(np.array([7, 3, 7]))
    (array([3, 7]), array([1, 0, 1]))
    """
    if ids.dtype != object:
        return _unique_integers(ids)
    encoded = pa.array(ids, pa.large_string()).dictionary_encode()
    # bytes of UTF-8 sort as code points do, so this is the order in which Python sorts text
    order = np.asarray(pc.array_sort_indices(encoded.dictionary), dtype=np.int64)
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    return _objects(encoded.dictionary)[order], rank[np.asarray(encoded.indices, dtype=np.int64)]


def strictly_increasing(ids: np.ndarray) -> bool:
    """Whether ids are sorted with no repeats, so that nothing needs to be sorted."""
    return bool(np.all(ids[1:] > ids[:-1]))


def union_ids(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sorted union of two sets of ids, and the indices of each set in it; text wins where the types differ.

    Examples
    --------
    >>> union_ids(np.array([1, 4]), np.array([2, 4]))
    (array([1, 2, 4]), array([0, 2]), array([1, 2]))
    """
    if first.dtype == second.dtype and np.array_equal(first, second):
        same = np.arange(first.size)
        return first, same, same
    both, codes = unique_ids(concatenate_ids(first, second))
    return both, codes[: first.size], codes[first.size :]


def concatenate_ids(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Ids one after the other; text wins where the types differ."""
    if first.dtype != second.dtype:
        first, second = as_text(first), as_text(second)
    return np.concatenate([first, second])


def as_text(ids: np.ndarray) -> np.ndarray:
    """The same ids as text, object dtype."""
    return ids if ids.dtype == object else ids.astype(str).astype(object)


def numbers_in_text(ids: np.ndarray) -> np.ndarray:
    """Text from a file without number types: integers if every one of them is a whole number, else as it is.

    Examples
    --------
    >>> numbers_in_text(np.array(["12", "7"], object)), numbers_in_text(np.array(["12", "007"], object))
    (array([12,  7]), array(['12', '007'], dtype=object))
    """
    if ids.dtype != object or ids.size == 0:
        return ids
    text = pa.array(ids, pa.large_string())
    if not pc.all(pc.match_substring_regex(text, WHOLE_NUMBER)).as_py():
        return ids
    digits = pc.replace_substring_regex(pc.utf8_trim_whitespace(text), r"\.0*$", "")
    return pc.cast(digits, pa.int64()).to_numpy(zero_copy_only=False)


def array_of(values: Any) -> np.ndarray:
    """As np.asarray, except that a list of mixed contents stays what it is (None must not read "None")."""
    if hasattr(values, "__array__"):
        return np.asarray(values)
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        return np.array(values, dtype=object)
    values = list(values)
    if values and isinstance(values[0], (list, tuple, np.ndarray)):
        return np.array(values, dtype=object)
    if values and all(type(value) in (int, np.int64) for value in values):
        return np.array(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _unique_integers(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As np.unique with its inverse, without a sort where the range is small."""
    if ids.size == 0:
        return ids, np.empty(0, np.int64)
    low, high = int(ids.min()), int(ids.max())
    if high - low > 4 * ids.size:
        distinct, codes = np.unique(ids, return_inverse=True)
        return distinct, codes.astype(np.int64, copy=False)
    seen = np.zeros(high - low + 1, bool)
    shifted = ids - low
    seen[shifted] = True
    return np.flatnonzero(seen) + low, (np.cumsum(seen) - 1)[shifted]


def _identify_objects(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    text = _as_arrow_text(values)
    if text is None:
        spelled = [_spell(value) for value in values]
        numbers = _whole_numbers(values, spelled)
        if numbers is not None:
            return numbers
        text = pa.array(spelled, pa.large_string())
    blank = pc.equal(pc.utf8_length(pc.utf8_trim(text, BLANK)), 0)
    missing = np.asarray(blank.fill_null(True).to_numpy(zero_copy_only=False), dtype=bool)
    return _objects(text.fill_null("")), missing


def _as_arrow_text(values: np.ndarray) -> pa.Array | None:
    """The values as an Arrow column if all of them are text or missing; None otherwise."""
    try:
        column = pa.array(values, from_pandas=True)
    except UnicodeEncodeError:
        raise VotesError("a name holds characters that are not valid text: correct it") from None
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    return column if is_text else None


def _spell(value: Any) -> str | None:
    """One name as text; None if it is missing."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # the latter two are pandas's
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (float, np.floating, Decimal)) and np.isnan(float(value)):
        return None
    return str(int(value)) if _is_whole(value) else str(value)


def _whole_numbers(values: np.ndarray, spelled: list[str | None]) -> tuple[np.ndarray, np.ndarray] | None:
    """Integers and a mask of the missing, if whole numbers are all there is; None otherwise."""
    known = [value for value, text in zip(values, spelled, strict=True) if text is not None]
    if not known or not all(_is_whole(value) for value in known):
        return None
    missing = np.array([text is None for text in spelled])
    return np.array([int(text or 0) for text in spelled], np.int64), missing


def _is_whole(value: Any) -> bool:
    if isinstance(value, (int, np.integer)):
        return not isinstance(value, bool) and -(2**63) <= int(value) < 2**63
    if isinstance(value, (float, np.floating, Decimal)):
        return abs(float(value)) < WHOLE and float(value).is_integer()
    return False


def _objects(column: pa.Array) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
