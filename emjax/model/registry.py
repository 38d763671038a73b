"""Classes from outside the package, registered under their import path, by which fit.json names them."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

from emjax.errors import ModelError

_Class = TypeVar("_Class", bound=type)


class Registered(NamedTuple):
    """A class, and how `fit_bayes` draws it where its parameters have no hyperpriors of their own."""

    cls: type
    sites: tuple[Callable[..., Any], Callable[..., Any]] | None


_BY_PATH: dict[str, Registered] = {}


@overload
def register(cls: _Class, *, sites: Any = None) -> _Class: ...
@overload
def register(cls: None = None, *, sites: Any = None) -> Callable[[_Class], _Class]: ...
def register(cls: Any = None, *, sites: Any = None) -> Any:
    """Name a class of one's own to emjax, so that fits with it can be saved and loaded.

    Use it as a decorator, above `record`. In fit.json the class is called by its import path, such as
    "my_package.priors:LogitNormal". `load_fit` looks that path up among the classes that are registered at
    that time, and imports nothing: import the module of the class before.

    Parameters
    ----------
    cls : type
        A `record` at the top level of a module: a prior, a strength, a response model, or a part of one.
    sites : (draw, start), optional
        How `fit_bayes` draws a prior or a strength, where normal hyperpriors (``Parameter(hyperprior=...)``)
        do not do. ``draw(part, hyperpriors)`` makes sample sites of NumPyro and returns the part with their
        values; ``start(part, hyperpriors)`` returns the values of these sites at a given part, by name.

    Returns
    -------
    type
        The class itself.

    Raises
    ------
    ModelError
        When it is no record, is defined inside a function, or `sites` are not two functions.

    Notes
    -----
    A class in a script or a notebook is "__main__:NAME": another script finds it only if it defines and
    registers a class of that name. Put the class in a module to share its fits.

    Examples
    --------
    >>> import emjax
    >>> from emjax.model.own_classes import IDENTITY, Parameter, namespace, record
    >>> @emjax.register
    ... @record
    ... class Sloped(emjax.Density):
    ...     slope: float = 0.0
    ...     parameters = (Parameter("slope", "slope", IDENTITY, hyperprior=(0.0, 2.0)),)
    ...     def log_density(self, log_eta, log_rest):
    ...         return self.slope * namespace(log_eta).exp(log_eta)
    >>> import_path(Sloped).endswith(":Sloped")
    True
    """
    if cls is None:
        return lambda given: register(given, sites=sites)
    name = getattr(cls, "__qualname__", repr(cls))
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls) and "__dataclass_fields__" in vars(cls)):
        raise ModelError(f"register takes a record: write @register above @record; got {name}.")
    if "<" in name:  # of a function
        raise ModelError(
            f"{name} is defined inside a function, where no later program can import it: move the class to "
            "the top level of a module."
        )
    if sites is not None and not (isinstance(sites, tuple) and len(sites) == 2 and all(map(callable, sites))):
        raise ModelError(f"register({name}, sites=) takes two functions, (draw, start); got {sites!r}.")
    _BY_PATH[import_path(cls)] = Registered(cls, sites)
    return cls


def import_path(cls: type) -> str:
    """What a class from outside is called in files, "module:name".

    Examples
    --------
    >>> from emjax.model.prior_beta import Beta
    >>> import_path(Beta)
    'emjax.model.prior_beta:Beta'
    """
    return f"{cls.__module__}:{cls.__qualname__}"


def registered_at(path: str) -> type | None:
    """The class that was registered under an import path; None where none was."""
    return _BY_PATH[path].cls if path in _BY_PATH else None


def registered_sites(cls: type) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """How a class is drawn by `fit_bayes`, as it was registered; None where that was not said."""
    found = _BY_PATH.get(import_path(cls))
    return None if found is None else found.sites
