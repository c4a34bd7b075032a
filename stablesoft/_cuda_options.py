"""Which CUDA kernels serve softmax and log_softmax with a temperature, a floor and a mask, as _cuda."""

import numpy as np

from . import _cuda
from ._cuda import BLOCK, COLUMNS, DIMS, Kernel, Launch, Plan

# ss_options of src/cuda/options.cuh
OPTIONS = np.dtype([("logarithm", np.int64), ("kept_mask", np.int64, (DIMS,)), ("reduced_mask", np.int64, (DIMS,)),
                    ("temperature", np.float64), ("floor", np.float64)])  # fmt: skip
MOST_OF_A_WARP = 1024  # elements of a row for which one warp is enough


def option_kernels():
    """{name: Kernel} of src/cuda/options.cuh."""
    found = {}
    for dtype, short in _cuda._TYPES.items():
        for kind, lanes, threads in (("", "SS_WARP", BLOCK), ("_long", "WHOLE_BLOCK", _cuda.MOST_THREADS)):
            body = f"(with_options<{short}, {lanes}>(x, y, mask, g, o))"
            found[f"options_{dtype}{kind}"] = Kernel(threads, 2, body, "SS_OPTION_KERNEL")
    return found


def plan(operation, dtype, shape, axes, steps_x, steps_y, steps_mask, temperature, floor):
    """How to compute softmax or log_softmax with a temperature, a floor (0: none) and a mask (None: there is none).

    Returns a Plan, its geometry being that and the options, or None.
    """
    none = (0,) * len(shape)
    steps_mask = none if steps_mask is None else steps_mask
    layout = _cuda.lay_out(dtype, shape, axes, steps_x, steps_y, False, True, steps_mask)
    if layout is None:
        return None
    kept, reduced, fields, _ = layout
    rows, n = fields["rows"], fields["n"]
    options = np.zeros((), OPTIONS)
    options["logarithm"], options["temperature"], options["floor"] = operation == "log_softmax", temperature, floor
    for kind, dims in (("kept_mask", kept), ("reduced_mask", reduced)):
        options[kind][: len(dims)] = [dim[3] for dim in dims]
    name, grid, threads = f"options_{dtype}", -(-rows * COLUMNS // BLOCK), BLOCK
    if n > MOST_OF_A_WARP:
        name, grid, threads = f"{name}_long", rows, _cuda.MOST_THREADS
    launches = (Launch(name, (grid, 1), (threads, 1)),)
    return Plan(launches, (_cuda.geometry_of(kept, reduced, **fields), options), 0)
