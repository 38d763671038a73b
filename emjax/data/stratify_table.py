"""Stratification of a table: features cut into bins and each row given its stratum, in its engine."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np

from emjax.data.binning import Cut, Feature, as_numbers, cut_of, fault_of, is_missing, with_missing
from emjax.data.columns import features_told
from emjax.data.count_table import Parts, Table, Tally, encoded, fetched, numbered_parts
from emjax.data.strata import VoteStrata, features_named
from emjax.errors import VotesError

# How votes are stratified: by strata that were made before, or by features and how many bins they get.
Wanted = VoteStrata | tuple[tuple[Feature, ...], int]


def wanted(vote_features: Any, bins: int, context: str | None) -> Wanted | None:
    """How a caller of `read_votes` asks votes to be stratified; None if not at all.

    Raises
    ------
    VotesError
        A name is not a string, the bins are too few, the strata were not made from columns, or there is a
        context, too.
    """
    if vote_features is None:
        return None
    if context is not None:
        raise VotesError(
            "vote_features make the context of a vote, and do not go with another: leave context out, or add "
            f"'each:{context}' to vote_features"
        )
    if isinstance(vote_features, VoteStrata):
        vote_features.check_cut()
        return vote_features
    if isinstance(vote_features, str):
        raise VotesError(f"vote_features takes a list of columns: give [{vote_features!r}]")
    return features_named(vote_features, bins), bins


def columns_told(asked: Wanted | None) -> dict[str, str]:
    """Roles of the columns of features, to be told with the others."""
    if asked is None:
        return {}
    return features_told(asked.columns if isinstance(asked, VoteStrata) else [f.column for f in asked[0]])


def with_strata(table: Table, parts: Parts, asked: Wanted) -> tuple[Table, VoteStrata]:
    """The table with each row's stratum number as its context, in place of the features; and the strata.

    Parameters
    ----------
    table : narwhals frame
        With columns "feature 0", "feature 1", ... beside others.
    parts : callable
        The parts that it is made of, to say where something is wrong.
    asked : as `wanted` gives it

    Returns
    -------
    narwhals frame, VoteStrata
        `named` puts labels in place of the numbers once the rows are counted.

    Raises
    ------
    VotesError
        As `VoteStrata.cut` and `VoteStrata.label`.

    Notes
    -----
    A limit: the distinct values of one feature at a time are in memory.
    """
    roles = list(columns_told(asked))
    plain = _readable(table, roles)
    before, most = (asked.cuts, 0) if isinstance(asked, VoteStrata) else asked
    cuts, bins = [], []
    for role, how in zip(roles, before, strict=True):
        feature, old = (how.feature, how) if isinstance(how, Cut) else (how, None)
        values, votes, code = _seen(plain, role, feature)
        fault = fault_of(feature, values, old)
        if fault is not None:
            bad, what, remedy = fault
            place = _first_place(parts, role, feature, values[bad])
            raise VotesError(f"{votes[bad].sum():,.0f} of {votes.sum():,.0f} rows {what}{place}: {remedy}")
        cut = cut_of(feature, values, votes, most) if old is None else old
        cuts.append(cut)
        bins.append(_bin_expression(cut, values, plain, role) if code is None else cut.bins(values)[code])
    strata = asked if isinstance(asked, VoteStrata) else VoteStrata.of(cuts)
    place = strata.place(bins)
    if isinstance(plain, nw.DataFrame):
        place = nw.new_series("context", place, nw.Int64, backend=plain.implementation)
        return plain.drop(roles).with_columns(place), strata
    return plain.with_columns(place.alias("context")).drop(roles), strata


def named(found: Tally, strata: VoteStrata) -> Tally:
    """A tally of rows with the numbers of strata as contexts, with labels in place of the numbers."""
    assert found.contexts is not None
    return replace(found, contexts=np.array(strata.contexts, object)[found.contexts.astype(np.int64)])


def _readable(table: Table, roles: Sequence[str]) -> Table:
    """Types that every lazy engine can compare: numbers, truth values and text; data frames as they are."""
    if isinstance(table, nw.DataFrame):
        return table
    schema, changed = table.collect_schema(), []
    for role in roles:
        kind = schema[role]
        if kind == nw.Decimal:
            changed.append(nw.col(role).cast(nw.Float64))
        elif not kind.is_numeric() and kind not in (nw.String, nw.Boolean):
            changed.append(nw.col(role).cast(nw.String))
    return table.with_columns(*changed) if changed else table


def _seen(table: Table, role: str, feature: Feature) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """What occurs in a column, how often, and in a data frame which of it stands in each row."""
    if isinstance(table, nw.DataFrame):
        values, code = with_missing(*encoded(table[role]))
        counts, rows = np.ones(code.size), code
    else:
        found = fetched(table.group_by(role).agg(nw.len().alias("votes")))
        values, code = with_missing(*encoded(found[role]))
        counts, rows = np.asarray(found["votes"].to_numpy(), np.float64), None
    if not counts.size:
        raise VotesError("there are no votes, only column names: give at least one row")
    return as_numbers(feature, values), np.bincount(code, counts, values.size), rows


def _bin_expression(cut: Cut, values: np.ndarray, table: Table, role: str) -> nw.Expr:
    """The bin of each row, for an engine that is to work it out; `values` are all there are."""
    column = nw.col(role)
    if not cut.levels:
        if table.collect_schema()[role] == nw.String:
            column = column.str.strip_chars()
        steps = [(column.cast(nw.Float64) > edge).cast(nw.Int64) for edge in cut.edges]
        return sum(steps[1:], steps[0])
    bins = cut.bins(values)
    there = np.unique(bins[bins > 0]).tolist()  # no engine is asked for a value in an empty list
    steps = [column.is_in(values[bins == b].tolist()).cast(nw.Int64) * b for b in there]
    return sum(steps, nw.lit(0, nw.Int64))


def _first_place(parts: Parts, role: str, feature: Feature, strange: np.ndarray) -> str:
    """Words for the first row that holds one of these values; none where rows have no order."""
    nothing, among = is_missing(strange).all(), set(strange.tolist())
    for label, part in numbered_parts(parts):
        first = fetched(part.select(role, "row").group_by(role).agg(nw.col("row").min()))
        listed, code = with_missing(*encoded(first[role]))
        values = as_numbers(feature, listed)
        bad = is_missing(values) if nothing else np.array([value in among for value in values.tolist()], bool)
        if bad.any():
            rows = np.asarray(first["row"].to_numpy(), np.int64)[bad[code]]
            return f", first at data row {int(rows.min()) + 1:,}{label}"
    return ""
