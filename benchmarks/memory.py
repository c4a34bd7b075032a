"""Peak memory of one call beside its result, each in a process of its own.

Run as `python -m benchmarks.memory LIBRARY OPERATION SHAPE DTYPE AXIS`, it prints that number of bytes.
"""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

from .data import draw, keywords

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


def find(library, operation):
    """The function, or None."""
    return getattr(importlib.import_module(LIBRARIES[library]), operation, None)


def growth(library, operation, shape, dtype, axis):
    """Peak of this process during one call, beyond what it held before and beyond the results."""
    function = find(library, operation)
    first = None if axis is None else 0
    function(*draw(operation, (2, 3), dtype, first), **keywords(operation, first))  # lazy imports
    arrays = draw(operation, shape, dtype, axis)
    before = peak()
    results = function(*arrays, **keywords(operation, axis))
    results = results if isinstance(results, tuple) else (results,)
    return max(0, peak() - before - sum(result.nbytes for result in results))


def measure(case, library):
    """Bytes beside the result, found in a new process; None for a function the library does not have."""
    if find(library, case.operation) is None:
        return None
    arguments = [library, case.operation, repr(case.shape), case.dtype, repr(case.axis)]
    command = [sys.executable, "-m", "benchmarks.memory", *arguments]
    root = Path(__file__).resolve().parent.parent
    return int(subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    library, operation, shape, dtype, axis = sys.argv[1:]
    print(growth(library, operation, ast.literal_eval(shape), dtype, ast.literal_eval(axis)))
