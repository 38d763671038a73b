"""Progress of the sampler: what a terminal shows, and that nothing else does."""

import io
import sys
import threading
import time
import warnings
from typing import Any

import emjax
from emjax.bayes.progress import shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_phase_draws_and_divergences(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with shown(True, 300) as tell:
        assert "compiling" in tell_text()
        threads = [threading.Thread(target=tell, args=("warm-up", 100, 0)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(0.2)  # it is written ten times a second at most
        tell("sampling", 100, 7)
        text = tell_text()
    assert "sampling: 100%" in text and "300/300" in text and "divergences=7" in text


def tell_text():
    assert isinstance(sys.stderr, Terminal)
    return sys.stderr.getvalue()


def test_nothing_is_shown_where_it_is_not_wanted(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with shown(False, 300) as tell:
        tell("sampling", 300, 0)
    assert tell_text() == ""


def test_all_draws_are_told_of_and_divergences_of_kept_draws_alone(prefs, monkeypatch):
    """Draws come in legs of 100, and the last leg can be longer than what was asked for."""
    told = []

    class Shown:
        def __enter__(self):
            return lambda *said: told.append(said)

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("emjax.bayes.progress.shown", lambda wanted, total: told.append(total) or Shown())
    sizes: dict[str, Any] = {"num_warmup": 250, "num_samples": 150, "num_chains": 2}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        fit = emjax.fit_bayes(prefs, emjax.TwoPoint(), strength=emjax.Known(0.9), key=0, **sizes)
    total, *said = told
    assert total == sum(draws for _, draws, _ in said) == 2 * (250 + 150)
    assert {phase for phase, _, _ in said} == {"warm-up", "sampling"}
    assert sum(diverged for _, _, diverged in said) == fit.divergences
