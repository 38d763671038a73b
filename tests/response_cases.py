"""Behaviors in plain NumPy: how likely a user of a given attentiveness is to do what.

Nothing here imports the package. Every function takes complex numbers, for derivatives by complex steps.
"""

import numpy as np

from oracles import _sum_exp


def logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


def davidson(logit, tie):
    """Chances that A wins, that B wins and of a tie, for attentive users."""
    a, b = np.exp(logit / 2), np.exp(-logit / 2)
    return a / (a + b + tie), b / (a + b + tie), tie / (a + b + tie)


def rao_kupper(logit, tie):
    a, b = logistic(logit - tie), logistic(-logit - tie)
    return a, b, 1.0 - a - b


def mixture(eta, logit, *, guess=None, rule=None, tie=None, careless_ties=0.0):
    """Chance of each outcome, in the order of the package: by side (A first, B first), ties last."""
    judges = -eta if np.real(eta) < 0 else eta
    logit = -logit if np.real(eta) < 0 else logit
    a, b, both = (logistic(logit), logistic(-logit), 0.0) if rule is None else rule(logit, tie)
    decided = 1.0 - careless_ties
    won, tied = [], []
    for to_a in [0.5] if guess is None else [guess, 1.0 - guess]:
        won += [judges * a + (1 - judges) * decided * to_a, judges * b + (1 - judges) * decided * (1 - to_a)]
        tied += [judges * both + (1 - judges) * careless_ties]
    return np.array(won if rule is None else won + tied)


def sharpness(eta, logit):
    return np.array([logistic(eta * logit), logistic(-eta * logit)])


def with_odds(eta, tilt):
    """η where the log-odds of a look are greater by `tilt`."""
    judges = np.where(np.real(eta) < 0, -eta, eta)
    return eta * np.exp(tilt) / (1.0 - judges + judges * np.exp(tilt))


def log_likelihood(counts, logits, eta, log_weights, chances, multiplicity=1.0, tilts=None):
    """Marginal log-likelihood of counts (m, C, O), comparison by comparison and node by node."""
    by_node = np.zeros((len(counts), len(eta)), complex)
    for g, point in enumerate(eta):
        for c, logit in enumerate(logits):
            there = point if tilts is None else with_odds(point, tilts[c])
            by_node[:, g] += counts[:, c] @ np.log(chances(there, logit))
    return np.sum(multiplicity * _sum_exp(by_node + log_weights, axis=1))
