"""Winner expressions: who won, from several columns or from numbers, in the words of `outcomes`.

Each takes columns as lower-case text, None for one that is not there, and gives null where they contradict
one another.
"""

from collections.abc import Callable, Mapping, Sequence

import narwhals as nw

Build = Callable[..., nw.Expr]
_YES = ["1", "1.0", "true", "t", "yes", "y"]
# As text, since an engine may stop at a word that is no number.
_FIRST_OR_SECOND = {
    "model_a": r"^1(?:\.[0-4][0-9]*|\.)?$",
    "model_b": r"^(?:1\.5[0-9]*[1-9][0-9]*|1\.[6-9][0-9]*|2(?:\.0*)?)$",
    "tie": r"^(?:1\.50*|0(?:\.0*)?)$",
}
_BELOW_ZERO = {
    "model_a": r"^-(?:[12](?:\.[0-9]*)?|3(?:\.0*)?|0?\.[0-9]*[1-9][0-9]*)$",
    "model_b": r"^(?:[12](?:\.[0-9]*)?|3(?:\.0*)?|0?\.[0-9]*[1-9][0-9]*)$",
    "tie": r"^-?0(?:\.0*)?$",
}


def winner_expression(build: Build, columns: Sequence[str | None]) -> nw.Expr:
    """What a format says of the winner, from the columns of these names."""
    texts = [None if name is None else nw.col(name).cast(nw.String).str.strip_chars() for name in columns]
    return build(*texts)


def one_hot(a: nw.Expr, b: nw.Expr, tie: nw.Expr | None, both_bad: nw.Expr | None) -> nw.Expr:
    """One column for each outcome, of which one holds 1."""
    first, second, tied = _yes(a), _yes(b), _yes(tie) | _yes(both_bad)
    words = {
        "model_a": first & ~second & ~tied,
        "model_b": second & ~first & ~tied,
        "tie": tied & ~first & ~second,
    }
    return _chosen(words)


def name_or_equal(chosen: nw.Expr, equal: nw.Expr) -> nw.Expr:
    """The chosen model's name, and a column that says whether both are equal."""
    return nw.when(_yes(equal)).then(nw.lit("tie")).otherwise(chosen)


def first_or_second(number: nw.Expr) -> nw.Expr:
    """1 for the first, 2 for the second, 1.5 or 0 for neither; between them what is nearer."""
    return _by_pattern(number, _FIRST_OR_SECOND)


def below_zero(number: nw.Expr) -> nw.Expr:
    """From −3 to 3: below 0 the first is better, above 0 the second."""
    return _by_pattern(number, _BELOW_ZERO)


def always_first(chosen: nw.Expr) -> nw.Expr:
    """The first model, where its column is that of the chosen answer."""
    return nw.when(chosen.is_null()).then(nw.lit(None, nw.String)).otherwise(nw.lit("model_a"))


def _by_pattern(number: nw.Expr, patterns: Mapping[str, str]) -> nw.Expr:
    meant = {word: number.str.contains(pattern) for word, pattern in patterns.items()}
    return _chosen(meant, otherwise=number)


def _yes(column: nw.Expr | None) -> nw.Expr:
    return (
        nw.lit(value=False)
        if column is None
        else column.str.to_lowercase().is_in(_YES).fill_null(value=False)
    )


def _chosen(words: Mapping[str, nw.Expr], otherwise: nw.Expr | None = None) -> nw.Expr:
    chosen: nw.Expr = nw.lit(None, nw.String) if otherwise is None else otherwise
    for word, where in words.items():
        chosen = nw.when(where).then(nw.lit(word)).otherwise(chosen)
    return chosen
