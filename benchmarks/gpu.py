"""Rates of the CUDA kernels beside a device-to-device copy and CuPy's own functions. Run by tools/gpu_check.sh.

Events around some launches in a row, over several inputs in rotation that together exceed the second-level cache; the
median of several such turns. A rate counts what has to be moved: input and result for softmax, the input for logsumexp.
"""

import argparse
import statistics
import time
import warnings

import cupy
import cupyx.scipy.special as theirs
import numpy as np

import stablesoft

TOTAL = 1 << 28  # bytes of one input, about
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
# (rows, n, axis) beside those: short rows, few huge ones, and other axes
SHAPES = ((4_000_000, 10, 1), (8192, 50257, 1), (1, 100_000_000, 1), (65536, 512, 0), (21, 4_000_000, 0))


def seconds(call, inputs, turns=7):
    """Device time of one call."""
    for x in inputs[:2]:
        call(x)
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    measured = []
    for _ in range(turns):
        start.record()
        for x in inputs:
            call(x)
        end.record()
        end.synchronize()
        measured.append(cupy.cuda.get_elapsed_time(start, end) / len(inputs) / 1e3)
    return statistics.median(measured)


def inputs_of(shape, dtype):
    """Enough arrays to exceed the cache several times, at least two."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    random = cupy.random.default_rng(1)
    first = random.standard_normal(shape, dtype=np.float32).astype(dtype)
    return [first] + [first + step for step in range(1, max(2, min(8, (1 << 30) // size)))]


def compare(operation, shape, axis, dtype):
    """(GB/s of stablesoft, of a copy of as many bytes, times CuPy's time)."""
    inputs = [x.astype(dtype, copy=False) for x in inputs_of(shape, dtype)]
    size = inputs[0].nbytes
    ours = getattr(stablesoft, operation)
    out = cupy.empty_like(ours(inputs[0], axis=axis))
    spent = seconds(lambda x: ours(x, axis=axis, out=out), inputs)
    copied = cupy.empty_like(inputs[0])
    copy = seconds(lambda x: cupy.copyto(copied, x), inputs)
    moved = size + out.nbytes
    rival = np.nan
    if 6 * size < 20 << 30:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rival = seconds(lambda x: getattr(theirs, operation)(x, axis=axis), inputs[:2], turns=3)
    return moved / spent / 1e9, 2 * size / copy / 1e9, rival / spent


def call_cost(turns=2000):
    """Microseconds of the CPU for one call, the device being idle in between."""
    x = cupy.ones((8, 100), np.float32)
    out = cupy.empty_like(x)
    value = cupy.empty(8, np.float32)
    found = {}
    for name, call in {
        "softmax, out=": lambda: stablesoft.softmax(x, axis=1, out=out),
        "softmax": lambda: stablesoft.softmax(x, axis=1),
        "logsumexp, out=": lambda: stablesoft.logsumexp(x, axis=1, out=value),
        "cupy.exp, out=": lambda: cupy.exp(x, out=out),
    }.items():
        call()
        cupy.cuda.Device().synchronize()
        best = np.inf
        for _ in range(turns // 100):
            start = time.perf_counter()
            for _ in range(100):
                call()
            best = min(best, (time.perf_counter() - start) / 100)
            cupy.cuda.Device().synchronize()
        found[name] = best * 1e6
    return found


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="float32, three lengths")
    quick = parser.parse_args().quick
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, CuPy {cupy.__version__}, {time.strftime('%Y-%m-%d')}")
    print("GB/s: input and result of the call. copy: a device-to-device copy of the input, read and written.\n")
    print(f"{'':12} {'':8} {'shape':>18} {'axis':>4} {'GB/s':>7} {'copy':>7} {'of copy':>8} {'x CuPy':>7}")
    for dtype in ("float32",) if quick else ("float32", "float64", "float16"):
        lengths = (256, 4096, 65536) if quick else LENGTHS
        shapes = [(max(TOTAL // (n * np.dtype(dtype).itemsize), 1), n, 1) for n in lengths]
        for operation in ("softmax", "log_softmax", "logsumexp"):
            for rows, n, axis in [*shapes, *(() if quick else SHAPES)]:
                rate, copy, ratio = compare(operation, (rows, n), axis, dtype)
                shape = f"({rows}, {n})"
                print(f"{operation:12} {dtype:8} {shape:>18} {axis:4} {rate:7.0f} {copy:7.0f} {rate / copy:8.2f} "
                      f"{ratio:7.1f}", flush=True)  # fmt: skip
                cupy.get_default_memory_pool().free_all_blocks()
    print("\nmicroseconds of the CPU for a call on (8, 100) float32:")
    for name, cost in call_cost().items():
        print(f"{name:18} {cost:6.2f}")


if __name__ == "__main__":
    main()
