"""A plugin of pytest, `-p timing`: seconds and compiled programs of every test, in a table at the end."""

import os
import time
from collections import Counter, defaultdict

import jax
import pytest

_COMPILED = "/jax/core/compile/backend_compile_duration"
_SLOWEST = 10
_programs = 0


def _count(event: str, _: float, **__: object) -> None:
    global _programs
    _programs += event == _COMPILED


def pytest_configure(config: pytest.Config) -> None:
    """Listen to JAX."""
    jax.monitoring.register_event_duration_secs_listener(_count)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    """Note what a test took, its fixtures included: wall clock, processor with subprocesses, programs."""
    wall, processor, programs = time.perf_counter(), sum(os.times()[:4]), _programs
    item.user_properties.append(("started", [wall, processor, programs]))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Put it into the report of the test's last phase, which workers send to the first process."""
    report = yield
    if report.when == "teardown":
        wall, processor, programs = dict(item.user_properties)["started"]
        took = [time.perf_counter() - wall, sum(os.times()[:4]) - processor, _programs - programs]
        report.user_properties.append(("took", took))
    return report


def pytest_terminal_summary(terminalreporter) -> None:
    """Print the tables."""
    files: dict[str, Counter] = defaultdict(Counter)
    tests: list[tuple[float, str]] = []
    for report in terminalreporter.getreports(""):
        took = dict(getattr(report, "user_properties", ())).get("took")
        if getattr(report, "when", "") == "teardown" and took is not None:
            wall, processor, programs = took
            file = report.nodeid.partition("::")[0]
            files[file].update(tests=1, wall=wall, processor=processor, programs=programs)
            tests.append((wall, report.nodeid))
    write = terminalreporter.write_line
    write(f"{'file':52} {'tests':>6} {'seconds':>9} {'processor':>10} {'programs':>9}")
    for file, x in sorted(files.items(), key=lambda pair: -pair[1]["wall"]):
        write(f"{file:52} {x['tests']:6} {x['wall']:9.1f} {x['processor']:10.1f} {x['programs']:9}")
    write(f"the {_SLOWEST} slowest tests, in seconds")
    for wall, nodeid in sorted(tests, reverse=True)[:_SLOWEST]:
        write(f"{wall:9.1f} {nodeid}")
