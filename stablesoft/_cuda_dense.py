"""Which CUDA kernels serve a softmax cross-entropy with label smoothing or with probabilities, as _cuda_losses.

One launch for the rows, a second for those that it has marked (src/cuda/anew.cuh), and what every reduction needs.
"""

import numpy as np

from . import _cuda, _cuda_losses
from ._cuda import DIMS, Launch
from ._cuda_kernels import BLOCK, COLUMNS, FEW, SMOOTHED

# ss_dense_options of src/cuda/dense.cuh
OPTIONS = np.dtype([("bytes", np.int64), ("step", np.int64), ("kept_steps", np.int64, (DIMS,)),
                    ("smoothing", np.float64), ("share_hi", np.float64), ("share_lo", np.float64)])  # fmt: skip
# What a row costs besides its elements is done by all of its threads, hundreds of operations: fewer threads to a row do
# it more seldom, where rows are enough for the device, or short.
MANY_ROWS = 1 << 14  # FEW threads do a row of smooth.cuh where rows are so many,
SHORT = 64  # or of so few elements
LEAST_SMOOTHING = 2.0**-100  # below, the factors of a row might leave the range of doubles


def plan_dense(dtype, shape, axis, steps_x, steps_y, steps_t, aligned, smoothing, target_bytes, weighted, **options):
    """How to compute a softmax cross-entropy with a probability for every class.

    Parameters
    ----------
    dtype, shape, axis, steps_x, steps_y, aligned
        As for _cuda_losses.plan_cross_entropy.
    steps_t : tuple of ints or None
        Strides of the probabilities; None where there are labels.
    smoothing : float
        In [0, 1].
    target_bytes : int
        Size of a given probability.
    weighted : bool
        Whether there are weights of classes.
    **options
        Fields of _cuda_losses.OPTIONS.

    Returns
    -------
    Plan or None
        None where the kernels do not take the call.
    """
    writes = steps_y is not None
    layout = _cuda.lay_out(dtype, shape, (axis,), steps_x, steps_y if writes else steps_x, aligned, writes,
                           steps_t or (0,) * len(shape))  # fmt: skip
    if layout is None:
        return None
    kept, reduced, fields, columns = layout
    rows, n = fields["rows"], fields["n"]
    if rows > _cuda_losses.MOST_ITEMS:
        return None
    plain = steps_t is None and not weighted and smoothing >= LEAST_SMOOTHING and n > 1
    launch = _lay(f"{'smooth' if plain and dtype in SMOOTHED else 'dense'}_{dtype}", rows, n, columns)
    again, fields["ladder_share"] = _cuda.lay_again(f"dense_{dtype}_anew", rows)
    geometry = _cuda.geometry_of(kept, reduced, **fields)
    plan = _cuda_losses.reduced_plan((launch, again), geometry, dtype, rows, 0, **options)
    dense = np.zeros((), OPTIONS)
    dense["bytes"], dense["step"], dense["smoothing"] = target_bytes, reduced[0][3], smoothing
    dense["kept_steps"][: len(kept)] = [dim[3] for dim in kept]
    high, low = _cuda_losses.quotient(smoothing, float(n))
    dense["share_hi"], dense["share_lo"] = high, low + 0.0  # not -0: the C kernels divide pairs
    return plan._replace(structs=(*plan.structs, dense))


def _lay(name, rows, n, columns):
    """The launch of one kernel of dense.cuh or smooth.cuh."""
    enough = _cuda.ENOUGH_BLOCKS * _cuda.MULTIPROCESSORS
    if columns and name.startswith("smooth"):
        width, height = _cuda.block_of_columns(n)
        places = -(-rows // width)
        if places >= enough or n * width < 2 * _cuda.LEAST_SHARE:
            return Launch(f"{name}_columns", (places, 1), (width, height))
    if n <= _cuda.MOST_OF_A_WARP:
        few = name.startswith("smooth") and (n <= SHORT or rows >= MANY_ROWS)
        name, lanes = (f"{name}_short", FEW) if few else (name, COLUMNS)
        return Launch(name, (-(-rows * lanes // BLOCK), 1), (BLOCK, 1))
    each = 32 if rows >= enough else 8  # elements of a thread
    return Launch(f"{name}_long", (rows, 1), (min(_cuda.MOST_THREADS, -(-n // (32 * each)) * 32), 1))
