"""Exported programs: what one process has traced, the next one loads.

JAX's persistent cache saves compiling a program that is known already. To know it, the program has to be
traced, which takes longer than fitting some thousand users. Here programs are found by what they are traced
from: the function, the structure of its arguments, and their shapes. They are kept in the folder that the
environment variable EMJAX_EXPORTED_PROGRAMS names, which the command line sets; without it, none are.
The files are read with pickle, so that only the user may be able to write there.
"""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.export

_SUFFIX = "-exported"


def exported(
    function: Callable[..., Any], jitted: Callable[..., Any], compiler_options: dict[str, Any]
) -> Callable[..., Any]:
    """The function as `jitted` computes it, but traced only where no earlier process has done so.

    Arguments are pytrees of arrays on one device; options are hashable and given by keyword. What cannot be
    exported, stored or read is traced as usual.
    """
    programs: dict[str, Callable[..., Any]] = {}

    def call(*args: Any, **options: Any) -> Any:
        folder = os.environ.get("EMJAX_EXPORTED_PROGRAMS")
        name = _name(function, args, options) if folder else None
        if not folder or name is None:
            return jitted(*args, **options)
        if name not in programs:
            path = Path(folder, name + _SUFFIX)
            found = _read(path) or _traced(function, args, options, path)
            programs[name] = partial(jitted, **options) if found is None else compiled(*found)
        return programs[name](*args)

    def compiled(program: jax.export.Exported, returned: Any) -> Callable[..., Any]:
        run, structure = (
            jax.jit(program.call, compiler_options=compiler_options),
            jax.tree.structure(returned),
        )
        return lambda *args: jax.tree.unflatten(structure, run(*jax.tree.leaves(args)))

    return call


def _name(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> str | None:
    """A digest of all that tracing depends on; None where it depends on something that has none."""
    leaves, structure = jax.tree.flatten(args)
    if not all(hasattr(x, "dtype") for x in leaves):
        return None
    if any(isinstance(x, jax.Array) and len(x.sharding.device_set) > 1 for x in leaves):
        return None
    arrays = [(x.shape, str(x.dtype), bool(getattr(x, "weak_type", False))) for x in leaves]
    settings = jax.default_backend(), bool(jax.config.jax_enable_x64), _sources()
    called = function.__module__, function.__qualname__, sorted(options.items())
    text = io.BytesIO()
    pickler = pickle.Pickler(text)
    pickler.fast = True  # or the text would depend on which of two equal objects are one
    try:
        pickler.dump((called, arrays, settings, _with_zeros(structure)))
    except (AttributeError, TypeError, pickle.PicklingError):
        return None
    return hashlib.sha256(text.getvalue()).hexdigest()


def _traced(
    function: Callable[..., Any], args: Any, options: dict[str, Any], path: Path
) -> tuple[jax.export.Exported, Any] | None:
    """The program, and what it returns with zeros for arrays, stored if possible; None without an export."""
    leaves, structure = jax.tree.flatten(args)
    returned: list[Any] = []

    def flat(*leaves: Any) -> list[Any]:
        values, of = jax.tree.flatten(function(*jax.tree.unflatten(structure, leaves), **options))
        returned.append(_with_zeros(of))
        return values

    try:
        program = jax.export.export(jax.jit(flat))(*leaves)
    except ValueError:  # it calls a routine of this device for which JAX promises no stability
        return None
    text = pickle.dumps((bytes(program.serialize()), returned[0]))
    # Written beside and moved, so that another process never reads half a file.
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(hashlib.sha256(text).digest() + text)
        os.replace(beside, path)
    except OSError:  # a folder that is full or read-only costs only time
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return program, returned[0]


def _read(path: Path) -> tuple[jax.export.Exported, Any] | None:
    """A stored program; None where there is none, or the file is damaged."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, text = stored[:32], stored[32:]
    if hashlib.sha256(text).digest() != digest:
        return None
    program, returned = pickle.loads(text)
    return jax.export.deserialize(bytearray(program)), returned


def _with_zeros(structure: Any) -> Any:
    return jax.tree.unflatten(structure, [0] * structure.num_leaves)


@cache
def _sources() -> str:
    """A digest of which source files these are: an edit makes other programs."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.parent.rglob("*.py")):
        about = path.stat()
        digest.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()
