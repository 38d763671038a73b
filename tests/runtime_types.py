"""The check that annotations get in the tests: beartype, told two things that static checkers know."""

from collections.abc import Callable
from threading import Lock
from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

_LOCK = Lock()
_checked = beartype(
    conf=BeartypeConf(
        # Methods are handed over one by one, where Self has no class to stand for.
        hint_overrides=FrozenDict({Self: object}),
        # An int is welcome where a float is asked for.
        is_pep484_tower=True,
    )
)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations checked on every call.

    One at a time: beartype sets the filters of warnings aside meanwhile, and two threads that trace at once
    would put each other's back.
    """
    with _LOCK:
        return _checked(function)
