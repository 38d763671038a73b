"""fit.json: its format and version, and files of earlier versions read as those of this one."""

from typing import Any

FORMAT, VERSION = "emjax-fit", 2

# Names in files of version 1.
_TYPES = {"Latent": "PerItem", "Contextual": "RewardNetwork", "Calibrated": "MonotoneReward"}
_FIELDS = {"VoteFeatures": {"kinds": "strata"}, "BradleyTerry": {"pieces": "components"}}


def as_current(content: dict[str, Any]) -> dict[str, Any]:
    """What a fit.json of any version says, under the names of this version.

    Examples
    --------
    >>> as_current({"version": 1, "strength": {"type": "Latent", "nodes": [0.2, 0.8]}})["strength"]["type"]
    'PerItem'
    """
    if content.get("version") != 1:
        return content
    named = {("newton_steps" if key == "polish_steps" else key): value for key, value in content.items()}
    return {key: _renamed(value) for key, value in named.items()} | {"version": VERSION}


def _renamed(value: Any) -> Any:
    """A value of version 1, with the types and fields in it under their new names."""
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    if not isinstance(value, dict):
        return value
    fields = _FIELDS.get(str(value.get("type")), {})
    renamed = {fields.get(key, key): _renamed(each) for key, each in value.items()}
    if renamed.get("type") in _TYPES:
        renamed["type"] = _TYPES[renamed["type"]]
    return renamed
