"""Peak memory of one call beside its result, each in a process of its own.

Run as `python -m benchmarks.memory LIBRARY OPERATION SHAPE DTYPE AXIS`, it prints that number of bytes.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np

LIBRARIES = {"stablesoft": "stablesoft", "SciPy": "scipy.special"}


def available():
    """None, or why the peak can not be measured."""
    try:
        import resource  # noqa: F401
    except ImportError:
        return "no module resource on this system"
    return None


def peak():
    """Largest resident size of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # where it is, ru_maxrss starts at the peak of the parent
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def growth(library, operation, shape, dtype, axis):
    """Peak of this process during one call, beyond what it held before and beyond the result."""
    function = getattr(importlib.import_module(LIBRARIES[library]), operation)
    kwargs = {} if operation == "expit" else {"axis": axis}
    function(np.zeros((2, 3), dtype=dtype), **({} if not kwargs else {"axis": 0}))  # lazy imports
    x = np.empty(shape, dtype=dtype)
    np.random.default_rng(0).standard_normal(dtype=dtype, out=x)
    before = peak()
    result = function(x, **kwargs)
    return max(0, peak() - before - result.nbytes)


def measure(case, library):
    """Bytes beside the result, found in a new process."""
    arguments = [library, case.operation, repr(case.shape), case.dtype, repr(case.axis)]
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    root = Path(__file__).resolve().parent.parent
    return int(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    library, operation, shape, dtype, axis = sys.argv[1:]
    print(growth(library, operation, ast.literal_eval(shape), dtype, ast.literal_eval(axis)))
