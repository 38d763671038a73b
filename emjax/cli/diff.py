"""The command `emjax diff`: which models became stronger or weaker from one fit to another."""

from pathlib import Path
from typing import Annotated

import typer

from emjax.cli.console import say, working
from emjax.cli.options import Overwrite


def diff(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="Folder of the earlier fit.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Folder of the later fit.")],
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table there, too, as .csv.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Say which models became stronger or weaker from one fit to another, beyond chance.

    The fits are of different votes, as of two weeks. Strengths are put on one
    scale, and changes are relative to the other models of both fits.
    """
    import pyarrow.csv

    from emjax.infer.changes import changes
    from emjax.infer.load import load_fit
    from emjax.report.leaderboard_files import check_target

    if csv is not None:
        check_target(csv, (".csv",), overwrite=overwrite)
    with working("comparing"):
        found = changes(load_fit(before), load_fit(after))
    if csv is not None:
        pyarrow.csv.write_csv(found.table, csv)
    say(repr(found))
