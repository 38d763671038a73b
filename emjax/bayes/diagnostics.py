"""Diagnostics of draws: divergences, disagreement of chains, few effective draws."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from emjax.infer.summaries import counted

_MIXED = 1.01  # r̂ beyond which chains disagree
_ENOUGH = 400  # effective draws below which means and intervals are rough
_ENOUGH_PER_CHAIN = 100  # effective draws in the tails below which the ends of intervals are rough
_SMALL_STEPS = 0.95  # target_accept that is the first remedy for divergences


def sampling_warnings(fit: Any) -> Iterator[str]:
    """Warnings about the draws of a `BayesFit`: divergences, disagreement of chains, few effective draws.

    Divergences are a warning where they are more than `few` of the draws, or come with any other warning.
    A limit: a region that the chains never came near has no divergences.
    Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021) for r-hat up to 1.01 and 100 effective draws
    per chain in the tails.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> draws = SimpleNamespace(diverging=np.zeros((4, 1000), bool), spreads={})
    >>> fit = SimpleNamespace(draws=draws, divergences=4,
    ...                       r_hat=np.ones(1), ess_bulk=np.array([1500.0]),
    ...                       ess_tail=np.array([900.0]), target_accept=0.8)
    >>> list(sampling_warnings(fit)), diverged_but_few(fit)
    ([], '4 of 4,000 draws diverged, which is few')
    """
    others = list(_about_chains(fit))
    if fit.divergences and not _are_few(fit, others):
        yield _about_divergences(fit)
    yield from others


def few(draws: int) -> float:
    """Share of divergent draws up to which they are a fact and no warning.

    A divergent draw itself is valid; what can be missing is the region that its trajectory could not enter.
    Where this share of the draws came to the border of such a region, it is of the size of the Monte Carlo
    error that as many independent draws have at the end of a 95 % interval.

    Examples
    --------
    >>> round(few(4_000), 4), round(few(100_000), 4)
    (0.0025, 0.0005)
    """
    return float(np.sqrt(0.025 * 0.975 / draws))


def diverged_but_few(fit: Any) -> str:
    """What to say of divergences that are no warning; "" where there are none, or they are one."""
    if not fit.divergences or not _are_few(fit, list(_about_chains(fit))):
        return ""
    return f"{fit.divergences:,} of {counted(fit.draws.diverging.size, 'draw')} diverged, which is few"


def spread_lines(spreads: Mapping[str, np.ndarray]) -> list[str]:
    """Lines on the spreads of strengths: they are where a narrow neck of the posterior is, if it has one."""
    lines = []
    for name, drawn in spreads.items():
        r_hat, effective = _mixing(drawn)
        low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
        drawn_how = f"r-hat {r_hat:.3f}, {effective:,.0f} effective draws"
        lines.append(f"{name} {middle:.3f} [{low:.3f}, {high:.3f}]; {drawn_how}")
    return lines


def _mixing(drawn: np.ndarray) -> tuple[float, float]:
    """r-hat and effective draws of the logarithm of a spread."""
    from emjax.bayes.numpyro_import import array_stats

    values = np.log(np.maximum(drawn, 1e-300))
    if (values == values[:1, :1]).all():
        return 1.0, float(values.size)
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat = array_stats.rhat(values, chain_axis=0, draw_axis=1)
        effective = array_stats.ess(values, chain_axis=0, draw_axis=1, method="bulk")
    return float(r_hat), float(effective)


def _are_few(fit: Any, others: list[str]) -> bool:
    # Where chains disagree or hardly move, in a parameter or a spread, a few divergences may be the reason.
    size = fit.draws.diverging.size
    spreads = [_mixing(drawn) for drawn in fit.draws.spreads.values()]
    mixed = all(r_hat <= _MIXED and effective >= _ENOUGH for r_hat, effective in spreads)
    return not others and mixed and fit.divergences <= few(size) * size


def _about_divergences(fit: Any) -> str:
    size = fit.draws.diverging.size
    what = (
        f"{counted(fit.divergences, 'draw')} of {size:,} diverged ({100.0 * fit.divergences / size:.2g}%): "
        f"the posterior has corners or a narrow neck that the sampler could not follow, and intervals may be "
        f"too short. "
    )
    if fit.target_accept >= _SMALL_STEPS:
        return what + (
            f"Steps are small already (target_accept={fit.target_accept:g}): use a prior with fewer "
            f"parameters, or more informative hyperpriors."
        )
    return what + (
        f"Fit again with target_accept={_SMALL_STEPS}, which makes smaller steps. If that does not help, use "
        f"a prior with fewer parameters, or more informative hyperpriors."
    )


def _about_chains(fit: Any) -> Iterator[str]:
    if len(fit.draws.diverging) > 1 and not fit.r_hat.max(initial=1.0) <= _MIXED:
        worst = int(np.argmax(fit.r_hat))
        yield (
            f"The chains do not agree yet (r-hat {fit.r_hat[worst]:.3f} for {fit.names[worst]}, over "
            f"{_MIXED}): raise num_warmup and num_samples."
        )
    if not fit.ess_bulk.min(initial=np.inf) >= _ENOUGH:
        least = int(np.argmin(fit.ess_bulk))
        yield (
            f"Few effective draws ({fit.ess_bulk[least]:.0f} for {fit.names[least]}, under {_ENOUGH}): means "
            f"and intervals are rough. Raise num_samples."
        )
    enough = _ENOUGH_PER_CHAIN * len(fit.draws.diverging)
    if not fit.ess_tail.min(initial=np.inf) >= enough:
        least = int(np.argmin(fit.ess_tail))
        yield (
            f"Few effective draws in the tails ({fit.ess_tail[least]:.0f} for {fit.names[least]}, under "
            f"{enough}): the ends of its intervals are rough. Raise num_samples."
        )
