"""Files of a fit: written whole, and known by their content; files of other programs are never replaced."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from emjax.data.anchor_files import outcomes_of
from emjax.errors import OutputError


def write_whole(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file under another name, and rename it when it is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            write(file)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_save_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse, before anything is written, a folder that `Fit.save` may not write to.

    Raises
    ------
    OutputError
        Says what the folder holds, and how to go on.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder} is a file, not a folder: give another name.")
    refuse_unrelated_files(folder)
    held = {entry.name for entry in folder.iterdir()}
    if not held or overwrite or (FIT in held and held.isdisjoint(OUTPUT.keys() - _SAVED)):
        return
    if FIT in held:
        raise OutputError(
            f"{folder} holds what emjax fit wrote, with tables of that fit: give a new folder, or "
            "overwrite=True to replace it all."
        )
    raise OutputError(
        f"{folder} holds other files: give a new folder, or overwrite=True (files that no fit wrote stay)."
    )


def refuse_unrelated_files(folder: Path) -> None:
    """Raise an OutputError for files with the name of an output file that no fit wrote."""
    found = unrelated_files(folder)
    if found:
        raise OutputError(
            f"{folder} holds {', '.join(found)}, which no fit wrote, judging by the content: give a new "
            f"folder, or move {'it' if len(found) == 1 else 'them'} away."
        )


def unrelated_files(folder: Path) -> list[str]:
    """Names of output files that are in the folder and that emjax did not write.

    They are recognised by their content, since any program may write a users.parquet. A limit: a
    damaged file that emjax wrote counts as unrelated too.
    """
    return [
        name
        for name, is_output in OUTPUT.items()
        if _exists(folder / name) and not _recognised(is_output, folder / name)
    ]


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _recognised(is_output: Callable[[Path], bool], path: Path) -> bool:
    try:
        return path.is_file() and is_output(path)
    except (OSError, ValueError, EOFError, BadZipFile, pyarrow.ArrowException):
        return False


def _table(*columns: str) -> Callable[[Path], bool]:
    return lambda path: set(columns) <= set(pq.read_schema(path).names)


def _anchor_votes(path: Path) -> bool:
    return outcomes_of(pq.read_schema(path).names) is not None


def _fit(path: Path) -> bool:
    content = _json(path)
    return isinstance(content, dict) and content.get("format") == "emjax-fit"


def _truth(path: Path) -> bool:
    content = _json(path)
    return isinstance(content, dict) and set(content) <= {"attentiveness_by_user", "strengths"}


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _page(path: Path) -> bool:
    return 'class="eyebrow">emjax report' in path.read_text(encoding="utf-8")


def _curvature(path: Path) -> bool:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {"names", "estimate", "jacobian"} <= set(arrays.files)


def _strength(path: Path) -> bool:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {"context", "model"} < set(arrays.files)


# Everything that a fit writes, in the order of writing, and how to know it. fit.json comes last: a folder
# without it is known to be incomplete.
OUTPUT: dict[str, Callable[[Path], bool]] = {
    "curvature.npz": _curvature,
    "strength.npz": _strength,
    "users.parquet": _table("user", "attentiveness", "prob_attentive", "flip_rate"),
    "comparisons.parquet": _table("model_a", "model_b", "strength", "n_votes", "wins_a"),
    "leaderboard.parquet": _table("model", "strength", "rank", "ordinary_strength"),
    "covariates.parquet": _table("covariate", "effect", "std_err", "unit"),
    "prior_users.parquet": _anchor_votes,
    "history.parquet": _anchor_votes,
    "truth.json": _truth,
    "report.html": _page,
    "fit.json": _fit,
}
FIT = "fit.json"
_SAVED = {FIT, "curvature.npz", "strength.npz", "prior_users.parquet"}  # those that `Fit.save` writes
