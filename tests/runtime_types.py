"""The check that annotations get in the tests: beartype, told two things that static checkers know."""

from typing import Self

from beartype import BeartypeConf, FrozenDict, beartype

checked = beartype(
    conf=BeartypeConf(
        # Methods are handed over one by one, where Self has no class to stand for.
        hint_overrides=FrozenDict({Self: object}),
        # An int is welcome where a float is asked for.
        is_pep484_tower=True,
    )
)
