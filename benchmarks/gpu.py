"""Rates of the CUDA kernels beside a device-to-device copy and CuPy's own functions. Run by tools/gpu_check.sh.

Events around some launches in a row, over several inputs in rotation that together exceed the second-level cache; the
median of several such turns. A rate counts what has to be moved: input and result, or the input alone where the result
is one number a row; a row that no device holds is read twice. It is compared with what the device does at best: a copy,
or a reading sum (CuPy's, by CUB).
"""

import argparse
import statistics
import time
import warnings
from typing import NamedTuple

import cupy
import cupyx.scipy.special as theirs
import numpy as np

import stablesoft

TOTAL = 1 << 28  # bytes of one input, about
LENGTHS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072, 262144)
# (rows, n, axis) beside those: short rows, few huge ones, and other axes
SHAPES = ((4_000_000, 10, 1), (8192, 50257, 1), (1, 100_000_000, 1), (65536, 512, 0), (21, 4_000_000, 0))
READING = ("logsumexp", "cross-entropy", "sigmoid loss")  # the others write as much as they read, or more
HELD = 64 << 20  # bytes of a row: no device holds more, so that what is to be written from it has to be read twice


class Measured(NamedTuple):
    operation: str
    dtype: str
    rows: int
    n: int
    axis: int
    rate: float  # GB/s
    floor: float  # of a copy, or of reading
    rival: float  # times CuPy's time

    @property
    def share(self):
        return self.rate / self.floor


def by_length(least, share):
    return lambda m: m.axis == 1 and m.n >= least and m.rows > 1 and m.n in LENGTHS, "share", share


# (what for, operation, dtype, which measurements, of what, at least)
GOALS = [
    ("N = 256", "softmax", "float32", lambda m: m.n == 256, "share", 0.8),
    ("N >= 1024", "softmax", "float32", *by_length(1024, 0.9)),
    *(("1 row of 100 million", operation, "float32", lambda m: m.rows == 1, "share", 0.8)
      for operation in ("softmax", "cross-entropy", "cross-entropy, gradient")),
    ("axis 0 of (65536, 512)", "softmax", "float32", lambda m: m.axis == 0 and m.n == 512, "share", 0.8),
    ("all lengths", "softmax", "float64", *by_length(256, 0.85)),
    ("N >= 4096", "cross-entropy", "float32", *by_length(4096, 0.9)),
    ("N >= 4096", "cross-entropy, gradient", "float32", *by_length(4096, 0.85)),
    *((f"beside CuPy, N >= {least}", operation, "float32",
       lambda m, least=least: m.axis == 1 and m.n >= least and m.n in LENGTHS, "rival", times)
      for operation, times, least in (("softmax", 4.0, 1024), ("log_softmax", 3.0, 1024), ("logsumexp", 6.0, 1024))),
]  # fmt: skip


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


def call_of(operation, x, axis):
    """(the call on one input, bytes that it has to move, CuPy's own call or None)."""
    if operation.startswith("cross-entropy"):
        labels = cupy.random.default_rng(2).integers(0, x.shape[axis], x.shape[1 - axis])
        gradient = operation.endswith("gradient")
        moved = x.nbytes * (2 if gradient else 1)
        moved += x.nbytes if gradient and x.nbytes // x.shape[1 - axis] > HELD else 0
        more = {"return_grad": gradient, "label_smoothing": 0.1 if "smoothed" in operation else 0.0}
        return lambda x: stablesoft.softmax_cross_entropy(x, labels, axis, **more), moved, None
    if operation.startswith("sigmoid loss"):
        targets = (cupy.random.default_rng(2).random(x.shape, dtype=np.float32) < 0.5).astype(x.dtype)
        gradient = operation.endswith("gradient")
        moved = x.nbytes * (3 if gradient else 2)
        return lambda x: stablesoft.sigmoid_cross_entropy(x, targets, return_grad=gradient), moved, None
    ours = getattr(stablesoft, operation)
    out = cupy.empty_like(ours(x, axis=axis))
    again = x.nbytes if out.shape == x.shape and x.nbytes // x.shape[1 - axis] > HELD else 0
    return lambda x: ours(x, axis=axis, out=out), x.nbytes + out.nbytes + again, getattr(theirs, operation)


def measure(operation, rows, n, axis, dtype):
    inputs = [x.astype(dtype, copy=False) for x in inputs_of((rows, n), dtype)]
    size = inputs[0].nbytes
    call, moved, rival = call_of(operation, inputs[0], axis)
    spent = seconds(call, inputs)
    if operation in READING:
        floor = size / seconds(lambda x: cupy.sum(x), inputs)
    else:
        copied = cupy.empty_like(inputs[0])
        floor = 2 * size / seconds(lambda x: cupy.copyto(copied, x), inputs)
    times = np.nan
    if rival is not None and 6 * size < 20 << 30:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            times = seconds(lambda x: rival(x, axis=axis), inputs[:2], turns=3) / spent
    return Measured(operation, dtype, rows, n, axis, moved / spent / 1e9, floor / 1e9, times)


def call_cost(turns=2000):
    """Microseconds of the CPU for one call, the device being idle in between."""
    x = cupy.ones((8, 100), np.float32)
    out = cupy.empty_like(x)
    value = cupy.empty(8, np.float32)
    labels = cupy.zeros(8, np.int64)
    found = {}
    for name, call in {
        "softmax, out=": lambda: stablesoft.softmax(x, axis=1, out=out),
        "softmax": lambda: stablesoft.softmax(x, axis=1),
        "logsumexp, out=": lambda: stablesoft.logsumexp(x, axis=1, out=value),
        "cross-entropy, none": lambda: stablesoft.softmax_cross_entropy(x, labels, reduction="none"),
        "cross-entropy, gradient": lambda: stablesoft.softmax_cross_entropy(x, labels, return_grad=True),
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


def measure_all(quick):
    """Measure, print line by line, and return everything."""
    print(f"{'':33} {'':8} {'shape':>18} {'axis':>4} {'GB/s':>7} {'floor':>7} {'share':>6} {'x CuPy':>7}")
    found = []
    operations = ("softmax", "log_softmax", "logsumexp", "cross-entropy", "cross-entropy, gradient")
    for dtype in ("float32",) if quick else ("float32", "float64", "float16"):
        lengths = (256, 4096, 65536) if quick else LENGTHS
        shapes = [(max(TOTAL // (n * np.dtype(dtype).itemsize), 1), n, 1) for n in lengths]
        cases = [(operation, *shape) for operation in operations for shape in [*shapes, *(() if quick else SHAPES)]]
        cases += [("cross-entropy, smoothed, gradient", *shape) for shape in shapes]
        cases += [(f"sigmoid loss{more}", 1 << 15, 1 << 11, 1) for more in ("", ", gradient")]
        for case in cases:
            m = measure(*case, dtype)
            found.append(m)
            print(f"{m.operation:33} {dtype:8} {f'({m.rows}, {m.n})':>18} {m.axis:4} {m.rate:7.0f} {m.floor:7.0f} "
                  f"{m.share:6.2f} {m.rival:7.1f}", flush=True)  # fmt: skip
            cupy.get_default_memory_pool().free_all_blocks()
    return found


def report_goals(found):
    print("\ngoals: the worst measurement of each")
    for name, operation, dtype, wanted, kind, least in GOALS:
        own = [m for m in found if m.operation == operation and m.dtype == dtype and wanted(m)]
        if not own:
            continue
        worst = min(own, key=lambda m, kind=kind: getattr(m, kind))
        value = getattr(worst, kind)
        verdict = "met" if value >= least else "missed"
        print(f"{operation:24} {dtype:8} {name:28} {value:6.2f} of {least:4.2f}  {verdict:7} at "
              f"({worst.rows}, {worst.n})")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="float32, three lengths")
    quick = parser.parse_args().quick
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, CuPy {cupy.__version__}, {time.strftime('%Y-%m-%d')}")
    print("GB/s: what the call has to move. floor: what a copy moves, or a sum reads. share: of that.\n")
    print("microseconds of the CPU for a call on (8, 100) float32:")
    for name, cost in call_cost().items():
        print(f"{name:24} {cost:6.2f}", flush=True)
    print()
    report_goals(measure_all(quick))


if __name__ == "__main__":
    main()
