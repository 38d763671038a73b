"""Vote strata: votes grouped by bins of features and covariates, each stratum a context with numbers."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from emjax.data.binning import SIDE, SIDES, Cut, Feature, as_numbers, cut_of, distinct_values, fault_of
from emjax.data.ids import as_ids, as_text, offenders, unique_ids
from emjax.errors import VotesError

MOST_STRATA = 10_000
MOST_NUMBERED = 2**62


@dataclass(frozen=True, repr=False)
class VoteStrata:
    """Strata of votes, and the features of each: D numbers, such as the time taken or the hour.

    Strata may also have covariates: differences between the two answers, A less B, such as in length. Where
    a pair is listed the other way round they change their sign; the label of a stratum is that for the
    alphabetically first model as A.

    Made by `VoteStrata.cut` from columns of votes, by `VoteStrata.given` from contexts of your own, or by
    `read_votes(..., vote_features=[...])`. The stratum of a vote is its context; `Preferences.strata` says
    what the contexts mean.

    Attributes
    ----------
    names : (D,) tuple of str
        Names of the numbers.
    contexts : (K,) tuple of str
        Labels of the strata, without duplicates; with covariates there are too many to list, and none is.
    values : (K, D) tuple of tuples of float
    cuts : tuple of Cut
        How columns were cut into bins, one for each, the covariates last; none if the strata were given.

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
    def cut(
        cls,
        columns: Mapping[str, Any] | None = None,
        *,
        bins: int = 5,
        covariates: Mapping[str, Any] | None = None,
        covariate_bins: int = 10,
    ) -> "VoteStrata":
        """Strata that are the combinations of bins of features.

        Parameters
        ----------
        columns : mapping of str to (n,) arrays, optional
            One entry per vote. A column of numbers, also as text, is cut at quantiles; "log:seconds" does
            the same, and the number of a bin is a mean of logarithms; any other column, and "each:hour", has
            a bin for each of its levels.
        bins : int
            At most so many bins of a column of numbers. Equal values are never separated.
        covariates : mapping of str to (n,) arrays, optional
            Differences between the answers, A less B, one entry per vote: numbers, cut at quantiles of their
            sizes. "log:length_difference" takes the sign times log(1 + size).
        covariate_bins : int
            At most so many bins of sizes; there are as many of each sign, and one for 0.

        Returns
        -------
        VoteStrata
            Numbers of bins are means over their votes, scaled so that all votes have mean 0 and standard
            deviation 1. A level other than the most frequent is a number of its own: 1 less its share of the
            votes where it is, and less its share elsewhere. Covariates are divided by their root mean square,
            and not centred, so that exchanging A and B changes their sign alone.

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
        features = named_columns(columns, bins, covariates, covariate_bins)
        both = [*(columns or {}).items(), *(covariates or {}).items()]
        seen = [distinct_values(values, name) for name, values in both]
        lengths = {name: code.size for (name, _), (_, code) in zip(both, seen, strict=True)}
        if len(set(lengths.values())) > 1:
            raise VotesError(_uneven(lengths))
        if not max(lengths.values()):
            raise VotesError("there are no votes: give at least one row")
        cuts = []
        for feature, (listed, code) in zip(features, seen, strict=True):
            values = as_numbers(feature, listed)
            _check(feature, values, code)
            if feature == SIDE:
                cuts.append(SIDES)
                continue
            most = covariate_bins if feature.signed else bins
            cuts.append(cut_of(feature, values, np.bincount(code).astype(np.float64), most))
        return cls.of(cuts)

    @classmethod
    def of(cls, cuts: Sequence[Cut]) -> "VoteStrata":
        """All combinations of bins of some columns."""
        many = math.prod(cut.n_bins for cut in cuts)
        if any(cut.signed for cut in cuts):
            if many > MOST_NUMBERED:
                raise VotesError(
                    f"the bins of {', '.join(cut.column for cut in cuts)} have more combinations than can be "
                    "numbered: ask for fewer bins, or fewer columns"
                )
            names = tuple(name for cut in cuts if not cut.signed for name in cut.names)
            return cls(names, (), (), tuple(sorted(cuts, key=lambda cut: cut.signed)))
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

    @property
    def covariates(self) -> tuple[str, ...]:
        """(d,) names of the covariates: differences between the answers, which move the log-odds of A."""
        return tuple(name for cut in self._signed for name in cut.names)

    @property
    def _signed(self) -> tuple[Cut, ...]:
        return tuple(cut for cut in self.cuts if cut.signed)

    def label(self, columns: Mapping[str, Any], pairs: Any = None) -> np.ndarray:
        """The stratum of each of some votes.

        Parameters
        ----------
        columns : mapping of str to (n,) arrays
            By the names in `columns`, without prefixes; others are ignored.
        pairs : (n, 2) model names, optional
            With covariates: the models of each vote, as they were listed, the first being A.

        Returns
        -------
        (n,) object holding str

        Raises
        ------
        VotesError
            A column is not there, the lengths differ, something in it is missing or not a number, a level
            is new, or there are covariates and no pairs.

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
        if self._signed:
            if pairs is None:
                raise VotesError("strata with covariates need the models of each vote: give pairs")
            names = np.asarray(pairs, object).astype(str)
            if names.shape != (bins[0].size, 2):
                raise VotesError(f"pairs need two models for each of {bins[0].size:,} votes")
            bins = self.mirrored(bins, names[:, 0] > names[:, 1])
        return self.labels_at(bins)

    def mirrored(self, bins: Sequence[np.ndarray], turned: np.ndarray) -> list[np.ndarray]:
        """Bins, one array for each cut, with those of covariates changed where A and B change places."""
        return [
            np.where(turned, cut.n_bins - 1 - each, each) if cut.signed else each
            for cut, each in zip(self.cuts, bins, strict=True)
        ]

    def labels_as_listed(self, contexts: Any, comparisons: np.ndarray) -> np.ndarray:
        """(C,) labels for A as it is in each comparison, and not for the alphabetically first model."""
        if not self._signed:
            return np.asarray(contexts)
        names = comparisons.astype(str)
        bins = list(self.bins_of(contexts).T)
        return self.labels_at(self.mirrored(bins, names[:, 0] > names[:, 1]))

    def labels_at(self, bins: Sequence[np.ndarray]) -> np.ndarray:
        """(n,) labels of the combinations of a bin of each cut."""
        places, back = np.unique(np.asarray(self.place(bins)), return_inverse=True)
        each = self.bins_at(places)
        words = [np.array(cut.words, object)[one] for cut, one in zip(self.cuts, each, strict=True)]
        joined = [", ".join(row) for row in zip(*words, strict=True)]
        return np.array([*joined, None], object)[:-1][back]

    def bins_at(self, places: np.ndarray) -> list[np.ndarray]:
        """The bin of each cut, from numbers that `place` gave."""
        return list(np.unravel_index(places, [cut.n_bins for cut in self.cuts]))

    def bins_of(self, contexts: Any) -> np.ndarray:
        """(C, cuts) the bins that labels stand for; raises VotesError as `rows_of` does."""
        words = [{word: number for number, word in enumerate(cut.words)} for cut in self.cuts]
        labels, back = unique_ids(as_text(as_ids(contexts, "context")))
        found = [_bins_in(label, words) for label in labels]
        self._check_known(labels, back, np.array([bins is None for bins in found], bool))
        return np.array(found, np.int64).reshape(len(labels), len(self.cuts))[back]

    def _check_known(self, labels: np.ndarray, back: np.ndarray, strange: np.ndarray) -> None:
        """Raise a VotesError for contexts that are not among these."""
        if strange.any():
            _, first = np.unique(back, return_index=True)
            listed = labels[sorted(np.flatnonzero(strange), key=lambda place: first[place])].tolist()
            said = ", ".join(map(repr, listed[:3])) + (", ..." if len(listed) > 3 else "")
            raise VotesError(
                f"{len(listed):,} of {len(labels):,} contexts are not among the strata ({said}): read the "
                "votes with vote_features=fit.strata"
            )

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
        if self.cuts:
            return self._numbers(contexts, signed=False)
        place = {label: number for number, label in enumerate(self.contexts)}
        labels, back = unique_ids(as_text(as_ids(contexts, "context")))
        rows = np.array([place.get(label, -1) for label in labels], np.int64)
        self._check_known(labels, back, rows < 0)
        return np.array(self.values, np.float64).reshape(len(self.values), len(self.names))[rows[back]]

    def _numbers(self, contexts: Any, *, signed: bool) -> np.ndarray:
        """(C, d) the numbers of features, or of covariates, that contexts stand for."""
        bins = self.bins_of(contexts)
        own = [
            np.array(cut.values, np.float64)[each]
            for cut, each in zip(self.cuts, bins.T, strict=True)
            if cut.signed == signed
        ]
        return np.concatenate([np.zeros((len(bins), 0)), *own], axis=1)

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
        many = math.prod(cut.n_bins for cut in self.cuts) if self.cuts else len(self.contexts)
        return f"VoteStrata: {many:,} strata of votes by {', '.join(self.columns or self.names)}"


def named_columns(
    features: Any, bins: int, covariates: Any = None, covariate_bins: int = 10
) -> tuple[Feature, ...]:
    """Features and then covariates of some names with their prefixes; a VotesError for invalid ones."""
    found: list[Feature] = []
    asked = (
        ("vote_features", "features", features, bins, 2),
        ("covariates", "covariates", covariates, covariate_bins, 1),
    )
    for option, what, names, most, least in asked:
        if names is None:
            continue
        listed = list(names)
        if not listed or not all(isinstance(name, str) and name for name in listed):
            raise VotesError(f"{option} takes names of columns, at least one; got {listed!r}")
        if isinstance(most, bool) or not isinstance(most, int | np.integer) or most < least:
            raise VotesError(f"{what} are cut into at least {least} bin{'s' * (least > 1)}; got {most!r}")
        own = [Feature.named(name, signed=what == "covariates") for name in listed]
        again = [column for column, times in Counter(f.column for f in own).items() if times > 1]
        if again:
            said = ", ".join(map(repr, again))
            raise VotesError(f"{option} names {said} more than once: name each column once")
        found += own
    twice = {f.column for f in found if f.signed} & {f.column for f in found if not f.signed}
    if twice:
        raise VotesError(
            f"{sorted(twice)[0]!r} is named by vote_features and by covariates: a column is what attention "
            "depends on, or a difference between the answers; give a copy another name for both"
        )
    levels = [feature.column for feature in found if feature.signed and feature.each]
    if levels:
        raise VotesError(
            f"covariates are differences, which are numbers, and each:{levels[0]} asks for levels: name it "
            f"{levels[0]}"
        )
    if not found:
        raise VotesError("strata need columns to be made from: name at least one")
    return tuple(found)


def _bins_in(label: str, words: Sequence[Mapping[str, int]]) -> list[int] | None:
    """The bins whose words, with commas between them, are the label; None if there are none."""
    if len(words) == 1:
        return [words[0][label]] if label in words[0] else None
    end = label.find(", ")
    while end >= 0:
        number = words[0].get(label[:end])
        rest = None if number is None else _bins_in(label[end + 2 :], words[1:])
        if number is not None and rest is not None:
            return [number, *rest]
        end = label.find(", ", end + 1)
    return None


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
        signed=bool(plain.get("signed", False)),
        scale=float(plain.get("scale", 1.0)),
    )
    bins = len(cut.levels) or len(cut.edges) + 1
    bins += len(cut.edges) if cut.signed else 0
    if not len(cut.words) == len(cut.values) == bins or any(len(row) != len(cut.names) for row in cut.values):
        raise ValueError
    return cut
