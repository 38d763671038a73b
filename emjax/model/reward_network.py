"""RewardNetwork: strengths of two answers from a reward network on their features."""

from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from emjax.data.comparison_table import ComparisonTable
from emjax.errors import ModelError
from emjax.model.array_namespace import AnyArray
from emjax.model.design import Design, known_design
from emjax.model.likelihood import log_probabilities
from emjax.model.prompt_answers import ByAnswer, checked_answers, checked_numbers
from emjax.model.pytree import record, replace, set_fields, static
from emjax.model.strength import Index


@record
class RewardNetwork(ByAnswer):
    """A reward network over features of answers, learned together with attentiveness.

    An attentive user prefers answer A to answer B with probability σ(r_A − r_B); r is a Flax network of the
    features of (prompt, answer). What comes out is a reward model that careless votes do not flatten.

    Parameters
    ----------
    answers : n pairs (context, model)
        The answers. The context names the prompt, as in ``read_votes(votes, context=COLUMN)``.
    features : (n, d)
        Numbers about each answer, such as a sentence embedding; standardised inside.
    hidden
        Sizes of the hidden layers (tanh) beside the linear part; () is a linear reward.
    l2
        Ridge penalty on all weights, in the sense of a normal prior with variance 1/l2. The network is scaled
        so that l2=1 means rewards with a variance near one, whatever the number of features.
    held_out
        Share of the contexts whose votes are not learned from, and tell when to stop; 0 learns from all votes
        until the objective rises no more.
    patience
        EM rounds without a better held-out score after which learning stops.
    steps
        L-BFGS steps of the network in one round.
    seed
        Of the first weights and of the contexts that are held out.
    network
        ``network(rngs, n_features)`` returns your own `flax.nnx.Module` that maps (n, d) to n rewards.
    weights, centre, scale, sign
        Filled in by a fit, and a starting point for the next.

    Raises
    ------
    ModelError
        When features and answers do not go together, a number is not finite, or an option is out of range.

    Notes
    -----
    Give features of all answers that will ever be asked about, also those without votes. The scale of
    rewards, and with it that of attentiveness, depends on the ridge where votes are few.

    A limit: there are no standard errors, and a network can fit noise; check held-out votes.

    Source: Cai & Li (arXiv 2510.13830) for attentiveness; Bradley–Terry rewards are those of Christiano et
    al. (2017).

    Examples
    --------
    >>> RewardNetwork([("p1", "ant"), ("p1", "bee")], [[0.2, 1.0], [0.5, 0.0]], hidden=())
    RewardNetwork(2 answers, 2 features, hidden=(), l2=1)
    """

    answers: Any = static()
    features: Any
    hidden: Any = static(default=(32,))
    l2: float = static(default=1.0)
    held_out: float = static(default=0.1)
    patience: Any = static(default=15)
    steps: Any = static(default=5)
    seed: Any = static(default=0)
    network: Any = static(default=None)
    weights: Any = None
    centre: Any = None
    scale: Any = None
    sign: float = static(default=1.0)

    def __post_init__(self) -> None:
        answers = checked_answers(self.answers, "RewardNetwork")
        features = _table(checked_numbers(self.features, answers, "features", "RewardNetwork"))
        spread = features.std(axis=0)
        level = np.abs(features).max(axis=0, initial=0.0)
        set_fields(self, answers=answers, features=features, hidden=_sizes(self.hidden))
        if self.centre is None:
            set_fields(self, centre=features.mean(axis=0), scale=np.where(spread > 1e-12 * level, spread, 1))
        _check_options(self)
        set_fields(self, **{name: int(getattr(self, name)) for name in ("patience", "steps", "seed")})

    def start(self, table: ComparisonTable) -> Self:
        self.index(table)
        if self.weights is not None:
            return self
        from emjax.model.flax_networks import definition, initial

        definition(*self._shape)
        with jax.enable_x64(True):
            return replace(self, weights=tuple(map(np.asarray, initial(*self._shape, self.seed))))

    def design(self, index: Index) -> Design:
        rewards = self._rewards(jnp.asarray(self.features))
        return known_design(rewards[index[:, 0]] - rewards[index[:, 1]])

    def maximise(self, votes, nodes, index, behavior) -> Self:
        from emjax.model.flax_networks import climbed

        def value(weights: Any) -> Float[AnyArray, ""]:
            at = replace(self, weights=weights)
            return jnp.sum(votes * log_probabilities(behavior, nodes, at.logits(index))) + at.log_prior()

        return replace(self, weights=climbed(value, tuple(self.weights), self.steps))

    def log_prior(self) -> Float[AnyArray, ""]:
        return -0.5 * self.l2 * sum((jnp.sum(w * w) for w in self.weights), jnp.zeros((), jnp.float64))

    def rewards(self, features: Any) -> np.ndarray:
        """(n,) rewards of any answers, in log-odds, centred on the mean of the answers of the fit.

        Parameters
        ----------
        features : (n, d)
            As in the fit, not standardised.

        Returns
        -------
        numpy.ndarray
            An attentive user prefers one answer to another to the same prompt with probability σ of the
            difference of their rewards.

        Raises
        ------
        ModelError
            Before a fit, or when features are not finite or of another number.
        """
        if self.weights is None:
            raise ModelError("RewardNetwork has no rewards before a fit: take fit.strength.")
        try:
            given = _table(np.array(features, dtype=np.float64))
        except (TypeError, ValueError):
            raise ModelError("rewards takes features that are numbers, one row per answer.") from None
        if given.shape[1] != len(self.centre):
            raise ModelError(
                f"the network takes {len(self.centre):,} features per answer; got {given.shape[1]:,}."
            )
        bad = np.any(~np.isfinite(given), axis=1)
        if bad.any():
            raise ModelError(
                f"{int(bad.sum()):,} of {len(bad):,} rows of features are missing or not finite, first row "
                f"{int(np.argmax(bad)) + 1:,}."
            )
        with jax.enable_x64(True):
            level = jnp.mean(self._rewards(jnp.asarray(self.features)))
            return np.asarray(self._rewards(jnp.asarray(given)) - level)

    def mirrored(self) -> Self:
        """The same network with the sign of its rewards turned."""
        return replace(self, sign=-self.sign)

    def bare(self) -> Self:
        return replace(self, answers=())

    @property
    def scale_is_penalised(self) -> bool:
        return True

    @property
    def share_held_out(self) -> float:
        return self.held_out

    @property
    def unsaved(self) -> str | None:
        if self.network is None:
            return None
        return (
            "a fit with a network of your own cannot be saved, because emjax cannot write your code down: "
            "keep fit.strength.weights, and what is asked of the fit (fit.users, fit.strength.rewards)."
        )

    def plain_fields(self) -> dict[str, Any]:
        rates = {name: float(getattr(self, name)) for name in ("l2", "held_out", "sign")}
        sizes = {name: getattr(self, name) for name in ("patience", "steps", "seed")}
        return {"hidden": list(self.hidden)} | rates | sizes

    def arrays(self) -> dict[str, np.ndarray]:
        from emjax.model.flax_networks import definition

        context, model = (np.array([a[i] for a in self.answers], dtype=np.str_) for i in (0, 1))
        held = {"context": context, "model": model, "features": self.features}
        held |= {"centre": self.centre, "scale": self.scale}
        named = zip(definition(*self._shape).names, self.weights, strict=True)
        return held | {f"weights.{name}": np.asarray(w) for name, w in named}

    @classmethod
    def from_arrays(cls, plain: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        from emjax.model.flax_networks import definition

        answers = list(zip(arrays["context"].tolist(), arrays["model"].tolist(), strict=True))
        given = {name: plain[name] for name in ("l2", "held_out", "patience", "steps", "seed", "sign")}
        made = cls(
            answers,
            arrays["features"],
            centre=arrays["centre"],
            scale=arrays["scale"],
            hidden=tuple(plain["hidden"]),
        )
        names = definition(*made._shape).names
        return replace(made, **given, weights=tuple(arrays[f"weights.{name}"] for name in names))

    def __repr__(self) -> str:
        n, d = np.shape(self.features)
        own = ", a network of your own" if self.network is not None else f", hidden={self.hidden}"
        return f"RewardNetwork({n:,} answers, {d:,} features{own}, l2={self.l2:g})"

    @property
    def _shape(self) -> tuple[Any, tuple[int, ...], int]:
        return self.network, self.hidden, len(self.centre)

    def _rewards(self, features: Float[AnyArray, "n d"]) -> Float[AnyArray, " n"]:
        from emjax.model.flax_networks import definition, forward

        x = (features - jnp.asarray(self.centre)[None, :]) / jnp.asarray(self.scale)[None, :]
        shape = self.network, self.hidden, features.shape[1]
        return self.sign * forward(definition(*shape), tuple(self.weights), x)


def _table(features: np.ndarray) -> np.ndarray:
    """Features as a table; one number per answer is one column."""
    table = features[:, None] if features.ndim == 1 else features
    if table.ndim != 2 or not table.shape[1]:
        raise ModelError(
            f"RewardNetwork takes features as a table (answers, features); got {features.shape}."
        )
    return table


def _sizes(hidden: Any) -> tuple[int, ...]:
    try:
        sizes = tuple(int(x) for x in tuple(hidden))
        good = all(size >= 1 for size in sizes) and sizes == tuple(hidden)
    except (TypeError, ValueError):
        sizes, good = (), False
    if not good:
        raise ModelError(
            f"RewardNetwork(hidden=...) takes sizes of layers, as in (32,) or (); got {hidden!r}."
        )
    return sizes


def _check_options(given: RewardNetwork) -> None:
    if not (np.isfinite(given.l2) and given.l2 > 0):
        raise ModelError(f"RewardNetwork needs a ridge penalty l2 > 0; got {given.l2!r}.")
    if not 0 <= given.held_out < 1:
        raise ModelError(
            f"RewardNetwork needs a share held_out of at least 0 and below 1; got {given.held_out!r}."
        )
    for name, least in (("patience", 1), ("steps", 1), ("seed", 0)):
        value = getattr(given, name)
        if not isinstance(value, int | np.integer) or value < least:
            raise ModelError(
                f"RewardNetwork needs {name} of at least {least}, a whole number; got {value!r}."
            )
    if given.network is not None and not callable(given.network):
        raise ModelError(
            "RewardNetwork(network=...) takes a function network(rngs, n_features) that returns a Flax "
            f"module; got {given.network!r}."
        )
