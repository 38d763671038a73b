"""Command-line options shared by commands or kept out of a long command."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

COLUMNS = "Columns, where their names are not recognised"
LARGEST_SEED = 2**32 - 1

Votes = Annotated[
    list[str],
    typer.Argument(
        metavar="VOTES", help="Files (csv, tsv, jsonl, json, parquet), folders of them, or globs."
    ),
]
Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder to write, new or empty.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what an earlier fit wrote there; other files stay.")
]

Scale = Annotated[
    str,
    typer.Option(
        metavar="SCALE", help="Of the leaderboard, wherever it is shown: log-odds, elo or win-rate."
    ),
]
Csv = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the leaderboard as a CSV file, too.")
]
Plot = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the leaderboard: .png, .svg or .pdf.")]

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


def column(help: str) -> Any:
    """An option that names a column of VOTES."""
    return typer.Option(metavar="COLUMN", help=help, rich_help_panel=COLUMNS)


Item = Annotated[str | None, column("Pair of answers that several users judged.")]


@dataclass(frozen=True)
class Reading:
    """How votes are read: the options that all commands have that read them; None where one is not given."""

    ties: Annotated[
        str | None,
        typer.Option(
            metavar="TIES",
            help="drop (filter: as for --fit); half: half a vote each way; model, rao-kupper: an outcome.",
        ),
    ] = None
    empty_winner: Annotated[
        str | None,
        typer.Option(
            metavar="HOW", help="What an empty winner means: refuse (filter: as for --fit), tie or drop."
        ),
    ] = None
    strict: Strict = False
    format: Format = None
    separator: Separator = None
    encoding: Encoding = None
    user: Annotated[str | None, column("Who voted.")] = None
    model_a: Annotated[str | None, column("The first model.")] = None
    model_b: Annotated[str | None, column("The second model.")] = None
    winner: Annotated[str | None, column("Who won.")] = None
    shown_first: Annotated[str | None, column("Which model was shown first.")] = None
    context: Annotated[str | None, column("Topic: strengths for each, pooled.")] = None
    gold: Annotated[str | None, column("Right answer, where it is known: tells of the user.")] = None

    def options(self, *, context: str | None) -> dict[str, Any]:
        """What was given, as options of `read_votes`; `context` is the column of topics or of items."""
        from emjax.cli.parse import counted_ties

        ties = None if self.ties is None else counted_ties(self.ties)
        told = asdict(self) | {"strict": self.strict or None, "ties": ties, "context": context}
        return {name: value for name, value in told.items() if value is not None}


def reads_votes(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of `Reading` in place of its parameter `reading`.

    Typer takes the options of a command from its signature; so the list stands once, and not in each command.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    shared = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=Reading.__annotations__[one.name],
        )
        for one in fields(Reading)
    ]

    @wraps(command)
    def with_options(**given: Any) -> None:
        reading = Reading(**{one.name: given.pop(one.name) for one in shared})
        command(**given, reading=reading)

    listed = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in own
        for one in (shared if parameter.name == "reading" else [parameter])
    ]
    with_options.__signature__ = inspect.Signature(listed)  # pyright: ignore[reportAttributeAccessIssue]
    with_options.__annotations__ = {one.name: one.annotation for one in listed}
    return with_options
