"""Independent answers for the tests: plain NumPy and SciPy, slow, and obviously right.

Nothing here imports the package or the array library it is built on, and every quantity is computed by a
different method from the one the package uses: enumeration, adaptive quadrature, exact polynomial moments,
general-purpose optimisers. Agreement with these functions is therefore evidence.

Notation. `counts` has shape (m, C, 2): votes of user j in comparison c that A won and that B won. `mu` is one
strength or one per comparison. The probability that A wins is 1/2 + eta (mu - 1/2). Log-likelihoods carry no
binomial coefficients. All logarithms are natural.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import mpmath
import numpy as np
from scipy.optimize import minimize, nnls
from scipy.special import betaln, loggamma, xlogy

# ------------------------------------------------------------------------------------------------ the data


def distinct(counts):
    """Distinct users: (rows (d, C, 2), how many users share each row (d,), row of each user (m,))."""
    counts = np.asarray(counts, dtype=float)
    rows, row_of_user, multiplicity = np.unique(
        counts.reshape(len(counts), -1), axis=0, return_inverse=True, return_counts=True
    )
    return rows.reshape(-1, *counts.shape[1:]), multiplicity, row_of_user.reshape(-1)


def _strengths(counts, mu):
    """One strength per comparison, (C,)."""
    return np.broadcast_to(np.asarray(mu), (np.shape(counts)[1],))


# ---------------------------------------------------------------------------------------- discrete priors


def node_log_likelihoods(counts, mu, eta):
    """log P(votes of user j | eta_g), (m, G), by looping over users, comparisons and nodes."""
    counts, mu = np.asarray(counts, dtype=float), _strengths(counts, mu)
    out = np.zeros((len(counts), len(eta)))
    for j, c, g in itertools.product(range(len(counts)), range(len(mu)), range(len(eta))):
        a_wins = 0.5 + eta[g] * (mu[c] - 0.5)
        out[j, g] += xlogy(counts[j, c, 0], a_wins) + xlogy(counts[j, c, 1], 1.0 - a_wins)
    return out


def log_likelihood_discrete(counts, mu, eta, weights):
    """Marginal log-likelihood of a prior with mass `weights` on `eta`, adding up node by node."""
    by_node, total = node_log_likelihoods(counts, mu, eta), np.full(len(counts), -np.inf)
    for g in np.flatnonzero(weights):
        total = np.logaddexp(total, by_node[:, g] + np.log(weights[g]))
    return float(np.sum(total))


def responsibilities(counts, mu, eta, weights):
    """Posterior probability of each node for each user, (m, G)."""
    by_node = node_log_likelihoods(counts, mu, eta)
    out = np.zeros_like(by_node)
    for j, row in enumerate(by_node):
        joint = np.asarray(weights) * np.exp(row - row.max())
        out[j] = joint / joint.sum()
    return out


def posterior_moments_discrete(counts, mu, eta, weights, threshold=0.5):
    """Posterior mean, standard deviation and P(eta >= threshold) of each user, three arrays (m,)."""
    eta, share = np.asarray(eta, dtype=float), responsibilities(counts, mu, eta, weights)
    mean = share @ eta
    variance = np.array([row @ (eta - centre) ** 2 for row, centre in zip(share, mean, strict=True)])
    return mean, np.sqrt(variance), share[:, eta >= threshold].sum(axis=1)


def em_step_discrete(counts, mu, eta, weights):
    """One E-step: attentiveness mass per node (G,), votes per node (C, 2, G), and the log-likelihood."""
    counts, share = np.asarray(counts, dtype=float), responsibilities(counts, mu, eta, weights)
    mass, votes = np.zeros(len(eta)), np.zeros((*counts.shape[1:], len(eta)))
    for j, g in itertools.product(range(len(counts)), range(len(eta))):
        mass[g] += share[j, g]
        votes[:, :, g] += counts[j] * share[j, g]
    return mass, votes, log_likelihood_discrete(counts, mu, eta, weights)


# --------------------------------------------------------------------------------------------- Beta prior


def _adaptive(integrand, start, stop, accuracy):
    """Integral of a vector-valued function: panels of 20-point Gauss, halved until the halves agree.

    `integrand` takes points (p,) and gives values (rows, p). A panel is accepted when, for every row, halving
    it changes it by less than `accuracy` (rows,) of itself, or by 1e-17 (integrals are scaled to about 1).
    """
    x, w = np.polynomial.legendre.leggauss(20)

    def panels(left, right):
        half = (right - left) / 2
        values = integrand(((left + right) / 2 + half * x[:, None]).ravel()).reshape(-1, 20, len(left))
        return np.einsum("q,rqp->rp", w, values) * half

    edges = np.linspace(start, stop, 17)
    left, right, total = edges[:-1], edges[1:], 0.0
    whole = panels(left, right)
    for _ in range(200):
        middle = (left + right) / 2
        low, high = panels(left, middle), panels(middle, right)
        good = np.all(np.abs(low + high - whole) <= accuracy[:, None] * np.abs(low + high) + 1e-17, axis=0)
        total = total + (low + high)[:, good].sum(axis=1)
        if good.all():
            return total
        left, right = np.append(left[~good], middle[~good]), np.append(middle[~good], right[~good])
        whole = np.hstack([low[:, ~good], high[:, ~good]])
    raise AssertionError("the integral did not settle")


def _log_likelihood_at(rows, mu, eta, careless):
    """log P(row | eta), (rows, p), at points eta (p,); `careless` is 1 - eta, kept apart for its digits."""
    a_wins = careless / 2 + eta * mu[:, None]
    b_wins = careless / 2 + eta * (1.0 - mu[:, None])
    return rows[..., 0] @ np.log(a_wins) + rows[..., 1] @ np.log(b_wins)


def _beta_integral(rows, mu, a, b, scale, lower=0.0, upper=1.0, factor=None):
    """Integral of prior x likelihood x factor over [lower, upper] for every row, divided by exp(scale).

    Singular ends go by substitution: x = eta^a below 1/2 if a < 1, y = (1 - eta)^b above it if b < 1.
    """
    accuracy = 1e-13 + 1e-15 * np.abs(scale)  # no more than the logarithms themselves can give

    def piece(power, other, start, stop, mirrored):
        bend = min(power, 1.0)  # near = x ** (1 / bend): the identity unless the end is singular

        def integrand(x):
            near = x ** (1.0 / bend)
            eta, careless = (1.0 - near, near) if mirrored else (near, 1.0 - near)
            log_density = xlogy(max(power - 1.0, 0.0), near) + xlogy(other - 1.0, 1.0 - near) - betaln(a, b)
            log_value = log_density - np.log(bend) + _log_likelihood_at(rows, mu, eta, careless)
            return np.exp(log_value - scale[:, None]) * (1.0 if factor is None else factor(eta))

        return (
            _adaptive(integrand, start**bend, stop**bend, accuracy) if start < stop else np.zeros(len(rows))
        )

    low = piece(a, b, lower, min(upper, 0.5), mirrored=False)
    return low + piece(b, a, 1.0 - upper, 1.0 - max(lower, 0.5), mirrored=True)


def _beta_log_evidence(rows, mu, a, b):
    """log P(row | a, b) for every row; integrated twice, the second time with every integral near 1."""
    near = np.geomspace(1e-9, 0.5, 2000)
    eta, careless = np.append(near, 1.0 - near), np.append(1.0 - near, near)
    density = xlogy(max(a, 1.0) - 1.0, eta) + xlogy(max(b, 1.0) - 1.0, careless) - betaln(a, b)
    scale = np.max(density + _log_likelihood_at(rows, mu, eta, careless), axis=1)
    scale = scale + np.log(_beta_integral(rows, mu, a, b, scale))
    return scale + np.log(_beta_integral(rows, mu, a, b, scale))


def log_likelihood_beta(counts, mu, a, b):
    """Marginal log-likelihood of a Beta(a, b) prior by adaptive quadrature, one per distinct user."""
    rows, multiplicity, _ = distinct(counts)
    return float(multiplicity @ _beta_log_evidence(rows, _strengths(counts, mu), a, b))


def posterior_moments_beta(counts, mu, a, b, threshold=0.5):
    """Posterior mean, standard deviation and P(eta >= threshold) of each user, three arrays (m,)."""
    rows, _, row_of_user = distinct(counts)
    mu = _strengths(counts, mu)
    scale = _beta_log_evidence(rows, mu, a, b)
    mean = _beta_integral(rows, mu, a, b, scale, factor=lambda eta: eta)
    variance = _beta_integral(rows, mu, a, b, scale, factor=lambda eta: (eta - mean[:, None]) ** 2)
    tail = _beta_integral(rows, mu, a, b, scale, lower=threshold)
    return mean[row_of_user], np.sqrt(variance)[row_of_user], tail[row_of_user]


def log_likelihood_beta_exact(counts, mu, a, b, moment=0):
    """The same log-likelihood without any quadrature: a polynomial in eta, and the exact moments of a Beta.

    The likelihood of whole votes is a polynomial in eta; its expectation needs E[eta^r], a ratio of rising
    factorials. Terms cancel, so mpmath carries as many digits as it takes. Votes must be whole numbers.
    `moment` multiplies each user's likelihood by eta^moment (for exact posterior moments).
    """
    rows, multiplicity, _ = distinct(counts)
    assert np.all(rows == np.round(rows)), "whole votes only"
    mu = _strengths(counts, mu)
    return float(
        sum(
            int(k) * _exact_log_evidence(row, mu, a, b, moment)
            for row, k in zip(rows, multiplicity, strict=True)
        )
    )


def _exact_log_evidence(row, mu, a, b, moment):
    digits = 60
    while True:
        with mpmath.workdps(digits):
            value = _exact_evidence(row, mu, a, b, moment)
            if value > 0 and mpmath.log10(value) > 40 - digits:  # forty digits survive the cancellation
                return mpmath.log(value)
        digits *= 2


def _exact_evidence(row, mu, a, b, moment):
    """E[likelihood eta^moment] at the working precision; no coefficient exceeds 1, so fixed point will do."""
    bits, half = mpmath.mp.prec, mpmath.mpf("0.5")
    polynomial = np.array([1 << bits], dtype=object)
    for (wins, losses), strength in zip(row, mu, strict=True):
        for slope, votes in (
            (strength - 0.5, int(wins)),
            (0.5 - strength, int(losses)),
        ):  # (1/2 + slope eta)^votes
            slope = mpmath.mpf(float(slope))
            terms = [comb(votes, r) * slope**r * half ** (votes - r) for r in range(votes + 1)]
            factor = np.array([int(mpmath.ldexp(term, bits)) for term in terms], dtype=object)
            polynomial = np.convolve(polynomial, factor) >> bits
    a, b, power, value = mpmath.mpf(float(a)), mpmath.mpf(float(b)), mpmath.mpf(1), mpmath.mpf(0)
    for r in range(len(polynomial) + moment):  # power = E[eta^r]
        if r >= moment:
            value += polynomial[r - moment] * power
        power *= (a + r) / (a + b + r)
    return mpmath.ldexp(value, -bits)


# ---------------------------------------------------------------------------------------------- optimisers


@dataclass
class Maximum:
    """Where a function is largest: the point, the value, and (from `fit`) the parameters by name."""

    x: np.ndarray
    value: float
    parameters: dict


def gradient(function: Callable, x) -> np.ndarray:
    """Derivatives of an analytic function by complex steps: exact to rounding, no cancellation."""
    x = np.asarray(x, dtype=float)
    return np.array([np.imag(function(x + 1e-40j * unit)) for unit in np.eye(len(x))]) * 1e40


def hessian(function: Callable, x, step=1e-5) -> np.ndarray:
    """Second derivatives: central differences of complex-step gradients."""
    x = np.asarray(x, dtype=float)
    columns = [
        (gradient(function, x + step * e) - gradient(function, x - step * e)) / (2 * step)
        for e in np.eye(len(x))
    ]
    return (np.array(columns) + np.array(columns).T) / 2


def maximise(function: Callable, starts, bounds) -> Maximum:
    """Largest value from several starts: L-BFGS-B within bounds, then Newton steps off the bounds."""
    low, high = np.array(bounds, dtype=float).T
    best = None
    for start in starts:
        x = np.asarray(start, dtype=float)
        for _ in range(3):  # restarting clears a stale curvature estimate
            x = minimize(
                lambda z: -np.real(function(z)),
                x,
                jac=lambda z: -gradient(function, z),
                method="L-BFGS-B",
                bounds=bounds,
                options={"maxiter": 5000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30},
            ).x
        value = float(np.real(function(x)))
        if best is None or value > best.value:
            best = Maximum(x, value, {})
    for _ in range(30):
        slope, x = gradient(function, best.x), best.x
        free = ~(((x <= low + 1e-9) & (slope < 0)) | ((x >= high - 1e-9) & (slope > 0)))
        curvature = -hessian(function, x)[np.ix_(free, free)]
        step = np.zeros_like(x)
        step[free] = np.linalg.lstsq(curvature, slope[free], rcond=1e-13)[0]
        for shrink in 0.5 ** np.arange(12):
            candidate = np.clip(x + shrink * step, low, high)
            value = float(np.real(function(candidate)))
            steeper = np.abs(gradient(function, candidate)[free]).max(initial=0.0) >= np.abs(slope[free]).max(
                initial=0.0
            )
            if value > best.value or (value > best.value - 1e-12 * abs(value) and not steeper):
                best = Maximum(candidate, value, {})
                break
        else:
            break
    return best


def _sum_exp(values, axis):
    """log-sum-exp that also takes complex numbers with tiny imaginary parts."""
    top = np.max(values.real, axis=axis, keepdims=True)
    return np.squeeze(top, axis) + np.log(np.sum(np.exp(values - top), axis=axis))


def marginal(counts, mu, eta, log_weights, multiplicity=1.0):
    """Vectorised marginal log-likelihood of a discrete prior; mu, eta and log_weights may be complex."""
    a_wins = 0.5 + (_strengths(counts, mu)[:, None] - 0.5) * eta
    by_node = counts[..., 0] @ np.log(a_wins) + counts[..., 1] @ np.log(1.0 - a_wins)
    return np.sum(multiplicity * _sum_exp(by_node + log_weights, axis=1))


def beta_nodes(a, b, step=0.1):
    """Nodes and log weights of a Beta(a, b) by the trapezoid rule in logit(eta); a and b may be complex.

    There every integrand is smooth and decays like exp(a t) and exp(-b t). Beyond |t| = 40 eta is 0 or 1 to
    rounding, so the two end nodes carry the whole geometric sum of what lies outside.
    """
    t = np.arange(-40.0, 40.0 + step / 2, step)
    log_eta, log_careless = -np.logaddexp(0.0, -t), -np.logaddexp(0.0, t)
    constant = loggamma(a + b) - loggamma(a) - loggamma(b) + np.log(step)
    log_weights = (a * log_eta + b * log_careless + constant).astype(complex)
    log_weights[0] -= np.log(1.0 - np.exp(-a * step))
    log_weights[-1] -= np.log(1.0 - np.exp(-b * step))
    return np.exp(log_eta), log_weights


def prior_parts(prior, k=2, fixed=None):
    """How `fit` reads a prior: (bounds, random start, x -> (eta, log weights), x -> named numbers)."""
    if prior == "beta":  # log a and log b
        bounds = [(np.log(0.02), np.log(200.0))] * 2
        named = lambda x: {"a": float(np.exp(x[0])), "b": float(np.exp(x[1]))}  # noqa: E731
        return bounds, lambda rng: rng.normal(0.7, 0.7, 2), lambda x: beta_nodes(*np.exp(x)), named
    if prior == "fixed":
        eta, weights = (np.asarray(part, dtype=float) for part in fixed)
        named = lambda x: {"eta": eta, "weights": weights}  # noqa: E731
        return [], lambda rng: np.zeros(0), lambda x: (eta, np.log(weights)), named

    def nodes(x):  # support points in [0, 1], then log odds of the weights against the first
        log_odds = np.concatenate([[0.0], x[k:]])
        return x[:k], log_odds - _sum_exp(log_odds, axis=0)

    def named(x):
        eta, log_weights = nodes(x)
        order = np.argsort(eta)
        return {"eta": eta[order], "weights": np.exp(log_weights[order])}

    bounds = [(0.0, 1.0)] * k + [(-30.0, 30.0)] * (k - 1)
    start = lambda rng: np.concatenate([np.sort(rng.uniform(size=k)), rng.normal(0, 0.5, k - 1)])  # noqa: E731
    return bounds, start, nodes, named


def strength_parts(strength, n_comparisons, value=None, beta=(8, 2), pairs=None, n_models=None, l2=0.01):
    """How `fit` reads a strength: (bounds, random start, x -> (mu (C,), log prior), x -> named numbers)."""
    if strength == "known":
        mu = np.broadcast_to(np.asarray(value, dtype=float), (n_comparisons,))
        return [], lambda rng: np.zeros(0), lambda x: (mu, 0.0), lambda x: {"mu": mu}
    if strength in ("shared", "per-pair"):
        number = 1 if strength == "shared" else n_comparisons

        def split(x):
            log_prior = np.sum((beta[0] - 1) * np.log(x) + (beta[1] - 1) * np.log(1.0 - x))
            return x * np.ones(n_comparisons), log_prior

        centre = beta[0] / (beta[0] + beta[1])
        starts = lambda rng: np.clip(centre + rng.uniform(-0.3, 0.3, number), 0.03, 0.97)  # noqa: E731
        return [(1e-9, 1 - 1e-9)] * number, starts, split, lambda x: {"mu": x * np.ones(n_comparisons)}
    pairs = np.asarray(pairs)
    models = pairs.max() + 1 if n_models is None else n_models

    def split(x):
        s = np.concatenate([[0.0], x])
        s = s - np.sum(s) / models
        return 1.0 / (1.0 + np.exp(s[pairs[:, 1]] - s[pairs[:, 0]])), -l2 / 2 * np.sum(s**2)

    def named(x):
        s = np.concatenate([[0.0], x])
        return {"mu": split(x)[0], "s": s - s.mean()}

    return [(-15.0, 15.0)] * (models - 1), lambda rng: rng.normal(0, 0.5, models - 1), split, named


def fit(counts, prior, strength, *, starts=8, seed=0, k=2, fixed=None, **options) -> Maximum:
    """Maximum of the penalised marginal log-likelihood, by a general-purpose optimiser from several starts.

    prior: "points" (k support points, k=2 is the two-point prior), "beta", "fixed" (fixed=(eta, weights));
    strength: "known" (value=), "shared" or "per-pair" (beta=(p, q): their Beta log prior), "bradley-terry"
    (pairs= (C, 2) model indices, l2=, n_models=). `parameters` holds eta and weights, or a and b; mu, s;
    and log_likelihood, without the log priors.
    """
    rows, multiplicity, _ = distinct(counts)
    prior_bounds, prior_start, nodes, prior_named = prior_parts(prior, k, fixed)
    bounds, start, split, named = strength_parts(strength, rows.shape[1], **options)
    cut, rng = len(prior_bounds), np.random.default_rng(seed)

    def objective(x, penalised=True):
        eta, log_weights = nodes(x[:cut])
        mu, log_prior = split(x[cut:])
        return marginal(rows, mu, eta, log_weights, multiplicity) + (log_prior if penalised else 0.0)

    points = [np.concatenate([prior_start(rng), start(rng)]) for _ in range(starts)]
    best = maximise(objective, points, prior_bounds + bounds)
    best.parameters = {**prior_named(best.x[:cut]), **named(best.x[cut:])}
    best.parameters["log_likelihood"] = float(np.real(objective(best.x, penalised=False)))
    return best


def bradley_terry(counts, pairs, n_models, l2=0.0):
    """Ordinary Bradley-Terry strengths (K,), sum zero: every vote taken as attentive; ridge -l2/2 sum s^2."""
    votes = np.asarray(counts, dtype=float).reshape(-1, len(pairs), 2).sum(axis=0, keepdims=True)
    best = fit(
        votes, "fixed", "bradley-terry", fixed=([1.0], [1.0]), pairs=pairs, n_models=n_models, l2=l2, starts=1
    )
    return best.parameters["s"]


def _relative_likelihoods(counts, mu, nodes):
    """Likelihood of each distinct user at each node against the user's best node, and how many users."""
    rows, multiplicity, _ = distinct(counts)
    by_node = node_log_likelihoods(rows, mu, nodes)
    return np.exp(by_node - by_node.max(axis=1, keepdims=True)), multiplicity


def npmle_gap(counts, mu, nodes, weights):
    """m max_g D(g): by how many log units at most the weights fall short of the best ones on these nodes."""
    likelihood, multiplicity = _relative_likelihoods(counts, mu, nodes)
    return float(np.max(multiplicity @ (likelihood / (likelihood @ weights)[:, None])) - multiplicity.sum())


def npmle(counts, mu, nodes, gap=1e-8, max_steps=500):
    """Best weights on fixed nodes, by a sequence of non-negative least-squares problems.

    Each step maximises the quadratic model of the log-likelihood: least squares of S w against 2, where
    S[j, g] = L[j, g] / L[j], w >= 0 and sum w = 1. It is halved until the log-likelihood rises, or, once
    rounding hides that, chosen for the smallest gap. Stops on the certificate `npmle_gap`, or fails.
    """
    likelihood, multiplicity = _relative_likelihoods(counts, mu, nodes)
    root, weights = np.sqrt(multiplicity), np.full(len(nodes), 1.0 / len(nodes))

    value = lambda w: multiplicity @ np.log(likelihood @ w)  # noqa: E731

    def lacking(w):
        return np.max(multiplicity @ (likelihood / (likelihood @ w)[:, None])) - multiplicity.sum()

    for _ in range(max_steps):
        if lacking(weights) < gap:
            return weights
        # taking the target from every column turns least squares with "sum w = 1" into a plain cone problem
        ratio = likelihood / (likelihood @ weights)[:, None]
        system = np.vstack([root[:, None] * (ratio - 2.0), np.ones(len(nodes))])
        best = nnls(system, np.append(np.zeros(len(root)), 1.0), maxiter=100 * len(nodes))[0]
        steps = [weights + shrink * (best / best.sum() - weights) for shrink in 0.5 ** np.arange(30)]
        rises = (step for step in steps if value(step) > value(weights) + 1e-12 * abs(value(weights)))
        risen = next(rises, None)
        weights = min(steps, key=lacking) if risen is None else risen
    raise AssertionError(f"gap still {lacking(weights)}")
