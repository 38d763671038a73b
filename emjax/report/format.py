"""Numbers and user-supplied text, as people read them."""

import math
import unicodedata

NARROW_SPACE = "\u202f"
MINUS = "\u2212"
DASH = "\u2013"
NOT_A_CHARACTER = "\ufffd"
_SUPERSCRIPT = str.maketrans(
    "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)


def clean(text: object, limit: int = 200) -> str:
    r"""One line of printable text, whatever came in.

    White space of any kind becomes one space, what no page can show (control characters, lone surrogates)
    becomes the replacement character, and text beyond `limit` characters is cut in the middle.

    Examples
    --------
    >>> clean("a\nb")
    'a b'
    """
    line = " ".join(str(text).split())
    line = "".join(NOT_A_CHARACTER if _is_hidden(c) else c for c in line)
    return line if len(line) <= limit else f"{line[: limit // 2]}\u2026{line[-(limit // 2) + 1 :]}"


def _is_hidden(character: str) -> bool:
    # Control characters, lone surrogates, what XML forbids, and what turns the direction of the text around
    # it.
    code = ord(character)
    turns = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    return turns or unicodedata.category(character) in {"Cc", "Cs"} or code & 0xFFFE == 0xFFFE


def columns(text: str) -> int:
    """How wide `text` is, in columns of ordinary letters (a Chinese character takes two, an accent none).

    Examples
    --------
    >>> columns("abc"), columns("\u6a21\u578b")
    (3, 4)
    """
    wide = {"W": 2, "F": 2}
    return sum(0 if unicodedata.combining(c) else wide.get(unicodedata.east_asian_width(c), 1) for c in text)


def ems(text: str) -> float:
    """About how long a line of `text` is, in units of the type size, in a wide sans-serif face.

    Examples
    --------
    >>> ems("mill") < ems("MILL") < ems("模型模型")
    True
    """
    narrow, broad = set("fijlrtI.,:;|!'()[]- "), set("mwMWQO@%&")
    return sum(
        0.42
        if c in narrow
        else 0.95
        if c in broad
        else 0.5 * columns(c)
        if columns(c) != 1
        else 0.66 + 0.08 * c.isupper()
        for c in text
    )


def shorten(text: object, width: int) -> str:
    """`text` in at most `width` columns: cut in the middle, because names often differ at both ends.

    Examples
    --------
    >>> shorten("a-model-with-a-long-name", 12)
    'a-mode\u2026-name'
    """
    line = clean(text)
    if columns(line) <= width:
        return line
    head, tail = "", ""
    for before, after in zip(line, reversed(line), strict=True):
        if columns(head + before + tail) > width - 1:
            break
        head += before
        if columns(head + after + tail) > width - 1:
            break
        tail = after + tail
    return f"{head}\u2026{tail}"


def prose(text: object) -> str:
    r"""A sentence from a file: one line of printable text, never cut short.

    Examples
    --------
    >>> prose("one\ntwo")
    'one two'
    """
    return clean(text, limit=5_000)


def is_missing(value: object) -> bool:
    """Whether there is no number here: None, not a number, or infinite.

    Examples
    --------
    >>> is_missing(None), is_missing(0.0)
    (True, False)
    """
    return value is None or not math.isfinite(float(value))  # type: ignore[arg-type]


def number(value: object, decimals: int = 3) -> str:
    """A number with so many decimals and a true minus sign; a dash where there is none.

    Numbers too small for their decimals are written in powers of ten.

    Examples
    --------
    >>> number(1234.5, 1), number(None), number(0.5)
    ('1,234.5', '\u2013', '0.500')
    """
    if is_missing(value):
        return DASH
    x = float(value)  # type: ignore[arg-type]
    if x != 0 and abs(x) < 0.5 * 10.0**-decimals:
        mantissa, exponent = f"{x:.1e}".split("e")
        text = f"{mantissa}\u00a0\u00d7\u00a010{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        text = f"{x:,.{decimals}f}"
    return text.replace("-", MINUS)


def decimals_for(std_err: object, least: int = 2, most: int = 6) -> int:
    """Decimals that show two significant digits of a standard error; 3 where there is none.

    Examples
    --------
    >>> decimals_for(0.012), decimals_for(None)
    (3, 3)
    """
    if is_missing(std_err) or float(std_err) <= 0:  # type: ignore[arg-type]
        return 3
    return min(most, max(least, 1 - math.floor(math.log10(float(std_err)))))  # type: ignore[arg-type]


def count(value: object) -> str:
    """A count: whole numbers as such, half votes with their decimals.

    Examples
    --------
    >>> count(8931.0), count(12.5)
    ('8,931', '12.5')
    """
    if is_missing(value):
        return DASH
    x = float(value)  # type: ignore[arg-type]
    return f"{x:,.0f}" if abs(x - round(x)) < 5e-3 else f"{x:,.2f}".rstrip("0")


def percent(share: object) -> str:
    """A share in percent: one decimal near the ends, none between.

    Examples
    --------
    >>> percent(0.163).replace(NARROW_SPACE, " ")
    '16 %'
    """
    if is_missing(share):
        return DASH
    x = 100.0 * float(share)  # type: ignore[arg-type]
    if 0.0 < x < 0.05 or 99.95 < x < 100.0:
        text = "<0.1" if x < 50.0 else ">99.9"
    else:
        text = f"{x:.0f}" if x in (0.0, 100.0) or 9.95 <= x <= 99.0 else f"{x:.1f}"
    return f"{text}{NARROW_SPACE}%"


def interval(lower: object, upper: object, decimals: int = 3) -> str:
    """An interval in words; a dash where either end is missing.

    Examples
    --------
    >>> interval(0.1, 0.25, 2)
    '0.10 to 0.25'
    """
    if is_missing(lower) or is_missing(upper):
        return DASH
    return f"{number(lower, decimals)} to {number(upper, decimals)}"


def plural(value: object, one: str, several: str | None = None) -> str:
    """A count with its noun.

    Examples
    --------
    >>> plural(1, "user"), plural(2000, "user")
    ('1 user', '2,000 users')
    """
    noun = one if count(value) == "1" else (several or f"{one}s")
    return f"{count(value)} {noun}"
