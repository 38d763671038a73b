"""Command-line options shared by commands or kept out of a long command."""

from pathlib import Path
from typing import Annotated

import typer

COLUMNS = "Columns, where their names are not recognised"
LARGEST_SEED = 2**32 - 1

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write, new or empty.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier fit wrote there; other files stay.")
]

Scale = Annotated[str, typer.Option(metavar="SCALE", help="Of --csv and --plot: log-odds, elo or win-rate.")]
Csv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the leaderboard as a CSV file, too.")
]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the leaderboard: .png, .svg or .pdf.")]

Gold = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Right answer, where it is known: tells of the user.", rich_help_panel=COLUMNS
    ),
]
GoldAccuracy = Annotated[
    float,
    typer.Option(metavar="RATE", help="With --gold: how often an attentive user gives the right answer."),
]
EmptyWinner = Annotated[
    str, typer.Option(metavar="HOW", help="What an empty winner means: refuse, tie or drop.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a model against itself, in place of leaving that row out.")
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="Insist on a format of the field: lmarena, argilla, ... (see the docs).",
    ),
]
Separator = Annotated[
    str | None,
    typer.Option(metavar="SIGN", help="Between cells of text files, where it is not found: ';', tab."),
]
Encoding = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of text files that are not UTF-8: windows-1252, utf-16.")
]
PriorUsers = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A fit to other votes: what it knows of users counts as gold does."),
]
Features = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="With --item: prompt, model and numbers about each answer."),
]
Scores = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="With --item: prompt, model and a reward model's score."),
]
VoteFeatures = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS", help="Features of votes (seconds,log:length,each:hour): attention depends on them."
    ),
]
Covariates = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMNS",
        help="Differences A less B (length_difference,log:words,shown_first): strengths at equal ones.",
    ),
]
FeatureBins = Annotated[
    int | None, typer.Option(metavar="N", help="With --vote-features: bins of a column of numbers (5).")
]
