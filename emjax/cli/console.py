"""Console of the command line: messages, progress, exit codes, Ctrl-C."""

import io
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO, TypeVar

from emjax.cli import compilation_cache
from emjax.errors import EmjaxError, EmjaxWarning
from emjax.report.command_words import in_command_words

_Answer = TypeVar("_Answer")
Tell = Callable[[str, int, int], None]
_stopped = threading.Event()  # set by Ctrl-C


class _Interrupted(BaseException):
    """Work was given up because of Ctrl-C."""


def run(app: Callable[[], object]) -> NoReturn:
    """Run a command line and leave with its exit code.

    What emjax refuses is one line on standard error and exit code 1; a usage error is exit code 2, Ctrl-C
    130.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a dash that a terminal cannot show is no reason to stop
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    code = _answer(app)
    compilation_cache.close()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _refused(error)
    if _stopped.is_set():
        _leave()
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)  # all is written; to take apart what was imported takes most of a second


def _answer(app: Callable[[], object]) -> int:
    """Exit code of the command line, once what is to be said has been said."""
    try:
        with warnings.catch_warnings(), _scratch():
            warnings.showwarning = _show_warning
            warnings.simplefilter("always", EmjaxWarning)
            warnings.filterwarnings("always", message=compilation_cache.TROUBLE)
            app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except EmjaxError as error:
        _complain(f"error: {error}")
    except OSError as error:
        return _refused(error)
    except MemoryError:
        _complain("error: out of memory: free some, or fit on a larger machine.")
    except _Interrupted:
        pass
    return 1


@contextmanager
def _scratch() -> Iterator[None]:
    """A temporary folder for all others, which takes along what work given up has left in them."""
    usual = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="emjax-", ignore_cleanup_errors=True) as tempfile.tempdir:
        yield
    tempfile.tempdir = usual


def _refused(error: OSError) -> int:
    """Say what the system refused; nothing where the reader of a pipe has merely had enough."""
    if not isinstance(error, BrokenPipeError):
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"error: {where}{error.strerror or error}")
    return 1


def _interrupt(*_: object) -> None:
    """Take note of Ctrl-C, and leave at once the second time.

    To raise from here could end up in the callback of some library, which swallows it, or leave a lock held.
    """
    if _stopped.is_set():
        _leave()
    _stopped.set()


def _leave() -> NoReturn:
    """Leave after Ctrl-C, without waiting for compiled code that still runs in a thread."""
    os.write(2, b"interrupted\n")
    os._exit(130)


def wait_for(what: str, work: Callable[[], _Answer]) -> _Answer:
    """Work done in another thread, so that this one hears Ctrl-C at once and not when compiled code is back.

    Only for work that may be given up halfway; what writes files is finished, within seconds.
    """
    return wait_and_tell(what, lambda _: work())


def wait_and_tell(what: str, work: Callable[[Tell], _Answer]) -> _Answer:
    """As `wait_for`, for work that tells how far it is: what it does, how much is done, out of how much."""
    with working(what) as tell:
        done = ThreadPoolExecutor(max_workers=1).submit(work, tell)
        while not _stopped.is_set():
            if wait([done], timeout=0.1).done:
                return done.result()
    raise _Interrupted


@contextmanager
def working(what: str) -> Iterator[Tell]:
    """Show that something is going on, for how long and, if it is told, how far; on a terminal only."""
    if _stopped.is_set():
        raise _Interrupted
    if not sys.stderr.isatty():
        yield lambda doing, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console, start = Console(stderr=True), time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(f"{what:13}", total=None)

        def tell(doing: str, done: int, total: int) -> None:
            progress.update(task, description=f"{doing:13}", completed=done, total=total)

        yield tell
    console.print(f"{what:13} {time.perf_counter() - start:.1f} s", style="dim", highlight=False)


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    if compilation_cache.is_trouble(str(message)):
        return
    kind = "warning" if issubclass(category, EmjaxWarning) else category.__name__
    _complain(f"{kind}: {message}")


def _complain(text: str) -> None:
    print(_fitted_in(" ".join(in_command_words(text).split()), sys.stderr), file=sys.stderr)


def say(text: str) -> None:
    """Print lines of results."""
    print("\n".join(_fitted_in(line, sys.stdout) for line in in_command_words(text).split("\n")))


def _fitted_in(line: str, stream: TextIO) -> str:
    """A line broken between words where a terminal would break it anywhere; elsewhere it stays one line."""
    width = shutil.get_terminal_size().columns
    if not stream.isatty() or len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
