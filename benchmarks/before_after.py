"""Before and after: the same benchmarks in two checkouts, on one machine, figure by figure.

Run a benchmark in either checkout with `--json`, one after the other and with nothing beside; this compares
what the two wrote.
"""

import json
from pathlib import Path

from benchmarks import record

WITHIN = 1.05  # slower by no more than this counts as equal
_SHORTEST = 0.02  # seconds; shorter times are noise
_NOT_TIMES = ("copying", "r̂", "error", "coverage", "memory", "per second", "users per", "rate")


def numbers(measured):
    """The numbers of a figure, one after the other; none where it was not run."""
    if isinstance(measured, int | float) and not isinstance(measured, bool):
        return [float(measured)]
    return [float(x) for x in measured if isinstance(x, int | float)] if isinstance(measured, list) else []


def compared(before, after):
    """Rows (figure, numbers before, numbers after, largest ratio) of the times that both results have."""
    then = {row["figure"]: numbers(row["measured"]) for row in before["figures"]}
    now = {row["figure"]: numbers(row["measured"]) for row in after["figures"]}
    then |= dict(raw_seconds(before["raw"]))
    for figure, new in (now | dict(raw_seconds(after["raw"]))).items():
        old = then.get(figure, [])
        is_time = not any(word in figure for word in _NOT_TIMES)
        if is_time and old and len(old) == len(new) and min(old) >= _SHORTEST:
            yield figure, old, new, max(b / a for a, b in zip(old, new, strict=True))


def raw_seconds(raw, path=()):
    """Each number of seconds in the raw data of a result, with where it stands."""
    for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw):
        if isinstance(value, dict | list):
            yield from raw_seconds(value, (*path, str(key)))
        elif "seconds" in str(key) and isinstance(value, int | float):
            yield " / ".join((*path, str(key))), [float(value)]


def _seconds(values):
    return ", ".join(f"{value:.3g}" for value in values) + " s"


def main():
    """Compare pairs of results, and record them."""
    given = record.options(
        "before_after",
        __doc__,
        "python -m benchmarks.before_after --pairs old/speed.json new/speed.json",
        ("--pairs", {"type": Path, "nargs": "+", "help": "results, that of the old checkout first"}),
    )
    out = record.Record("before_after", given)
    paths = given.pairs or []
    if len(paths) % 2 or not paths:
        raise SystemExit("give results in pairs: OLD.json NEW.json, and more if there are")
    for before, after in zip(paths[::2], paths[1::2], strict=True):
        old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
        if old["benchmark"] != new["benchmark"] or old["machine"]["cpu"] != new["machine"]["cpu"]:
            raise SystemExit(f"{before} and {after} are not of one benchmark on one machine")
        name, rows = new["benchmark"], []
        for figure, a, b, ratio in compared(old, new):
            rows.append([figure, _seconds(a), _seconds(b), f"{ratio:.2f}"])
            out.keep(f"{name}: {figure}", {"before": a, "after": b, "ratio": ratio})
        worst = max((float(row[-1]) for row in rows), default=0.0)
        what = f"{name}, commit {old['commit']} against {new['commit']}: largest ratio of times"
        out.figure(what, worst, f"{worst:.2f}", f"≤ {WITHIN}", worst <= WITHIN)
        out.table(f"{name}: before and after", ["figure", "before", "after", "largest ratio"], rows)
    out.write()


if __name__ == "__main__":
    main()
