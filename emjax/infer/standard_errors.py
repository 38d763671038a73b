"""Standard errors of what was fitted: from the information, or the sandwich clustered by user."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from emjax.data.near_names import closest
from emjax.errors import ModelError
from emjax.infer.coordinates import all_coordinates, n_support, n_table, with_all_coordinates
from emjax.infer.information import Information
from emjax.infer.linear_algebra import cholesky, flat_directions, inverse_off, unit_scale
from emjax.infer.scale_invariance import scale_is_free
from emjax.infer.votes_on_device import compiled
from emjax.model.array_namespace import AnyArray
from emjax.model.model import Model
from emjax.model.prior import moments
from emjax.model.priors_discrete import TwoPoint

_STRAIGHT = 1e-3  # the same where users are fewer than parameters: log priors may add this much curvature
_AT_BOUND = 1e-7
_NEAR_BOUND = 1e-3  # how near a limit an estimate can stop that goes there for ever
_UNHELD = 5.0  # standard error of its logit, or logarithm, beyond which nothing holds it back from there
_EDGE = "at the edge of the range of a "
OPEN_SCALE = "its scale is not determined by these votes"
_NO_USER = 1e-18  # a score this small, relative and squared, is of no user
_OF_SPREAD = 0.2


@dataclass(frozen=True, eq=False)
class Curvature:
    """What standard errors are made of: derivatives of log L, and the Jacobian of natural parameters.

    Attributes
    ----------
    names : names of the natural parameters (Q)
    estimate : (Q,)
    jacobian : (Q, P), natural parameters in the coordinates
    observed, outer, log_prior : (P, P), see `Information`
    held : (P,) bool, coordinates of strengths and weights at a bound
    at_edge : (P,) bool, support points at 0 or at 1
    limits : (2, Q), what the parameters can be at all; intervals end there
    unscaled : (Q,) bool, parameters on a scale that the votes leave open
    of_strength : (P,) bool, which coordinates are strengths, or of the behavior
    n_users : how many users' scores `outer` sums
    prior : what class the prior is of
    """

    names: tuple[str, ...]
    estimate: np.ndarray
    jacobian: np.ndarray
    observed: np.ndarray
    outer: np.ndarray
    log_prior: np.ndarray
    held: np.ndarray
    at_edge: np.ndarray
    limits: np.ndarray
    unscaled: np.ndarray
    of_strength: np.ndarray
    n_users: int
    prior: str = "Beta"  # whose note needs it in files of earlier versions


def no_curvature(model: Model, n_users: int) -> Curvature:
    """Estimates whose second derivatives are not known: all that is said of them is what they are."""
    names = model.names()
    nothing, flags = np.zeros((0, 0)), np.zeros(0, dtype=bool)
    return Curvature(
        names=names,
        estimate=np.asarray(model.natural()),
        jacobian=np.zeros((len(names), 0)),
        observed=nothing,
        outer=nothing,
        log_prior=nothing,
        held=flags,
        at_edge=flags,
        limits=np.array(model.limits()).reshape(-1, 2).T,
        unscaled=np.zeros(len(names), dtype=bool),
        of_strength=flags,
        n_users=n_users,
        prior=type(model.prior).__name__,
    )


@dataclass(frozen=True, eq=False, repr=False)
class StandardErrors:
    """Estimates with standard errors and intervals, on the natural scale.

    Attributes
    ----------
    names : parameter names (Q)
    estimate, std_err, lower, upper : (Q,)
        NaN where the votes do not determine a standard error; `notes` then says why. Intervals of parameters
        that are positive without an upper limit are made for their logarithms, and are not symmetric.
    notes : (Q,) one word of explanation each, mostly empty
    covariance : (Q, Q)
    level : probability the intervals are made for
    given_prior : (Q, Q)
        Covariance if attentiveness were known: strengths without the uncertainty that comes from the prior.

    Examples
    --------
    >>> import emjax
    >>> sim = emjax.simulate(0, n_users=2000, votes_per_user=30, prior=emjax.TwoPoint(0.1, 0.9, 0.6))
    >>> fit = emjax.fit_em(sim.preferences, emjax.TwoPoint(), strength=emjax.Known(0.74))
    >>> se = fit.standard_errors()
    >>> bool(abs(se["high"].estimate - 0.9) < 4 * se["high"].std_err)
    True
    """

    names: tuple[str, ...]
    estimate: np.ndarray
    std_err: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    notes: tuple[str, ...]
    covariance: np.ndarray
    level: float
    given_prior: np.ndarray

    def __getitem__(self, name: str) -> "Estimate":
        if name not in self.names:
            # A model's name alone is what people write for its strength.
            bare = {full.removeprefix("strength of "): full for full in self.names}
            wanted = name.removeprefix("strength of ")
            near = [wanted] if wanted in bare else closest(bare, (wanted,))
            meant = " or ".join(repr(bare[one]) for one in near)
            instead = f"did you mean {meant}?" if near else f"print(fit) shows them, as {self.names[-1]!r}."
            raise KeyError(f"{name!r} is not among the parameters: {instead}")
        return self._at(self.names.index(name))

    def __iter__(self):
        return (self._at(i) for i in range(len(self.names)))

    def _at(self, i: int) -> "Estimate":
        return Estimate(
            self.names[i],
            float(self.estimate[i]),
            float(self.std_err[i]),
            float(self.lower[i]),
            float(self.upper[i]),
            self.notes[i],
        )

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        width = max([len(n) for n in self.names] + [9])
        head = f"{'':{width}}  estimate   std_err   {self.level:.0%} interval"
        return "\n".join([head] + [f"{e.name:{width}}  {e.row()}" for e in self])


@dataclass(frozen=True)
class Estimate:
    """One parameter: estimate, standard error, interval, and a note where something is to be said."""

    name: str
    estimate: float
    std_err: float
    lower: float
    upper: float
    note: str

    def row(self) -> str:
        """One line of a table, without the name."""
        if np.isnan(self.std_err):
            return f"{self.estimate:8.4f}         –   {self.note}"
        interval = f"[{_written(self.lower)}, {_written(self.upper)}]"
        return f"{self.estimate:8.4f}  {self.std_err:8.4f}   {interval} {self.note}".rstrip()

    @property
    def at_bound(self) -> bool:
        """Whether it is at the end of its range, where it has no standard error."""
        return self.note.startswith(("at its ", _EDGE))

    @property
    def at_edge_of_density(self) -> bool:
        """Whether it is the shape of a density that has come to the end of the range that fits allow."""
        return self.note.startswith(_EDGE)


def _written(x: float) -> str:
    return f"{x:.4f}" if abs(x) < 1e5 else f"{x:.2g}"


def curvature(
    model: Model,
    found: Information,
    names: tuple[str, ...],
    n_users: int,
    n_known: int = 0,
    *,
    is_grid: bool = False,
    points_move: bool = False,
) -> Curvature:
    """Collect, at a fitted model, what `standard_errors` needs.

    `n_known` is the number of questions of known strength. A Grid comes as points, which move or stay, and
    is read by its mean and standard deviation.
    """
    read = compiled(_natural, ("is_grid",), small=True)(model, is_grid=is_grid)
    at, estimate, jacobian = (np.asarray(x) for x in read)
    low, high = _all_bounds(model)
    place = np.arange(len(at))
    held = (at <= low + _AT_BOUND) | (at >= high - _AT_BOUND)
    n_shape = len(model.prior.shape()) if model.prior.continuous else 0
    if n_shape:
        # The range of a Beta ends where its class says: the partner of a number held there says nothing.
        held[-n_shape:] = held[-n_shape:].any()
    least = float(low[0]) if is_grid else 0.0  # a Grid comes as points
    prior_limits = [(least, 1.0), (0.0, 1.0)] if is_grid else model.prior.limits()
    on_support = place < n_support(model)
    of_strength = ~on_support & (place < n_support(model) + n_table(model))
    squared_scores = np.diag(found.outer)
    # The empty points that a Grid is padded with are no parameters.
    there = of_strength | (squared_scores > _NO_USER * squared_scores.max(initial=0.0)) | (not is_grid)
    inside = np.ix_(there, there)
    observed, outer = np.asarray(found.observed)[inside], np.asarray(found.outer)[inside]
    if points_move:
        observed = _as_at_a_maximum(observed, outer)
    return Curvature(
        names=names,
        estimate=estimate,
        jacobian=jacobian[:, there],
        observed=observed,
        outer=outer,
        log_prior=np.asarray(found.log_prior)[inside],
        limits=np.array([prior_limits + model.strength.limits() + model.behavior.limits()]).reshape(-1, 2).T,
        unscaled=_scale_is_open(model, n_known, shape_is_held=n_shape > 0 and bool(held[-1]))
        & np.array([not name.startswith("weight") for name in names], dtype=bool),
        held=np.where(on_support, is_grid and not points_move, held)[there],
        at_edge=(on_support & held & (points_move or not is_grid))[there],
        of_strength=of_strength[there],
        n_users=n_users,
        prior=type(model.prior).__name__,
    )


def _scale_is_open(model: Model, n_known: int, *, shape_is_held: bool) -> bool:
    """Whether the votes leave the scale of attentiveness open: by the model, or where its estimate ended.

    Only the shape of a density tells its scale. One that is held at the edge of its range tells as little as
    points do, and standard errors that take it as known would be far too small.
    """
    priors = [model.prior, *([TwoPoint()] if shape_is_held else [])]
    return any(scale_is_free(prior, model.strength, model.behavior, n_known=n_known) for prior in priors)


def _as_at_a_maximum(observed: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """Observed information whose curvature is nowhere far below the spread of the scores.

    The two agree at a maximum, up to chance. Points gathered from a grid are near one and not at it, and a
    slope that is left over can give directions of little information the wrong sign of curvature.
    """
    scale = unit_scale(outer)
    scaled, spread = (matrix * scale * scale[:, None] for matrix in (observed, outer))
    if cholesky(scaled - _OF_SPREAD * spread + 1e-10 * np.eye(len(scaled)), 0.0) is not None:
        return observed  # nowhere below
    values, vectors = np.linalg.eigh(scaled)
    spread = np.sum(vectors * (spread @ vectors), axis=0)
    lifted = np.maximum(_OF_SPREAD * spread - values, 0.0)
    return observed + (vectors * lifted) @ vectors.T / scale / scale[:, None]


def _natural(
    model: Model, is_grid: bool
) -> tuple[Float[AnyArray, " p"], Float[AnyArray, " q"], Float[AnyArray, "q p"]]:
    def read(x: Float[AnyArray, " p"]) -> Float[AnyArray, " q"]:
        at = with_all_coordinates(model, x)
        if is_grid:
            others = at.strength.natural(), at.behavior.natural()
            return jnp.concatenate([jnp.stack(moments(at.prior)), *(jnp.asarray(x) for x in others)])
        return at.natural()

    x = jnp.asarray(all_coordinates(model))
    return x, read(x), jax.jacfwd(read)(x)


def standard_errors(
    at: Curvature, *, sandwich: bool = False, include_prior: bool = False, level: float = 0.95
) -> StandardErrors:
    """Standard errors by the delta method from the information in `at`."""
    if not 0 < level < 1:
        raise ModelError(f"an interval's level lies between 0 and 1; got {level!r}.")
    if sandwich and at.n_users <= (~at.held).sum():
        raise ModelError(
            f"a sandwich needs more users than parameters; there are {at.n_users} users and "
            f"{(~at.held).sum()} parameters. Use the standard errors of the model (sandwich=False)."
        )
    inside = ~(at.held | at.at_edge)
    covariance, notes = _covariance(at, inside, sandwich, include_prior)
    given_prior, _ = _covariance(at, inside & at.of_strength, sandwich, include_prior)
    variance = np.diag(covariance).copy()
    if at.at_edge.any():
        # The votes may want a point that is at 0 or 1 just inside: the others must not take it as known.
        allowing, loose = _covariance(at, ~at.held, sandwich, include_prior)
        wider = np.array([not note for note in loose], dtype=bool) & (np.diag(allowing) > variance)
        variance = np.where(wider, np.diag(allowing), variance)
    unclear = np.array([bool(n) for n in notes], dtype=bool)
    std_err = np.where(unclear, np.nan, np.sqrt(np.maximum(variance, 0.0)))
    lower, upper = _interval(at.estimate, std_err, at.limits, level)
    return StandardErrors(
        names=at.names,
        estimate=at.estimate,
        std_err=std_err,
        lower=lower,
        upper=upper,
        notes=tuple(notes),
        covariance=covariance,
        level=level,
        given_prior=given_prior,
    )


def _interval(
    estimate: np.ndarray, std_err: np.ndarray, limits: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Ends of intervals, within the limits; of what is positive without an upper limit on the log scale.

    There the likelihood of a shape, a rate of ties or a variance is nearer to a normal one, and the lower end
    is not 0. A standard error of many times the estimate, which may be 0, says nothing of the logarithm.
    """
    lowest, highest = limits
    half_width = ndtri(0.5 + 0.5 * level) * std_err
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factor = np.exp(half_width / estimate)
        by_log = (lowest == 0.0) & np.isinf(highest) & (std_err <= _UNHELD * estimate)
        lower = np.where(by_log, estimate / factor, np.maximum(estimate - half_width, lowest))
        upper = np.where(by_log, estimate * factor, np.minimum(estimate + half_width, highest))
    return lower, upper


def _covariance(
    at: Curvature, free: np.ndarray, sandwich: bool, include_prior: bool
) -> tuple[np.ndarray, list[str]]:
    """Covariance of the natural parameters if these coordinates are estimated, and notes where it is none."""
    if not at.jacobian.shape[1]:
        n = len(at.names)  # of thousands of parameters a matrix would not fit into memory
        return np.broadcast_to(0.0, (n, n)), [_why_held(at, i) for i in range(n)]
    information = at.observed + at.log_prior if include_prior else at.observed
    inside = np.ix_(free, free)
    flat = undetermined(at, free)
    if include_prior:
        flat = flat[:, np.abs(at.log_prior[inside] @ flat).max(axis=0, initial=0.0) == 0.0]
    inverse, bent = inverse_off(information[inside], flat)
    jacobian = at.jacobian[:, free]
    covariance = inverse @ at.outer[inside] @ inverse if sandwich else inverse
    covariance = jacobian @ covariance @ jacobian.T
    notes = []
    for i in range(len(at.names)):
        if not jacobian[i].any():
            notes.append(_why_held(at, i))
        elif at.unscaled[i] and not include_prior:
            notes.append(OPEN_SCALE)
        elif _goes_to_its_bound(at, i, covariance[i, i], flat=_varies_along(jacobian[i], flat)):
            notes.append(_bound(at, i))
        elif _varies_along(jacobian[i], flat):
            notes.append("not determined by these votes")
        elif _varies_along(jacobian[i], bent) or covariance[i, i] < 0:
            notes.append("the likelihood is not curved like a maximum here")
        else:
            notes.append("")
    return covariance, notes


def _varies_along(gradient: np.ndarray, directions: np.ndarray) -> bool:
    """Whether a parameter changes along any of these unit directions."""
    length = max(np.abs(gradient).max(initial=0.0), 1e-300)
    return bool(np.abs(gradient @ directions).max(initial=0.0) > 1e-5 * length)


def _why_held(at: Curvature, i: int) -> str:
    low, high = at.limits[:, i]
    inside = low + _AT_BOUND < at.estimate[i] < high - _AT_BOUND
    # The weight of a single point is 1 whatever the votes are.
    known = not at.jacobian[i].any() and (inside or at.names[i].startswith("weight"))
    if not at.jacobian.shape[1]:
        return "no standard error" if inside else _bound(at, i)
    if known:
        return "not estimated"
    of_prior = not at.jacobian[i, at.of_strength].any()
    return f"{_EDGE}{at.prior}" if inside and of_prior else _bound(at, i)


def _bound(at: Curvature, i: int) -> str:
    """Which end of its range a parameter is at."""
    low, high = np.abs(at.limits[:, i] - at.estimate[i])
    upper = high < low or (np.isinf(low) and at.estimate[i] > 0.0)
    return f"at its {'upper' if upper else 'lower'} bound"


def _goes_to_its_bound(at: Curvature, i: int, variance: float, *, flat: bool) -> bool:
    """Whether a parameter goes to a bound that it cannot reach: its logit, or logarithm, would be infinite.

    Steps then end somewhere near the bound. The logit of a share that no vote supports has a standard error
    of many units; that of a small share which some votes support has one of about 1, or less.
    """
    near = float(np.abs(at.limits[:, i] - at.estimate[i]).min())
    slope = float(np.abs(at.jacobian[i]).max())
    if near > _NEAR_BOUND or slope > 2.0 * near:  # what can reach its bound is held there
        return False
    return flat or not 0.0 <= variance <= (_UNHELD * slope) ** 2


def undetermined(at: Curvature, free: np.ndarray) -> np.ndarray:
    """Unit directions (P, k) of these coordinates along which the votes say nothing.

    The scores of the users do not move along them. With fewer users than parameters that alone proves
    nothing, so that the likelihood must be flat along them too.
    """
    inside = np.ix_(free, free)
    few_users = at.n_users <= free.sum()
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(at.observed[inside])), 1e-300))
    scaled = at.observed[inside] * scale * scale[:, None]
    if few_users and cholesky(scaled - _STRAIGHT * np.eye(len(scaled)), 0.0) is not None:
        return np.zeros((len(scaled), 0))  # curved along all directions
    flat, _ = flat_directions(at.outer[inside])
    if not few_users or not flat.size:
        return flat
    basis = np.linalg.qr(flat / scale[:, None])[0]
    values, vectors = np.linalg.eigh(basis.T @ scaled @ basis)
    still = (basis @ vectors[:, np.abs(values) < _STRAIGHT]) * scale[:, None]
    return still / np.maximum(np.linalg.norm(still, axis=0), 1e-300)


def _all_bounds(model: Model) -> tuple[np.ndarray, np.ndarray]:
    prior_low, prior_high = model.prior.bounds()
    k, free = n_support(model), np.full(n_table(model), 39.9)
    return (
        np.concatenate([prior_low[:k], -free, prior_low[k:]]),
        np.concatenate([prior_high[:k], free, prior_high[k:]]),
    )
