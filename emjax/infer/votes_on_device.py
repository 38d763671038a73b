"""Votes as the kernels take them: whatever is asked of them is a sum over users.

Three places hold users: the memory of one device (`Data`), a mesh of devices (`Spread`, in
`votes_on_mesh.py`), shards that are read one after the other (`Stream`, in `votes_streamed.py`). They
differ in how they add, and in nothing else.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Float

from emjax.infer.count_layout import Layout
from emjax.infer.exported_programs import Program
from emjax.model.array_namespace import AnyArray
from emjax.model.design import DesignIndex
from emjax.model.pytree import record, static

_FEW_ELEMENTS = 1 << 18  # rows × nodes: an EM step takes about a millisecond

Part = Callable[..., Any]


@runtime_checkable
class Held(Protocol):
    """Something computed for every user, kept where the users are."""

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(value, layout, *args)`, a pytree of arrays that add up."""
        ...


@runtime_checkable
class Votes(Protocol):
    """Users' votes, wherever they are.

    Functions passed in are functions of a module, not closures, so that compiled code is found
    again; everything else they need comes in `args`.
    """

    @property
    def index(self) -> DesignIndex:
        """Where each row of the design finds its log-odds."""
        ...

    @property
    def n_users(self) -> Float[AnyArray, ""]:
        """Number of users."""
        ...

    @property
    def n_outcomes(self) -> int:
        """How many outcomes a comparison has."""
        ...

    @property
    def n_rows(self) -> int | None:
        """How many rows are looked up together; None where users are on several devices or in shards."""
        ...

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(layout, *args)`, a pytree of arrays that add up."""
        ...

    def hold(self, make: Part, *args: Any) -> Held:
        """Compute `make(layout, *args)` for every user, to be summed over more than once."""
        ...

    def loop(self, going: Part, step: Part, state: Any) -> Any:
        """`jax.lax.while_loop`, for steps that take sums."""
        ...

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`, compiled as a whole where sums can be."""
        ...


@record
class HeldHere:
    """`Held` in the memory of one device."""

    value: Any
    layout: Layout

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(value, layout, *args)`."""
        return part(self.value, self.layout, *args)


@record
class Data:
    """Votes in the memory of one device."""

    layout: Layout
    index: DesignIndex
    n_users: Float[AnyArray, ""]
    n_outcomes: int = static(default=2)
    small: bool = static(default=True)  # whether programs take longer to compile than to run

    @property
    def n_rows(self) -> int:
        """How many rows the layout has."""
        return self.layout.multiplicity.shape[0]

    def sum(self, part: Part, *args: Any) -> Any:
        """Sum over users of `part(layout, *args)`."""
        return part(self.layout, *args)

    def hold(self, make: Part, *args: Any) -> HeldHere:
        """Compute `make(layout, *args)` for every user."""
        return self.holding(make(self.layout, *args))

    def holding(self, value: Any) -> HeldHere:
        """What is known of every user, as something held."""
        return HeldHere(value, self.layout)

    def loop(self, going: Part, step: Part, state: Any) -> Any:
        """`jax.lax.while_loop`."""
        return jax.lax.while_loop(going, step, state)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call `function(self, *args)`, compiled."""
        return compiled(function, tuple(options), small=self.small)(self, *args, **options)

    def trace(self, function: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Do all of `run` that comes before compiling."""
        compiled(function, tuple(options), small=self.small).trace(self, *args, **options)


def is_small(rows: int, nodes: int) -> bool:
    """Whether so few likelihoods are summed that a program takes longer to compile than to run."""
    return rows * nodes <= _FEW_ELEMENTS


@cache
def compiled(function: Callable[..., Any], options: tuple[str, ...] = (), *, small: bool = False) -> Program:
    """`jax.jit`, the same for the same function; a program for small arrays is compiled more quickly."""
    chosen = _quick_compilation() if small else {}
    return Program(function, jax.jit(function, static_argnames=options, compiler_options=chosen), chosen)


@cache
def _quick_compilation() -> dict[str, Any]:
    """On a CPU, XLA's older code generator for fused loops: quicker to compile, up to twice as slow to run.

    Only for versions of jaxlib that were found to know the option; others refuse it.
    """
    known = version("jaxlib").startswith("0.10.") and jax.default_backend() == "cpu"
    return {"xla_cpu_use_fusion_emitters": False} if known else {}
