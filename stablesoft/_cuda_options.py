"""Which CUDA kernels serve a call with options, weights or a mask, and logcumsumexp: as _cuda does it."""

import numpy as np

from . import _cuda
from ._cuda import DIMS, Launch, Plan

# ss_options of src/cuda/options.cuh
OPTIONS = np.dtype([("logarithm", np.int64), ("kept_mask", np.int64, (DIMS,)), ("reduced_mask", np.int64, (DIMS,)),
                    ("temperature", np.float64), ("floor", np.float64)])  # fmt: skip

# ss_taken of src/cuda/taken.cuh
_STRIDES = [(f"{kind}_{name}", np.int64, (DIMS,)) for name in ("b", "mask") for kind in ("kept", "reduced")]
TAKEN = np.dtype([(name, np.int64) for name in ("step", "parts", "share")] + _STRIDES)
PER_PART = 4 + 10  # doubles that blocks leave for each part of a row: an extent, and the digits of a sum
MOST_PARTS = 512  # of a row, all of which one block joins
WHOLE_ROWS, EXTENTS, SUMS, RESULTS = range(4)  # steps, as in src/cuda/weights.cuh


def plan_options(operation, dtype, shape, axes, steps_x, steps_y, steps_mask, temperature, floor):
    """How to compute softmax or log_softmax with a temperature, a floor (0: none) and a mask (None: there is none).

    Returns a Plan, or None where the kernels do not take the call.
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
    name, grid, threads = f"options_{dtype}", -(-rows * _cuda.COLUMNS // _cuda.BLOCK), _cuda.BLOCK
    if n > _cuda.MOST_OF_A_WARP:
        name, grid, threads = f"{name}_long", rows, _cuda.MOST_THREADS
    launches = (Launch(name, (grid, 1), (threads, 1)),)
    return Plan(launches, (_cuda.geometry_of(kept, reduced, **fields), options))


def plan_taken(weighted, dtype, shape, axes, steps_x, steps_y, steps_b, steps_mask):
    """How to compute logsumexp with weights, or logmeanexp with a mask.

    The strides are those of the input, of the result (0 for an axis that is reduced away), of the weights and of the
    mask, None where there is no such array. Returns a Plan, or None where the kernels do not take the call.
    """
    others = ((0,) * len(shape) if steps is None else steps for steps in (steps_b, steps_mask))
    layout = _cuda.lay_out(dtype, shape, axes, steps_x, steps_y, False, False, *others)
    if layout is None:
        return None
    kept, reduced, fields, columns = layout
    rows, n = fields["rows"], fields["n"]
    parts = min(MOST_PARTS, -(-_cuda.ENOUGH_BLOCKS * _cuda.MULTIPROCESSORS // rows), n // _cuda.LEAST_SHARE)
    share = -(-n // max(parts, 1))
    parts, steps = -(-n // share), (WHOLE_ROWS,)
    name, block = f"{'weights' if weighted else 'means'}_{dtype}", (_cuda.BLOCK, 1)
    in_block = _cuda.BLOCK // _cuda.COLUMNS  # a warp to each row
    if parts > 1 or (n > _cuda.MOST_OF_A_WARP and not columns):
        name, block, in_block = f"{name}_long", (_cuda.MOST_THREADS, 1), 1
        steps = (EXTENTS, SUMS, RESULTS) if parts > 1 else steps
    elif columns:
        height = min(_cuda.MOST_HEIGHT, 1 << (n // 4).bit_length())
        in_block = min(128, _cuda.MOST_THREADS // height)
        name, block = f"{name}_columns", (in_block, height)
    blocks = -(-rows // in_block)
    launches = [Launch(name, (blocks, 1 if step == RESULTS else parts), block, takes=(0, place))
                for place, step in enumerate(steps, 1)]  # fmt: skip
    ladder, fields["ladder_share"] = _cuda.lay_again(f"taken_{dtype}_ladder", rows)
    taken = np.zeros((len(steps), 1), TAKEN)
    taken["step"][:, 0], taken["parts"], taken["share"] = steps, parts, share
    for place, name in ((3, "b"), (4, "mask")):
        for kind, dims in (("kept", kept), ("reduced", reduced)):
            taken[f"{kind}_{name}"][..., : len(dims)] = [dim[place] for dim in dims]
    scratch = rows * parts * PER_PART if parts > 1 else 0
    launches.append(ladder._replace(takes=(0, 1)))
    return Plan(tuple(launches), (_cuda.geometry_of(kept, reduced, **fields), *taken), scratch)


def plan_cumulative(dtype, shape, axis, steps_x, steps_y, exclusive):
    """How to compute logcumsumexp: a Plan, or None. The strides are those of the direction in which it goes."""
    layout = _cuda.lay_out(dtype, shape, (axis,), steps_x, steps_y, False, True)
    if layout is None:
        return None
    kept, reduced, fields, _ = layout
    rows, n = fields["rows"], fields["n"]
    ladder, fields["ladder_share"] = _cuda.lay_again(f"cumulative_{dtype}_ladder", rows * n)
    fields["count"] = not exclusive
    main = Launch(f"cumulative_{dtype}", (-(-rows * _cuda.COLUMNS // _cuda.BLOCK), 1), (_cuda.BLOCK, 1))
    return Plan((main, ladder), (_cuda.geometry_of(kept, reduced, **fields),))
