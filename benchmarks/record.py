"""Output of a benchmark: a table on the screen, and JSON that says where and how it was measured.

python -m benchmarks.record            prints the tables of all results
python -m benchmarks.record --readme   puts them into README.md, between their marks
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
VERSIONS = ("emjax", "jax", "jaxlib", "numpy", "scipy")
NOT_RUN = "not run"


def options(name, description, example, *extra):
    """Command-line options that every benchmark has, and its own: `extra` holds (flag, settings) pairs."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, to see in seconds that it runs")
    parser.add_argument("--json", type=Path, help=f"where to write (default: benchmarks/results/{name}.json)")
    for flag, settings in extra:
        parser.add_argument(flag, **settings)
    given = parser.parse_args()
    if given.json is None:
        # a trial must not replace what was measured
        given.json = (ROOT / "build" if given.smoke else RESULTS) / f"{name}.json"
    return given


class Record:
    """Figures and raw data of one run, written as it ends."""

    def __init__(self, name, given):
        self.name, self.given, self.start = name, given, time.perf_counter()
        self.figures, self.tables, self.raw = [], [], {}
        self.versions = {package: _version(package) for package in VERSIONS}
        self.load = [_load()]

    def figure(self, what, measured, shown, target="", met=None):
        """One row of the table: a number, how it is written, and (if there is one) its target."""
        # tiny sizes say nothing about a target
        met = None if met is None or self.given.smoke else bool(met)
        row = {"figure": what, "measured": _plain(measured), "shown": shown, "target": target, "met": met}
        self.figures.append(row)
        print(f"  {what}: {shown}" + (f" (target {target})" if target else ""), flush=True)

    def not_run(self, what, why, target=""):
        """A row for what could not be measured, with the reason."""
        self.figure(what, None, f"{NOT_RUN}: {why}", target)

    def table(self, title, columns, rows):
        """A table of its own, below the figures: texts, one list per row."""
        self.tables.append({"title": title, "columns": list(columns), "rows": [list(row) for row in rows]})

    def keep(self, part, data):
        """Raw figures of one part, for the JSON alone."""
        self.raw[part] = _plain(data)

    def write(self):
        """Write the JSON whole, and print the table."""
        self.load.append(_load())
        content = {
            "benchmark": self.name,
            "smoke": self.given.smoke,
            "command": _command(self.name),
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.start, 1),
            "commit": _commit(),
            "machine": machine() | {"load_average": self.load},
            "versions": {"python": platform.python_version(), **self.versions},
            "figures": self.figures,
            **({"tables": self.tables} if self.tables else {}),
            "raw": self.raw,
        }
        self.given.json.parent.mkdir(parents=True, exist_ok=True)
        part = self.given.json.with_name(self.given.json.name + ".part")
        part.write_text(_text(content), encoding="utf-8")
        part.replace(self.given.json)
        print("\n" + tables(content) + f"\n\nwritten: {self.given.json}")


def machine():
    """Processor, cores, memory and operating system."""
    cpu, memory = platform.processor() or platform.machine(), None
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        cpu = named.get("model name", cpu)
        family = [f"{what} {named[what]}" for what in ("cpu family", "model") if what in named]
        cpu = f"{cpu} ({', '.join(family)})" if family else cpu
    if hasattr(os, "sysconf"):
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        system = platform.system()
    return {"cpu": cpu, "cores": cores, "memory_gib": memory, "os": f"{system}, kernel {platform.release()}"}


@contextmanager
def counted_warnings(counts):
    """Collects warnings: messages go into the dictionary `counts`, with how often each came."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        key = f"{warning.category.__name__}: {warning.message}"
        counts[key] = counts.get(key, 0) + 1


def table(content):
    """The figures of one result as a Markdown table."""
    lines = ["| figure | target | measured | |", "|---|---|---|---|"]
    for row in content["figures"]:
        verdict = {True: "met", False: "**missed**", None: ""}[row["met"]]
        lines.append(f"| {row['figure']} | {row['target']} | {row['shown']} | {verdict} |")
    return "\n".join(lines)


def tables(content):
    """The figures of one result, and below them the tables that it has."""
    parts = [table(content)]
    for one in content.get("tables", []):
        lines = [one["columns"], ["---"] * len(one["columns"]), *one["rows"]]
        parts += [f"**{one['title']}**", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    return "\n\n".join(parts)


def provenance(content):
    """One paragraph: machine, versions, date and command of one result."""
    at = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in content["versions"].items() if version)
    load = " to ".join("?" if x is None else f"{x:.1f}" for x in at["load_average"])
    return (
        f"`{content['command']}`, {content['date'][:10]}, {content['seconds']:,.0f} s, commit "
        f"{content['commit'] or 'unknown'}; {at['cpu']}, {at['cores']} cores, {at['memory_gib']} GiB, "
        f"{at['os']}; {versions}; load average {load}"
    )


def _command(name):
    given = [_relative(word) for word in sys.argv[1:]]
    return " ".join(["python", "-m", f"benchmarks.{name}", *given])


def _relative(word):
    """Paths relative to the repository, so that no absolute path is recorded."""
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else f".../{path.name}"


def _commit():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    try:
        changed = git("status", "--porcelain", "--", "emjax").strip()
        return git("rev-parse", "--short", "HEAD").strip() + (" and changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _load():
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _plain(value):
    """Numbers and lists that JSON knows, rounded to eight digits."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.8g}") if np.isfinite(value) else None
    return value


def _text(content):
    """JSON with one line per figure and per raw entry: short, and readable in a difference."""
    lines = []
    for key, value in content.items():
        if key in ("figures", "tables", "raw"):
            many = value.items() if key == "raw" else ((None, row) for row in value)
            rows = [(f"{json.dumps(k)}: " if k else "") + _entry(v) for k, v in many]
            opened, closed = "{}" if key == "raw" else "[]"
            inner = ",\n    ".join(rows)
            lines.append(f'  "{key}": {opened}\n    {inner}\n  {closed}')
        else:
            lines.append(f'  "{key}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _entry(value):
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n      " + ",\n      ".join(json.dumps(v, ensure_ascii=False) for v in value) + "\n    ]"
    return json.dumps(value, ensure_ascii=False)


def section(content):
    """What README.md holds of one result."""
    return f"{tables(content)}\n\n{provenance(content)}"


def marked(text, name, inner):
    """`text` with what stands between the marks of a result replaced."""
    begin, end = f"<!-- result: {name} -->\n", "<!-- end of result -->"
    before, mark, rest = text.partition(begin)
    if not mark:
        raise SystemExit(f"README.md has no place for {name}: add the lines {begin.strip()} and {end}")
    return before + mark + inner + "\n" + end + rest.partition(end)[2]


def _main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.record",
        description="Print the tables of all results, or put them into README.md.",
        epilog="example: python -m benchmarks.record --readme",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=RESULTS, help="default: benchmarks/results")
    parser.add_argument("--readme", action="store_true", help="replace the tables in benchmarks/README.md")
    given = parser.parse_args()
    page = ROOT / "benchmarks" / "README.md"
    text = page.read_text(encoding="utf-8") if given.readme else ""
    for file in sorted(given.folder.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if given.readme:
            text = marked(text, content["benchmark"], section(content))
        else:
            print(f"### {content['benchmark']}\n\n{section(content)}\n")
    if given.readme:
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    _main()
