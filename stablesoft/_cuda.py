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
ALIKE = ("_sum", "_write")  # ends of kernels that are the same for both losses of labels
IN_FLOATS = ("float16", "float32")  # dtypes that have kernels for devices on which doubles are slow
BLOCK = 128  # SS_BLOCK: threads of a block that holds several rows
MOST_THREADS = 256  # of a block that holds one row, or columns
CONCLUDING_THREADS = 512
MOST_LENGTH = 1 << 28  # of a row: the exact sum takes twice as many additions between carries
MOST_ROWS = 1 << 31  # blocks of a grid
MOST_ELEMENTS = 1 << 39  # so that their blocks are no more
PER_PART, PER_ROW = 4, 10  # doubles that blocks leave for each part of a row, and for each row: as in stream.cuh
COLUMNS = 32  # a warp
MOST_HEIGHT = 8  # threads to a column
MOST_COLUMN_PARTS = 64
ENOUGH_BLOCKS = 528  # 4 for each multiprocessor of a large device: rows that are fewer are cut into parts,
LEAST_SHARE = 4096  # of so many elements at least
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


class Plan(NamedTuple):
    launches: tuple
    geometry: np.ndarray
    parts: int  # doubles that the blocks need for partial sums


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
    from . import _cuda_focal, _cuda_options  # which import this module

    found = {**_loss_kernels(), **_cuda_focal.focal_kernels(), **_cuda_options.option_kernels()}
    for operation in _COMPILED:
        for dtype, short in _TYPES.items():
            for one, end in _arithmetics(dtype):
                found.update((name + end, kernel) for name, kernel in _row_kernels(operation, dtype, one))
            if operation in REDUCTIONS:
                found[f"{operation}_{dtype}_ladder"] = Kernel(COLUMNS, 1, f"(ladder<{short}>(x, y, g))")
    for dtype, short in _TYPES.items():
        for name in UNARY:
            found[f"{name}_{dtype}"] = Kernel(MOST_THREADS, 2, f"(unary<{short}, of_{name}>(x, y, g))")
        for subtract, name in enumerate(BINARY):
            body = f"(binary<{short}, {subtract}>(x, y, (const char *)more, g))"
            found[f"{name}_{dtype}"] = Kernel(MOST_THREADS, 1, body)
    return found


def _steps_of_parts(dtype, kind, lanes):
    """(step, template arguments, threads, blocks) of the kernels for rows that several blocks share."""
    few, both = dtype == "float16", f"{lanes}, {np.dtype(dtype).itemsize // 2}"
    return (
        ("sum", both, MOST_THREADS, 2 if few or kind == "columns" else 3),
        ("conclude", both, CONCLUDING_THREADS, 1),
        ("write", lanes, MOST_THREADS, 2 if few else 3),
    )


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
        name = f"{operation}_{dtype}_{kind}"
        yield name, Kernel(MOST_THREADS, 2, f"(stream<{head}, {lanes}, {chunks}>(x, y, g))")
        for step, arguments, *bounds in _steps_of_parts(dtype, kind, lanes):
            if step != "write" or operation not in REDUCTIONS:
                body = f"(parts_{step}<{head}, {arguments}>(x, y, (double *)more, g))"
                yield f"{name}_{step}", Kernel(*bounds, body)


def loss_kernel(threads, blocks, body):
    return Kernel(threads, blocks, f"({body})", "SS_LOSS_KERNEL")


def _loss_kernels():
    found = {}

    def add(name, *kernel):
        found[name] = loss_kernel(*kernel)

    for dtype, short in _TYPES.items():
        for one, end in _arithmetics(dtype):
            for name, *bounds, body in _label_kernels(CROSS_ENTROPY, dtype, one):
                add(name + end, *bounds, body)
        add(f"{CROSS_ENTROPY}_{dtype}_anew", COLUMNS, 1, f"rows_anew<{short}>(x, y, a, g, o)")
        add(f"{CROSS_ENTROPY}_{dtype}_finish", MOST_THREADS, 1, f"finish_rows<{short}>(a, g, o)")
        add(f"{SIGMOID}_{dtype}", MOST_THREADS, 2, f"sigmoid_elements<{short}, 0>(x, y, a, g, o)")
        add(f"{SIGMOID}_{dtype}_finish", MOST_THREADS, 1, f"finish_sigmoid<{short}>(x, a, g, o)")
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
        name = f"{operation}_{dtype}_{kind}"
        yield name, MOST_THREADS, 2, f"label_stream<{short}, {lanes}, {size // 2}, {focal}>(x, y, a, g, o)"
        for step, arguments, *bounds in _steps_of_parts(dtype, kind, lanes):
            arguments += f", {focal}" if step == "conclude" else ""
            yield f"{name}_{step}", *bounds, f"label_parts_{step}<{short}, {arguments}>(x, y, a, g, o)"


def _rows_of(operation, dtype):
    """Those of _ROWS that there are; for a power a block does not have registers enough."""
    return [one for one in _ROWS[dtype] if one[0] or operation != FOCAL]


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


def plan(operation, dtype, shape, axes, steps_x, steps_y, aligned, slow_doubles=False):
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
    launches, more = (lay_columns if columns else lay_rows)(operation, dtype, rows, n, writes=not reduces)
    fields.update(more)
    launches = in_floats(launches, dtype) if slow_doubles else launches
    if reduces:  # the ladder's geometry has a share of its own
        ladder, fields["ladder_share"] = lay_again(f"{operation}_{dtype}_ladder", rows)
        launches = (*launches, ladder)
    return Plan(launches, geometry_of(kept, reduced, **fields), left_by_parts(rows, **more))


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


def plan_elementwise(name, dtype, shape, steps, aligned):
    """How to compute an elementwise function; `steps` are the strides of the arguments, then of the result."""
    dims = collapse(zip(shape, *steps)) or [(1, *(0 for _ in steps))]
    count, size = math.prod(shape), np.dtype(dtype).itemsize
    if len(dims) > DIMS or count >= MOST_ELEMENTS:
        return None
    vector = aligned and len(dims) == 1 and all(step == size for step in dims[0][1:]) and count * size % 16 == 0
    threads = BLOCK if count < MOST_THREADS * 16 else MOST_THREADS
    grid = -(-count // (threads * (16 // size)))
    kept = [(dim[0], dim[1], dim[-1]) for dim in dims]
    second = [(1, dim[2], 0) for dim in dims] if len(steps) == 3 else []
    geometry = geometry_of(kept, second, rows=count, n=1, vector=vector)
    return Plan((Launch(f"{name}_{dtype}", (grid, 1), (threads, 1)),), geometry, 0)


def lay_rows(operation, dtype, rows, n, writes):
    """Neighbours in memory are one row's, or nobody's: a group of threads to a row, or several blocks."""
    for lanes, chunks in _rows_of(operation, dtype):
        items = chunks * 16 // np.dtype(dtype).itemsize
        name = _rows_name(operation, dtype, lanes, chunks)
        if lanes and n <= lanes * items:
            return (Launch(name, (-(-rows * lanes // BLOCK), 1), (BLOCK, 1)),), {}
        if not lanes and n <= MOST_THREADS * items:
            return (Launch(name, (rows, 1), (-(-n // (32 * items)) * 32, 1)),), {}
    parts = min(CONCLUDING_THREADS, -(-ENOUGH_BLOCKS // rows), n // LEAST_SHARE)
    return _lay_stream(f"{operation}_{dtype}_long", rows, n, parts, (1, MOST_THREADS), writes)


def lay_again(kernel, rows):
    """The rows that a kernel before has marked: a launch, and how many rows each of its blocks looks at."""
    share = max(8, -(-rows // LADDER_BLOCKS))
    return Launch(kernel, (-(-rows // share), 1), (COLUMNS, 1)), share


def lay_columns(operation, dtype, rows, n, writes):
    """Neighbours in memory are neighbouring rows': a thread, or several above each other, to a row."""
    height = 1
    while height < MOST_HEIGHT and n > 64 * height:
        height *= 2
    width = min(128, MOST_THREADS // height)
    blocks = -(-rows // width)
    parts = min(MOST_COLUMN_PARTS, -(-ENOUGH_BLOCKS // blocks), n // LEAST_SHARE * height)
    return _lay_stream(f"{operation}_{dtype}_columns", rows, n, parts, (width, height), writes)


def left_by_parts(rows, parts=0, **_):
    """Doubles that blocks leave which share rows."""
    return rows * (PER_PART * parts + PER_ROW) if parts else 0


def _lay_stream(name, rows, n, parts, block, writes):
    """A row in `parts` blocks; block is (rows in it, threads to each). `writes`: there is a result for each element."""
    share = -(-n // max(parts, 1))
    share += -share % 1024  # whole pieces of 16 bytes for every thread
    parts = -(-n // share)
    columns = name.endswith("columns")

    def launch(kind, width, height, parts):
        return Launch(name + kind, (-(-rows // width), parts), (width, height) if columns else (height, 1))

    if parts == 1:
        return (launch("", *block, 1),), {}
    height = 1 << (parts - 1).bit_length()  # one thread to each part of a row
    joining = (CONCLUDING_THREADS // height, height) if columns else (1, max(32, height))
    launches = (launch("_sum", *block, parts), launch("_conclude", *joining, 1), launch("_write", *block, parts))
    fields = {"parts": parts, "share": share, "emptied": -(-share // (block[1] * 64)) + 1}
    return launches[: 3 if writes else 2], fields


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
    *(f"loops/{name}.inc.h" for name in ("sums", "real_f32", "real_f64", "loss_sums", "logistic", "quotient")),
    *(f"cuda/{name}.cuh" for name in (
        "group", "real", "conclude", "terms", "float_pair", "float_terms", "stream", "rows", "ladder", "elementwise",
        "items", "labels", "losses", "anew", "sigmoid", "focal", "options")),
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
    ladder = anew or any(name.endswith("_ladder") or name.startswith(BINARY) for name in names)
    losses = [f'#include "cuda/{name}.cuh"' for name in ("items", "labels", "losses", "sigmoid", "focal")]
    lines = [(folder() / "cuda/kernels.cu").read_text(encoding="utf-8")]
    lines += ['#include "cuda/ladder.cuh"'] * ladder + ['#include "cuda/elementwise.cuh"'] * elementwise
    lines += losses if any(known[name].macro == "SS_LOSS_KERNEL" for name in names) else []
    lines += ['#include "cuda/anew.cuh"'] * anew
    lines += ['#include "cuda/options.cuh"'] * any(known[name].macro == "SS_OPTION_KERNEL" for name in names)
    lines += [known[name].line(name) for name in names]
    return "\n".join([*lines, ""])


def options(architecture):
    """NVRTC's options for a compute capability such as "90". No -ftz, no contraction, unlike CuPy's own kernels."""
    return (f"--gpu-architecture=sm_{architecture}", "--std=c++17", "--device-as-default-execution-space",
            "--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")  # fmt: skip
