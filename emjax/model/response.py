"""Response models: P(outcome) of a vote, given attentiveness and the strength of a comparison."""

import abc
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from emjax.data.canonical_order import sum_by
from emjax.data.comparison_table import ComparisonTable, pairs_of
from emjax.data.outcome_schema import WHO_WON, Outcomes
from emjax.data.strata import VoteStrata
from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray, log_sigmoid, namespace, sigmoid
from emjax.model.attention_covariates import VoteFeatures
from emjax.model.parameters import LOGIT, OneVector, Parameter, Part, Vector
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.ties import Davidson, TieRule

# Why the rate ends at its bound, and what to do then.
_ONE_SIDED = (
    "All careless users share this rate, and a few users who always vote for one side are the usual reason.",
    "Leave out users with many votes for one side (`emjax check` names them), or give the rate: "
    "behavior=AttentiveOrRandom(guess=0.5) (command line: --guess 0.5).",
)


class Behavior(OneVector, abc.ABC):
    """P(outcome | strength, attentiveness) for one vote: the base class of response models.

    A class of one's own is a `record`. It lists its `parameters`, each the name of a field that is estimated,
    and gives:

    - ``log_probability(eta, rest, logit)``, (O,): the natural logarithm of the probability of each outcome
      of one vote. It is given three numbers: attentiveness η of the user, 1 − abs(η), and log μ/(1 − μ) of
      the comparison, where μ is how often an attentive user prefers A. Outcomes are A won and B won.
    - ``careless()``, (O,), where votes are a mixture of attentive and careless ones: the probability of each
      outcome in a careless vote. Weights of single votes then use it.
    - ``log_prior()``, where it has one: the natural logarithm of its density, in log-likelihood units.

    Notes
    -----
    It must be differentiable twice in all three numbers and its parameters, and is called on JAX's tracers.
    One limit: votes with ties or sides as outcomes are refused, unless the class has a ``check(outcomes)``
    that lets them pass, and as many probabilities as ``outcomes.n``.

    Examples
    --------
    A share of the attentive votes lapses to a coin flip:

    >>> import emjax
    >>> from emjax.model.own_classes import LOGIT, Parameter, namespace, record, sigmoid
    >>> @record
    ... class Lapses(emjax.Behavior):
    ...     lapse: float = 0.1
    ...     parameters = (Parameter("lapse", "lapse", LOGIT),)
    ...     def log_probability(self, eta, rest, logit):
    ...         xp = namespace(eta, logit, self.lapse)
    ...         attentive = (1.0 - self.lapse) * sigmoid(xp.stack([logit, -logit])) + 0.5 * self.lapse
    ...         return xp.log(0.5 * rest + eta * attentive)
    >>> sim = emjax.simulate(0, n_users=500, votes_per_user=40, strength=0.95, behavior=Lapses(0.2))
    >>> prior = emjax.Fixed(emjax.Beta(3, 5))
    >>> fit = emjax.fit_em(sim.preferences, prior, strength=emjax.Known(0.95), behavior=Lapses())
    >>> fit.standard_errors().names
    ('lapse',)
    """

    features: Any = None  # covariates of the probability of an attentive vote, if any

    @abc.abstractmethod
    def log_probability(
        self, eta: Float[AnyArray, ""], rest: Float[AnyArray, ""], logit: Float[AnyArray, ""]
    ) -> Float[AnyArray, " outcomes"]:
        """(O,) log-probability of each outcome at one node, in one comparison.

        `rest` is 1 − abs(η), carried beside η because the subtraction loses it near η = 1; `logit` is
        log μ/(1 − μ), which keeps both tails of μ. A user with η < 0 judges, and chooses the worse answer.
        """

    def start(self, table: ComparisonTable) -> Self:
        """The behavior, complete for these votes; raises ModelError where the two do not go together."""
        self.check(table.outcomes)
        return self

    def check(self, outcomes: Outcomes) -> None:
        """Raise ModelError for votes with outcomes that this behavior does not have."""
        if outcomes != WHO_WON:
            raise ModelError(
                f"{type(self).__name__} has the outcomes A won and B won alone, and these votes have "
                f"{', '.join(outcomes.names)}: read them without ties and sides, or take AttentiveOrRandom."
            )

    def careless(self) -> Vector | None:
        """Probability of each outcome in a careless vote; None if votes are not a mixture."""
        return None

    def on(self, table: ComparisonTable) -> Self:
        """The behavior as the kernels take it: with the covariates of each comparison of these votes."""
        return self

    def of_first(self, n: int) -> Self:
        """The same for the first n comparisons alone."""
        return self

    def tilts(self) -> Vector | None:
        """(C,) log-odds offset of an attentive vote in each comparison; None without features."""
        return None

    def parts(self) -> tuple[str, ...]:
        """What it has, by the names of the table of capabilities."""
        return ()

    @property
    def depends_on(self) -> str | None:
        """What the probability of A depends on: "margin", η·(μ − ½); "log-odds", η·logit μ; None for more."""
        return None

    def with_strata(self, strata: VoteStrata) -> Self:
        """With the features of these strata of votes, where it has any use for them."""
        return self

    def with_fixed_rates(self) -> Self:
        """The same with the rates of careless votes taken as known."""
        return self

    def log_prior(self) -> Float[AnyArray, ""]:
        """Log prior density of what is estimated, up to a constant."""
        return np.zeros(())


@record
class AttentiveOrRandom(Behavior):
    """With probability η a vote is attentive, otherwise random: P(A) = ημ + (1 − η)/2.

    Parameters
    ----------
    guess
        How often a careless vote, if it is not a tie, goes to the answer shown first. A number is taken
        as known; without one it is estimated where the votes distinguish sides, and ½ where they do not.
    ties
        How an attentive user comes to a tie: `Davidson()` or `RaoKupper()`, for votes read with
        ``ties="model"``. Its parameter is estimated.
    careless_ties
        Share of ties among careless votes; a starting value, estimated along with `ties`.
    features
        What changes the probability of an attentive vote: `VoteFeatures(strata)`, or the vote strata
        themselves, as votes read with ``vote_features`` have them in `table.strata`.
    estimated
        Whether `guess` is estimated; True where none was given.
    sides
        Whether the votes distinguish sides; filled in by a fit.

    Raises
    ------
    ModelError
        When a rate is outside (0, 1), or the behavior does not go with the votes.

    Notes
    -----
    Attentive users are taken to have no preference for a side. Where every pair was always shown the same way
    round, a preference for a side cannot be distinguished from one for a model; a fit refuses to estimate it.
    Source: Cai & Li (arXiv 2510.13830), the mixture of an attentive and a random annotator.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> half = jnp.asarray(0.5)
    >>> jnp.exp(AttentiveOrRandom().log_probability(half, half, logit=jnp.log(jnp.asarray(3.0)))).tolist()
    [0.625, 0.375]
    """

    guess: Any = None
    ties: Any = None
    careless_ties: Any = 1 / 3
    features: Any = None
    estimated: bool | None = static(default=None, repr=False)
    sides: bool = static(default=False, repr=False)

    parameters = (
        Parameter(
            "guess",
            "guess",
            LOGIT,
            when=lambda of: bool(of.estimated and of.sides),
            at_bound=_ONE_SIDED,
        ),
        Part("ties"),
        Parameter("careless_ties", "careless ties", LOGIT, when=lambda of: of.ties is not None),
        Part("features"),
    )

    def __post_init__(self) -> None:
        estimated = self.guess is None if self.estimated is None else bool(self.estimated)
        guess = 0.5 if self.guess is None else self.guess
        for name, value in (("guess", guess), ("careless_ties", self.careless_ties)):
            try:
                fine = 0.0 < float(value) < 1.0
            except (TypeError, ValueError):
                fine = False
            if not fine:
                raise ModelError(f"AttentiveOrRandom needs 0 < {name} < 1; got {value!r}.")
        if not isinstance(self.ties, TieRule | None):
            raise ModelError(
                f"AttentiveOrRandom takes as ties Davidson() or RaoKupper(), or nothing; got {self.ties!r}."
            )
        features = VoteFeatures(self.features) if isinstance(self.features, VoteStrata) else self.features
        if not isinstance(features, VoteFeatures | None):
            raise ModelError(
                f"AttentiveOrRandom takes as features VoteFeatures(strata), or nothing; got {features!r}."
            )
        rates = {
            "features": features,
            "guess": np.float64(guess),
            "careless_ties": np.float64(self.careless_ties),
        }
        set_fields(self, estimated=estimated, **rates)

    def __repr__(self) -> str:
        """Show only the fields that differ from their defaults."""
        parts = [f"guess={float(self.guess):.4g}"] if self.sides or float(self.guess) != 0.5 else []
        if self.ties is not None:
            parts += [f"ties={self.ties!r}", f"careless_ties={float(self.careless_ties):.4g}"]
        parts += [] if self.features is None else [f"features={self.features!r}"]
        return f"AttentiveOrRandom({', '.join(parts)})"

    def log_probability(
        self, eta: Float[AnyArray, ""], rest: Float[AnyArray, ""], logit: Float[AnyArray, ""]
    ) -> Float[AnyArray, " outcomes"]:
        xp = namespace(eta, logit, self.guess)
        judges, logit = _magnitude(eta), xp.where(eta < 0.0, -logit, logit)
        if self.ties is None:
            attentive, decided = sigmoid(xp.stack([logit, -logit])), 1.0
        else:
            attentive = xp.exp(self.ties.log_probabilities(logit))
            decided = 1.0 - xp.asarray(self.careless_ties)
        first = xp.asarray(self.guess) if self.sides else 0.5
        by_side = [
            xp.log(rest * decided * xp.stack([to_a, 1.0 - to_a]) + judges * attentive[:2])
            for to_a in ([first, 1.0 - first] if self.sides else [xp.asarray(first)])
        ]
        if self.ties is None:
            return xp.concatenate(by_side)
        tie = xp.log(rest * xp.asarray(self.careless_ties) + judges * attentive[2:])
        return xp.concatenate([*by_side, *[tie] * len(by_side)])

    def careless(self) -> Vector | None:
        xp = namespace(self.guess, self.careless_ties)
        zero = xp.zeros(())
        return xp.exp(self.log_probability(zero, zero + 1.0, zero))

    def start(self, table: ComparisonTable) -> Self:
        if table.outcomes.sides and self.estimated:
            _check_both_ways(table)
        complete = replace(self, sides=table.outcomes.sides)
        complete.check(table.outcomes)
        complete.on(table)
        return complete

    def on(self, table: ComparisonTable) -> Self:
        return self if self.features is None else replace(self, features=self.features.on(table))

    def of_first(self, n: int) -> Self:
        return self if self.features is None else replace(self, features=self.features.of_first(n))

    def parts(self) -> tuple[str, ...]:
        return () if self.features is None else ("vote features",)

    @property
    def depends_on(self) -> str | None:
        # A rule for ties shared by several pairs, or an uneven guess, ties the margins to a scale.
        plain = self.ties is None and not self.sides and self.features is None
        return "margin" if plain else None

    def with_strata(self, strata: VoteStrata) -> Self:
        return replace(self, features=VoteFeatures(strata))

    def with_fixed_rates(self) -> Self:
        return replace(self, estimated=False)

    def tilts(self) -> Vector | None:
        return None if self.features is None else self.features.tilts()

    def log_prior(self) -> Float[AnyArray, ""]:
        return super().log_prior() if self.features is None else self.features.log_prior()

    def check(self, outcomes: Outcomes) -> None:
        if outcomes.ties and self.ties is None:
            raise ModelError(
                "these votes count ties as an outcome: give behavior=AttentiveOrRandom(ties=Davidson()), or "
                'read them with ties="drop".'
            )
        if self.ties is not None and not outcomes.ties:
            raise ModelError('a rule for ties needs votes with ties: read them with ties="model".')
        if not outcomes.sides and not self.estimated and float(self.guess) != 0.5:
            raise ModelError(
                "a guess rate needs votes that tell which answer was shown first: read them with "
                "shown_first=COLUMN."
            )
        if outcomes.sides != self.sides:
            known, seen = (("with" if x else "without") for x in (self.sides, outcomes.sides))
            raise ModelError(
                f"the fit is of votes {known} shown_first=COLUMN, and these were read {seen} it: read both "
                f"alike."
            )


@record
class Sharpness(Behavior):
    """Attentiveness as sharpness, and not as a share: P(A) = σ(η · logit μ).

    Attentiveness ½ halves every difference in log-odds, instead of making half of the votes careless.

    Notes
    -----
    Votes depend on the products η·logit μ alone, so the scale of attentiveness is never identified under
    Bradley–Terry strengths: their ridge penalty sets it. The ranking of users does not depend on it.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> half = jnp.asarray(0.5)
    >>> jnp.exp(Sharpness().log_probability(half, half, logit=jnp.log(jnp.asarray(9.0)))).tolist()
    [0.75, 0.25]
    """

    @property
    def depends_on(self) -> str | None:
        return "log-odds"

    def log_probability(
        self, eta: Float[AnyArray, ""], rest: Float[AnyArray, ""], logit: Float[AnyArray, ""]
    ) -> Float[AnyArray, " outcomes"]:
        return log_sigmoid(namespace(eta, logit).stack([eta * logit, -eta * logit]))


def default_behavior(table: ComparisonTable) -> Behavior:
    """The behavior `fit_em` takes by itself: with a rule for ties, and features, where votes have them."""
    features = table.strata if table.strata is not None and table.strata.names else None
    return AttentiveOrRandom(ties=Davidson() if table.outcomes.ties else None, features=features)


def _magnitude(eta: Float[AnyArray, ""]) -> Float[AnyArray, ""]:
    """|η|, with the derivative at 0 of the users who judge."""
    return namespace(eta).where(eta < 0.0, -eta, eta)


def _check_both_ways(table: ComparisonTable) -> None:
    pair, sign = pairs_of(table)  # of one pair, whatever the contexts
    votes = table.votes_by_comparison()
    votes = np.where(sign[:, None] < 0, votes[:, list(table.outcomes.mirror)], votes)
    votes = sum_by(pair, votes, int(pair.max()) + 1)
    ties = votes[:, 4:].T if table.outcomes.ties else np.zeros((2, len(votes)))
    first, second = votes[:, 0:2].sum(axis=1) + ties[0], votes[:, 2:4].sum(axis=1) + ties[1]
    both = np.minimum(first, second).sum()
    if both < 0.01 * (first + second).sum():
        raise ModelError(
            f"a preference for a side cannot be distinguished from one for a model here: {both:,.0f} of "
            f"{(first + second).sum():,.0f} votes are on a pair shown the less usual way round. Show pairs "
            f"both ways, or give the rate, as in AttentiveOrRandom(guess=0.5)."
        )
