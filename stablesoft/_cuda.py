"""Which CUDA kernels serve a call. Imports no CUDA library.

A call is answered by one or two launches. Rows (the elements along the reduced axes) are laid over threads in one of
four ways, see ROWS of _cuda_kernels.py and the functions here; src/cuda has a file for each.
"""

import math
from typing import NamedTuple

import numpy as np

from ._cuda_kernels import BLOCK, COLUMNS, MOST_THREADS, REDUCTIONS, arithmetics, kernels, rows_name, rows_of

DIMS = 6
_FIELDS = ("rows", "n", "count", "vector", "parts", "share", "ladder_share", "emptied", "kept", "reduced")
_LISTS = ("kept_shape", "kept_x", "kept_y", "reduced_shape", "reduced_x", "reduced_y")
# ss_geometry of src/cuda/real.cuh
GEOMETRY = np.dtype([(name, np.int64) for name in _FIELDS] + [(name, np.int64, (DIMS,)) for name in _LISTS])

MOST_LENGTH = 1 << 28  # of a row: the exact sum takes twice as many additions between carries
MOST_ROWS = 1 << 31  # blocks of a grid
MOST_ELEMENTS = 1 << 39  # so that their blocks are no more
TEAM_HEAD, PER_PART, PER_ROW = 16, 4, 10  # doubles of a team, of a part of a row, of a row: as in teams.cuh
MOST_HEIGHT = 8  # threads to a column
MULTIPROCESSORS = 132  # of a large device
TEAM_BYTES = 1 << 16  # of a block at a time, at most, where the second-level cache is to hold what all blocks have read
ENOUGH_BLOCKS = 4  # for each multiprocessor, where a row is read once: rows that are fewer are cut into parts,
LEAST_SHARE = 4096  # of so many elements at least
MOST_OF_A_WARP = 1024  # elements of a row with options, weights or probabilities, for which one warp is enough
LADDER_BLOCKS = 16 * MULTIPROCESSORS  # of a warp each


class Launch(NamedTuple):
    kernel: str
    grid: tuple
    block: tuple
    together: bool = False  # all blocks have to run at once
    takes: tuple = ()  # places of those of the plan's structs that it takes, where these are not all


class Plan(NamedTuple):
    launches: tuple
    structs: tuple  # what kernels take by value behind their pointers, ss_geometry first
    scratch: int = 0  # doubles of memory, for what launches leave
    cleared: bool = False  # they are 0 at first

    def taken_by(self, launch):
        return tuple(self.structs[place] for place in launch.takes) or self.structs


def in_floats(launches, dtype):
    """The same in pairs of floats, where the dtype has that."""
    return tuple(one._replace(kernel=one.kernel + arithmetics(dtype)[-1][1]) for one in launches)


def collapse(dims):
    """(length, steps...) of dimensions, outermost first, without those of length 1, joined where strides allow it."""
    kept = []
    for length, *steps in dims:
        if length == 1:
            continue
        if kept and all(outer == inner * length for outer, inner in zip(kept[-1][1:], steps)):
            length *= kept.pop()[0]
        kept.append((length, *steps))
    return kept


def geometry_of(kept, reduced, **fields):
    geometry = np.zeros((), GEOMETRY)
    for name, value in fields.items():
        geometry[name] = value
    for kind, dims in (("kept", kept), ("reduced", reduced)):
        geometry[kind] = len(dims)
        for place, name in enumerate(("shape", "x", "y")):
            geometry[f"{kind}_{name}"][: len(dims)] = [dim[place] for dim in dims]
    return geometry


def plan(operation, dtype, shape, axes, steps_x, steps_y, aligned, slow_doubles=False,
         multiprocessors=None):
    """How to compute an operation over the axes of an array that is not empty.

    Parameters
    ----------
    operation, dtype : str
        One of OPERATIONS; the name of the dtype.
    shape, axes : tuple of ints
        The input's shape, and the axes to reduce, which are at least one.
    steps_x, steps_y : tuple of ints
        Strides in bytes of the input and of the result, of the same length: 0 for an axis that is reduced away.
    aligned : bool
        Both arrays start at multiples of 16 bytes.
    slow_doubles : bool
        The device computes floats so much faster that pairs of them are to take the place of doubles.
    multiprocessors : int
        How many the device has; None: as a large one.

    Returns
    -------
    Plan or None
        None where the kernels do not take the call.
    """
    reduces = operation in REDUCTIONS
    layout = lay_out(dtype, shape, axes, steps_x, steps_y, aligned, writes=not reduces)
    if layout is None:
        return None
    kept, reduced, fields, columns = layout
    rows, n = fields["rows"], fields["n"]
    fields["count"] = n if operation == "logmeanexp" else 1
    operation = "logsumexp" if reduces else operation
    lay = lay_columns if columns else lay_rows
    launches, more, left = lay(operation, dtype, rows, n, not reduces, multiprocessors)
    fields.update(more)
    launches = in_floats(launches, dtype) if slow_doubles else launches
    if reduces:  # the ladder's geometry has a share of its own
        ladder, fields["ladder_share"] = lay_again(f"{operation}_{dtype}_ladder", rows)
        launches = (*launches, ladder)
    return Plan(launches, (geometry_of(kept, reduced, **fields),), left, left > 0)


def lay_out(dtype, shape, axes, steps_x, steps_y, aligned, writes, *more):
    """Kept and reduced dimensions, fields of the geometry, and whether neighbours in memory are neighbouring rows'.

    `writes`: there is a result for each element. `more`: strides of other arrays. None where the kernels do not take
    the call.
    """
    dims = list(zip(shape, steps_x, steps_y, *more))
    none = [(1, *(0 for _ in dims[0][1:]))]
    kept = collapse(dim for i, dim in enumerate(dims) if i not in axes) or none
    reduced = collapse(dims[i] for i in sorted(axes)) or none
    if len(kept) > DIMS or len(reduced) > DIMS:
        return None
    rows, n = math.prod(dim[0] for dim in kept), math.prod(dim[0] for dim in reduced)
    if n >= MOST_LENGTH or rows >= MOST_ROWS:
        return None
    size = np.dtype(dtype).itemsize
    contiguous = len(reduced) == 1 and (n == 1 or (reduced[0][1] == size and (not writes or reduced[0][2] == size)))
    starts = [step for dim in kept for step in (dim[1:3] if writes else dim[1:2])]
    vector = aligned and contiguous and all(step % 16 == 0 for step in [n * size, *starts])
    columns = kept[-1][1] == size and kept[-1][0] >= COLUMNS and not contiguous
    return kept, reduced, {"rows": rows, "n": n, "vector": vector}, columns


def plan_elementwise(name, dtype, shape, steps, aligned, slow_doubles=False):
    """How to compute an elementwise function, as in plan; `steps`: strides of the arguments, then of the result."""
    dims = collapse(zip(shape, *steps)) or [(1, *(0 for _ in steps))]
    count, size = math.prod(shape), np.dtype(dtype).itemsize
    if len(dims) > DIMS or count >= MOST_ELEMENTS:
        return None
    vector = aligned and len(dims) == 1 and all(step == size for step in dims[0][1:]) and count * size % 16 == 0
    threads = BLOCK if count < MOST_THREADS * 16 else MOST_THREADS
    grid = -(-count // (threads * (16 // size)))
    second = [(1, dim[2], 0) for dim in dims] if len(steps) == 3 else []
    geometry = geometry_of([(dim[0], dim[1], dim[-1]) for dim in dims], second, rows=count, n=1, vector=vector)
    launches = (Launch(f"{name}_{dtype}", (grid, 1), (threads, 1)),)
    return Plan(in_floats(launches, dtype) if slow_doubles else launches, (geometry,))


def lay_rows(operation, dtype, rows, n, writes, multiprocessors):
    """Neighbours in memory are one row's, or nobody's: a group of threads to a row, or several blocks.

    Launches, fields of the geometry, and what they leave.
    """
    for lanes, chunks in rows_of(operation, dtype):
        items = chunks * 16 // np.dtype(dtype).itemsize
        name = rows_name(operation, dtype, lanes, chunks)
        if lanes and n <= lanes * items:
            return (Launch(name, (-(-rows * lanes // BLOCK), 1), (BLOCK, 1)),), {}, 0
        if not lanes and n <= MOST_THREADS * items:
            return (Launch(name, (rows, 1), (-(-n // (32 * items)) * 32, 1)),), {}, 0
    return _lay_stream(f"{operation}_{dtype}_long", dtype, rows, n, (1, MOST_THREADS), writes, multiprocessors)


def lay_again(kernel, rows):
    """The rows that a kernel before has marked: a launch, and how many rows each of its blocks looks at."""
    share = max(8, -(-rows // LADDER_BLOCKS))
    return Launch(kernel, (-(-rows // share), 1), (COLUMNS, 1)), share


def lay_columns(operation, dtype, rows, n, writes, multiprocessors):
    """Neighbours in memory are neighbouring rows': a thread, or several above each other, to a row."""
    return _lay_stream(f"{operation}_{dtype}_columns", dtype, rows, n, block_of_columns(n), writes, multiprocessors)


def block_of_columns(n):
    """How many columns of n elements a block takes, and threads to each."""
    height = 1
    while height < MOST_HEIGHT and n > 64 * height:
        height *= 2
    return min(128, MOST_THREADS // height), height


def _lay_stream(name, dtype, rows, n, block, writes, multiprocessors):
    """A block to some rows, or a team of them. block is (rows in it, threads to each)."""
    (width, height), columns = block, name.endswith("columns")
    places, size = -(-rows // width), np.dtype(dtype).itemsize
    multiprocessors = multiprocessors or MULTIPROCESSORS
    most = n * width // LEAST_SHARE
    if writes:  # all blocks run at once, and read again what they have read
        running = multiprocessors * kernels()[f"{name}_teams"].blocks
        members = max(-(-n * width * size // TEAM_BYTES), -(-running // places))
        teams = min(places, max(1, running // max(1, min(members, most))))
        members = min(running // teams, most)
    else:
        teams, members = places, min(-(-ENOUGH_BLOCKS * multiprocessors // places), most)
    unit = 64 if columns else 1024  # whole pieces of 16 bytes for every thread
    share = -(-n // max(members, 1))
    share += -share % unit
    members = -(-n // share)
    threads = block if columns else (height, 1)
    if members == 1:
        return (Launch(name, (places, 1), threads),), {}, 0
    fields = {"parts": members, "share": share, "emptied": -(-share // (height * 64)) + 1}
    left = teams * (TEAM_HEAD + width * (PER_PART * members + PER_ROW))
    return (Launch(f"{name}_teams", (teams * members, 1), threads, writes),), fields, left
