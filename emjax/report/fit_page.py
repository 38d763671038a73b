"""The page of a fit, report.html: what its template is given, and writing it whole or not at all."""

import os
import tempfile
from pathlib import Path

from emjax.errors import OutputError
from emjax.report import figures, tables
from emjax.report import fit_facts as facts
from emjax.report.command_words import in_command_words
from emjax.report.context_rankings import rankings_by_context
from emjax.report.read_fit_folder import ReportFiles, load_report_files
from emjax.report.render import render


def write_report(folder: str | Path, *, python: bool = False, scale: str = "log-odds") -> Path:
    """Write `report.html` in the output folder of a fit, from the files in that folder alone.

    The page needs no network, no script and no other file; a page that is there already is replaced, whole
    or not at all.

    Parameters
    ----------
    folder : str or pathlib.Path
        Holds fit.json, users.parquet and comparisons.parquet, and for Bradley\u2013Terry strengths
        leaderboard.parquet.
    python : bool
        Whether remedies name Python's classes; by default they name options of the command line.
    scale : {"log-odds", "elo", "win-rate"}
        Of the rankings of models.

    Returns
    -------
    pathlib.Path
        The page.

    Raises
    ------
    OutputError
        A file is missing or unreadable, is not of an emjax fit or of another fit than the other files, or the
        page cannot be written.

    Notes
    -----
    The page shows at most 300 rows of a table and 60 models in a picture, and 12 contexts; the files have
    them all.

    Examples
    --------
    >>> import emjax.report
    >>> emjax.report.write_report("no such folder")
    Traceback (most recent call last):
    ...
    emjax.errors.OutputError: There is no folder no such folder. Fit again with `emjax fit VOTES --out DIR`,
    ...
    """
    files = load_report_files(folder)
    path = files.folder / "report.html"
    text = fit_page(files, python=python, scale=scale)
    try:
        _write_whole(path, text)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}). Free some space, or allow writing there."
        ) from error
    return path


def fit_page(files: ReportFiles, *, python: bool = False, scale: str = "log-odds") -> str:
    """The page as text. It depends on the files alone: the same files give the same page."""
    fit, board = files.fit, files.leaderboard is not None
    attention = facts.attention(files)
    say = str if python else in_command_words
    return render(
        "fit.html",
        title=facts.headline(files, attention["careless"]),
        leader=facts.leader(files),
        scale_is_open=facts.scale_is_open(fit),
        undetermined=facts.is_undetermined(fit),
        findings=facts.findings(fit, say),
        message=say(fit["message"] or fit["outcome"]),
        fit=fit,
        data=fit["data"],
        headlines=facts.headlines(files, attention["share"]),
        votes_cast=facts.votes_cast(files),
        attention=attention,
        gap=facts.optimality_gap(fit),
        loose=facts.loosely_determined(fit["parameters"]),
        at_the_edge=facts.users_at_the_edge(fit),
        sd_is_too_small=facts.sd_is_too_small(fit),
        prior=facts.in_words(fit["prior"], facts.PRIORS),
        strength=facts.strength_in_words(fit["strength"]),
        behavior=facts.behavior_in_words(fit["behavior"]),
        truth=None if files.truth is None else facts.against_truth(files),
        files=facts.files_there(files),
        attentiveness_figure=figures.attentiveness_figure(files),
        users_figure=figures.users_figure(files),
        leaderboard_figure=figures.leaderboard_figure(files, scale) if board else None,
        keeping_figure=figures.keeping_figure_of(files),
        trace_figure=figures.trace_figure(files),
        attention_table=tables.attention_table(files),
        user_tables=tables.user_tables(files),
        leaderboard_table=tables.leaderboard_table(files, scale) if board else None,
        by_context=rankings_by_context(files, scale),
        sums_to_zero=scale == "log-odds",
        effects_table=tables.effects_table(files),
        comparison_table=tables.comparison_table(files),
        parameter_table=tables.parameter_table(fit),
    )


def _write_whole(path: Path, text: str) -> None:
    """Write under a temporary name beside it, then rename: a reader sees the old page or the new one."""
    handle, name = tempfile.mkstemp(prefix=".report-", suffix=".html", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # as an ordinary file would have; temporary ones are private
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
