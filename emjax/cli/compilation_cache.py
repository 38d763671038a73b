"""Compiled programs of the command line, kept between commands in the user's cache folder.

JAX keeps what it has compiled there, and the package what it has traced. JAX reads its settings from the
environment when it is imported, which here happens after `use`. Whatever is wrong with the folder (read-only,
full, damaged), the programs are made again and the command goes on.
"""

import hashlib
import os
import platform
import re
import shutil
from pathlib import Path

VARIABLE = "EMJAX_COMPILATION_CACHE"
HELP = f"Compiled programs are kept in the user's cache folder; {VARIABLE}=off, or a folder, changes that."
MOST_BYTES = 200_000_000
TROUBLE = "Error (reading|writing) persistent compilation cache"  # how JAX's warnings of it begin
_damaged = False


def use() -> None:
    """Have JAX keep its compiled programs, unless the user has said otherwise.

    Examples
    --------
    >>> os.environ[VARIABLE] = "off"
    >>> use()
    >>> del os.environ[VARIABLE]
    """
    root = folder_of_all_versions()
    if root is None:
        return
    folder = root / _versions()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _bound(root)
    except OSError:
        if not folder.is_dir():
            return  # what cannot be made is done without; what is read-only can be read
    os.environ["EMJAX_EXPORTED_PROGRAMS"] = str(folder)
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def folder_of_all_versions() -> Path | None:
    """Where compiled programs are kept; None if the user wants none to be."""
    wanted = os.environ.get(VARIABLE, "").strip()
    if wanted.lower() in ("off", "0", "no", "false"):
        return None
    if wanted:
        return Path(wanted)
    from platformdirs import user_cache_path

    return user_cache_path("emjax", appauthor=False) / "compiled"


def is_trouble(message: str) -> bool:
    """Whether a warning is JAX's about a file of the cache, which is no concern of the user.

    A file that cannot be read is never written again, so that the whole folder is given up at the end.
    """
    global _damaged
    found = re.match(TROUBLE, message)
    _damaged |= found is not None and found[1] == "reading"
    return found is not None


def close() -> None:
    """Empty the folder of this version if one of its files turned out to be damaged."""
    root = folder_of_all_versions()
    if _damaged and root is not None:
        shutil.rmtree(root / _versions(), ignore_errors=True)


def _versions() -> str:
    """A name for what compiled programs depend on: versions, and the instructions of this processor."""
    from importlib.metadata import PackageNotFoundError, version

    names = []
    for package in ("emjax", "jax", "jaxlib"):
        try:
            names.append(f"{package}-{version(package)}")
        except PackageNotFoundError:
            names.append(f"{package}-unknown")
    return "_".join([*names, _processor()])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        text = next(line for line in lines if line.lower().startswith(("flags", "features")))
    except (OSError, StopIteration):
        text = f"{platform.machine()} {platform.processor()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _bound(root: Path) -> None:
    """Remove the oldest files, of whatever version, beyond the size that the cache may have."""
    found = []
    for path in root.glob("*/*"):
        try:
            stat = path.stat()
        except OSError:  # another process was quicker
            continue
        found.append((stat.st_mtime, stat.st_size, path))
    excess = sum(size for _, size, _ in found) - MOST_BYTES
    for _, size, path in sorted(found):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size
