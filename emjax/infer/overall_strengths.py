"""Overall strengths of models whose strengths differ by context: weights of the contexts, and covariance."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


class Pooling(NamedTuple):
    """How the overall strengths of K models, means over the contexts, follow from n strengths in contexts.

    Attributes
    ----------
    weights : (K, n)
        The overall strengths are ``weights @ s``, where s sums to 0 in each component of a context.
    given : (K, K)
        Covariance of the overall strengths where those in contexts are known: 0 where every model is in every
        context and there is no ridge.
    components : (K,)
        Connected component of each model, votes of all contexts together.

    Notes
    -----
    The model is u_i ~ N(s_k, 1/p) for each strength i of model k in a context, and s_k ~ N(0, 1/q), with p
    for `l2_context` and q for `l2`. Votes depend on differences within a context, so that they tell nothing
    of the level of a context: u_i = c_i + a_g with c summing to 0 within each component g of a context, and
    a_g unknown. Given c, the exponent is the quadratic form

        ½ q Σ_k s_k² + ½ p Σ_i (c_i + a_g(i) − s_k(i))²

    in x = (s, a), whatever the votes are. Its matrix is

        P = [ diag(q + p m_k)   −p N          ]
            [ −p Nᵀ             p diag(n_g)   ]

    with m_k strengths of model k, n_g strengths in g, and N of them of both. So x given c is normal with
    covariance P⁻¹ and mean P⁻¹ (p Z c, 0), where Z sums over the strengths of a model.

    The overall strength of a model is its mean over all G contexts in which its component has votes,

        o_k = (1/G) [ Σ_{i of k} (c_i + a_g(i))  +  (G − m_k) s_k  +  Σ ε ],

    with a deviation ε of variance 1/p for each context without votes on the model. With o = A c + B x + ε,
    the weights are W = A + B P⁻¹ (p Z, 0), and the covariance given c is B P⁻¹ Bᵀ + diag((G − m_k) / (G² p)).
    If V is the covariance of c given the votes, that of o is their sum with W V Wᵀ. V is that of the matrix
    from which s is eliminated, which is the one that a fit has.

    Strengths are shown with sum 0 within each connected component. The level of all x of a component is
    independent of their differences, so that one more term in it changes nothing that is shown, and P can be
    inverted where q is 0.
    """

    weights: Float[np.ndarray, "K n"]
    given: Float[np.ndarray, "K K"]
    components: Int[np.ndarray, " K"]

    def covariance(self, of_strengths: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "K K"]:
        """Covariance of the overall strengths, from that of strengths in contexts given the votes."""
        return self.given + self.weights @ of_strengths @ self.weights.T


def pooling(
    model_of: Sequence[int],
    groups: Int[np.ndarray, " n"],
    contexts: Int[np.ndarray, " n"],
    l2: float,
    l2_context: float,
) -> Pooling:
    """How overall strengths follow from strengths in contexts.

    Parameters
    ----------
    model_of : (n,)
        For each strength the number of its model.
    groups : (n,)
        Connected component of each strength, within its context.
    contexts : (n,)
        Number of the context of each strength.
    l2, l2_context
        Ridges of overall strengths, and of strengths in contexts around them.

    Examples
    --------
    >>> found = pooling([0, 1, 0, 1], np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), l2=0.0, l2_context=2.0)
    >>> found.weights.round(3).tolist()  # the mean over both contexts, without the common level
    [[0.25, -0.25, 0.25, -0.25], [-0.25, 0.25, -0.25, 0.25]]
    >>> bool(np.abs(found.given).max() < 1e-12)
    True
    """
    of, pull = np.asarray(model_of, np.int64), l2_context
    n, n_models, n_groups = len(of), int(of.max()) + 1, int(groups.max()) + 1
    met = np.zeros((n_models, n_groups))
    np.add.at(met, (of, groups), 1.0)
    size = n_models + n_groups
    graph = coo_array((np.ones(n), (of, n_models + groups)), shape=(size, size))
    components = connected_components(graph, directed=False)[1][:n_models].astype(np.int64)
    together = (components[:, None] == components[None, :]).astype(np.float64)
    of_models = np.diag(l2 + pull * met.sum(axis=1)) + pull * together
    matrix = np.block([[of_models, -pull * met], [-pull * met.T, np.diag(pull * met.sum(axis=0))]])
    inverse = np.linalg.inv(matrix)
    many = np.array([len(np.unique(contexts[components[of] == own])) for own in components], np.float64)
    absent = many - met.sum(axis=1)
    from_levels = np.hstack([np.diag(absent), met]) / many[:, None]
    own = np.zeros((n_models, n))
    own[of, np.arange(n)] = 1.0 / many[of]
    centred = np.eye(n_models) - together / together.sum(axis=1)
    weights = centred @ (own + pull * (from_levels @ inverse[:, :n_models])[:, of])
    given = from_levels @ inverse @ from_levels.T + np.diag(absent / (many**2 * pull))
    return Pooling(weights, centred @ given @ centred.T, components)
