"""Strengths: how often an attentive user prefers A, per comparison (known, shared, one per pair)."""

import abc
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from emjax.data.comparison_table import ComparisonTable, labels, pooled_by_pair
from emjax.data.comparison_table import turned as turned_label
from emjax.data.outcome_schema import MIRROR
from emjax.errors import ModelError, warn
from emjax.model.array_namespace import AnyArray, log_sigmoid, namespace, sigmoid
from emjax.model.design import Design, known_design
from emjax.model.likelihood import Nodes, expected_log_likelihoods, nodes_at, strength_slopes
from emjax.model.optimize import ascend, decreasing_root
from emjax.model.parameters import LOGIT, OneVector, Parameter, logit
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.response import AttentiveOrRandom, Behavior

Index = Int[Array | np.ndarray, "comparisons two"]
_LOGIT_LIMIT = 40.0  # beyond it μ or 1 − μ is below 1e-17
_STEPS = 20  # of Newton's method in one M-step


class Strength(OneVector, abc.ABC):
    """Strengths μ_c of all comparisons, as logits that are linear in the free `coordinates`.

    The base class of strengths. A class of one's own is a `record`. It lists its `parameters`, each the name
    of a field that is estimated, and gives:

    - ``index(table)``, integers (C, 2): for each of the C comparisons of ``table.comparisons``, two numbers
      which ``design`` looks up, such as the places of its two models.
    - ``design(index)``, a `Design`: log μ_c/(1 − μ_c) of each comparison as a linear function of the
      coordinates, which are the parameters after their transforms, one after the other. μ_c is how often an
      attentive user prefers the first of the two.
    - ``start(table)``, where something is missing until the votes are known: the strength with it. By default
      it is complete as it is.
    - ``log_prior()``, where it has one: the natural logarithm of its density, in log-likelihood units.
    - ``maximise(...)``, where there are more than some dozens of parameters: the M-step.

    Notes
    -----
    `table` is ``prefs.table``, the comparisons of the votes: `comparisons` (C, 2) are names of models.
    One limit: a class of one's own has no leaderboard; its parameters are in ``fit.standard_errors()``, and
    the strength of each comparison in ``fit.comparisons(prefs)``.

    Examples
    --------
    Log-odds proportional to the difference of scores that the models have from elsewhere:

    >>> import emjax, numpy as np
    >>> from emjax.model.own_classes import IDENTITY, Design, Parameter, namespace, record, static
    >>> @record
    ... class ByScore(emjax.Strength):
    ...     scores: tuple = static(default=())
    ...     slope: float = 1.0
    ...     parameters = (Parameter("slope", "slope", IDENTITY),)
    ...     def index(self, table):
    ...         place = {name: i for i, (name, _) in enumerate(self.scores)}
    ...         return np.array([[place[a], place[b]] for a, b in table.comparisons])
    ...     def design(self, index):
    ...         score = namespace(index).asarray([score for _, score in self.scores])
    ...         apart = score[index[:, 0]] - score[index[:, 1]]
    ...         return Design(0 * index[:, :1], apart[:, None], 0.0 * apart, size=1)
    >>> strengths = {"ant": 1.0, "bee": 0.2, "cat": -1.2}
    >>> sim = emjax.simulate(0, n_users=300, votes_per_user=40, strengths=strengths)
    >>> scores = (("ant", 3.0), ("bee", 2.0), ("cat", 0.5))
    >>> fit = emjax.fit_em(sim.preferences, emjax.Beta(), strength=ByScore(scores))
    >>> fit.standard_errors().names
    ('a', 'b', 'slope')
    """

    def start(self, table: ComparisonTable) -> Self:
        """The strength, complete for these votes: values it already has are kept, others get a start."""
        return self

    @abc.abstractmethod
    def index(self, table: ComparisonTable) -> np.ndarray:
        """(C, 2) integers that `design` looks up; raises ModelError for comparisons it does not have."""

    @abc.abstractmethod
    def design(self, index: Index) -> Design:
        """How the logit of each comparison is made of the coordinates."""

    def logits(self, index: Index) -> Float[AnyArray, " comparisons"]:
        """Log μ_c/(1 − μ_c) of every comparison."""
        return self.design(index).logits(self.coordinates())

    def maximise(
        self,
        votes: Float[AnyArray, "comparisons outcomes nodes"],
        nodes: Nodes,
        index: Index,
        behavior: Behavior,
    ) -> Self:
        """The M-step: the expected log-likelihood plus log prior does not fall.

        `votes` are the expected votes by comparison, outcome and node (C, O, G). By default by Newton's
        method in all coordinates, whose matrix of second derivatives automatic differentiation makes.
        """
        start = jnp.asarray(self.coordinates())
        if not start.shape[0]:
            return self

        def value(x):
            at = self.at(x)
            each = expected_log_likelihoods(behavior, nodes, at.logits(index), votes)
            return jnp.sum(each) + at.log_prior()

        return self.at(ascend(value, start, -_LOGIT_LIMIT, _LOGIT_LIMIT, _STEPS))

    @property
    def model_names(self) -> tuple[str, ...]:
        """Names of the models that have a strength each; none where comparisons have."""
        return ()

    @property
    def is_shared(self) -> bool:
        """Whether all comparisons have one unknown strength."""
        return False

    @property
    def items_are_latent(self) -> bool:
        """Whether comparisons are items, each with an unknown strength drawn from a distribution."""
        return False

    @property
    def is_learned(self) -> bool:
        """Whether the strengths come from a network or a map that is learned from answers."""
        return False

    @property
    def margins_are_free(self) -> bool:
        """Whether all margins μ − ½ can be stretched by one factor: the votes do not fix their scale."""
        return False

    @property
    def starts_unadjusted(self) -> bool:
        """Whether a fit starts from `unadjusted`, and not from what `start` gives."""
        return False

    def mirrored(self) -> Self | None:
        """The strengths if every comparison is the other way round; None if they have no free sign."""
        return None

    def parts(self) -> tuple[str, ...]:
        """What it has, by the names of the table of capabilities."""
        return (type(self).__name__,)

    def unadjusted(self, table: ComparisonTable) -> Self:
        """The strengths if every vote is an attentive one; those that are known stay as they are.

        For a strength that `start` has completed for these votes. By default one M-step.
        """
        if not self.n_coordinates():
            return self
        wins, attentive = jnp.asarray(table.wins_by_comparison())[:, :, None], nodes_at(jnp.ones(1))
        found = self.maximise(wins, attentive, jnp.asarray(self.index(table)), AttentiveOrRandom())
        return self.at(np.asarray(found.coordinates()))

    def log_prior(self) -> Float[AnyArray, ""]:
        """Log prior density of the strengths, up to a constant."""
        return np.zeros(())

    def bare(self) -> Self:
        """Without names, so that compiled code is shared between data sets."""
        return self


@record
class Known(Strength):
    """Strengths that are known, and not estimated.

    Parameters
    ----------
    value
        One number for every comparison, an array with one per comparison in the order of
        `table.comparisons`, or a mapping such as ``{("new", "base"): 0.74}``. Each is the probability
        that an attentive user prefers the first model of the pair, strictly between 0 and 1.
    comparisons
        What the values belong to, and which model of each pair comes first; filled in by itself.

    Raises
    ------
    ModelError
        When a value is outside (0, 1), or all are ½: then votes carry no information about attentiveness.

    Notes
    -----
    Where one number is given and a pair was shown both ways round, "the first model" is taken to be the
    one with which the majority of votes agrees, and a warning says which.

    Examples
    --------
    >>> Known(0.74)
    Known(value=0.74)
    """

    value: Any
    comparisons: tuple[Any, ...] = static(default=())

    def __post_init__(self) -> None:
        value, names = self.value, self.comparisons
        if isinstance(value, dict):
            names = tuple(tuple(k) if isinstance(k, list | tuple) else k for k in value)
            value = list(value.values())
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ModelError(f"Known takes a strength between 0 and 1; got {value!r}.") from None
        wrong = ~((array > 0) & (array < 1))
        if array.size == 0 or wrong.any():
            first = array.ravel()[wrong.ravel()][:1]
            shown = f"{first[0]:g}" if first.size else "none"
            raise ModelError(
                f"A known strength is the probability that an attentive user prefers the first model, "
                f"strictly between 0 and 1; got {shown}."
            )
        if (np.abs(array - 0.5) < 1e-9).all():
            raise ModelError(
                "A known strength of 1/2 means that the models are equally good: then attentive and careless "
                "users vote alike and nothing can be inferred. Compare models that differ."
            )
        set_fields(self, value=array, comparisons=names)

    def start(self, table: ComparisonTable) -> Self:
        if self.comparisons:
            return self
        value = np.asarray(self.value)
        if value.ndim:
            if len(value) != table.n_comparisons:
                raise ModelError(
                    f"Known has {len(value)} strengths for {table.n_comparisons} comparisons: give "
                    f"one number, one per comparison, or a mapping from pairs."
                )
            return replace(self, comparisons=labels(table))
        both = pooled_by_pair(table, table.shown.min(axis=1), turns=False) > 0
        if not both.any():
            return replace(self, comparisons=labels(table))
        wins = table.wins_by_comparison()
        margin = pooled_by_pair(table, wins[:, 0] - wins[:, 1])
        agreement = np.where(both, np.sign(margin) * np.sign(value - 0.5), 1.0)
        values = np.where(agreement < 0, 1.0 - value, value)
        a, b = table.comparisons[np.argmax(both)][:: 1 if agreement[np.argmax(both)] >= 0 else -1]
        warn(
            f"{int(both.sum())} of {len(both)} comparisons were shown both ways round, so the known strength "
            f"{float(value):g} is read as: an attentive user prefers {a!r} to {b!r} that often. If not so, "
            f"name the pair: Known({{({a!r}, {b!r}): {float(value):g}}})."
        )
        # What is known of a pair is known of it in every context: one name for all of them.
        pairs = dict(zip([label[:2] for label in labels(table)], values, strict=True))
        return replace(self, value=np.array([*pairs.values()]), comparisons=tuple(pairs))

    def index(self, table: ComparisonTable) -> np.ndarray:
        if np.ndim(self.value) == 0:
            return _one_for_all(table, self.comparisons)
        return _locate(table, self.comparisons, "known strength")

    def design(self, index: Index) -> Design:
        xp = namespace(self.value, index)
        value = xp.atleast_1d(xp.asarray(self.value))
        return known_design(logit(value)[index[:, 0]] * xp.asarray(index[:, 1], value.dtype))

    def maximise(self, votes, nodes, index, behavior) -> Self:
        return self

    def bare(self) -> Self:
        return replace(self, comparisons=())


@record
class Shared(Strength):
    """One unknown strength for every comparison, with a Beta prior: the paper's choice for one comparison.

    Parameters
    ----------
    prior
        (α, β) of the Beta prior on μ. (8, 2) says that the first model is probably the stronger; use (2, 8)
        where the second one is.
    value
        Starting value of μ, between 0 and 1; the estimate after a fit.
    comparisons
        The comparisons it was fitted to, and which model of each pair comes first; filled in by itself.

    Raises
    ------
    ModelError
        When a prior number is below 1 or the value outside (0, 1).

    Notes
    -----
    The votes of one comparison do not determine the scale of attentiveness: μ then comes from the prior.
    The ranking of users does not depend on it. Source: Cai & Li (arXiv 2510.13830).

    Examples
    --------
    >>> Shared(prior=(8, 2))
    Shared(value=0.75, prior=(8.0, 2.0))
    """

    prior: tuple[float, float] = static(default=(8.0, 2.0))
    value: Any = 0.75
    comparisons: tuple[Any, ...] = static(default=(), repr=False)

    parameters = (Parameter("value", "strength", LOGIT),)

    def __post_init__(self) -> None:
        set_fields(self, prior=_beta_prior(self.prior, "Shared"), value=np.float64(self.value))
        if not 0 < self.value < 1:
            raise ModelError(f"Shared starts from a strength between 0 and 1; got {self.value:g}.")

    def start(self, table: ComparisonTable) -> Self:
        return self if self.comparisons else replace(self, comparisons=labels(table))

    def index(self, table: ComparisonTable) -> np.ndarray:
        return _one_for_all(table, self.comparisons)

    def design(self, index: Index) -> Design:
        return _one_entry_each(index, 1)

    def log_prior(self) -> Float[AnyArray, ""]:
        return beta_log_density(logit(self.value), self.prior)

    def maximise(self, votes, nodes, index, behavior) -> Self:
        signs = jnp.asarray(index[:, 1], jnp.float64)
        if behavior.tilts() is None:  # then all comparisons are alike
            votes, signs = jnp.sum(turned(votes, index), axis=0, keepdims=True), jnp.ones(1)

        def slope(logit):
            each = strength_slopes(behavior, nodes, logit * signs, votes)
            return jnp.sum(signs * each, keepdims=True)

        return self.at(_best_logits(self.coordinates(), slope, self.prior))

    def unadjusted(self, table: ComparisonTable) -> Self:
        wins = _own_wins(self.index(table), table, 1)
        return replace(self, value=_mode_of_beta(wins, self.prior)[0])

    @property
    def is_shared(self) -> bool:
        return True

    @property
    def margins_are_free(self) -> bool:
        return True

    def bare(self) -> Self:
        return replace(self, comparisons=())


@record
class PerPair(Strength):
    """One unknown strength per comparison, each with a symmetric Beta prior.

    Parameters
    ----------
    prior
        (α, β) of the Beta prior on each μ_c.
    values, comparisons
        Strengths and what they belong to; filled in by a fit, and a starting point for the next.

    Raises
    ------
    ModelError
        When a prior number is below 1.

    Notes
    -----
    Nothing is shared between comparisons, so the scale of attentiveness is not identified: it is set by the
    prior, as under `Shared`. With named models `BradleyTerry` is the better choice.

    Examples
    --------
    >>> PerPair()
    PerPair(prior=(2.0, 2.0))
    """

    prior: tuple[float, float] = static(default=(2.0, 2.0))
    values: Any = None
    comparisons: tuple[Any, ...] = static(default=())

    parameters = (
        Parameter("values", lambda of: tuple(f"strength {_pair_name(c)}" for c in of.comparisons), LOGIT),
    )

    def __post_init__(self) -> None:
        set_fields(self, prior=_beta_prior(self.prior, "PerPair"))
        if self.values is not None:
            set_fields(self, values=np.array(self.values, dtype=np.float64))

    def start(self, table: ComparisonTable) -> Self:
        if self.values is not None:
            _locate(table, self.comparisons, "fitted strength")
            return self
        wins = table.wins_by_comparison()
        a, b = self.prior
        values = (wins[:, 0] + a) / (wins.sum(axis=1) + a + b)
        return replace(self, values=values, comparisons=labels(table))

    def index(self, table: ComparisonTable) -> np.ndarray:
        return _locate(table, self.comparisons, "fitted strength")

    def design(self, index: Index) -> Design:
        return _one_entry_each(index, np.shape(self.values)[0])

    def log_prior(self) -> Float[AnyArray, ""]:
        return namespace(self.values).sum(beta_log_density(logit(self.values), self.prior))

    def maximise(self, votes, nodes, index, behavior) -> Self:
        own = jnp.zeros((jnp.asarray(self.values).shape[0], *votes.shape[1:]), votes.dtype)
        own = own.at[index[:, 0]].add(turned(votes, index))

        def slopes(logits):
            return strength_slopes(behavior, nodes, logits, own)

        return self.at(_best_logits(self.coordinates(), slopes, self.prior))

    def unadjusted(self, table: ComparisonTable) -> Self:
        wins = _own_wins(self.index(table), table, len(self.comparisons))
        return replace(self, values=_mode_of_beta(wins, self.prior))

    @property
    def margins_are_free(self) -> bool:
        return True

    def mirrored(self) -> Self:
        return self.at(-np.asarray(self.coordinates()))

    def bare(self) -> Self:
        return replace(self, comparisons=())


def _one_entry_each(index: Index, size: int) -> Design:
    """The design where each comparison has a coordinate to itself, or all have one: turned by a −1."""
    signs = namespace(index).asarray(index[:, 1:], np.float64)
    return Design(index[:, :1], signs, 0.0 * signs[:, 0], size)


def _own_wins(index: np.ndarray, table: ComparisonTable, n: int) -> np.ndarray:
    """(n, 2) votes for the first and for the second model, by strength and the way round it is stated."""
    wins = table.wins_by_comparison()
    wins = np.where(index[:, 1:] < 0, wins[:, ::-1], wins)
    return np.stack([np.bincount(index[:, 0], side, minlength=n) for side in wins.T], axis=1)


def _mode_of_beta(wins: np.ndarray, prior: tuple[float, float]) -> np.ndarray:
    """Most probable μ after binomial votes; ½ where neither votes nor prior say anything."""
    mass = wins + np.array(prior) - 1.0
    total = mass.sum(axis=1)
    mode = np.where(total > 0, mass[:, 0] / np.where(total > 0, total, 1.0), 0.5)
    return np.clip(mode, sigmoid(-_LOGIT_LIMIT), 1.0 - np.finfo(float).epsneg)


def turned(
    votes: Float[AnyArray, "comparisons outcomes nodes"], index: Index
) -> Float[AnyArray, "comparisons outcomes nodes"]:
    """Votes with the outcomes exchanged where a comparison is the other way round."""
    mirror = jnp.array(MIRROR[votes.shape[1]])
    return jnp.where((index[:, 1] < 0)[:, None, None], votes[:, mirror, :], votes)


def beta_log_density(logit: Float[AnyArray, "*n"], prior: tuple[float, float]) -> Float[AnyArray, "*n"]:
    """Log density of Beta(α, β) in μ (not in its logit), up to a constant."""
    a, b = prior
    return (a - 1.0) * log_sigmoid(logit) + (b - 1.0) * log_sigmoid(-logit)


def _best_logits(start, slopes, prior: tuple[float, float]):
    """Maximum over each μ of its expected log-likelihood plus log prior: concave in μ, so one root each."""
    prior_slope = jax.vmap(jax.grad(lambda logit: beta_log_density(logit, prior)))
    limit = jnp.full_like(start, _LOGIT_LIMIT)
    return decreasing_root(
        lambda logits: slopes(logits) + prior_slope(logits),
        -limit,
        limit,
        start,
    )


def _beta_prior(prior: Any, owner: str) -> tuple[float, float]:
    try:
        a, b = (float(x) for x in prior)
    except (TypeError, ValueError):
        raise ModelError(f"{owner}(prior=(a, b)) needs two numbers; got {prior!r}.") from None
    if not (1 <= a < np.inf and 1 <= b < np.inf):
        raise ModelError(
            f"{owner}(prior=(a, b)) needs finite numbers >= 1, so that a mode exists; got {prior}."
        )
    return a, b


def _pair_name(label: Any) -> str:
    if not isinstance(label, tuple):
        return f"of {label}"
    return " over ".join(label[:2]) + (f" in {label[2]}" if len(label) > 2 else "")


def _places(known: tuple[Any, ...]) -> dict[Any, tuple[int, int]]:
    """Where each known comparison is, and −1 for the same pair the other way round."""
    where: dict[Any, tuple[int, int]] = {}
    for i, label in enumerate(known):
        where[label] = (i, 1)
        if isinstance(label, tuple):
            where.setdefault(turned_label(label), (i, -1))
    return where


def _locate(table: ComparisonTable, known: tuple[Any, ...], what: str) -> np.ndarray:
    """For each comparison its place among the known ones, and −1 where it is the other way round."""
    places, asked = _places(known), labels(table)
    # What is known of a pair is known of it in every context.
    found = [
        places.get(label, places.get(label[:2] if isinstance(label, tuple) else label)) for label in asked
    ]
    missing = [label for label, place in zip(asked, found, strict=True) if place is None]
    if missing:
        first = ", ".join(_pair_name(label) for label in missing[:3])
        raise ModelError(f"{len(missing)} of {len(asked)} comparisons have no {what}, first {first}.")
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _one_for_all(table: ComparisonTable, known: tuple[Any, ...]) -> np.ndarray:
    """The one strength for every comparison, and −1 where a known pair is the other way round.

    A pair is one way round in all its contexts: the way it is in the first.
    """
    first: set[Any] = set()
    for label in known:
        if isinstance(label, tuple) and label[1::-1] not in first:
            first.add(label[:2])
    turns = [isinstance(label, tuple) and label[1::-1] in first for label in labels(table)]
    return np.column_stack([np.zeros(table.n_comparisons, np.int64), np.where(turns, -1, 1)])
