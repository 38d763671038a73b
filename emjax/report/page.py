"""One self-contained HTML page from the files of an output folder."""

import os
import tempfile
from pathlib import Path

from emjax.errors import OutputError
from emjax.report.fit_folder import ReportFiles, load_report_files
from emjax.report.page_covariates import attention_table, effects_table
from emjax.report.page_figures import attentiveness_figure, leaderboard_figure, trace_figure, users_figure
from emjax.report.page_keeping import keeping_section
from emjax.report.page_style import style_sheet
from emjax.report.page_tables import comparison_table, leaderboard_table, parameter_table, user_tables
from emjax.report.page_text import (
    facts,
    findings,
    how_fitted,
    imprint,
    lede,
    output_files,
    title,
    truth,
    users_footnote,
)  # fmt: skip

# The browser itself is told to fetch nothing and run nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_report(folder: str | Path) -> Path:
    """Write `report.html` in the output folder of a fit, from the files in that folder alone.

    The page needs no network, no script and no other file; a page that is there already is replaced, whole
    or not at all.

    Parameters
    ----------
    folder : str or pathlib.Path
        Holds fit.json, users.parquet and comparisons.parquet, and for Bradley\u2013Terry strengths
        leaderboard.parquet.

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
    The page shows at most 300 rows of a table and 60 models in a picture; the files have them all.

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
    text = render(files)
    try:
        _write_whole(path, text)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}). Free some space, or allow writing there."
        ) from error
    return path


def render(files: ReportFiles) -> str:
    """The page as text. It depends on the files alone: the same files give the same page."""
    body = "\n".join(_sections(files))
    return document(title(files), body)


def document(heading: str, body: str) -> str:
    """A whole page around its body; both are HTML already."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{heading}</title>
<style>{style_sheet()}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _sections(files: ReportFiles) -> list[str]:
    links = [("undetermined", "What is not determined"), ("users", "Users")]
    links += [("models", "Models")] if files.leaderboard is not None else []
    links += [
        ("keeping", "Keeping"),
        ("comparisons", "Comparisons"),
        ("parameters", "Parameters"),
        ("fit", "The fit"),
        ("files", "Files"),
    ]
    page = [
        "<header>",
        '<p class="eyebrow">emjax report</p>',
        f"<h1>{title(files)}</h1>",
        lede(files),
        facts(files),
    ]
    page.append("<nav>" + "".join(f'<a href="#{name}">{text}</a>' for name, text in links) + "</nav>")
    page += [
        "</header>",
        "<main>",
        _section("undetermined", "What these votes cannot determine", findings(files)),
    ]
    people = [
        attentiveness_figure(files),
        users_figure(files),
        attention_table(files),
        "<h3>The two ends</h3>",
        USERS,
        user_tables(files),
        users_footnote(files),
    ]
    page.append(_section("users", "Who was paying attention", *people))
    if files.leaderboard is not None:
        page.append(
            _section(
                "models",
                "How strong the models are",
                leaderboard_figure(files),
                leaderboard_table(files),
                effects_table(files),
            )
        )
    page.append(_section("keeping", "Whose votes to keep", keeping_section(files)))
    page.append(_section("comparisons", "Comparisons", COMPARISONS, comparison_table(files)))
    page.append(_section("parameters", "Parameters", PARAMETERS, parameter_table(files.fit)))
    page.append(_section("fit", "How the fit went", how_fitted(files), trace_figure(files)))
    if files.truth is not None:
        page.append(_section("truth", "Against the truth", truth(files)))
    return [*page, "</main>", "<footer>", "<hr>", output_files(files), imprint(files), "</footer>"]


USERS = (
    "<p>Attentiveness is the probability that a user really judges instead of clicking at random. The "
    "probability attentive is that of an attentiveness of at least ½, and the flip rate is how often a vote "
    "is the opposite of an attentive one.</p>"
)
COMPARISONS = (
    "<p>The strength of a comparison is how often an attentive user prefers A. The share of votes that A won "
    "lies closer to one half, because careless votes fall on either side.</p>"
)
PARAMETERS = (
    "<p>Standard errors come from the curvature of the log-likelihood; where the votes do not determine a "
    "parameter, or its estimate lies on the edge of what is possible, there is none.</p>"
)


def _section(name: str, heading: str, *parts: str) -> str:
    return f'<section id="{name}">\n<h2>{heading}</h2>\n' + "\n".join(p for p in parts if p) + "\n</section>"


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
