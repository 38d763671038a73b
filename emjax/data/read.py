"""read_votes: votes from any table or file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw

from emjax.data.anchors import ACCURACY, check_gold_accuracy
from emjax.data.columns import EXTRAS, ROLES, asked, columns_read, in_words, reading_of, role_expressions
from emjax.data.count_table import Parts, Table, Tally, check, preferences_of, tally, tally_of
from emjax.data.dense_counts import counted_densely
from emjax.data.frames import SPARK, opened_frame
from emjax.data.name_columns import as_names
from emjax.data.preferences import Preferences
from emjax.data.read_files import is_path, opened
from emjax.data.reading_notes import read_as, reading_notes
from emjax.data.row_rules import Reading, RowRules
from emjax.data.strata import VoteStrata
from emjax.data.stratify_table import Wanted, columns_told, named, wanted, with_strata
from emjax.data.vote_formats import VoteFormat
from emjax.errors import ModelError, warn

VotesLike = Preferences | Any  # votes, or a data frame or path that `read_votes` takes
_FRAMES = ("pandas", "polars", "pyarrow", "duckdb")


def read_votes(
    source: Any,
    *,
    user: str | None = None,
    model_a: str | None = None,
    model_b: str | None = None,
    winner: str | None = None,
    shown_first: str | None = None,
    context: str | None = None,
    gold: str | None = None,
    gold_accuracy: float = ACCURACY,
    vote_features: Sequence[str] | VoteStrata | None = None,
    feature_bins: int = 5,
    covariates: Sequence[str] | VoteStrata | None = None,
    covariate_bins: int = 10,
    ties: str = "drop",
    empty_winner: str = "refuse",
    strict: bool = False,
    memory_limit: str | None = None,
    format: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
) -> Preferences:
    """Read votes from a data frame or from files, one row per vote.

    Parameters
    ----------
    source : table or path
        A pandas or polars data frame (or a lazy one), a pyarrow table, a duckdb relation, a Spark data frame,
        a dict of columns, or a file, folder, glob pattern or list of files: .csv, .tsv, .jsonl, .json (each
        also .gz) or .parquet.
    user, model_a, model_b, winner : str, optional
        Names of the columns. Common names are recognised (worker, judge, model_x, vote, ...).
    shown_first : str, optional
        Column that says which of the two answers was shown first (a model's name, or a word as for the
        winner); the column of models itself, where its model was always first. Counts are then by side, too.
    context : str, optional
        Column that separates votes on the same pair: a topic, or the pair of answers that was shown.
        Each pair and context is then a comparison of its own.
    gold : str, optional
        Column of the right answer, where it is known (a model's name, or a word as for the winner), empty
        where it is not. Votes with a right answer are used for the user, and not for the models.
    gold_accuracy : float
        How often an attentive user gives that answer: at least ½, below 1.
    vote_features : sequence of str, or VoteStrata, optional
        Columns that describe single votes, such as the seconds taken or the hour: each is cut into
        bins, and the combination of bins, the stratum of a vote, is its context. "log:seconds" takes
        logarithms, "each:hour" has a bin for each value; see `VoteStrata.cut`. With strata made before, their
        columns are cut in the same places.
    feature_bins : int
        At most so many bins of a column of numbers.
    covariates : sequence of str, or VoteStrata, optional
        Columns of differences between the two answers, A less B, such as in length or in the number of lists:
        what moves the log-odds with which an attentive user prefers A besides the models (style control). A
        difference changes its sign where a pair is listed the other way round. "log:length_difference" takes
        the sign times log(1 + size); "shown_first" is the side shown first, with that option. They are cut
        into bins by size, and make the context of a vote as features do.
    covariate_bins : int
        At most so many bins of sizes; there are as many of each sign, and one for 0.
    ties : {"drop", "half", "model"}
        Leave ties out, and count them in `left_out`; count a tie as half a vote for either side; or count
        ties as an outcome of their own, for a behavior that has them.
    empty_winner : {"refuse", "tie", "drop"}
        What an empty cell in the column of the winner means: an error, a tie, or no vote at all.
    strict : bool
        Whether a row that compares a model with itself is an error. Such rows say nothing of models or users;
        they are left out otherwise, and counted in `left_out`.
    memory_limit : str, optional
        For files: memory to use before the disk is used, as in "2GB".
    format : str, optional
        A format of the field by its name, to insist on it: "lmarena", "kaggle", "arena-hard", "argilla" and
        others (the page on files has them all). They are recognised by their columns without being named.
    separator, encoding : str, optional
        Of text files, where they are not found: what separates cells, as in ";" or "tab"; the encoding, as in
        "windows-1252".

    Returns
    -------
    Preferences
        `frame` is the type of table that came in; "arrays" for files and for Spark, whose answers come as
        pyarrow tables.

    Raises
    ------
    VotesError
        A column is not found or holds no names, something is missing in a row, a winner is not understood,
        there are no votes, a feature cannot be cut, or a file cannot be read.

    Notes
    -----
    The winner, upper or lower case, may be model_a, left, a, first, 1 or true (the model in the first column
    won); model_b, right, b, second, 0 or false (the other did); tie, draw, same, equal, both good, both bad,
    both, neither, no preference or 0.5; or the winning model's name. So 1 and 0 mean A and B: where 0 stands
    for A in your table, swap `model_a` and `model_b`. The counting is done by the table's own engine, and
    only counts leave it, and with `vote_features` the values of each feature. A limit: csv, tsv and jsonl
    files are read as text, so users there are numbers if every one of them is a whole number, and text if one
    is not.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"judge": [1, 1, 2], "model_a": ["new"] * 3, "model_b": ["old"] * 3,
    ...                   "winner": ["model_a", "tie", "model_b"]})
    >>> read_votes(table)
    Preferences: 2 votes of 2 users in 1 comparison (new against old)
      left out: ties dropped, 1
    """
    rules = RowRules(ties, empty_winner, strict)
    told = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}
    told |= {"shown_first": shown_first, "context": context, "gold": gold, "format": format}
    text = {"separator": separator, "encoding": encoding}
    given = {name: of for name, of in {**told, **text}.items() if of is not None} | rules.unusual()
    check_gold_accuracy(gold_accuracy)
    settings: dict[str, Any] = {"sides": shown_first is not None, "gold_accuracy": gold_accuracy}
    features = wanted(vote_features, feature_bins, context, covariates, covariate_bins, shown_first)
    told |= columns_told(features)
    if is_path(source):
        how_to_open = {"memory_limit": memory_limit, **text}
        return replace(_read_files(source, told, features, rules, how_to_open, settings), read_with=given)
    table, told, form, left_out = opened_frame(source, told)
    votes, columns = votes_of(table, told)
    how = reading_of(columns, told, rules, form)
    found, strata = _tally_by_stratum(votes, lambda: [("", votes)], features, how)
    found = replace(found, besides=left_out)
    check(found, lambda: [("", votes)], how)
    prefs = preferences_of(found, ties, frame_of(votes), **settings)
    reading = read_as(columns, found, form, how)
    return _told(replace(prefs, strata=strata, read_as=reading, read_with=given), found, how, form)


def as_votes(caller: str, given: Any) -> Preferences:
    """Votes as they are, or read from a table or from files as `read_votes` does by default."""
    given = getattr(given, "preferences", given)  # those of a Simulation
    if isinstance(given, Preferences):
        return given
    if (is_path(given) and given != []) or is_table(given):
        return read_votes(given)
    raise ModelError(
        f"{caller} takes votes, as read_votes gives them, a data frame (pandas, polars, pyarrow, duckdb, "
        f"Spark), a dict of columns or the path of a file of votes; got a {type(given).__name__}."
    )


def is_table(given: Any) -> bool:
    """Whether this is a table as `read_votes` takes them."""
    try:
        nw.from_native(given)
    except TypeError:
        return isinstance(given, dict)
    return True


def votes_of(table: Table, told: Mapping[str, str | None]) -> tuple[Table, dict[str, str]]:
    """The columns of a table that are read, by their roles; and what it calls them."""
    columns = table.collect_schema().names()
    names = columns_read([str(name) for name in columns], told)
    table, held = _without_dots(table, columns)
    votes = table.select(*role_expressions([str(name) for name in columns], told, held))
    called = {role: in_words(names[role], told) for role in names if role in (*ROLES, *EXTRAS)}
    return as_names(votes, called), names


def frame_of(table: Table) -> str:
    """The type of table in which answers come back, as `Preferences.frame` names it."""
    kind = table.implementation.value
    return kind if kind in _FRAMES else "arrays"


def _tally_by_stratum(
    votes: Table, parts: Parts, features: Wanted | None, how: Reading
) -> tuple[Tally, VoteStrata | None]:
    """The tally of a table, by stratum where features are wanted."""
    if features is None:
        return tally(votes, how), None
    by_stratum, strata = with_strata(votes, parts, features)
    return named(tally(by_stratum, how), strata), strata


def _read_files(
    source: Any,
    told: dict[str, str | None],
    features: Wanted | None,
    rules: RowRules,
    how_to_open: dict[str, Any],
    settings: dict[str, Any],
) -> Preferences:
    with opened(source, told, **how_to_open) as files:
        how = files.reading(rules)
        plain = len(asked(told)) == 4

        def parts() -> Iterator[tuple[str, Table]]:
            for path, label in files.labels():
                yield label, nw.from_native(files.rows([path]))

        counted = counted_densely(files) if how_to_open["memory_limit"] is None and plain else None
        if counted is None:
            rows = nw.from_native(files.rows())
            found, strata = _tally_by_stratum(rows, parts, features, how)
        else:
            found, strata = tally_of(counted, how), None
        found = replace(found, besides=files.left_out)
        check(found, parts, how)
        form = files.recognised()
        reading = read_as(files.columns(), found, form, how)
        prefs = preferences_of(found, rules.ties, "arrays", **settings)
        return _told(replace(prefs, strata=strata, read_as=reading), found, how, form)


def _told(prefs: Preferences, found: Tally, how: Reading, form: VoteFormat | None) -> Preferences:
    """The same votes, once a reader has been warned of what may not be as it seems."""
    for note in reading_notes(found, how.called, sides=prefs.outcomes.sides, form=form):
        warn(note)
    return prefs


def _without_dots(table: Table, columns: list[str]) -> tuple[Table, list[str]]:
    """The table and its column names; numbered in Spark, which takes a dot in a name for a path."""
    if table.implementation not in SPARK or not any("." in name for name in columns):
        return table, columns
    numbered = [f"column_{place}" for place in range(len(columns))]
    return nw.from_native(table.to_native().toDF(*numbered)), numbered
