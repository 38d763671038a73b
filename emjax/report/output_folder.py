"""Output folders: written whole or not at all, and only files of an earlier run are replaced."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from emjax.errors import OutputError


def held_in(folder: Path) -> set[str]:
    """Names of what a folder to be written holds; raises OutputError where it cannot be written."""
    there = _nearest(folder)
    if not there.is_dir():
        raise OutputError(f"{there} is a file, not a folder: give another folder.")
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
