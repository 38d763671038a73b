"""The output folder of `emjax fit`: all of it, or nothing."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emjax.errors import OutputError
from emjax.infer.fit import Fit
from emjax.infer.posteriors import user_columns
from emjax.infer.tables import comparison_columns, leaderboard_columns
from emjax.model.bradley_terry import BradleyTerry
from emjax.report.own import OUTPUT, strangers
from emjax.report.page import write_report
from emjax.votes.frames import write_parquet
from emjax.votes.preferences import Preferences

FILES = tuple(OUTPUT)


def check_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse, before any work is done, a folder that cannot be written or holds something already.

    With `overwrite`, files of an earlier fit may be replaced, and others may lie beside them; a file of
    somebody else's that has the name of one of ours is refused all the same.

    Raises
    ------
    OutputError
        Says which, and how to go on.
    """
    folder = Path(folder)
    there = _nearest(folder)
    if not there.is_dir():
        raise OutputError(f"{there} is a file, not a folder: give another --out.")
    try:
        held = {entry.name for entry in folder.iterdir()} if there == folder else set()
        with _stage(there):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({reason(error)}): give a folder that may be written to."
        ) from None
    _refuse_strangers(folder)
    if held and not overwrite:
        if held.intersection(FILES):
            what = "another fit" if "fit.json" in held else "a part of another fit"
            raise OutputError(f"{folder} holds {what}: give a new folder, or --overwrite to replace it.")
        raise OutputError(f"{folder} holds other files: give a new folder, or --overwrite (they would stay).")
    return folder


def write_output(
    fit: Fit, prefs: Preferences, folder: str | Path, *, truth: Mapping[str, Any] | None = None
) -> Path:
    """Write fit.json, the tables and report.html for a fit to `prefs`.

    Everything is written to a temporary folder first and moved when it is complete. Files of an earlier fit
    are replaced; other files in the folder stay, and where one has a name of ours nothing is written.

    Raises
    ------
    OutputError
        When something cannot be written; the folder is then as it was.
    """
    folder = Path(folder)
    stage = ""
    _refuse_strangers(folder)
    try:
        # Inside the folder if it is there: then moving never crosses from one disk to another.
        with _stage(_nearest(folder)) as stage:
            _write(fit, prefs, Path(stage), truth)
            _move(Path(stage), folder)
    except OutputError as error:
        raise OutputError(str(error).replace(stage, str(folder))) from None
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({reason(error)}): give another folder.") from None
    return folder


def reason(error: OSError) -> str:
    """What the system says about it, in a few words."""
    return error.strerror or str(error)


def _refuse_strangers(folder: Path) -> None:
    found = strangers(folder)
    if found:
        raise OutputError(
            f"{folder} holds {', '.join(found)}, which no fit wrote, as far as can be told: give a new "
            f"folder, or move {'it' if len(found) == 1 else 'them'} away."
        )


def _stage(parent: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=parent, prefix=".emjax-", ignore_cleanup_errors=True)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _write(fit: Fit, prefs: Preferences, stage: Path, truth: Mapping[str, Any] | None) -> None:
    fit.save(stage)
    se = fit.standard_errors()
    users = {"user": prefs.users, **user_columns(prefs, fit.posterior(prefs), fit.strength)}
    write_parquet(users, stage / "users.parquet", nullable=("attentiveness_map", "agreement"))
    write_parquet(
        comparison_columns(fit.strength, se, prefs), stage / "comparisons.parquet", nullable=("std_err",)
    )
    if isinstance(fit.strength, BradleyTerry):
        write_parquet(
            leaderboard_columns(fit.strength, se, prefs),
            stage / "leaderboard.parquet",
            nullable=("std_err", "lower", "upper"),
        )
    if truth is not None:
        (stage / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    write_report(stage)


def _move(stage: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "fit.json").unlink(missing_ok=True)
    for name in FILES:
        if (stage / name).exists():
            (stage / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
