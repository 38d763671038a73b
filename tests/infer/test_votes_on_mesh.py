"""Users over devices, and over processes: the fit of one device, whatever the strengths."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import emjax
from emjax.infer.em import _check_options

PROGRAM = Path(__file__).with_name("mesh_process.py")


def free_port():
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return at.getsockname()[1]


def ended(processes, devices, dying=-1):
    """Exit code, standard output and standard error of each of several processes, of which one may die."""
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices), "JAX_PLATFORMS": "cpu"}
    port = str(free_port())
    running = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(processes), str(i), port, str(dying)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(processes)
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in running]
    finally:
        for process in running:
            process.kill()
    return [(process.returncode, *output) for process, output in zip(running, outputs, strict=True)]


def run(processes, devices):
    """What each of several processes printed."""
    found = ended(processes, devices)
    for code, _, outputs in found:
        assert code == 0, outputs[-3000:]
    return [json.loads(printed.splitlines()[-1]) for _, printed, _ in found]


def check(found):
    for name, (here, there) in found["fits"].items():
        # The weights of a Grid are not unique to rounding; messages and maps end where gains are small.
        settled = name.split(",")[0] not in ("items", "scores", "features")
        assert abs(there["log_likelihood"] / here["log_likelihood"] - 1) < (1e-10 if settled else 1e-8), name
        loose = 1e-5 if not settled else 1e-6 if "Grid" in name else 1e-10
        np.testing.assert_allclose(there["estimate"], here["estimate"], rtol=0, atol=loose, err_msg=name)
        np.testing.assert_allclose(there["std_err"], here["std_err"], rtol=1e-5, err_msg=name)
        assert there["outcome"] == here["outcome"] == "converged"
        assert there["message"] == here["message"] or not settled


def test_four_devices_of_one_process_give_the_fit_of_one_device():
    (found,) = run(1, 4)
    assert found["devices"] == 4
    check(found)


@pytest.mark.long
def test_two_processes_of_two_devices_give_the_fit_of_one_device():
    one, two = run(2, 2)
    assert one["devices"] == two["devices"] == 4
    check(one)
    for name, fits in one["fits"].items():
        assert fits[1] == two["fits"][name][1], name  # every process has the same answer


def test_a_process_that_dies_ends_the_others_without_an_answer():
    (code, printed, outputs), (killed, *_) = ended(2, 1, dying=1)
    assert killed == -9 and code != 0
    assert "log_likelihood" not in printed
    assert outputs.strip()


def test_a_mesh_of_the_wrong_type_is_refused():
    with pytest.raises(emjax.ModelError, match=r"takes as mesh a mesh of devices: jax.make_mesh.*got 4"):
        _check_options(None, 1e-3, 10, 4)
