"""The tables of the page of a fit: which columns, in which order, with how many decimals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.data.strata import VoteStrata
from emjax.report.format import count, decimals_for, interval, is_missing, number, percent, prose
from emjax.report.leaderboard_blocks import ranks_of
from emjax.report.leaderboard_files import SCALES, on_scale
from emjax.report.read_fit_folder import ENDS, ReportFiles, UserTable

FIRST = 20  # rows shown at once; the others are folded
NOT_FOLDED = 4  # so few more are not worth folding
MOST = 300  # rows on the page; the others are in the file
MOST_BINS = 60  # bins of features of votes to list

Cell = str | tuple[str, str]  # a text, or a number and its error


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes
    ----------
    heading : str
    classes : str
        CSS classes of its cells: "text", "note", "less" (not on phones).
    names : bool
        Whether its cells are names from the votes, to be shown as they are.
    error : str
        What the errors of its numbers are, where phones show neither the errors nor this.
    """

    heading: str
    classes: str = ""
    names: bool = False
    error: str = ""


@dataclass(frozen=True)
class Table:
    """Plain text for a template: rows shown at once, and `more`, which are folded behind `summary`.

    Where there are still more, `total` says how many in all, and `file` where they are.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    more: Sequence[Sequence[Cell]] = ()
    summary: str = ""
    total: int = 0
    file: str = ""


def folded(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], total: int, noun: str, file: str
) -> Table:
    """The first rows at once, the next behind a summary, and where the remaining ones are to be found.

    `rows` are at most `MOST` of `total`, or fewer where a table is one of several.

    Examples
    --------
    >>> rows = [[str(i)] for i in range(30)]
    >>> folded([Column("n")], rows, 30, "numbers", "numbers.parquet").summary
    'The other 10 numbers'
    """
    if len(rows) == total <= FIRST + NOT_FOLDED:
        return Table(columns, rows)
    shown, more, whole = rows[:FIRST], rows[FIRST:], total <= len(rows)
    summary = f"The other {total - FIRST:,} {noun}" if whole else f"The next {len(more):,} {noun}"
    return Table(columns, shown, more=more, summary=summary, total=total, file="" if whole else file)


def parameter_table(fit: dict) -> Table:
    """Every estimated parameter with its standard error, 95 % interval and note."""
    parameters = fit["parameters"]
    notes = any(p.get("note") for p in parameters)
    columns = [
        Column("parameter", "text", names=True),
        Column("estimate"),
        Column("standard error", "less"),
        Column("95 % interval"),
    ]
    columns += [Column("note", "text note")] if notes else []
    rows = []
    for p in parameters[:MOST]:
        decimals = decimals_for(p.get("std_err"))
        row: list[Cell] = [p["name"], number(p["estimate"], decimals), number(p.get("std_err"), decimals)]
        row += [interval(p.get("lower"), p.get("upper"), decimals)]
        row += [prose(p.get("note") or "")] if notes else []
        rows.append(row)
    return folded(columns, rows, len(parameters), "parameters", "fit.json")


def leaderboard_table(files: ReportFiles, scale: str = "log-odds") -> Table:
    """Models by strength, with ordinary Bradley\u2013Terry beside it."""
    assert files.leaderboard is not None, "only fits with Bradley-Terry strengths have a leaderboard"
    return ranking_table(files.leaderboard, scale=scale)


def ranking_table(board: dict[str, np.ndarray], most: int = MOST, scale: str = "log-odds") -> Table:
    """The models of one ranking by strength, `most` of them at most."""
    board = on_scale(board, scale)
    order, ranks = np.argsort(-board["strength"], kind="stable"), ranks_of(board)
    known = board["std_err"][np.isfinite(board["std_err"]) & (board["std_err"] > 0)]
    least = 0 if scale == "elo" else 2
    decimals = decimals_for(float(np.median(known)), least) if len(known) else least
    columns = [
        Column("rank"),
        Column("model", "text", names=True),
        Column(SCALES[scale].column),
        Column("standard error", "less"),
    ]
    columns += [
        Column("95 % interval"),
        Column("ordinary Bradley\u2013Terry", "less"),
        Column("votes", "less"),
    ]
    rows = [
        [
            ranks[i],
            board["model"][i],
            number(board["strength"][i], decimals),
            number(board["std_err"][i], decimals),
            interval(board["lower"][i], board["upper"][i], decimals),
            number(board["ordinary_strength"][i], decimals),
            count(board["n_votes"][i]),
        ]
        for i in order[:most]
    ]
    return folded(columns, rows, len(order), "models", "leaderboard.parquet")


def comparison_table(files: ReportFiles) -> Table:
    """Comparisons by number of votes: how often A won, and how often an attentive user would prefer it."""
    table = files.comparisons
    order = np.argsort(-np.nan_to_num(table["n_votes"]), kind="stable")
    second = any(table["model_b"])  # labels that are no pairs of models have nothing in the second place
    columns = [Column("A" if second else "comparison", "text", names=True)]
    columns += [Column("B", "text", names=True)] if second else []
    apart = next((name for name in ("context", "item") if name in table), None)
    columns += [Column(apart, "text", names=True)] if apart else []
    columns += [
        Column("votes"),
        Column("A won"),
        Column("strength", error="standard error"),
    ]
    if "consensus" in table:
        columns += [Column("consensus", "text", names=True), Column("its probability")]
    rows = []
    for i in order[:MOST]:
        share = table["wins_a"][i] / table["n_votes"][i] if table["n_votes"][i] > 0 else None
        row: list[Cell] = [str(table[name][i]) for name in ("model_a", *["model_b"] * second)]
        row += [str(table[apart][i])] if apart else []
        row += [count(table["n_votes"][i]), percent(share)]
        row.append(_with_error(table["strength"][i], table["std_err"][i], 3))
        if "consensus" in table:
            row += [str(table["consensus"][i]), percent(table["prob_consensus"][i])]
        rows.append(row)
    return folded(columns, rows, len(order), "comparisons", "comparisons.parquet")


def user_tables(files: ReportFiles) -> list[Table]:
    """The most and the least attentive users, or all of them where they are few."""
    table = files.user_table
    columns = _user_columns(table)
    if int(np.isfinite(files.users["attentiveness"]).sum()) <= 2 * ENDS:
        return [Table(columns, _user_rows(table, table.most), "All users, the most attentive first")]
    return [
        Table(columns, _user_rows(table, rows), f"The {ENDS} {word} attentive users")
        for rows, word in ((table.most[:ENDS], "most"), (table.least, "least"))
    ]


def _user_columns(table: UserTable) -> list[Column]:
    columns = [
        Column("user", "text", names=True),
        Column("votes"),
        Column("agreement"),
        Column("attentiveness ± sd"),
    ]
    columns += [Column("mode", "less")] if table.has_mode else []
    return [*columns, Column("probability attentive", "less"), Column("flip rate", "less")]


def _user_rows(table: UserTable, users: list[dict[str, Any]]) -> list[list[Cell]]:
    rows = []
    for user in users:
        row: list[Cell] = [str(user["user"]), count(user["n_votes"]), percent(user["agreement"])]
        row.append(_with_error(user["attentiveness"], user["attentiveness_sd"], 2))
        row += [number(user["attentiveness_map"], 2)] if table.has_mode else []
        rows.append([*row, percent(user["prob_attentive"]), percent(user["flip_rate"])])
    return rows


def effects_table(files: ReportFiles) -> Table | None:
    """What each covariate does to an attentive choice; None for a fit without covariates."""
    covariates = files.fit["strength"].get("covariates")
    if not covariates:
        return None
    cuts = [cut for cut in VoteStrata.from_plain(covariates["strata"]).cuts if cut.signed]
    by_name = {p["name"]: p for p in files.fit["parameters"]}
    rows = []
    for cut in cuts:
        found = by_name[f"effect of {cut.names[0]}"]
        share = 1.0 / (1.0 + math.exp(-min(max(found["estimate"], -700.0), 700.0)))
        ends = interval(found["lower"], found["upper"], 2)
        unit = number(cut.scale, decimals_for(cut.scale))
        errors = number(found["std_err"], 2)
        rows.append([prose(cut.names[0]), unit, number(found["estimate"], 2), errors, ends, percent(share)])
    columns = [Column("covariate", "text"), Column("unit", "less"), Column("effect")]
    columns += [Column("standard error", "less"), Column("95 % interval")]
    columns += [Column("equal models, one unit more: A wins", "less")]
    return Table(columns, rows)


def attention_table(files: ReportFiles) -> Table | None:
    """How often the same user is attentive, by bin; None for a fit without features of votes."""
    features = files.fit["behavior"].get("features")
    if not features:
        return None
    strata = VoteStrata.from_plain(features["strata"])
    rows = _by_bin(strata, features["slopes"]) if strata.cuts else _by_stratum(strata, features["slopes"])
    columns = [Column("votes with", "text"), Column("odds of an attentive vote, times")]
    columns += [Column("attentive votes")]
    caption = f"The first {MOST_BINS} of {len(rows)}." if len(rows) > MOST_BINS else ""
    return Table(columns, rows[:MOST_BINS], caption)


def _by_bin(strata: VoteStrata, slopes: list[float]) -> list[list[Cell]]:
    rows, first = [], 0
    for cut in (cut for cut in strata.cuts if not cut.signed):
        own = slopes[first : first + len(cut.names)]
        rows += [_of_attention(word, value, own) for word, value in zip(cut.words, cut.values, strict=True)]
        first += len(cut.names)
    return rows


def _by_stratum(strata: VoteStrata, slopes: list[float]) -> list[list[Cell]]:
    names = zip(strata.contexts, strata.values, strict=True)
    return [_of_attention(name, value, slopes) for name, value in names]


def _of_attention(name: str, values: tuple[float, ...], slopes: list[float]) -> list[Cell]:
    offset = sum(value * slope for value, slope in zip(values, slopes, strict=True))
    odds = math.exp(min(max(offset, -700.0), 700.0))
    return [prose(name), number(odds, 2), percent(odds / (1.0 + odds))]


def _with_error(value: Any, error: Any, decimals: int) -> Cell:
    if is_missing(error):
        return number(value, decimals)
    # Fixed decimals, also for what rounds to nothing: powers of ten would break the column.
    return f"{value:.{decimals}f}", f"{error:.{decimals}f}"
