"""The command `emjax check`: what a file of votes holds, before any fit."""

from typing import Annotated

import typer

from emjax.cli.console import say, wait_for
from emjax.cli.options import COLUMNS, EmptyWinner, Encoding, Format, Separator, Strict

_Column = Annotated[str | None, typer.Option(metavar="COLUMN", rich_help_panel=COLUMNS)]


def check(
    votes: Annotated[
        list[str],
        typer.Argument(
            metavar="VOTES", help="Files (csv, tsv, jsonl, json, parquet), folders of them, or globs."
        ),
    ],
    ties: Annotated[str, typer.Option(metavar="TIES", help="As for `emjax fit`.")] = "drop",
    empty_winner: EmptyWinner = "refuse",
    strict: Strict = False,
    format: Format = None,
    separator: Separator = None,
    encoding: Encoding = None,
    user: _Column = None,
    model_a: _Column = None,
    model_b: _Column = None,
    winner: _Column = None,
    shown_first: _Column = None,
    context: _Column = None,
    gold: _Column = None,
    prompt: _Column = None,
    response_a: _Column = None,
    response_b: _Column = None,
) -> None:
    """Say what a file of votes holds, and what would be refused or left out.

    Where there are columns of prompts and answers, training pairs are counted, too.
    Nothing is fitted and nothing is written. The exit code is 1 where `emjax fit`
    would refuse the votes.
    """
    from emjax.cli.parse import counted_ties
    from emjax.data.vote_check import check_votes

    columns = {"user": user, "model_a": model_a, "model_b": model_b, "winner": winner}
    columns |= {"shown_first": shown_first, "context": context, "gold": gold, "format": format}
    columns |= {"prompt": prompt, "response_a": response_a, "response_b": response_b}
    rules = {"ties": counted_ties(ties), "empty_winner": empty_winner, "strict": strict}
    rules |= {"separator": separator, "encoding": encoding}
    source = votes if len(votes) > 1 else votes[0]
    found = wait_for("reading votes", lambda: check_votes(source, **columns, **rules))
    say(str(found))
    if found.problems:
        raise typer.Exit(1)
