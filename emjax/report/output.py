"""The output folder of `emjax fit`: all of it, or nothing."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emjax.errors import OutputError
from emjax.infer.fit import Fit
from emjax.infer.posteriors import user_columns
from emjax.infer.tables import comparison_columns, leaderboard_columns
from emjax.model.bradley_terry import BradleyTerry
from emjax.report.page import write_report
from emjax.votes.frames import write_parquet
from emjax.votes.preferences import Preferences

FILES = (
    "fit.json",
    "curvature.npz",
    "users.parquet",
    "comparisons.parquet",
    "leaderboard.parquet",
    "truth.json",
    "report.html",
)


def check_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Refuse, before any work is done, a folder that cannot be written or holds something already.

    Raises
    ------
    OutputError
        Says which, and how to go on.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder: give another --out.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        held = "another fit" if (folder / "fit.json").exists() else "other files"
        raise OutputError(
            f"{folder} holds {held}: give a new folder, or --overwrite to replace what is there."
        )
    parent = folder.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder if folder.is_dir() else parent):
            pass
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}): give a folder that may be written to."
        ) from None
    return folder


def write_output(
    fit: Fit, prefs: Preferences, folder: str | Path, *, truth: Mapping[str, Any] | None = None
) -> Path:
    """Write fit.json, the tables and report.html for a fit to `prefs`.

    Everything is written to a temporary folder first and moved when it is complete. Files of an earlier fit
    are replaced; other files in the folder stay.

    Raises
    ------
    OutputError
        When something cannot be written.
    """
    folder = Path(folder)
    try:
        stage = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}).") from None
    try:
        fit.save(stage)
        at = fit.posterior(prefs)
        users = {"user": prefs.users, **user_columns(prefs, at, fit.strength)}
        write_parquet(users, stage / "users.parquet", nullable=("attentiveness_map", "agreement"))
        write_parquet(comparison_columns(fit, prefs), stage / "comparisons.parquet", nullable=("std_err",))
        if isinstance(fit.strength, BradleyTerry):
            write_parquet(
                leaderboard_columns(fit, prefs),
                stage / "leaderboard.parquet",
                nullable=("std_err", "lower", "upper"),
            )
        if truth is not None:
            (stage / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
        write_report(stage)
        _move(stage, folder)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{folder} cannot be written ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return folder


def _move(stage: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (stage / name).exists():
            (stage / name).replace(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
