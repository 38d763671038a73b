"""Ids of users, models and comparisons: normalised, sorted, matched, and named in errors.

One rule for every source, applied to each name by itself: white space around it is dropped; a whole number
is the same name as a number and as text, with or without ".0" (12, 12.0, "12", " 12.0"); what programs write
where a value is missing ("nan", "NULL", ...) is missing. Every other text keeps its spelling.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from emjax.errors import VotesError

pc: Any = pyarrow.compute  # its functions are made at import, where a type checker cannot see them

# From here on a float no longer distinguishes neighbouring whole numbers, by its size in bytes.
WHOLE = {2: 2.0**11, 4: 2.0**24, 8: 2.0**53}
# What Unicode calls white space, of which a blank name consists; engines differ in what they trim unasked.
BLANK = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)
WHOLE_NUMBER = r"^\s*-?(0|[1-9][0-9]{0,17})(\.0*)?\s*$"
WHOLE_AS_FLOAT = r"^-?(?:0|[1-9][0-9]{0,17})\.0*$"
AFTER_POINT = r"\.0*$"
ROUNDED = r"^-?[0-9](?:\.[0-9]+)?[eE]\+[0-9]+$"  # how programs write floats too large for all their digits
# What programs write where a value is missing.
MISSING_WORDS = (
    *("nan", "NaN", "NAN", "<NA>", "NA", "N/A", "n/a", "#N/A", "NaT", "null", "NULL", "Null"),
    *("None", "none", "NONE", "nil", "undefined", "\\N"),
)
# Names that often stand for many people, in lower case.
SHARED_NAMES = (
    *(
        "anonymous",
        "anon",
        "anonymous user",
        "unknown",
        "unknown user",
        "guest",
        "user",
        "default",
        "-",
        "--",
    ),
    *("?", ".", "not logged in", "not-logged-in", "not_logged_in", "no user", "deleted", "[deleted]"),
)
_FILL = "fill them in, or leave those rows out"


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
        Some are missing (None, NaN, empty or blank text, `MISSING_WORDS`), are floats too large to
        distinguish neighbours, or are lists; or there is more than one dimension.

    Notes
    -----
    A whole number has one name, as a float too, and as text: "12.0" is "12". A limit: text that is all whole
    numbers stays text; it compares equal to the same numbers when both are put together.

    Examples
    --------
    >>> as_ids([3.0, 7.0], "user")
    array([3, 7])
    >>> as_ids(["ann ", 7, "7.0"], "user")
    array(['ann', '7', '7'], dtype=object)
    """
    ids, missing = identify(values, what)
    if missing.any():
        raise VotesError(offenders(missing, f"have no {what}", remedy=_FILL))
    return ids


def identify(values: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """As as_ids, but with a mask of what is missing in place of an error (there the id means nothing)."""
    # The engines have the same rule as an expression: `canonical_user` in count_table.py.
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
        limit = WHOLE.get(array.dtype.itemsize, WHOLE[8])
        _check_distinguished(known[np.abs(known) >= limit], known.size, what, limit)
        if np.all(known == np.trunc(known)):
            return known.astype(np.int64), missing
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return _identify_objects(array.astype(object), what)


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


def plain_text(text: pa.Array, what: str) -> pa.Array:
    """Names as text in their one spelling; a VotesError where they are rounded numbers."""
    text = pc.utf8_trim(text, BLANK)
    rounded = _matching(text, "+", ROUNDED)
    if rounded is not None:
        _check_distinguished(_objects(text.filter(rounded)), len(text), what, WHOLE[8])
    whole = _matching(text, ".", WHOLE_AS_FLOAT)
    if whole is not None:
        text = pc.if_else(whole, pc.replace_substring_regex(text, AFTER_POINT, ""), text)
    return text


def _identify_objects(values: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    text = _as_arrow_text(values)
    if text is None:
        _check_names(values, what)
        spelled = [_spell(value) for value in values]
        numbers = _whole_numbers(values, spelled)
        if numbers is not None:
            return numbers
        text = pa.array(spelled, pa.large_string())
    text = plain_text(text, what)
    nothing = pc.is_in(text, value_set=pa.array(["", *MISSING_WORDS], text.type))
    return _objects(text.fill_null("")), _where(nothing) | _where(pc.is_null(text))


def _matching(text: pa.Array, sign: str, pattern: str) -> pa.Array | None:
    """Where text matches a pattern that has a sign in it, None if nowhere: the sign is found more quickly."""
    if not pc.any(pc.match_substring(text, sign)).as_py():
        return None
    matches = pc.match_substring_regex(text, pattern)
    return matches if pc.any(matches).as_py() else None


def _where(mask: Any) -> np.ndarray:
    """A mask of Arrow as one of NumPy; nothing is False."""
    return np.asarray(mask.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)


def _check_distinguished(large: np.ndarray, total: int, what: str, limit: float) -> None:
    if large.size:
        raise VotesError(
            f"{large.size:,} of {total:,} different {what}s are rounded numbers, such as {large[0]}: at "
            f"{limit:,.0f} and above they do not distinguish neighbours: write whole numbers or text"
        )


def _check_names(values: np.ndarray, what: str) -> None:
    """Raise a VotesError where objects are no names: lists, dicts, and floats that are too large."""
    nested = [value for value in values if isinstance(value, list | tuple | set | Mapping | np.ndarray)]
    if nested:
        raise VotesError(
            f"{len(nested):,} of {len(values):,} different {what}s are no names but values of the type "
            f"{type(nested[0]).__name__}, such as {str(nested[0])[:60]}: name a column of text or numbers"
        )
    large = [value for value in values if isinstance(value, float) and abs(value) >= WHOLE[8]]
    _check_distinguished(np.array(large, object), len(values), what, WHOLE[8])


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
        return value.decode("utf-8", "replace")
    if isinstance(value, (float, np.floating, Decimal)) and np.isnan(float(value)):
        return None
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))  # whatever its size, and without an exponent
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
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value() and abs(value) < 2**63
    if isinstance(value, (float, np.floating)):
        return abs(float(value)) < WHOLE[8] and float(value).is_integer()
    return False


def _objects(column: pa.Array) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=object)
