"""Vote strata: votes grouped by bins of their features, each stratum a context with numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from emjax.data.binning import Cut, Feature, as_numbers, cut_of, distinct_values, fault_of
from emjax.data.ids import as_ids, as_text, offenders
from emjax.errors import VotesError

MOST_STRATA = 10_000


@dataclass(frozen=True, repr=False)
class VoteStrata:
    """Strata of votes, and the features of each: D numbers, such as the time taken or the hour.

    Made by `VoteStrata.cut` from columns of votes, by `VoteStrata.given` from contexts of your own, or by
    `read_votes(..., vote_features=[...])`. The stratum of a vote is its context; `Preferences.strata` says
    what the contexts mean.

    Attributes
    ----------
    names : (D,) tuple of str
        Names of the numbers.
    contexts : (K,) tuple of str
        Labels of the strata, without duplicates.
    values : (K, D) tuple of tuples of float
    cuts : tuple of Cut
        How columns were cut into bins, one for each; none if the strata were given.

    Notes
    -----
    A limit: what differs within a bin is lost. More bins lose less, and make more comparisons.

    Examples
    --------
    >>> columns = {"seconds": [2.0, 3.0, 9.5, 30.0], "phone": [True, False, False, False]}
    >>> strata = VoteStrata.cut(columns, bins=2)
    >>> strata
    VoteStrata: 4 strata of votes by seconds, phone
    >>> strata.contexts[0], strata.values[0]
    ('seconds 2 to 3, phone = False', (-1.0, -0.25))
    """

    names: tuple[str, ...]
    contexts: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    cuts: tuple[Cut, ...] = ()

    def __post_init__(self) -> None:
        if len(self.contexts) != len(self.values) or any(len(row) != len(self.names) for row in self.values):
            raise VotesError(
                f"vote strata need a row of {len(self.names):,} numbers, one per name, for each of "
                f"{len(self.contexts):,} contexts"
            )
        for what, labels in (("names of numbers", self.names), ("contexts", self.contexts)):
            again = [label for label, times in Counter(labels).items() if times > 1]
            if again:
                said = f"{len(again):,} of {len(set(labels)):,} {what} occur more than once"
                raise VotesError(f"{said}, first {again[0]!r}: give each once")

    @classmethod
    def given(cls, contexts: Any, values: Any, names: Sequence[str] | None = None) -> "VoteStrata":
        """Strata with numbers of your own, taken as they are.

        Parameters
        ----------
        contexts : (K,) labels
            As they stand in `Preferences.contexts`.
        values : (K, D) numbers, or (K,)
        names : (D,) str, optional
            What the numbers are; "feature 1" to "feature D" if not given.

        Raises
        ------
        VotesError
            The lengths differ, a number is missing or not finite, a context occurs twice, or a column is the
            same for all strata.

        Notes
        -----
        A limit: nothing is standardised; numbers of about the size of 1 suit a penalty best.

        Examples
        --------
        >>> VoteStrata.given(["easy", "hard"], [0.0, 1.0], ["hard"]).values
        ((0.0,), (1.0,))
        """
        labels = as_text(as_ids(contexts, "context"))
        try:
            numbers = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise VotesError("the values of strata must be numbers, a row for each context") from None
        numbers = numbers[:, None] if numbers.ndim == 1 else numbers
        if numbers.ndim != 2 or len(numbers) != labels.size or not numbers.size:
            raise VotesError(
                f"{labels.size:,} contexts, but values of shape {np.shape(values)}: give a row of numbers "
                "for each context"
            )
        named = [f"feature {i + 1}" for i in range(numbers.shape[1])] if names is None else list(names)
        if len(named) != numbers.shape[1]:
            raise VotesError(
                f"{numbers.shape[1]:,} columns of values, but names for {len(named):,}: give one each"
            )
        bad = np.array([not np.isfinite(row).all() for row in numbers])
        if bad.any():
            raise VotesError(offenders(bad, "have a value that is not finite", noun="contexts"))
        for name, column in zip(named, numbers.T, strict=True):
            if np.all(column == column[0]):
                raise VotesError(
                    f"{name!r} is {column[0]:g} in every stratum, so it distinguishes none: leave it out"
                )
        return cls(tuple(named), tuple(labels.tolist()), tuple(map(tuple, numbers.tolist())))

    @classmethod
    def cut(cls, columns: Mapping[str, Any], *, bins: int = 5) -> "VoteStrata":
        """Strata that are the combinations of bins of features.

        Parameters
        ----------
        columns : mapping of str to (n,) arrays
            One entry per vote. A column of numbers, also as text, is cut at quantiles; "log:seconds" does
            the same, and the number of a bin is a mean of logarithms; any other column, and "each:hour", has
            a bin for each of its levels.
        bins : int
            At most so many bins of a column of numbers. Equal values are never separated.

        Returns
        -------
        VoteStrata
            Numbers of bins are means over their votes, scaled so that all votes have mean 0 and standard
            deviation 1. A level other than the most frequent is a number of its own: 1 less its share of the
            votes where it is, and less its share elsewhere.

        Raises
        ------
        VotesError
            Something is missing or not finite, a column has one value only or more than 30 levels, a number
            has no logarithm, the lengths differ, or there are more than 10,000 combinations.

        Notes
        -----
        All combinations of bins are strata, whether they occurred or not, so that later votes find theirs.
        The first and the last bin are open. A limit: dates are levels, and not numbers.

        Examples
        --------
        >>> VoteStrata.cut({"log:seconds": [1, 10, 100, 1000], "each:hour": [9, 9, 9, 13]}, bins=2).names
        ('log seconds', 'hour = 13')
        """
        features = features_named(columns, bins)
        seen = {name: distinct_values(values, name) for name, values in columns.items()}
        lengths = {name: code.size for name, (_, code) in seen.items()}
        if len(set(lengths.values())) > 1:
            raise VotesError(_uneven(lengths))
        if not max(lengths.values()):
            raise VotesError("there are no votes: give at least one row")
        cuts = []
        for feature, (listed, code) in zip(features, seen.values(), strict=True):
            values = as_numbers(feature, listed)
            _check(feature, values, code)
            cuts.append(cut_of(feature, values, np.bincount(code).astype(np.float64), bins))
        return cls.of(cuts)

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> "VoteStrata":
        """All combinations of bins of some columns."""
        many = math.prod(len(cut.words) for cut in cuts)
        if many > MOST_STRATA:
            raise VotesError(
                f"the bins of {', '.join(cut.column for cut in cuts)} have {many:,} combinations, and at "
                f"most {MOST_STRATA:,} strata are allowed: ask for fewer bins, or fewer features"
            )
        return cls(
            names=tuple(name for cut in cuts for name in cut.names),
            contexts=tuple(", ".join(words) for words in product(*(cut.words for cut in cuts))),
            values=tuple(sum(rows, ()) for rows in product(*(cut.values for cut in cuts))),
            cuts=tuple(cuts),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that were cut; none if the strata were given."""
        return tuple(cut.column for cut in self.cuts)

    def label(self, columns: Mapping[str, Any]) -> np.ndarray:
        """The stratum of each of some votes.

        Parameters
        ----------
        columns : mapping of str to (n,) arrays
            By the names in `columns`, without prefixes; others are ignored.

        Returns
        -------
        (n,) object holding str

        Raises
        ------
        VotesError
            A column is not there, the lengths differ, something in it is missing or not a number, or a level
            is new.

        Examples
        --------
        >>> strata = VoteStrata.cut({"seconds": [2.0, 3.0, 9.5, 30.0]}, bins=2)
        >>> strata.label({"seconds": [0.5, 1000]})
        array(['seconds 2 to 3', 'seconds 9.5 to 30'], dtype=object)
        """
        self.check_cut()
        absent = [name for name in self.columns if name not in columns]
        if absent:
            raise VotesError(f"{len(absent):,} features are not there, first {absent[0]!r}: give all columns")
        bins = []
        for cut in self.cuts:
            listed, code = distinct_values(columns[cut.column], cut.column)
            values = as_numbers(cut.feature, listed)
            _check(cut.feature, values, code, cut)
            bins.append(cut.bins(values)[code])
        if len({column.size for column in bins}) > 1:
            raise VotesError(_uneven(dict(zip(self.columns, (b.size for b in bins), strict=True))))
        return np.array(self.contexts, object)[self.place(bins)]

    def place(self, bins: Sequence[Any]) -> Any:
        """Index in `contexts` of the combination of a bin of each cut: arrays, or what adds up as they do."""
        place = bins[0]
        for cut, each in zip(self.cuts[1:], bins[1:], strict=True):
            place = place * len(cut.words) + each
        return place

    def rows_of(self, contexts: Any) -> np.ndarray:
        """The numbers of some contexts.

        Parameters
        ----------
        contexts : (C,) labels

        Returns
        -------
        (C, D) float64

        Raises
        ------
        VotesError
            A context is not among these.

        Examples
        --------
        >>> VoteStrata.given(["easy", "hard"], [0.0, 1.0]).rows_of(["hard", "easy", "hard"]).ravel()
        array([1., 0., 1.])
        """
        place = {label: number for number, label in enumerate(self.contexts)}
        labels = as_text(as_ids(contexts, "context"))
        rows = np.array([place.get(label, -1) for label in labels], np.int64)
        if (rows < 0).any():
            strange = list(dict.fromkeys(labels[rows < 0].tolist()))
            said = ", ".join(map(repr, strange[:3])) + (", ..." if len(strange) > 3 else "")
            raise VotesError(
                f"{len(strange):,} of {len(set(labels)):,} contexts are not among the strata "
                f"({said}): read the votes with vote_features=fit.behavior.features.strata"
            )
        return np.array(self.values, np.float64).reshape(len(self.values), len(self.names))[rows]

    def check_cut(self) -> None:
        """Raise a VotesError where these strata do not say how to cut columns."""
        if not self.cuts:
            raise VotesError(
                "these strata were given, and not cut from columns: read the votes with "
                "context=COLUMN, and attach the strata with Preferences.with_strata"
            )

    def plain(self) -> dict[str, Any]:
        """What `from_plain` makes the same strata from: dicts, lists, text and numbers alone."""
        if self.cuts:
            return {"cuts": [asdict(cut) for cut in self.cuts]}
        return {
            "names": list(self.names),
            "contexts": list(self.contexts),
            "values": [*map(list, self.values)],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "VoteStrata":
        """Vote strata from what `plain` gave, also by way of JSON.

        Raises
        ------
        VotesError
            Something is missing or of another shape.

        Examples
        --------
        >>> strata = VoteStrata.given(["easy", "hard"], [0.0, 1.0])
        >>> VoteStrata.from_plain(strata.plain()) == strata
        True
        """
        try:
            if "cuts" in plain:
                return cls.of([_cut_from(cut) for cut in plain["cuts"]])
            values = tuple(tuple(float(value) for value in row) for row in plain["values"])
            return cls(tuple(map(str, plain["names"])), tuple(map(str, plain["contexts"])), values)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise VotesError(
                "the content does not describe vote strata: give what VoteStrata.plain returned"
            ) from None

    def __repr__(self) -> str:
        return (
            f"VoteStrata: {len(self.contexts):,} strata of votes by {', '.join(self.columns or self.names)}"
        )


def features_named(names: Any, bins: int) -> tuple[Feature, ...]:
    """The features of some names with their prefixes; a VotesError for invalid names or bins."""
    listed = list(names)
    if not listed or not all(isinstance(name, str) and name for name in listed):
        raise VotesError(f"vote_features takes names of columns, at least one; got {listed!r}")
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 2:
        raise VotesError(f"features are cut into at least 2 bins; got {bins!r}")
    features = tuple(Feature.named(name) for name in listed)
    times = Counter(feature.column for feature in features)
    again = [column for column in times if times[column] > 1]
    if again:
        listed = ", ".join(map(repr, again))
        raise VotesError(f"vote_features names {listed} more than once: name each column once")
    return features


def _uneven(lengths: Mapping[str, int]) -> str:
    listed = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
    return f"features need one entry per vote, and differ in length: {listed}"


def _check(feature: Feature, values: np.ndarray, code: np.ndarray, cut: Cut | None = None) -> None:
    fault = fault_of(feature, values, cut)
    if fault is not None:
        bad, what, remedy = fault
        raise VotesError(offenders(bad[code], what, remedy=remedy))


def _cut_from(plain: Mapping[str, Any]) -> Cut:
    """One cut out of its plain content, as far as that is sound."""
    cut = Cut(
        column=str(plain["column"]),
        log=bool(plain["log"]),
        names=tuple(map(str, plain["names"])),
        words=tuple(map(str, plain["words"])),
        values=tuple(tuple(float(value) for value in row) for row in plain["values"]),
        edges=tuple(map(float, plain["edges"])),
        levels=tuple(map(str, plain["levels"])),
    )
    bins = len(cut.levels) or len(cut.edges) + 1
    if not len(cut.words) == len(cut.values) == bins or any(len(row) != len(cut.names) for row in cut.values):
        raise ValueError
    return cut
