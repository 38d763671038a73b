"""Frozen dataclasses as JAX pytrees: fields are leaves unless marked `static`."""

import dataclasses
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

from emjax.errors import ModelError

_Class = TypeVar("_Class", bound=type)


def static(**options: Any) -> Any:
    """A field that configures the computation: hashable, neither estimated nor differentiated.

    Examples
    --------
    >>> @record
    ... class Scores:
    ...     slope: float = 1.0
    ...     names: tuple = static(default=())
    >>> jax.tree.leaves(Scores(2.0, ("ant", "bee")))
    [2.0]
    """
    return dataclasses.field(metadata={"static": True}, **options)


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
def record(cls: _Class) -> _Class:
    """Make `cls` a frozen dataclass and a pytree.

    Rebuilding from leaves skips `__init__`, so that validation runs once, on what a person wrote, and
    never on the tracers that JAX passes through.

    Raises
    ------
    ModelError
        When the class lists a parameter (`Parameter`) that is not one of its fields, or is `static`.

    Examples
    --------
    >>> @record
    ... class Scale:
    ...     factor: float = 2.0
    >>> Scale(3.0)
    Scale(factor=3)
    """
    cls = dataclasses.dataclass(frozen=True, eq=False, repr=False)(cls)
    fields = dataclasses.fields(cls)
    leaves = tuple(f.name for f in fields if not f.metadata.get("static"))
    statics = tuple(f.name for f in fields if f.metadata.get("static"))
    _check_parameters(cls, leaves)

    hidden = {f.name for f in fields if not f.repr}

    def flatten(self: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(self, n) for n in leaves), tuple(getattr(self, n) for n in statics)

    def unflatten(aux: tuple[Any, ...], children: tuple[Any, ...]) -> Any:
        self = object.__new__(cls)
        for name, value in zip(leaves + statics, tuple(children) + aux, strict=True):
            object.__setattr__(self, name, value)
        return self

    def show(self: Any) -> str:
        named = (n for n in leaves + statics if n not in hidden and _shown(self, n))
        inside = ", ".join(f"{n}={_short(getattr(self, n))}" for n in named)
        return f"{cls.__name__}({inside})"

    jax.tree_util.register_pytree_node(cls, flatten, unflatten)
    if "__repr__" not in cls.__dict__:
        setattr(cls, "__repr__", show)  # noqa: B010 (a plain assignment is no method to a type checker)
    return cls


def _check_parameters(cls: type, leaves: tuple[str, ...]) -> None:
    # JAX would carry along neither what is no field nor what is static, and a fit would not move it.
    for parameter in getattr(cls, "parameters", ()):
        if parameter.field not in leaves:
            raise ModelError(
                f"{cls.__name__} lists a parameter {parameter.field!r}, which is not one of its fields that "
                f"can be estimated ({', '.join(leaves) or 'it has none'}): add the field, without static()."
            )


def rebuild(cls: type[Any], values: dict[str, Any]) -> Any:
    """A record with these fields, without validation: for values the package computed itself.

    An estimate may lie where no one would start: on a bound, or with two support points in one place.
    """
    self = object.__new__(cls)
    set_fields(self, **values)
    return self


def replace(self: Any, **changes: Any) -> Any:
    """A copy with some fields changed, without validation.

    Examples
    --------
    >>> import emjax
    >>> replace(emjax.Beta(2, 2), a=3.0)
    Beta(a=3, b=2)
    """
    return rebuild(type(self), {f.name: getattr(self, f.name) for f in dataclasses.fields(self)} | changes)


def set_fields(self: Any, **values: Any) -> None:
    """Set fields of a frozen record from inside its own `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(self, name, value)


def _shown(self: Any, name: str) -> bool:
    value = getattr(self, name)
    return value is not None and not (isinstance(value, tuple) and len(value) == 0)


def _short(value: Any) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{float(value):.4g}"
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return f"{float(value):.4g}"
        head = ", ".join(f"{x:.3g}" for x in value.ravel()[:6])
        return f"[{head}{', …' if value.size > 6 else ''}]"
    if isinstance(value, tuple) and len(value) > 6:
        return f"({', '.join(map(repr, value[:3]))}, … {len(value)} in all)"
    return repr(value)
