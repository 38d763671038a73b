"""Settings of shards: how the votes in them were read, as the manifest has it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from emjax.data.anchors import ACCURACY
from emjax.data.columns import COLUMN_OPTIONS, EXTRAS
from emjax.data.row_rules import RowRules
from emjax.data.strata import VoteStrata
from emjax.data.stratify_table import Wanted


@dataclass(frozen=True)
class Settings:
    """How votes are read into shards: options of `read_votes`, as far as counts depend on them.

    Attributes
    ----------
    rules : RowRules
    told : dict
        For each role the column that was given, or None.
    gold_accuracy : float
    features : VoteStrata, columns to be cut, or None
    """

    rules: RowRules
    told: Mapping[str, str | None]
    gold_accuracy: float
    features: Wanted | None

    @property
    def sides(self) -> bool:
        """Whether votes are counted by the side shown first."""
        return self.told["shown_first"] is not None

    def plain(self) -> dict[str, Any]:
        """The same as dicts, lists, text and numbers, as JSON gives them back."""
        columns = {role: column for role, column in self.told.items() if column is not None}
        plain = {**asdict(self.rules), "told": columns, "gold_accuracy": self.gold_accuracy}
        return plain | {"features": _plain(self.features)}

    def other(self, settings: Mapping[str, Any]) -> str | None:
        """What is different in the settings of a folder, as in "with ties='half'"; None where all agree."""
        before = {**asdict(RowRules()), "gold_accuracy": ACCURACY, "features": None, **settings}
        now, told = self.plain(), before.get("told", {})
        for role, column in self.told.items():
            if column != told.get(role) and (role in EXTRAS or {column, told.get(role)}.isdisjoint({None})):
                return f"with {role}={told[role]!r}" if role in told else f"without {role}"
        for what in (*asdict(self.rules), "gold_accuracy"):
            if before[what] != now[what]:
                return f"with {what}={before[what]!r}"
        return None if before["features"] == now["features"] else "with other vote_features or covariates"


def read_with(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `read_votes` from the settings of a folder of shards, as far as they are not its defaults.

    Examples
    --------
    >>> read_with({"ties": "half", "strict": False, "told": {"user": "who", "covariates": "length"}})
    {'user': 'who', 'ties': 'half'}
    """
    rules = RowRules.of(settings)
    columns = {role: of for role, of in settings.get("told", {}).items() if role in COLUMN_OPTIONS}
    return columns | rules.unusual()


def _plain(features: Wanted | None) -> Any:
    if features is None:
        return None
    if isinstance(features, VoteStrata):
        return as_lists({"strata": features.plain()})
    return as_lists(asdict(features))


def as_lists(value: Any) -> Any:
    """The same with lists in place of tuples, as it comes back from JSON."""
    if isinstance(value, Mapping):
        return {name: as_lists(each) for name, each in value.items()}
    return [as_lists(each) for each in value] if isinstance(value, list | tuple) else value
