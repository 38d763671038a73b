"""The output folder of `emjax fit`: all of it, or nothing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emjax.data.anchor_files import write_anchor_votes
from emjax.data.preferences import Preferences
from emjax.data.shards import Shards
from emjax.data.write import write_parquet, write_parquet_parts
from emjax.errors import OutputError
from emjax.infer.fit import Fit
from emjax.infer.posteriors import user_columns
from emjax.model.capabilities import parts_of, reason_against
from emjax.report.output_folder import OUTPUT, held_in, staged, unrelated_files

FILES = tuple(OUTPUT)


def check_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse, before any work is done, a folder that cannot be written or holds something already.

    With `overwrite`, files of an earlier fit may be replaced, and others may lie beside them; a file
    with the name of an output file that emjax did not write is refused all the same.

    Raises
    ------
    OutputError
        Says which, and how to go on.
    """
    folder = Path(folder)
    held = held_in(folder)
    _refuse_unrelated_files(folder)
    if held and not overwrite:
        if held.intersection(FILES):
            what = "another fit" if "fit.json" in held else "a part of another fit"
            raise OutputError(f"{folder} holds {what}: give a new folder, or --overwrite to replace it.")
        raise OutputError(f"{folder} holds other files: give a new folder, or --overwrite (they would stay).")
    return folder


def write_output(
    fit: Fit, prefs: Preferences | Shards, folder: str | Path, *, truth: Mapping[str, Any] | None = None
) -> Path:
    """Write fit.json, the tables and report.html for a fit to `prefs`; of shards, one after the other.

    Everything is written to a temporary folder first and moved when it is complete. Files of an earlier fit
    are replaced; other files in the folder stay, and where one has the name of an output file nothing is
    written.

    Raises
    ------
    OutputError
        When something cannot be written; the folder is then as it was.
    """
    folder = Path(folder)
    _refuse_unrelated_files(folder)
    with staged(folder, _move) as stage:
        _write(fit, prefs, stage, truth)
    return folder


def _refuse_unrelated_files(folder: Path) -> None:
    found = unrelated_files(folder)
    if found:
        raise OutputError(
            f"{folder} holds {', '.join(found)}, which no fit wrote, judging by the content: give a new "
            f"folder, or move {'it' if len(found) == 1 else 'them'} away."
        )


def _write(fit: Fit, prefs: Preferences | Shards, stage: Path, truth: Mapping[str, Any] | None) -> None:
    fit.save(stage)
    parts = prefs if isinstance(prefs, Shards) else [prefs]
    write_parquet_parts(
        (_users(fit, part) for part in parts),
        stage / "users.parquet",
        nullable=("attentiveness_map", "agreement"),
    )
    write_parquet(fit.comparison_columns(prefs), stage / "comparisons.parquet", nullable=("std_err",))
    if fit.strength.model_names:
        write_parquet(
            fit.leaderboard_columns(prefs.table),
            stage / "leaderboard.parquet",
            nullable=("std_err", "lower", "upper"),
        )
    if fit.strata is not None and fit.strata.covariates:
        names = ("std_err", "lower", "upper")
        write_parquet(fit.covariate_columns(), stage / "covariates.parquet", nullable=names)
    against = reason_against([*parts_of(fit.strength, fit.behavior), "history"])
    if isinstance(prefs, Preferences) and against is None:
        write_anchor_votes(fit.history(prefs), stage / "history.parquet")
    if truth is not None:
        (stage / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    _page(stage)


def _page(stage: Path) -> None:
    from emjax.report.fit_page import write_report

    write_report(stage)


def _users(fit: Fit, prefs: Preferences) -> dict[str, Any]:
    return {"user": prefs.users, **user_columns(prefs, fit.posterior(prefs), fit.strength)}


def _move(stage: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit.json").unlink(missing_ok=True)
    for name in FILES:
        if (stage / name).exists():
            (stage / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
