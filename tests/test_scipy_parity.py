"""SciPy's own tests, with stablesoft in SciPy's place."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("scipy.special", reason="the parity tests are SciPy's own")

HERE = pathlib.Path(__file__).parent


def run_scipy_tests(module, directory, **environment):
    """Run one of SciPy's test modules in a process of its own; returns the output and the counts by outcome."""
    path = os.pathsep.join([str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "pytest", "--pyargs", module, "-p", "scipy_parity_plugin"]
    options = ["-p", "no:cacheprovider", "--color=no", "-rfE"]
    done = subprocess.run(
        [*command, *options],
        cwd=directory,  # not here: this project's pytest settings are not SciPy's
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    output = done.stdout + done.stderr
    summary = output.strip().splitlines()[-1]
    counts = {outcome: int(n) for n, outcome in re.findall(r"(\d+) (passed|failed|errors?|xpassed)", summary)}
    return output, counts


def test_logsumexp_softmax_log_softmax(tmp_path):
    output, counts = run_scipy_tests("scipy.special.tests.test_logsumexp", tmp_path)
    assert "in SciPy's place: logsumexp softmax log_softmax" in output, output
    assert counts.get("passed", 0) >= 400, output
    assert set(counts) == {"passed"}, output


def check_over(libraries, count, directory):
    """The same over other libraries; SciPy expects five tests of array-api-strict, JAX and Dask to fail."""
    environment = {"SCIPY_ARRAY_API": json.dumps(libraries), "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    output, counts = run_scipy_tests("scipy.special.tests.test_logsumexp", directory, **environment)
    assert "in SciPy's place: logsumexp softmax log_softmax" in output, output
    assert counts.get("passed", 0) >= count, output
    assert set(counts) == {"passed"}, output


def test_light_libraries(tmp_path):
    check_over(["array_api_strict", "dask.array"], 790, tmp_path)


@pytest.mark.libraries
def test_heavy_libraries(tmp_path, torch, jax):  # noqa: ARG001
    check_over(["torch", "jax.numpy"], 790, tmp_path)


def test_expit_logit_log_expit(tmp_path):
    output, counts = run_scipy_tests("scipy.special.tests.test_logit", tmp_path)
    assert "expit logit log_expit" in output, output
    assert counts.get("passed", 0) >= 9, output
    assert set(counts) == {"passed"}, output
