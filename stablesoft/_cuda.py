"""The CUDA kernels: their sources, and which of them serves a call. Imports no CUDA library.

A call is answered by one or two launches. Rows (the elements along the reduced axes) are laid over threads in one of
four ways, see `_ROWS` and the functions below it; src/cuda has a file for each.
"""

import functools
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

DIMS = 6
_FIELDS = ("rows", "n", "count", "vector", "parts", "share", "ladder_share", "emptied", "kept", "reduced")
_LISTS = ("kept_shape", "kept_x", "kept_y", "reduced_shape", "reduced_x", "reduced_y")
# ss_geometry of src/cuda/real.cuh
GEOMETRY = np.dtype([(name, np.int64) for name in _FIELDS] + [(name, np.int64, (DIMS,)) for name in _LISTS])

REDUCTIONS = ("logsumexp", "logmeanexp")
OPERATIONS = ("softmax", "log_softmax", *REDUCTIONS)
_COMPILED = ("softmax", "log_softmax", "logsumexp")  # logmeanexp is logsumexp with a count
UNARY = ("expit", "log_expit", "softplus", "logit", "log1mexp")
BINARY = ("logaddexp", "logsubexp")
CROSS_ENTROPY, SIGMOID = "cross_entropy", "sigmoid_cross_entropy"
FOCAL, SIGMOID_FOCAL = "softmax_focal", "sigmoid_focal"
_TYPES = {"float16": "f16", "float32": "f32", "float64": "f64"}
IN_FLOATS = ("float16", "float32")  # dtypes that have kernels for devices on which doubles are slow
BLOCK = 128  # SS_BLOCK: threads of a block that holds several rows
MOST_THREADS = 256  # of a block that holds one row, or columns
CONCLUDING_THREADS = 512
MOST_LENGTH = 1 << 28  # of a row: the exact sum takes twice as many additions between carries
MOST_ROWS = 1 << 31  # blocks of a grid
MOST_ELEMENTS = 1 << 39  # so that their blocks are no more
TEAM_HEAD, PER_PART, PER_ROW = 16, 4, 10  # doubles of a team, of a part of a row, of a row: as in teams.cuh
COLUMNS = 32  # a warp
MOST_HEIGHT = 8  # threads to a column
MULTIPROCESSORS = 132  # of a large device
TEAM_BYTES = 1 << 16  # of a block at a time, at most, where the second-level cache is to hold what all blocks have read
ENOUGH_BLOCKS = 4  # for each multiprocessor, where a row is read once: rows that are fewer are cut into parts,
LEAST_SHARE = 4096  # of so many elements at least
MOST_WARP_OPTIONS = 1024  # elements of a row with options, for which one warp is enough
LADDER_BLOCKS = 2112  # of a warp each: 16 for each multiprocessor of a large device

# Rows in registers: threads to a row (0: a block), and pieces of 16 bytes to a thread.
_ROWS = {
    "float16": ((8, 1), (32, 1), (32, 2), (0, 2)),
    "float32": ((8, 1), (32, 1), (32, 2), (32, 4), (0, 4)),
    "float64": ((8, 1), (32, 1), (32, 2), (32, 4), (0, 4)),
}


class Launch(NamedTuple):
    kernel: str
    grid: tuple
    block: tuple
    together: bool = False  # all blocks have to run at once


class Plan(NamedTuple):
    launches: tuple
    geometry: np.ndarray
    left: int  # doubles of memory, 0 at first, for what teams leave


class Kernel(NamedTuple):
    threads: int  # of a block, at most
    blocks: int  # on a multiprocessor at once, at least: leaves 65536 / (threads * blocks) registers to a thread
    body: str
    macro: str = "SS_KERNEL"

    def line(self, name):
        """The kernel in C."""
        return f"{self.macro}({name}, {self.threads}, {self.blocks}, {self.body})"


@functools.cache
def kernels():
    """{name: Kernel} of all."""
    from ._cuda_dense import dense_kernels  # which imports this module

    found = {**_loss_kernels(), **_option_kernels(), **_taken_kernels(), **dense_kernels()}
    for operation in _COMPILED:
        for dtype, short in _TYPES.items():
            for one, end in _arithmetics(dtype):
                found.update((name + end, kernel) for name, kernel in _row_kernels(operation, dtype, one))
            if operation in REDUCTIONS:
                found[f"{operation}_{dtype}_ladder"] = Kernel(COLUMNS, 1, f"(ladder<{short}>(x, y, g))")
    for dtype in _TYPES:
        for short, end in _arithmetics(dtype):
            for name in UNARY:
                found[f"{name}_{dtype}{end}"] = Kernel(MOST_THREADS, 2, f"(unary<{short}, of_{name}>(x, y, g))")
            for subtract, name in enumerate(BINARY):
                found[f"{name}_{dtype}{end}"] = Kernel(MOST_THREADS, 1, f"(binary<{short}, {subtract}>(x, y, more, g))")
    return found


def _arithmetics(dtype):
    """(type in the kernels, end of their names): in doubles, and in pairs of floats where there is that."""
    return [(_TYPES[dtype] + end, end) for end in ("", "_in_floats")[: 1 + (dtype in IN_FLOATS)]]


def in_floats(launches, dtype):
    """The same in pairs of floats, where the dtype has that."""
    return tuple(one._replace(kernel=one.kernel + _arithmetics(dtype)[-1][1]) for one in launches)


def _row_kernels(operation, dtype, short):
    head, chunks = f"{short}, SS_{operation.upper()}", np.dtype(dtype).itemsize // 2  # 8 elements
    wide = 2 if operation != "softmax" or short == "f16_in_floats" else 3
    for lanes, each in _ROWS[dtype]:
        hot = (BLOCK, 5) if lanes else (MOST_THREADS, wide)
        yield _rows_name(operation, dtype, lanes, each), Kernel(*hot, f"(rows<{head}, {lanes}, {each}>(x, y, g))")
    for kind, lanes in (("long", "WHOLE_BLOCK"), ("columns", "COLUMN")):
        name, arguments = f"{operation}_{dtype}_{kind}", f"{head}, {lanes}, {chunks}"
        yield name, Kernel(MOST_THREADS, 2, f"(stream<{arguments}>(x, y, g))")
        yield f"{name}_teams", Kernel(MOST_THREADS, 2, f"(stream_in_teams<{arguments}>(x, y, (double *)more, g))")


def _loss_kernels():
    found = {}
    def add(name, threads, blocks, body):
        found[name] = Kernel(threads, blocks, f"({body})", "SS_LOSS_KERNEL")

    for dtype, short in _TYPES.items():
        for one, end in _arithmetics(dtype):
            for name, *bounds, body in _label_kernels(CROSS_ENTROPY, dtype, one):
                add(name + end, *bounds, body)
            add(f"{SIGMOID}_{dtype}{end}", MOST_THREADS, 2, f"sigmoid_elements{end}<{one}>(x, y, a, g, o)")
            add(f"{SIGMOID}_{dtype}_finish{end}", MOST_THREADS, 1, f"finish_sigmoid{end}<{one}>(x, a, g, o)")
        for name, *kernel in _label_kernels(FOCAL, dtype, short):
            add(name, *kernel)
        add(f"{CROSS_ENTROPY}_{dtype}_anew", COLUMNS, 1, f"rows_anew<{short}>(x, y, a, g, o)")
        add(f"{CROSS_ENTROPY}_{dtype}_finish", MOST_THREADS, 1, f"finish_rows<{short}>(a, g, o)")
        few = 1 if dtype == "float16" else 2
        add(f"{SIGMOID}_{dtype}_ignored", MOST_THREADS, few, f"sigmoid_elements<{short}, 1>(x, y, a, g, o)")
        add(f"{SIGMOID_FOCAL}_{dtype}", MOST_THREADS, 2, f"focal_elements<{short}>(x, y, a, g, o)")
        add(f"{SIGMOID_FOCAL}_{dtype}_finish", MOST_THREADS, 1, f"finish_focal<{short}>(x, a, g, o)")
        add(f"{SIGMOID}_{dtype}_count", MOST_THREADS, 2, f"count_targets<{short}>(a, g, o)")
    add(f"{CROSS_ENTROPY}_count", CONCLUDING_THREADS, 1, "count_labels(a, g, o)")
    add(f"{CROSS_ENTROPY}_sum", MOST_THREADS, 2, "sum_items(a, g)")
    return found


def _label_kernels(operation, dtype, short):
    size, focal = np.dtype(dtype).itemsize, int(operation == FOCAL)
    for lanes, each in _rows_of(operation, dtype):
        many = each == 4 or each * 16 // size == 16
        bounds = (BLOCK, 3 if many else 4) if lanes else (MOST_THREADS, 2)
        body = f"label_rows<{short}, {lanes}, {each}, {focal}>(x, y, a, g, o)"
        yield _rows_name(operation, dtype, lanes, each), *bounds, body
    for kind, lanes in (("long", "WHOLE_BLOCK"), ("columns", "COLUMN")):
        name, chunks = f"{operation}_{dtype}_{kind}", size // 2  # 8 elements
        yield name, MOST_THREADS, 2, f"label_stream<{short}, {lanes}, {chunks}, {focal}>(x, y, a, g, o)"
        chunks = 2 if (dtype, kind) == ("float64", "columns") else chunks  # 8 take too many registers
        yield f"{name}_teams", MOST_THREADS, 2, f"label_teams<{short}, {lanes}, {chunks}, {focal}>(x, y, a, g, o)"


def _option_kernels():
    found = {}
    for dtype, short in _TYPES.items():
        for kind, lanes, threads in (("", "SS_WARP", BLOCK), ("_long", "WHOLE_BLOCK", MOST_THREADS)):
            body = f"(with_options<{short}, {lanes}>(x, y, mask, g, o))"
            found[f"options_{dtype}{kind}"] = Kernel(threads, 2, body, "SS_OPTION_KERNEL")
    return found


def _rows_of(operation, dtype):
    """Those of _ROWS that there are; for a power a block does not have registers enough."""
    return [one for one in _ROWS[dtype] if one[0] or operation != FOCAL]


def _taken_kernels():
    found = {}
    for dtype, short in _TYPES.items():
        for kind, lanes, *bounds in (("", "SS_WARP", BLOCK, 6), ("_long", "WHOLE_BLOCK", MOST_THREADS, 3),
                                     ("_columns", "COLUMN", MOST_THREADS, 3)):  # fmt: skip
            for name, body in (("weights", "weighted_sum<{}>(x, y, b, mask, signs, scratch, g, t)"),
                               ("means", "masked_mean<{}>(x, y, mask, scratch, g, t)")):  # fmt: skip
                body = f"({body.format(f'{short}, {lanes}')})"
                found[f"{name}_{dtype}{kind}"] = Kernel(*bounds, body, "SS_TAKEN_KERNEL")
        body = f"(taken_ladder<{short}>(x, y, b, mask, g, t))"
        found[f"taken_{dtype}_ladder"] = Kernel(COLUMNS, 1, body, "SS_TAKEN_KERNEL")
        found[f"cumulative_{dtype}"] = Kernel(BLOCK, 3, f"(cumulative<{short}>(x, y, g))")
        found[f"cumulative_{dtype}_ladder"] = Kernel(COLUMNS, 1, f"(cumulative_ladder<{short}>(x, y, g))")
    return found


def _rows_name(operation, dtype, lanes, chunks):
    return f"{operation}_{dtype}_rows_{lanes or 'block'}_{chunks}"


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
    return Plan(launches, geometry_of(kept, reduced, **fields), left)


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
    return Plan(in_floats(launches, dtype) if slow_doubles else launches, geometry, 0)


def lay_rows(operation, dtype, rows, n, writes, multiprocessors):
    """Neighbours in memory are one row's, or nobody's: a group of threads to a row, or several blocks.

    Launches, fields of the geometry, and what they leave.
    """
    for lanes, chunks in _rows_of(operation, dtype):
        items = chunks * 16 // np.dtype(dtype).itemsize
        name = _rows_name(operation, dtype, lanes, chunks)
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


@functools.cache
def folder():
    """Where the sources are: in the installed package, or in the checkout."""
    here = Path(__file__).parent
    return here / "_src" if (here / "_src").is_dir() else here.parent / "src"


# Included by src/cuda/kernels.cu and by what it includes.
INCLUDES = (
    "operations.h", "isa/vec_cuda.h", "ladder.c", "ladder.h", "wide.h", "wide_rows.h", "wide_logits.h", "cuda/nvrtc.h",
    *(f"ladder_{name}.h" for name in ("limbs", "const", "exp", "log")),
    *(f"math/{name}.h" for name in ("constants", "pair", "exp", "log", "canonical", "exact", "total", "elementwise")),
    *(f"loops/{name}.inc.h" for name in (
        "sums", "real_f32", "real_f64", "loss_sums", "logistic", "quotient", "weighted", "prefix")),
    *(f"cuda/{name}.cuh" for name in (
        "group", "real", "taken", "conclude", "terms", "float_pair", "float_terms", "float_elementwise", "parts",
        "teams", "stream", "rows", "ladder", "elementwise", "items", "labels", "losses", "dense", "smooth", "anew",
        "sigmoid", "float_logistic", "focal", "exact", "options", "weights", "cumulative")),
)  # fmt: skip
_EMPTY = ("math.h", "stddef.h", "stdint.h", "string.h")  # cuda/nvrtc.h stands for them


@functools.cache
def headers():
    """Texts and names of everything that is included, as NVRTC wants them."""
    texts = [(folder() / name).read_text(encoding="utf-8") for name in INCLUDES]
    return (*texts, *("" for _ in _EMPTY)), (*INCLUDES, *_EMPTY)


def source(names):
    """The translation unit with the kernels named."""
    known = kernels()
    elementwise = any(name.startswith((*UNARY, *BINARY)) for name in names)
    anew = any(name.endswith("_anew") for name in names)
    cumulative = any(name.startswith("cumulative") for name in names)
    ladder = anew or cumulative or any(name.endswith("_ladder") or name.startswith(BINARY) for name in names)
    losses = [f'#include "cuda/{name}.cuh"'
              for name in ("items", "labels", "losses", "sigmoid", "float_logistic", "focal", "dense", "smooth")]
    lines = [(folder() / "cuda/kernels.cu").read_text(encoding="utf-8")]
    lines += ['#include "cuda/ladder.cuh"'] * ladder + ['#include "cuda/elementwise.cuh"'] * elementwise
    lines += losses if any(known[name].macro in ("SS_LOSS_KERNEL", "SS_DENSE_KERNEL") for name in names) else []
    lines += ['#include "cuda/anew.cuh"'] * anew + ['#include "cuda/cumulative.cuh"'] * cumulative
    for header, macro in (("options", "SS_OPTION_KERNEL"), ("weights", "SS_TAKEN_KERNEL")):
        lines += [f'#include "cuda/{header}.cuh"'] * any(known[name].macro == macro for name in names)
    lines += [known[name].line(name) for name in names]
    return "\n".join([*lines, ""])


def options(architecture):
    """NVRTC's options for a compute capability such as "90". No -ftz, no contraction, unlike CuPy's own kernels."""
    return (f"--gpu-architecture=sm_{architecture}", "--std=c++17", "--device-as-default-execution-space",
            "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")  # fmt: skip
