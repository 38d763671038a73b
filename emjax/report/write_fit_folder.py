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
from emjax.infer.leaderboard import NULLABLE
from emjax.infer.output_files import OUTPUT, refuse_unrelated_files
from emjax.infer.posteriors import user_columns
from emjax.model.capabilities import parts_of, reason_against
from emjax.report.output_folder import held_in, staged

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
    refuse_unrelated_files(folder)
    if held and not overwrite:
        if held.intersection(FILES):
            what = "another fit" if "fit.json" in held else "a part of another fit"
            raise OutputError(f"{folder} holds {what}: give a new folder, or overwrite=True to replace it.")
        raise OutputError(
            f"{folder} holds other files: give a new folder, or overwrite=True (they would stay)."
        )
    return folder


def write_output(
    fit: Fit,
    prefs: Preferences | Shards,
    folder: str | Path,
    *,
    overwrite: bool = False,
    truth: Mapping[str, Any] | None = None,
    scale: str = "log-odds",
    python: bool = False,
) -> Path:
    """Write all that `emjax fit` writes: fit.json, the tables and report.html, for a fit to `prefs`.

    Everything is written to a temporary folder first and moved when it is complete.

    Parameters
    ----------
    fit : Fit
    prefs : Preferences or Shards
        The votes of the fit; shards are taken one after the other.
    folder : path
        New or empty.
    overwrite : bool
        Replace the files of an earlier fit; other files in the folder stay, and where one has the name of an
        output file nothing is written.
    truth : mapping, optional
        What simulated votes were drawn from, for truth.json.
    scale, python : str, bool
        Of the page, as for `write_report`; the tables have log-odds.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OutputError
        When something cannot be written; the folder is then as it was.

    Examples
    --------
    >>> import emjax, emjax.report, tempfile
    >>> prefs = emjax.Preferences.from_counts([9, 5, 8], [10, 10, 10])
    >>> fit = emjax.fit_em(prefs, emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = emjax.report.write_output(fit, prefs, folder)
    ...     "report.html" in {path.name for path in made.iterdir()}
    True
    """
    folder = check_folder(folder, overwrite=overwrite)
    with staged(folder, _move) as stage:
        _write(fit, prefs, stage, truth)
        _page(stage, scale, python)
    return folder


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
            nullable=NULLABLE,
        )
    if fit.strata is not None and fit.strata.covariates:
        names = ("std_err", "lower", "upper")
        write_parquet(fit.covariate_columns(), stage / "covariates.parquet", nullable=names)
    against = reason_against([*parts_of(fit.strength, fit.behavior), "history"])
    if isinstance(prefs, Preferences) and against is None:
        write_anchor_votes(fit.history(prefs), stage / "history.parquet")
    if truth is not None:
        (stage / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


def _page(stage: Path, scale: str, python: bool) -> None:
    from emjax.report.fit_page import write_report

    write_report(stage, scale=scale, python=python)


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
