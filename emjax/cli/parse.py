"""Parsing of command-line options: priors, strengths, behaviors, ties, vote features."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emjax.data.anchor_files import read_anchor_votes
from emjax.data.anchors import AnchorVotes
from emjax.data.strata import VoteStrata
from emjax.errors import ModelError, VotesError, warn
from emjax.infer.fit import Fit
from emjax.infer.load import load_fit
from emjax.model.bradley_terry import BradleyTerry
from emjax.model.item_strength import PerItem
from emjax.model.prior import Attentiveness
from emjax.model.prior_beta import Beta
from emjax.model.priors_discrete import Grid, Points, TwoPoint
from emjax.model.response import AttentiveOrRandom, Behavior, Sharpness
from emjax.model.strength import Known, PerPair, Shared, Strength
from emjax.model.ties import Davidson, RaoKupper

_TIE_RULES = {"model": Davidson, "davidson": Davidson, "rao-kupper": RaoKupper}
_JOINED = ("two-point", "per-pair", "per-item", "bradley-terry")
_GRID_BELOW = 127  # points from -1 to 1 that are as dense as 64 from 0 to 1


def parse_prior(text: str, *, contrarians: bool = False) -> Attentiveness:
    """A prior from its name on the command line; with adversarial users, one that reaches below 0."""
    name, rest = _name_of(text)
    with blaming(f"--prior {text}"):
        if contrarians and name in ("two-point", "beta"):
            raise ModelError(
                "--contrarians needs a prior that allows values below 0: give --prior grid or points:K."
            )
        if name == "two-point" and not rest:
            return TwoPoint()
        if name == "beta" and not rest:
            return Beta()
        low = -1 if contrarians else 0
        if name == "grid":
            return Grid(whole(rest) if rest else _GRID_BELOW if contrarians else 64, low=low)
        if name == "points" and rest:
            return Points(whole(rest), low=low)
    raise ModelError(f"--prior {text} is not understood: give grid, grid:G, beta, two-point or points:K.")


def _name_of(text: str) -> tuple[str, str]:
    """A name and what follows it: TwoPoint, two_point and two-point are the same name."""
    name, _, rest = text.partition(":")
    plain = name.lower().replace("_", "").replace("-", "")
    return {joined.replace("-", ""): joined for joined in _JOINED}.get(plain, plain), rest


def parse_strength(text: str, *, by_context: bool = False, by_item: bool = False) -> Strength | None:
    """A strength from its name on the command line; None lets `fit_em` choose."""
    name, rest = _name_of(text)
    with blaming(f"--strength {text}"):
        # "latent" is the name of version 0.1.
        if by_item != (name in ("per-item", "latent")) and (name != "auto" or rest):
            raise ModelError("per-item strengths and --item COLUMN, the pair of answers, go together.")
        if by_item:
            return PerItem(whole(rest)) if rest else PerItem()
        if name == "known" and rest:
            return Known(number(rest))
    if by_context and name in ("auto", "bradley-terry") and not rest:
        return BradleyTerry(l2_context=1.0)
    kinds = {"shared": Shared, "per-pair": PerPair, "bradley-terry": BradleyTerry}
    if name in kinds and not rest:
        return kinds[name]()
    if name == "auto" and not rest:
        return None
    raise ModelError(
        f"--strength {text} is not understood: give auto, bradley-terry, shared, per-pair, known:0.74 or "
        "per-item."
    )


def parse_simulated_prior(text: str) -> Attentiveness:
    """A prior to simulate from: beta:a,b or two-point:low,high,weight."""
    name, rest = _name_of(text)
    with blaming(f"--prior {text}"):
        numbers = [number(x) for x in rest.split(",")] if rest else []
        if name == "beta" and len(numbers) == 2:
            return Beta(*numbers)
        if name == "two-point" and len(numbers) == 3:
            return TwoPoint(*numbers)
    raise ModelError(f"--prior {text} is not understood: give beta:3,5 or two-point:0.1,0.9,0.7.")


def parse_behavior(text: str, ties: str, guess: float | None) -> Behavior | None:
    """A behavior from the options --behavior, --ties and --guess; None lets `fit_em` choose."""
    rules = _TIE_RULES
    if text == "sharpness":
        if ties in rules or guess is not None:
            raise ModelError("--behavior sharpness knows no ties and no guesses: drop the other option.")
        return Sharpness()
    if text != "attentive-or-random":
        raise ModelError(f"--behavior {text} is not understood: give attentive-or-random or sharpness.")
    if ties not in rules and guess is None:
        return None
    with blaming("--guess"):
        return AttentiveOrRandom(guess=guess, ties=rules[ties]() if ties in rules else None)


def counted_ties(ties: str) -> str:
    """How `read_votes` is to count ties, from the option --ties."""
    if ties not in ("drop", "half", *_TIE_RULES):
        raise ModelError(f"--ties {ties} is not understood: give drop, half, model or rao-kupper.")
    return "model" if ties in _TIE_RULES else ties


def told_apart(context: str | None, item: str | None, vote_features: str | None = None) -> str | None:
    """The column that tells votes on the same pair of models apart, from the options --context and --item."""
    if context is not None and item is not None:
        raise ModelError("give --context COLUMN (a topic) or --item COLUMN (one pair of answers), not both.")
    if vote_features is not None and (context is not None or item is not None):
        raise ModelError(
            "--vote-features and --covariates take all votes on two models together: leave --context and "
            "--item out."
        )
    return context if item is None else item


def parse_vote_features(text: str | None, bins: int | None, behavior: Behavior | None) -> list[str] | None:
    """Names of columns, from the option --vote-features; refused where a behavior has no use for them."""
    if text is None:
        if bins is not None:
            raise ModelError("--feature-bins cuts the columns of --vote-features: give those, too.")
        return None
    if behavior is not None and behavior.depends_on == "log-odds":
        raise ModelError("--vote-features needs --behavior attentive-or-random, not sharpness: drop one.")
    if bins is not None and bins < 2:
        raise ModelError(f"--feature-bins {bins} is too few: give at least 2 bins.")
    return parse_columns("--vote-features", text)


def parse_columns(option: str, text: str | None) -> list[str] | None:
    """Names of columns, with commas between them."""
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    if not names and text is not None:
        raise ModelError(f"{option} needs columns, with commas between them.")
    return names or None


def with_features(behavior: Behavior | None, strata: VoteStrata | None) -> Behavior | None:
    """The behavior with the features that votes were read with; None still lets `fit_em` choose."""
    if strata is None or not strata.names or behavior is None:
        return behavior
    return behavior.with_strata(strata)


def earlier_history(folder: Path) -> AnchorVotes:
    """What an earlier fit knows of users, from the folder that it wrote."""
    if not (folder / "fit.json").exists():
        raise ModelError(f"--prior-users {folder} was not written by emjax fit: give a folder that was.")
    if not (folder / "history.parquet").exists():
        raise ModelError(
            f"--prior-users {folder} has no history.parquet: emjax fit writes one, but not of shards, with "
            "--item or with --vote-features."
        )
    if load_fit(folder).curvature.unscaled.any():
        warn(
            f"The fit in {folder} left the scale of attentiveness open, and its history passes it on as it "
            "was set: compare users with one another, and not with a fixed number."
        )
    return read_anchor_votes(folder / "history.parquet")


@contextmanager
def naming_item(item: str | None) -> Iterator[None]:
    """Name the option --item in an error about its column, which `read_votes` takes as the context."""
    try:
        yield
    except VotesError as error:
        if item is None:
            raise
        raise VotesError(str(error).replace("--context COLUMN", "--item COLUMN")) from None


def remembered(fitted: Fit, asked: Mapping[str, Any], how: Mapping[str, Any]) -> str:
    """The options that votes are read with because the fit was, in words of the command line; "" for none."""
    kept = [name for name in fitted.data.get("read_with") or {} if name in how and name not in asked]
    words = {name: name.replace("_", "-") for name in kept}
    if fitted.strength.items_are_latent and "context" in words:
        words["context"] = "item"
    return ", ".join(
        f"--{word}" + ("" if how[name] is True else f" {how[name]}") for name, word in words.items()
    )


@contextmanager
def blaming(option: str) -> Iterator[None]:
    """Say in an error which option it is about."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{option}: {error}") from None


def whole(text: str) -> int:
    """A whole number from its digits."""
    try:
        return int(text)
    except ValueError:
        raise ModelError(f"{text!r} is not a whole number.") from None


def number(text: str) -> float:
    """A number from its digits."""
    try:
        return float(text)
    except ValueError:
        raise ModelError(f"{text!r} is not a number.") from None
