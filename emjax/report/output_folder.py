"""Output folders: written whole or not at all, and only files of an earlier run are replaced."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow
import pyarrow.parquet as pq

from emjax.data.anchor_files import outcomes_of
from emjax.errors import OutputError


def held_in(folder: Path) -> set[str]:
    """Names of what a folder to be written holds; raises OutputError where it cannot be written."""
    there = _nearest(folder)
    if not there.is_dir():
        raise OutputError(f"{there} is a file, not a folder: give another --out.")
    try:
        with _stage(there):
            pass
        return {entry.name for entry in folder.iterdir()} if there == folder else set()
    except OSError as error:
        raise _unwritable(folder, error) from None


@contextmanager
def staged(folder: Path, move: Callable[[Path, Path], None]) -> Iterator[Path]:
    """A temporary folder to write to, passed to `move(stage, folder)` at the end if nothing went wrong.

    Raises
    ------
    OutputError
        Something cannot be written; the folder is then as it was.
    """
    stage = ""
    try:
        # Inside the folder if it is there: then moving never crosses from one disk to another.
        with _stage(_nearest(folder)) as stage:
            yield Path(stage)
            move(Path(stage), folder)
    except OutputError as error:
        raise OutputError(str(error).replace(stage, str(folder))) from None
    except OSError as error:
        raise _unwritable(folder, error) from None


def reason(error: OSError) -> str:
    """What the system says about it, in a few words."""
    return error.strerror or str(error)


def _stage(parent: Path) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=parent, prefix=".emjax-", ignore_cleanup_errors=True)


def _nearest(folder: Path) -> Path:
    """The folder itself, or the first above it that is there."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def _unwritable(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"{folder} cannot be written ({reason(error)}): give a folder that may be written to.")


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
