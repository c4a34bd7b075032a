"""Which CUDA kernels serve a loss: as _cuda, from which it takes how rows are laid over threads.

A loss of rows is two launches, the second for the rows that doubles cannot carry. Where a loss is reduced another one
adds; a mean over what only the device can count (labels that are not ignored, or their weights) needs one before.
"""

import math
from fractions import Fraction

import numpy as np

from . import _cuda
from ._cuda import DIMS, Launch, Plan
from ._cuda_kernels import CONCLUDING_THREADS, CROSS_ENTROPY, FOCAL, SIGMOID, SIGMOID_FOCAL

_FLAGS = ("ignores", "ignored", "label_bytes", "weight_single", "weighs", "summed", "counted", "blocks")
_NUMBERS = ("z_loss", "cap", "factor", "divisor", "scale_hi", "scale_lo", "least", "most", "gamma", "alpha")
# ss_loss_options of src/cuda/items.cuh
OPTIONS = np.dtype(
    [(name, np.int64) for name in _FLAGS]
    + [(name, np.int64, (DIMS,)) for name in ("weight_steps", "positive_steps")]
    + [(name, np.float64) for name in _NUMBERS]
)
SCRATCH_HEAD, PER_BLOCK = 4, 4  # as there
MOST_ADDED = 8192  # losses that the block which finishes adds by itself
MOST_SUMMING = 4 * _cuda.MULTIPROCESSORS  # blocks that leave partial sums
MOST_ITEMS = 1 << 30  # the exact sum takes no more without a carry


def quotient(factor, divisor):
    """factor / divisor as a pair; 0 over nothing. A low part of 0 is -0, as in _losses.pxi: signs of 0 depend on it."""
    if divisor == 0.0:
        return 0.0, 0.0
    high = factor / divisor
    return high, -float(Fraction(high) * Fraction(divisor) - Fraction(factor)) / divisor


def plan_cross_entropy(dtype, shape, axis, steps_x, steps_y, aligned, slow_doubles=False,
                       multiprocessors=None, **options):
    """How to compute a softmax cross-entropy with labels; `steps_y` is None where no gradient is wanted.

    With a `gamma` it is a focal loss. `slow_doubles` and `multiprocessors` are those of _cuda.plan, `options` fields of
    OPTIONS. None where the kernels do not take the call.
    """
    writes = steps_y is not None
    layout = _cuda.lay_out(dtype, shape, (axis,), steps_x, steps_y if writes else steps_x, aligned, writes)
    if layout is None:
        return None
    kept, reduced, fields, columns = layout
    rows, n = fields["rows"], fields["n"]
    if rows > MOST_ITEMS:
        return None
    name = FOCAL if options.get("gamma") else CROSS_ENTROPY
    lay = _cuda.lay_columns if columns else _cuda.lay_rows
    main, more, left = lay(name, dtype, rows, n, writes, multiprocessors)
    if slow_doubles and name != FOCAL:
        main = _cuda.in_floats(main, dtype)
    again, more["ladder_share"] = _cuda.lay_again(f"{CROSS_ENTROPY}_{dtype}_anew", rows)
    geometry = _cuda.geometry_of(kept, reduced, **fields, **more)
    return reduced_plan((*main, again), geometry, dtype, rows, left, **options)


def reduced_plan(launches, geometry, dtype, rows, left, **options):
    """A plan from the launches that compute the losses of rows, whose teams leave so many doubles."""
    launches, blocks, takes = list(launches), 0, (0, 1)
    if options["counted"]:
        launches.insert(0, Launch(f"{CROSS_ENTROPY}_count", (1, 1), (CONCLUDING_THREADS, 1), takes=takes))
    if options["summed"]:
        if rows > MOST_ADDED:
            blocks = min(MOST_SUMMING, -(-rows // MOST_ADDED) * 4)
            launches.append(Launch(f"{CROSS_ENTROPY}_sum", (blocks, 1), (_cuda.MOST_THREADS, 1), takes=takes))
        finish = Launch(f"{CROSS_ENTROPY}_{dtype}_finish", (1, 1), (_cuda.MOST_THREADS, 1), takes=takes)
        launches.append(finish)
    scratch = SCRATCH_HEAD + (rows + PER_BLOCK * blocks if options["summed"] else 0) + left
    return Plan(tuple(launches), (geometry, _options(blocks=blocks, **options)), scratch, left > 0)


def plan_sigmoid(dtype, shape, steps, aligned, slow_doubles=False, focal=False, **options):
    """How to compute a sigmoid cross-entropy or focal loss.

    `steps` are the strides of logits, targets, weights, positives, gradient and losses, in this order, None where there
    is no such array. `slow_doubles` is that of _cuda.plan.
    """
    none = (0,) * len(shape)
    dims = _cuda.collapse(zip(shape, *(none if one is None else one for one in steps))) or [(1,) + (0,) * 6]
    count, size = math.prod(shape), np.dtype(dtype).itemsize
    if len(dims) > DIMS or count > MOST_ITEMS:
        return None
    given = [place for place, one in enumerate(steps, 1) if one is not None]
    flat = len(dims) == 1 and all(dims[0][place] == size for place in given)
    vector = aligned and flat and count * size % 16 == 0
    grid = -(-count // (_cuda.MOST_THREADS * (16 // size)))
    if options["summed"]:
        grid = min(grid, MOST_SUMMING)
    each = (grid, 1), (_cuda.MOST_THREADS, 1)
    name = f"{SIGMOID_FOCAL if focal else SIGMOID}_{dtype}"
    launches = [Launch(f"{name}_ignored" if "least" in options else name, *each)]
    if options.get("counted") and steps[4] is not None:
        launches.insert(0, Launch(f"{name}_count", *each))
    if options["summed"]:
        launches.append(Launch(f"{name}_finish", (1, 1), (_cuda.MOST_THREADS, 1)))
    if slow_doubles and steps[2] is steps[3] is None and not focal and "least" not in options:
        launches = _cuda.in_floats(launches, dtype)
    kept = [(length, logits, gradient) for length, logits, _, _, _, gradient, _ in dims]
    geometry = _cuda.geometry_of(kept, [(1, dim[2], 0) for dim in dims], rows=count, n=1, vector=vector)
    filled = _options(blocks=grid if options["summed"] else 0, **options)
    for place, name in ((3, "weight_steps"), (4, "positive_steps")):
        filled[name][: len(dims)] = [dim[place] for dim in dims]
    scratch = SCRATCH_HEAD + (PER_BLOCK + 1) * grid if options["summed"] else 0  # the last one for counts
    return Plan(tuple(launches), (geometry, filled), scratch)


def _options(factor=1.0, divisor=1.0, **fields):
    options = np.zeros((), OPTIONS)
    options["cap"], options["alpha"], options["least"], options["most"] = math.inf, 1.0, math.nan, math.nan
    for name, value in fields.items():
        options[name] = value
    options["factor"], options["divisor"] = factor, divisor
    options["scale_hi"], options["scale_lo"] = quotient(factor, divisor)
    return options
