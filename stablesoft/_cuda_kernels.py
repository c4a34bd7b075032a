"""The CUDA kernels: their names, their sources, and how they are compiled. Imports no CUDA library.

The kernels of src/cuda are templates; the table here says which of them there are, and with how many threads.
"""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

REDUCTIONS = ("logsumexp", "logmeanexp")
OPERATIONS = ("softmax", "log_softmax", *REDUCTIONS)
_COMPILED = ("softmax", "log_softmax", "logsumexp")  # logmeanexp is logsumexp with a count
UNARY = ("expit", "log_expit", "softplus", "logit", "log1mexp")
BINARY = ("logaddexp", "logsubexp")
CROSS_ENTROPY, SIGMOID = "cross_entropy", "sigmoid_cross_entropy"
FOCAL, SIGMOID_FOCAL = "softmax_focal", "sigmoid_focal"
TYPES = {"float16": "f16", "float32": "f32", "float64": "f64"}
IN_FLOATS = ("float16", "float32")  # dtypes that have kernels for devices on which doubles are slow
BLOCK = 128  # SS_BLOCK: threads of a block that holds several rows
MOST_THREADS = 256  # of a block that holds one row, or columns
CONCLUDING_THREADS = 512
COLUMNS = 32  # a warp
SMOOTHED = {"float16": 1, "float32": 2}  # dtypes that smooth.cuh takes: pieces of 16 bytes that a thread reads at once
FEW = 8  # threads that do a row of smooth.cuh, where rows are many or short

# Rows in registers: threads to a row (0: a block), and pieces of 16 bytes to a thread.
ROWS = {
    "float16": ((8, 1), (32, 1), (32, 2), (0, 2)),
    "float32": ((8, 1), (32, 1), (32, 2), (32, 4), (0, 4)),
    "float64": ((8, 1), (32, 1), (32, 2), (32, 4), (0, 4)),
}


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
    found = {**_loss_kernels(), **_option_kernels(), **_taken_kernels(), **_dense_kernels()}
    for operation in _COMPILED:
        for dtype, short in TYPES.items():
            for one, end in arithmetics(dtype):
                found.update((name + end, kernel) for name, kernel in _row_kernels(operation, dtype, one))
            if operation in REDUCTIONS:
                found[f"{operation}_{dtype}_ladder"] = Kernel(COLUMNS, 1, f"(ladder<{short}>(x, y, g))")
    for dtype in TYPES:
        for short, end in arithmetics(dtype):
            for name in UNARY:
                found[f"{name}_{dtype}{end}"] = Kernel(MOST_THREADS, 2, f"(unary<{short}, of_{name}>(x, y, g))")
            for subtract, name in enumerate(BINARY):
                found[f"{name}_{dtype}{end}"] = Kernel(MOST_THREADS, 1, f"(binary<{short}, {subtract}>(x, y, more, g))")
    return found


def arithmetics(dtype):
    """(type in the kernels, end of their names): in doubles, and in pairs of floats where there is that."""
    return [(TYPES[dtype] + end, end) for end in ("", "_in_floats")[: 1 + (dtype in IN_FLOATS)]]


def _row_kernels(operation, dtype, short):
    head, chunks = f"{short}, SS_{operation.upper()}", np.dtype(dtype).itemsize // 2  # 8 elements
    wide = 2 if operation != "softmax" or short == "f16_in_floats" else 3
    for lanes, each in ROWS[dtype]:
        hot = (BLOCK, 5) if lanes else (MOST_THREADS, wide)
        yield rows_name(operation, dtype, lanes, each), Kernel(*hot, f"(rows<{head}, {lanes}, {each}>(x, y, g))")
    for kind, lanes in (("long", "WHOLE_BLOCK"), ("columns", "COLUMN")):
        name, arguments = f"{operation}_{dtype}_{kind}", f"{head}, {lanes}, {chunks}"
        yield name, Kernel(MOST_THREADS, 2, f"(stream<{arguments}>(x, y, g))")
        few = 1 if kind == "columns" or short.endswith("in_floats") else 2  # they take registers
        yield f"{name}_teams", Kernel(MOST_THREADS, few, f"(stream_in_teams<{arguments}>(x, y, (double *)more, g))")


def _loss_kernels():
    found = {}

    def add(name, threads, blocks, body):
        found[name] = Kernel(threads, blocks, f"({body})", "SS_LOSS_KERNEL")

    for dtype, short in TYPES.items():
        for one, end in arithmetics(dtype):
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
    for lanes, each in rows_of(operation, dtype):
        many = each == 4 or each * 16 // size == 16
        bounds = (BLOCK, 3 if many else 4) if lanes else (MOST_THREADS, 2)
        body = f"label_rows<{short}, {lanes}, {each}, {focal}>(x, y, a, g, o)"
        yield rows_name(operation, dtype, lanes, each), *bounds, body
    for kind, lanes in (("long", "WHOLE_BLOCK"), ("columns", "COLUMN")):
        name, chunks = f"{operation}_{dtype}_{kind}", size // 2  # 8 elements
        yield name, MOST_THREADS, 2, f"label_stream<{short}, {lanes}, {chunks}, {focal}>(x, y, a, g, o)"
        few = 1 if focal or kind == "columns" or short.endswith("in_floats") else 2  # they take registers
        yield f"{name}_teams", MOST_THREADS, few, f"label_teams<{short}, {lanes}, {chunks}, {focal}>(x, y, a, g, o)"


def _dense_kernels():
    found = {}

    def add(name, threads, blocks, body):
        found[name] = Kernel(threads, blocks, f"({body}(x, y, a, g, o, d))", "SS_DENSE_KERNEL")

    for dtype, short in TYPES.items():
        add(f"dense_{dtype}", BLOCK, 3, f"dense_rows<{short}, SS_WARP>")
        add(f"dense_{dtype}_long", MOST_THREADS, 1, f"dense_rows<{short}, WHOLE_BLOCK>")
        add(f"dense_{dtype}_anew", COLUMNS, 1, f"dense_rows_anew<{short}>")
    for dtype, chunks in SMOOTHED.items():
        for kind, lanes, *bounds in (("_short", FEW, BLOCK, 3), ("", "SS_WARP", BLOCK, 3),
                                     ("_long", "WHOLE_BLOCK", MOST_THREADS, 2),
                                     ("_columns", "COLUMN", MOST_THREADS, 1)):  # fmt: skip
            add(f"smooth_{dtype}{kind}", *bounds, f"smooth_rows<{TYPES[dtype]}, {lanes}, {chunks}>")
    return found


def _option_kernels():
    found = {}
    for dtype, short in TYPES.items():
        for kind, lanes, threads in (("", "SS_WARP", BLOCK), ("_long", "WHOLE_BLOCK", MOST_THREADS)):
            body = f"(with_options<{short}, {lanes}>(x, y, mask, g, o))"
            found[f"options_{dtype}{kind}"] = Kernel(threads, 2, body, "SS_OPTION_KERNEL")
    return found


def rows_of(operation, dtype):
    """Those of ROWS that there are; for a power a block does not have registers enough."""
    return [one for one in ROWS[dtype] if one[0] or operation != FOCAL]


def _taken_kernels():
    found = {}
    for dtype, short in TYPES.items():
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


def rows_name(operation, dtype, lanes, chunks):
    return f"{operation}_{dtype}_rows_{lanes or 'block'}_{chunks}"


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
