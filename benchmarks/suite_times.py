"""The tests: seconds and compiled programs per file, the slowest tests, as `make test-times` prints them."""

import subprocess
from pathlib import Path

from benchmarks import record

FILES = 15


def read(text):
    """Rows (file, tests, seconds, processor seconds, programs), slowest tests, and the line of totals."""
    rows, slowest, total = [], [], ""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 5 and words[0].endswith(".py") and words[1].isdigit():
            rows.append((words[0], int(words[1]), float(words[2]), float(words[3]), int(words[4])))
        elif len(words) == 2 and "::" in words[1] and words[0].replace(".", "").isdigit():
            slowest.append((float(words[0]), words[1]))
        elif " passed" in line and " in " in line:
            total = line.strip("= ")
    return rows, slowest, total


def main():
    """Run the tests, or read what a run printed, and record it."""
    given = record.options(
        "suite_times",
        __doc__,
        "python -m benchmarks.suite_times --log build/times.log",
        ("--log", {"type": Path, "help": "what `make test-times` printed (default: run it)"}),
        ("--before", {"type": Path, "help": "the same of an earlier commit, complete or in part"}),
    )
    out = record.Record("suite_times", given)
    if given.log is not None:
        text = given.log.read_text(encoding="utf-8")
    else:
        words = ["ARGS=-k root_finding"] if given.smoke else []
        text = subprocess.run(
            ["make", "test-times", *words], cwd=record.ROOT, capture_output=True, text=True
        ).stdout
    for name, printed in (
        ("now", text),
        ("before", given.before and given.before.read_text(encoding="utf-8")),
    ):
        if printed:
            tell(out, name, *read(printed))
    out.write()


def tell(out, name, rows, slowest, total):
    """The figures and tables of one run."""
    if not rows:
        raise SystemExit("no table of files: was it printed by `make test-times`?")
    tests, programs = sum(row[1] for row in rows), sum(row[4] for row in rows)
    seconds = sum(row[2] for row in rows)
    shown = f"{tests:,} tests, {seconds:,.0f} s of both workers, {programs:,} programs compiled"
    out.figure(f"tests, {name}", seconds, f"{shown}; {total}" if total else shown)
    rows = sorted(rows, key=lambda row: -row[2])
    columns = ("file", "tests", "seconds", "processor", "programs")
    out.table(
        f"Files that took longest, {name}",
        columns,
        [[f"`{row[0]}`", str(row[1]), f"{row[2]:.0f}", f"{row[3]:.0f}", str(row[4])] for row in rows[:FILES]],
    )
    if slowest:
        out.table(
            f"Slowest tests, {name}",
            ("test", "seconds"),
            [[f"`{test}`", f"{took:.0f}"] for took, test in slowest],
        )
    out.keep(name, {"files": rows, "slowest": slowest})


if __name__ == "__main__":
    main()
