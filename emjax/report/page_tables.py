"""The tables of the page: which columns, in which order, with how many decimals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emjax.report.fit_folder import ENDS, ReportFiles, UserTable
from emjax.report.format import count, decimals_for, escape, interval, is_missing, number, percent, prose

FIRST = 20  # rows shown at once; the others are folded
NOT_FOLDED = 4  # so few more are not worth folding
MOST = 300  # rows on the page; the others are in the file


@dataclass(frozen=True)
class Column:
    """One column: its heading, and the CSS classes of its cells ("text", "note", "less": not on phones)."""

    heading: str
    classes: str = ""


def html_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """One table; its cells are HTML already.

    Examples
    --------
    >>> "<td>1</td>" in html_table([Column("name", "text"), Column("n")], [["a", "1"]])
    True
    """
    classes = [f' class="{column.classes}"' if column.classes else "" for column in columns]
    head = "".join(
        f'<th scope="col"{c}>{column.heading}</th>' for column, c in zip(columns, classes, strict=True)
    )
    body = []
    for row in rows:
        first = f'<th scope="row"{classes[0]}>{row[0]}</th>'
        rest = "".join(f"<td{c}>{cell}</td>" for cell, c in zip(row[1:], classes[1:], strict=True))
        body.append(f"<tr>{first}{rest}</tr>")
    above = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll"><table>{above}<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(body)
        + "\n</tbody></table></div>"
    )


def folded(columns: Sequence[Column], rows: Sequence[Sequence[str]], total: int, noun: str, file: str) -> str:
    """The first rows as a table, the next behind a summary, and where the remaining ones are to be found.

    `rows` are at most `MOST` of `total`.

    Examples
    --------
    >>> rows = [[str(i)] for i in range(30)]
    >>> "The other 10 " in folded([Column("n")], rows, 30, "numbers", "numbers.parquet")
    True
    """
    if len(rows) == total <= FIRST + NOT_FOLDED:
        return html_table(columns, rows)
    page = html_table(columns, rows[:FIRST])
    if len(rows) > FIRST:
        whole = total <= len(rows)
        which = f"The other {total - FIRST:,} {noun}" if whole else f"The next {len(rows) - FIRST:,} {noun}"
        page += f"\n<details><summary>{which}</summary>{html_table(columns, rows[FIRST:])}</details>"
        if not whole:
            page += f'\n<p class="quiet">All {total:,} are in <code>{file}</code>.</p>'
    return page


def parameter_table(fit: dict) -> str:
    """Every estimated parameter with its standard error, 95 % interval and note."""
    parameters = fit["parameters"]
    notes = any(p.get("note") for p in parameters)
    columns = [
        Column("parameter", "text"),
        Column("estimate"),
        Column("standard error", "less"),
        Column("95 % interval"),
    ]
    columns += [Column("note", "text note")] if notes else []
    rows = []
    for p in parameters[:MOST]:
        decimals = decimals_for(p.get("std_err"))
        row = [escape(p["name"]), number(p["estimate"], decimals), number(p.get("std_err"), decimals)]
        row += [interval(p.get("lower"), p.get("upper"), decimals)] + (
            [prose(p.get("note") or "")] if notes else []
        )
        rows.append(row)
    return folded(columns, rows, len(parameters), "parameters", "fit.json")


def leaderboard_table(files: ReportFiles) -> str:
    """Models by strength, with ordinary Bradley\u2013Terry beside it."""
    board = files.leaderboard
    assert board is not None, "only fits with Bradley-Terry strengths have a leaderboard"
    order = np.argsort(-board["strength"], kind="stable")
    known = board["std_err"][np.isfinite(board["std_err"]) & (board["std_err"] > 0)]
    decimals = decimals_for(float(np.median(known))) if len(known) else 2
    columns = [Column("rank"), Column("model", "text"), Column("strength"), Column("standard error", "less")]
    columns += [
        Column("95 % interval"),
        Column("ordinary Bradley\u2013Terry", "less"),
        Column("votes", "less"),
    ]
    rows = [
        [
            count(board["rank"][i]),
            escape(board["model"][i]),
            number(board["strength"][i], decimals),
            number(board["std_err"][i], decimals),
            interval(board["lower"][i], board["upper"][i], decimals),
            number(board["ordinary_strength"][i], decimals),
            count(board["n_votes"][i]),
        ]
        for i in order[:MOST]
    ]
    return folded(columns, rows, len(order), "models", "leaderboard.parquet")


def comparison_table(files: ReportFiles) -> str:
    """Comparisons by number of votes: how often A won, and how often an attentive user would prefer it."""
    table = files.comparisons
    order = np.argsort(-np.nan_to_num(table["n_votes"]), kind="stable")
    second = any(table["model_b"])  # labels that are no pairs of models have nothing in the second place
    columns = [Column("A" if second else "comparison", "text")] + ([Column("B", "text")] if second else [])
    apart = next((name for name in ("context", "item") if name in table), None)
    columns += [Column(apart, "text")] if apart else []
    columns += [
        Column("votes"),
        Column("A won"),
        Column('strength<span class="less"> ± standard error</span>'),
    ]
    columns += [Column("consensus", "text"), Column("its probability")] if "consensus" in table else []
    rows = []
    for i in order[:MOST]:
        share = table["wins_a"][i] / table["n_votes"][i] if table["n_votes"][i] > 0 else None
        row = [escape(table["model_a"][i])] + ([escape(table["model_b"][i])] if second else [])
        row += [escape(table[apart][i])] if apart else []
        row += [count(table["n_votes"][i]), percent(share)]
        row.append(_with_error(table["strength"][i], table["std_err"][i], 3, " less"))
        if "consensus" in table:
            row += [escape(table["consensus"][i]), percent(table["prob_consensus"][i])]
        rows.append(row)
    return folded(columns, rows, len(order), "comparisons", "comparisons.parquet")


def user_tables(files: ReportFiles) -> str:
    """The most and the least attentive users, or all of them where they are few."""
    table = files.user_table
    columns = _user_columns(table)
    if int(np.isfinite(files.users["attentiveness"]).sum()) <= 2 * ENDS:
        return html_table(columns, _user_rows(table, table.most), "All users, the most attentive first")
    page = [
        html_table(columns, _user_rows(table, rows), f"The {ENDS} {word} attentive users")
        for rows, word in ((table.most[:ENDS], "most"), (table.least, "least"))
    ]
    return "\n".join(page)


def _user_columns(table: UserTable) -> list[Column]:
    columns = [
        Column("user", "text"),
        Column("votes"),
        Column("agreement"),
        Column("attentiveness ± sd"),
    ]
    columns += [Column("mode", "less")] if table.has_mode else []
    return [*columns, Column("probability attentive", "less"), Column("flip rate", "less")]


def _user_rows(table: UserTable, users: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for user in users:
        row = [escape(user["user"]), count(user["n_votes"]), percent(user["agreement"])]
        row.append(_with_error(user["attentiveness"], user["attentiveness_sd"], 2))
        row += [number(user["attentiveness_map"], 2)] if table.has_mode else []
        rows.append([*row, percent(user["prob_attentive"]), percent(user["flip_rate"])])
    return rows


def _with_error(value: Any, error: Any, decimals: int, classes: str = "") -> str:
    if is_missing(error):
        return number(value, decimals)
    # Fixed decimals, also for what rounds to nothing: powers of ten would break the column.
    return f'{value:.{decimals}f}<span class="quiet{classes}">\u00a0±\u00a0{error:.{decimals}f}</span>'
