"""What a prior, a strength or a response model of one's own is written with, in one import.

The base classes are `emjax.Attentiveness`, `emjax.Density`, `emjax.Strength` and `emjax.Behavior`;
`emjax.register` lets fits be saved. The page "Own classes" of the documentation has an example of each.

Examples
--------
>>> from emjax.model.own_classes import LOG, Parameter, record
>>> @record
... class Scale:
...     factor: float = 1.0
...     parameters = (Parameter("factor", "factor", LOG),)
>>> Scale(2.0)
Scale(factor=2)
"""

from emjax.model.array_namespace import log_sigmoid, log_softmax, namespace, sigmoid, softmax
from emjax.model.design import Design
from emjax.model.likelihood import Nodes, nodes_at, strength_slopes
from emjax.model.optimize import ascend, decreasing_root
from emjax.model.parameters import (
    IDENTITY,
    LOG,
    LOGIT,
    SHARE,
    SIMPLEX,
    SOFTMAX,
    Parameter,
    Part,
    Transform,
    within,
)
from emjax.model.pytree import record, replace, static
from emjax.model.quadrature import double_exponential

__all__ = [
    "IDENTITY",
    "LOG",
    "LOGIT",
    "SHARE",
    "SIMPLEX",
    "SOFTMAX",
    "Design",
    "Nodes",
    "Parameter",
    "Part",
    "Transform",
    "ascend",
    "decreasing_root",
    "double_exponential",
    "log_sigmoid",
    "log_softmax",
    "namespace",
    "nodes_at",
    "record",
    "replace",
    "sigmoid",
    "softmax",
    "static",
    "strength_slopes",
    "within",
]
