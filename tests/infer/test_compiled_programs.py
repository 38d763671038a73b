"""How many XLA programs a fit compiles: each costs a person who waits for a first answer."""

import subprocess
import sys

import pytest

COUNT = """
import warnings
import jax
import emjax
programs = []
def count(event, seconds, **told):
    if event == "/jax/core/compile/backend_compile_duration":
        programs.append(told.get("fun_name"))
jax.monitoring.register_event_duration_secs_listener(count)
warnings.simplefilter("ignore")
strengths = {"ant": 1.0, "bee": 0.2, "cat": -1.2}
votes = emjax.simulate(0, n_users=60, votes_per_user=12, strengths=strengths).preferences
programs.clear()
fit = emjax.fit_em(votes, emjax.PRIOR)
fit.users(votes), fit.leaderboard(votes)
print(len(programs), programs)
"""


@pytest.mark.parametrize("prior", ["Grid()", "TwoPoint()", "Beta()"])
def test_a_default_fit_with_users_and_leaderboard_compiles_few_programs(prior):
    """At most 15, of which a default fit needs 4; those of simulated votes are not counted."""
    command = [sys.executable, "-c", COUNT.replace("PRIOR", prior)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 1 <= int(done.stdout.split()[0]) <= 15, done.stdout


ITEMS = (
    COUNT.split("strengths = ")[0]
    + """
import numpy as np
rng = np.random.default_rng(0)
def fitted(n_items):
    item, user = np.repeat(np.arange(n_items), 4), np.tile(np.arange(40), n_items // 10)
    pair = np.stack([item % 7, (item + 1 + item // 7 % 3) % 7], axis=1).astype(str)
    votes = emjax.Preferences.from_votes(user, pair, rng.random(len(user)) < 0.7, context=item.astype(str))
    emjax.fit_em(votes, emjax.TwoPoint(), strength=emjax.PerItem(3)).posterior(votes)
fitted(90)
programs.clear()
fitted(100)
print(len(programs), programs)
"""
)


def test_other_items_of_the_same_users_and_models_compile_nothing_new():
    done = subprocess.run([sys.executable, "-c", ITEMS], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "0", done.stdout
