"""Subnormal results in threads where another library has switched them off: the same bits, and the switch stays."""

import ctypes
import functools
import os
import platform
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from worker import digest

import cases
import stablesoft

# `flush` sets or clears the flushing of subnormals in all OpenMP threads of the caller; `flushing` asks its own.
HELPER = r"""
#include <stdint.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
static uint64_t get(void) { return _mm_getcsr(); }
static void set(uint64_t mode) { _mm_setcsr((unsigned)mode); }
#define FLUSH 0x8040u
#elif defined(__aarch64__)
static uint64_t get(void) { uint64_t mode; __asm__ volatile("mrs %0, fpcr" : "=r"(mode)); return mode; }
static void set(uint64_t mode) { __asm__ volatile("msr fpcr, %0" : : "r"(mode)); }
#define FLUSH 0x1000000u
#else
#error "no such mode"
#endif
void flush(int on)
{
#pragma omp parallel
    set(on ? get() | FLUSH : get() & ~(uint64_t)FLUSH);
}
int flushing(void) { return (get() & FLUSH) == FLUSH; }
"""


@pytest.fixture(scope="module")
def helper(tmp_path_factory):
    compiler = shutil.which(os.environ.get("CC", "cc").split()[0])
    if compiler is None:
        pytest.skip("there is no C compiler to make the helper that switches the mode")
    folder = tmp_path_factory.mktemp("mode")
    (folder / "mode.c").write_text(HELPER)
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(folder / "mode.so"), str(folder / "mode.c")]
    for options in (["-fopenmp"], []):  # without OpenMP only the caller's own thread is switched
        if subprocess.run([*command, *options], capture_output=True).returncode == 0:
            return ctypes.CDLL(str(folder / "mode.so"))
    pytest.skip(f"{sys.platform}, {platform.machine()}: the helper does not compile")


def calls(dtype):
    """Every kernel, on rows with subnormal input or output: short ones, and ones for several threads."""
    small = ("subnormal", "tiny", "near 0")
    named = [row for name, row in cases.rows(dtype).items() if any(word in name for word in small)]
    least = np.finfo(dtype).smallest_subnormal
    wide = np.linspace(-100 if dtype == "float32" else -740, 0, 200_000).astype(dtype).reshape(2, -1)
    tiny = np.abs(wide) * least
    weights = [np.full_like(row, 2 * least) for row in named]
    half = np.linspace(-17, 0, 1000).astype("float16")
    for case in cases.CASES:
        yield from (functools.partial(case, stablesoft, row) for row in named)
        yield from (functools.partial(case, stablesoft, x, axis=axis) for x in (wide, tiny) for axis in (0, 1))
    yield from (functools.partial(stablesoft.logcumsumexp, row) for row in named)
    yield from (functools.partial(stablesoft.logsumexp, row, b=b) for row, b in zip(named, weights, strict=True))
    for name in ("expit", "log_expit", "softplus", "log1mexp"):
        yield from (functools.partial(getattr(stablesoft, name), x) for x in (wide, -tiny))
    yield functools.partial(stablesoft.logit, tiny)
    yield functools.partial(stablesoft.logaddexp, wide, wide[::-1])
    yield functools.partial(stablesoft.expit, half)


def test_flushed_subnormals(helper, dtype):
    todo = list(calls(dtype))  # with their input, so that nothing but the kernels runs in the other mode
    expected = [digest(call()) for call in todo]
    found, modes = [], []

    def compute():
        helper.flush(1)
        try:
            made = [call() for call in todo]
            modes.append(helper.flushing())
        finally:
            helper.flush(0)
        found.extend(digest(y) for y in made)  # digests see bits: taken in the usual mode

    thread = threading.Thread(target=compute)  # its mode ends with it
    thread.start()
    thread.join()
    assert modes == [1], "the caller's mode is not what it was"
    assert [call for call, a, b in zip(todo, found, expected, strict=True) if a != b] == []


def test_the_helper_flushes(helper, dtype):
    """Without this the test above would say nothing."""
    x = np.full(100, np.finfo(dtype).smallest_normal)
    helper.flush(1)
    try:
        half = x * x.dtype.type(0.5)
    finally:
        helper.flush(0)
    assert not half.any()
    assert (x * x.dtype.type(0.5)).all()
