"""Exported programs: what one process has traced, the next one loads.

JAX's persistent cache saves compiling a program that is known already. To know it, the program has to be
traced, which takes longer than fitting some thousand users. Here programs are found by what they are traced
from: the function, the structure of its arguments, and their shapes. They are kept in the folder that the
environment variable EMJAX_EXPORTED_PROGRAMS names, which the command line sets; without it, none are.
"""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.export

from emjax.model.pytree import rebuild

_SUFFIX = "-exported"
_PACKAGE = __name__.partition(".")[0]


class Program:
    """A function as `jitted` computes it, but traced only where no earlier process has done so.

    Arguments are pytrees of arrays on one device; options are hashable and given by keyword. What cannot be
    exported, stored or read is traced as usual.
    """

    def __init__(self, function: Callable[..., Any], jitted: Any, compiler_options: dict[str, Any]) -> None:
        self.jitted = jitted
        self._function, self._compiler_options = function, compiler_options
        self._loaded: dict[str, Callable[..., Any]] = {}

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call the function, compiled."""
        return self._for(args, options)(*args)

    def trace(self, *args: Any, **options: Any) -> None:
        """Do all of a call that comes before compiling: threads may compile at once, but not trace."""
        run = self._for(args, options)
        if isinstance(run, partial):
            self.jitted.lower(*args, **options)

    def _for(self, args: Any, options: dict[str, Any]) -> Callable[..., Any]:
        folder = os.environ.get("EMJAX_EXPORTED_PROGRAMS")
        name = _name(self._function, args, options) if folder else None
        if not folder or name is None:
            return partial(self.jitted, **options)
        if name not in self._loaded:
            path = Path(folder, name + _SUFFIX)
            found = _read(path) or _traced(self._function, args, options, path)
            self._loaded[name] = partial(self.jitted, **options) if found is None else self._compiled(*found)
        return self._loaded[name]

    def _compiled(self, program: jax.export.Exported, returned: Any) -> Callable[..., Any]:
        run = jax.jit(program.call, compiler_options=self._compiler_options)
        structure = jax.tree.structure(returned)
        return lambda *args: jax.tree.unflatten(structure, run(*jax.tree.leaves(args)))


def _name(function: Callable[..., Any], args: Any, options: dict[str, Any]) -> str | None:
    """A digest of all that tracing depends on; None where it depends on something that has none."""
    leaves, structure = jax.tree.flatten(args)
    if not all(hasattr(x, "dtype") for x in leaves):
        return None
    if any(isinstance(x, jax.Array) and len(x.sharding.device_set) > 1 for x in leaves):
        return None
    arrays = [(x.shape, str(x.dtype), bool(getattr(x, "weak_type", False))) for x in leaves]
    settings = jax.default_backend(), bool(jax.config.read("jax_enable_x64")), _sources()
    called = function.__module__, function.__qualname__, sorted(options.items())
    try:
        given = _described((called, arrays, settings, _with_zeros(structure)))
    except TypeError:
        return None
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()


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
        content = json.dumps(_described(returned[0])).encode() + b"\n" + program.serialize()
    except (TypeError, ValueError):  # such as a routine of this device for which JAX promises no stability
        return None
    # Written beside and moved, so that another process never reads half a file.
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(hashlib.sha256(content).digest() + content)
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
    digest, content = stored[:32], stored[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    returned, _, program = content.partition(b"\n")
    return jax.export.deserialize(bytearray(program)), _built(json.loads(returned))


def _described(value: Any) -> Any:
    """What JSON can hold of a pytree without its arrays: `_built` makes the pytree again.

    Raises TypeError for anything that is not made of records of this package, tuples, lists, dicts, numbers
    and texts.
    """
    of: Any = type(value)
    if value is None or of in (bool, int, float, str):
        return value
    place = of.__module__, of.__qualname__
    if dataclasses.is_dataclass(of):
        if of.__module__.partition(".")[0] != _PACKAGE:  # an edit of its source would not be noticed
            raise TypeError(f"{place[1]} is a class from outside")
        fields = {field.name: _described(getattr(value, field.name)) for field in dataclasses.fields(of)}
        return ["record", *place, fields]
    if hasattr(of, "_fields") or of in (tuple, list):
        return ["sequence", *place, [_described(x) for x in value]]
    if of is dict and all(isinstance(key, str) for key in value):
        return ["dict", *place, {key: _described(x) for key, x in value.items()}]
    raise TypeError(f"a {of.__name__} has no description")


def _built(text: Any) -> Any:
    if not isinstance(text, list):
        return text
    what, module, name, inside = text
    of: Any = sys.modules[module]  # what a function returns has been imported with it
    for part in name.split("."):
        of = getattr(of, part)
    if what == "sequence":
        values = [_built(x) for x in inside]
        return of(*values) if hasattr(of, "_fields") else of(values)
    fields = {key: _built(x) for key, x in inside.items()}
    return fields if of is dict else rebuild(of, fields)


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
