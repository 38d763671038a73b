"""Overall strengths of models whose strengths differ by context: weights of the contexts, and covariance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Pooling(NamedTuple):
    """How the overall strengths of K models, means over these contexts, follow from n strengths in contexts.

    Attributes
    ----------
    weights : (K, n)
        The overall strengths are ``weights @ s`` for strengths s that sum to 0 in each context.
    given : (K, K)
        Covariance of the models' own strengths where those in the contexts are known.
    components : (K,)
        Connected component of each model, votes of all contexts together.

    Notes
    -----
    The model is u_i ~ N(s_k, 1/p) for each strength i of model k in a context, and s_k ~ N(0, 1/q), with p
    for `l2_context` and q for `l2`. Votes depend on differences within a context, so that they tell nothing
    of the level of a context: u_i = c_i + a_g with c summing to 0 within each context g, and a_g unknown.
    Given c, the exponent is minus the quadratic form

        ½ q Σ_k s_k² + ½ p Σ_i (c_i + a_g(i) − s_k(i))²

    in (s, a), whatever the votes are. Its matrix is

        P = [ diag(q + p m_k)   −p N          ]
            [ −p Nᵀ             p diag(n_g)   ]

    with m_k strengths of model k, n_g strengths in context g, and N of them of both. So s given c is normal
    with covariance C, the block of P⁻¹ that belongs to s, and mean W c with W = p C Zᵀ, Z taking a model to
    its strengths. If V is the covariance of c given the votes, the covariance of s is C + W V Wᵀ. It is the
    block of the inverse of the joint information matrix of (s, u, all other parameters), and V that of the
    matrix from which s is eliminated, which is the one that a fit has.

    Shown is the mean W c over these contexts, with the covariance W V Wᵀ. C is how far s, which holds for
    contexts to come too, lies from that mean; no number of votes makes it smaller.

    Strengths are shown with sum 0 within each connected component. The level of all s of a component is
    independent of their differences, so that one more term in it changes nothing that is shown, and P can be
    inverted where q is 0.
    """

    weights: Float[np.ndarray, "K n"]
    given: Float[np.ndarray, "K K"]
    components: Int[np.ndarray, " K"]

    def variance(self, covariance: Float[np.ndarray, "n n"]) -> Float[np.ndarray, " K"]:
        """Variance of the means over these contexts, from the covariance of strengths given the votes."""
        return np.einsum("kn,kn->k", self.weights @ covariance, self.weights)


def pooling(model_of: Sequence[int], groups: Int[np.ndarray, " n"], l2: float, l2_context: float) -> Pooling:
    """How overall strengths follow from strengths in contexts.

    Parameters
    ----------
    model_of : (n,)
        For each strength the number of its model.
    groups : (n,)
        Connected component of each strength, within its context.
    l2, l2_context
        Ridges of overall strengths, and of strengths in contexts around them.

    Examples
    --------
    >>> found = pooling([0, 1, 0, 1], np.array([0, 0, 1, 1]), l2=0.0, l2_context=2.0)
    >>> found.weights.round(3).tolist()  # the mean over both contexts, without the common level
    [[0.25, -0.25, 0.25, -0.25], [-0.25, 0.25, -0.25, 0.25]]
    >>> found.given.round(3).tolist()
    [[0.125, -0.125], [-0.125, 0.125]]
    """
    of, pull = np.asarray(model_of, np.int64), l2_context
    n_models, n_groups = int(of.max()) + 1, int(groups.max()) + 1
    met = np.zeros((n_models, n_groups))
    np.add.at(met, (of, groups), 1.0)
    ends = (of, n_models + groups)
    size = n_models + n_groups
    graph = coo_array((np.ones(len(of)), ends), shape=(size, size))
    components = connected_components(graph, directed=False)[1][:n_models].astype(np.int64)
    together = (components[:, None] == components[None, :]).astype(np.float64)
    of_models = np.diag(l2 + pull * met.sum(axis=1)) + pull * together
    matrix = np.block([[of_models, -pull * met], [-pull * met.T, np.diag(pull * met.sum(axis=0))]])
    inverse = np.linalg.inv(matrix)[:n_models, :n_models]
    centred = np.eye(n_models) - together / together.sum(axis=1)
    return Pooling(pull * (centred @ inverse)[:, of], centred @ inverse @ centred.T, components)
