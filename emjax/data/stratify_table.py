"""Stratification of a table: features cut into bins and each row given its stratum, in its engine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np

from emjax.data.binning import (
    SIDE,
    SIDES,
    Cut,
    Feature,
    as_numbers,
    cut_of,
    fault_of,
    is_missing,
    with_missing,
)
from emjax.data.columns import features_told
from emjax.data.count_table import Parts, Table, Tally, encoded, fetched, numbered_parts
from emjax.data.ids import unique_ids
from emjax.data.strata import VoteStrata, named_columns
from emjax.errors import VotesError


@dataclass(frozen=True)
class Columns:
    """Columns that votes are to be stratified by: features, then covariates, and how many bins each gets."""

    features: tuple[Feature, ...]
    bins: int
    covariate_bins: int


_NO_SIDE = SIDES.words.index("no side")

# How votes are stratified: by strata that were made before, or by columns.
Wanted = VoteStrata | Columns


def wanted(
    vote_features: Any,
    bins: int,
    context: str | None,
    covariates: Any = None,
    covariate_bins: int = 10,
    shown_first: str | None = None,
) -> Wanted | None:
    """How a caller of `read_votes` asks votes to be stratified; None if not at all.

    Raises
    ------
    VotesError
        A name is not a string, the bins are too few, the strata were not made from columns, or there is a
        context, too.
    """
    if isinstance(covariates, VoteStrata):
        if vote_features not in (None, covariates):
            raise VotesError("covariates are strata with features of their own: leave vote_features out")
        vote_features, covariates = covariates, None
    if vote_features is None and covariates is None:
        return None
    if context is not None:
        raise VotesError(
            "vote_features and covariates make the context of a vote, and do not go with another: leave "
            f"context out, or add 'each:{context}' to vote_features"
        )
    if isinstance(vote_features, VoteStrata):
        if covariates is not None:
            raise VotesError(
                "vote_features are strata made before, with their covariates: leave covariates out"
            )
        vote_features.check_cut()
        _check_side(vote_features.covariates, SIDES.names[0], shown_first)
        return vote_features
    for option, names in (("vote_features", vote_features), ("covariates", covariates)):
        if isinstance(names, str):
            raise VotesError(f"{option} takes a list of columns: give [{names!r}]")
    features = named_columns(vote_features, bins, covariates, covariate_bins)
    _check_side([feature for feature in features if feature.signed], SIDE, shown_first)
    return Columns(features, bins, covariate_bins)


def _check_side(covariates: Sequence[Any], side: Any, shown_first: str | None) -> None:
    if side in covariates and shown_first is None:
        raise VotesError(
            "covariates name shown_first, and the votes are read without it: say which answer was first "
            "with shown_first='COLUMN' (command line: --shown-first COLUMN)"
        )


def columns_told(asked: Wanted | None) -> dict[str, str]:
    """Roles of the columns of features, to be told with the others."""
    return features_told(_read_from_columns(asked))


def _read_from_columns(asked: Wanted | None) -> list[str]:
    """The columns that features and covariates are in; the side shown first has a role of its own."""
    if asked is None:
        return []
    of = asked.cuts if isinstance(asked, VoteStrata) else asked.features
    return [one.column for one in of if one not in (SIDE, SIDES)]


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
    cuts: list[Cut] = []
    bins: list[Any] = []
    remaining = iter(roles)
    for how in asked.cuts if isinstance(asked, VoteStrata) else asked.features:
        if how in (SIDE, SIDES):  # read from the role of the side, when the rows have been counted
            cuts.append(SIDES)
            bins.append(_NO_SIDE)
            continue
        role = next(remaining)
        feature, old = (how.feature, how) if isinstance(how, Cut) else (how, None)
        values, votes, code = _seen(plain, role, feature)
        fault = fault_of(feature, values, old)
        if fault is not None:
            bad, what, remedy = fault
            place = _first_place(parts, role, feature, values[bad])
            raise VotesError(f"{votes[bad].sum():,.0f} of {votes.sum():,.0f} rows {what}{place}: {remedy}")
        cut = old or _new_cut(feature, values, votes, asked)
        cuts.append(cut)
        bins.append(_bin_expression(cut, values, plain, role) if code is None else cut.bins(values)[code])
    strata = asked if isinstance(asked, VoteStrata) else VoteStrata.of(cuts)
    place = strata.place(bins)
    if isinstance(plain, nw.DataFrame):
        place = np.broadcast_to(place, len(plain))
        place = nw.new_series("context", place, nw.Int64, backend=plain.implementation)
        return plain.drop(roles).with_columns(place), strata
    place = nw.lit(place, nw.Int64) if isinstance(place, int) else place
    return plain.with_columns(place.alias("context")).drop(roles), strata


def named(found: Tally, strata: VoteStrata) -> Tally:
    """A tally of rows with the numbers of strata as contexts, with labels in place of the numbers."""
    assert found.contexts is not None
    numbers = found.contexts.astype(np.int64)
    if not strata.covariates:
        return replace(found, contexts=strata.labels_at(strata.bins_at(numbers)))
    bins = strata.bins_at(numbers[found.context])
    front = np.nan_to_num(found.shown_first, nan=0.5)  # what is unclear is refused later
    side = _NO_SIDE + np.sign(front - 0.5).astype(np.int64)
    bins = [side if cut == SIDES else each for cut, each in zip(strata.cuts, bins, strict=True)]
    labels = strata.labels_at(strata.mirrored(bins, found.model_a > found.model_b))
    contexts, context = unique_ids(labels)
    return replace(found, contexts=contexts, context=context)


def _new_cut(feature: Feature, values: np.ndarray, votes: np.ndarray, asked: Wanted) -> Cut:
    assert isinstance(asked, Columns)
    return cut_of(feature, values, votes, asked.covariate_bins if feature.signed else asked.bins)


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
    if cut.signed:
        column = _as_number(column, table, role)
        size = sum(((column.abs() > edge).cast(nw.Int64) for edge in cut.edges), nw.lit(0, nw.Int64))
        return len(cut.edges) + nw.when(column < 0).then(-size).otherwise(size)
    if not cut.levels:
        column = _as_number(column, table, role)
        steps = [(column > edge).cast(nw.Int64) for edge in cut.edges]
        return sum(steps[1:], steps[0])
    bins = cut.bins(values)
    there = np.unique(bins[bins > 0]).tolist()  # no engine is asked for a value in an empty list
    steps = [column.is_in(values[bins == b].tolist()).cast(nw.Int64) * b for b in there]
    return sum(steps, nw.lit(0, nw.Int64))


def _as_number(column: nw.Expr, table: Table, role: str) -> nw.Expr:
    text = table.collect_schema()[role] == nw.String
    return (column.str.strip_chars() if text else column).cast(nw.Float64)


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
