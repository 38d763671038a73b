"""Two priors, a strength and a response model from outside the package, in a module of their own."""

from typing import Any

import numpy as np

import emjax
from emjax.model.own_classes import (
    IDENTITY,
    LOG,
    LOGIT,
    Design,
    Parameter,
    log_softmax,
    namespace,
    nodes_at,
    record,
    sigmoid,
    static,
)


@emjax.register
@record
class LogitNormal(emjax.Density):
    """Normal log-odds of attentiveness."""

    middle: Any = 0.0
    spread: Any = 1.0

    parameters = (
        Parameter("middle", "middle", IDENTITY, hyperprior=(0.0, 2.0)),
        Parameter("spread", "spread", LOG, hyperprior=(0.0, 1.0)),
    )

    def log_density(self, log_eta, log_rest):
        x = (log_eta - log_rest - self.middle) / self.spread
        return -0.5 * x**2 - log_eta - log_rest


_PLACES, _WIDTHS = np.polynomial.legendre.leggauss(120)
ETA, WIDTH = 0.5 * (_PLACES + 1.0), 0.5 * _WIDTHS


@emjax.register
@record
class Kumaraswamy(emjax.Attentiveness):
    """The density a·b·η^(a−1)·(1 − η^a)^(b−1), on Gauss–Legendre nodes."""

    a: Any = 1.5
    b: Any = 1.5

    parameters = (
        Parameter("a", "a", LOG, hyperprior=(0.5, 0.7)),
        Parameter("b", "b", LOG, hyperprior=(0.5, 0.7)),
    )

    def nodes(self):
        return nodes_at(ETA)

    def log_spacing(self):
        return np.log(WIDTH)

    def log_weights(self):
        xp, log_eta = namespace(self.a, self.b), np.log(ETA)
        rest = xp.log(-xp.expm1(self.a * log_eta))
        return log_softmax((self.a - 1.0) * log_eta + (self.b - 1.0) * rest + np.log(WIDTH))


@emjax.register
@record
class ByScore(emjax.Strength):
    """Log-odds proportional to the difference of scores that the models have from elsewhere."""

    scores: Any = static(default=())
    slope: Any = 1.0

    parameters = (Parameter("slope", "slope", IDENTITY, hyperprior=(0.0, 3.0)),)

    def index(self, table):
        place = {name: number for number, (name, _) in enumerate(self.scores)}
        return np.array([[place[a], place[b]] for a, b in table.comparisons])

    def design(self, index):
        x = namespace(index).asarray([score for _, score in self.scores])
        apart = x[index[:, 0]] - x[index[:, 1]]
        return Design(0 * index[:, :1], apart[:, None], 0.0 * apart, size=1)


@emjax.register
@record
class Habit(emjax.Behavior):
    """A careless vote goes to the first model at a rate that is estimated."""

    habit: Any = 0.5

    parameters = (Parameter("habit", "habit", LOGIT),)

    def log_probability(self, eta, rest, logit):
        xp = namespace(eta, logit, self.habit)
        return xp.log(rest * self.careless() + eta * sigmoid(xp.stack([logit, -logit])))

    def careless(self):
        xp = namespace(self.habit)
        return xp.stack([xp.asarray(self.habit), 1.0 - xp.asarray(self.habit)])


@record
class Unregistered(emjax.Density):
    """A prior that its author forgot to register."""

    slope: Any = 0.0

    parameters = (Parameter("slope", "slope", IDENTITY),)

    def log_density(self, log_eta, log_rest):
        return self.slope * namespace(log_eta).exp(log_eta)
