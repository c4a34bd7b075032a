"""Print a SHA-256 of every function over a fixed batch of inputs; run under each instruction set and thread count."""

import hashlib
import json
import sys

import numpy as np

import loss_cases
import stablesoft
from cases import CASES, DTYPES, rows
from margin_cases import LOSSES, normal, vanishing
from stablesoft import caffe

# Above any sensible threshold for threads, and with row lengths on both sides of the vector width.
SHAPES = [(3000, 10), (700, 777), (37, 16411), (1, 1_200_001)]


def canonical(y):
    """The bytes of y with one NaN for all: IEEE 754 does not define the sign of a NaN that arithmetic makes."""
    y = np.array(y, copy=True, order="C")
    y[np.isnan(y)] = np.nan
    return y.tobytes()


def digest(*results):
    sha = hashlib.sha256()
    for y in results:
        sha.update(canonical(np.atleast_1d(y)))
    return sha.hexdigest()


def blocks(dtype):
    """Random matrices with several scales in the rows, so that every branch of the kernels is taken."""
    random = np.random.default_rng(7)
    for outer, n in SHAPES:
        scale = 10.0 ** random.integers(-3, 3, size=(outer, 1))
        yield f"{outer}x{n}", (random.normal(size=(outer, n)) * scale + random.normal(size=(outer, 1))).astype(dtype)
    z = random.normal(size=(500, 37)).astype(dtype)
    yield "normalised", (z - np.log(np.exp(z).sum(axis=1, keepdims=True))).astype(dtype)
    yield "NCHW", random.normal(0, 4, size=(2, 21, 64, 65)).astype(dtype)


def loss_digests(dtype, batch):
    """Losses and gradients: of the named rows, and of matrices with as many elements as threads want."""
    found = {}
    for case in loss_cases.CASES:
        if batch in ("all", "rows"):
            results = []
            for row in rows(dtype).values():
                for targets in loss_cases.targets_of(case, row).values():
                    results += case(stablesoft, row, targets, reduction="none", return_grad=True)
            found[f"{case.id} {dtype} rows"] = digest(*results)
        how = {"none": (3300, 10), "mean": (44, 777), "sum": (7, 5000)} if batch in ("all", "blocks") else {}
        for reduction, shape in how.items():
            random = np.random.default_rng(shape[1])
            x = random.normal(0, 4, shape).astype(dtype)
            soft = random.random(shape).astype(dtype)
            hard = random.integers(0, 2, shape) if case.sigmoid else random.integers(0, shape[1], shape[0])
            result = case(stablesoft, x, soft if case.soft else hard, reduction=reduction, return_grad=True)
            found[f"{case.id} {dtype} {shape} {reduction}"] = digest(*result)
    return found


def doubtful_sums():
    """Sums over enough items for threads, in orders that divide them differently."""
    random = np.random.default_rng(3)
    for name, values in loss_cases.DOUBTFUL.items():
        items = np.r_[values, np.zeros(60_000)]
        yield f"sum {name}", digest(*(loss_cases.doubtful_sigmoid(random.permutation(items)) for _ in range(4)))


def margins():
    """Margin losses of a batch that BLAS divides among its threads, with some vectors at angle 0 or pi to a class."""
    x, weight, labels = normal(60, 130), normal(110, 130), np.arange(60) % 7
    x[:20] += 10 * weight[labels[:20]]
    x[30:33] = weight[50:53]
    x[40:43] = -weight[labels[40:43]]
    for dtype in DTYPES:
        for name, (function, options, _) in LOSSES.items():
            call = x.astype(dtype), weight.astype(dtype), labels
            yield f"{name} {dtype}", digest(*function(*call, return_grad=True, **options))
        for size in (1e-4, 0):  # what is done in pairs throughout, and in Decimals
            function, options, _ = LOSSES["am_softmax"]
            call = vanishing("am_softmax", dtype, size)
            yield f"gradient down to {size} {dtype}", digest(*function(*call, return_grad=True, **options))


def caffes(dtype):
    """Caffe's losses of a batch of images that threads divide, with ignored labels."""
    random = np.random.default_rng(11)
    data = random.normal(0, 4, (6, 21, 16, 33)).astype(dtype)
    label, target = random.integers(0, 21, (6, 1, 16, 33)), random.uniform(-2, 2, data.shape).astype(dtype)
    for mode in ("valid", "batch_size"):
        options = {"normalization": mode, "return_grad": True}
        results = caffe.softmax_with_loss(data, label, ignore_label=20, return_prob=True, **options)
        yield f"caffe.softmax_with_loss {dtype} {mode}", digest(*results)
        results = caffe.sigmoid_cross_entropy_loss(data, target, ignore_label=-1, **options)
        yield f"caffe.sigmoid_cross_entropy_loss {dtype} {mode}", digest(*results)


def digests(batch):
    found = {}
    for dtype in DTYPES:
        named = rows(dtype)
        for case in CASES:
            if batch in ("all", "rows"):
                found[f"{case.id} {dtype} rows"] = digest(*(case(stablesoft, row) for row in named.values()))
            if batch in ("all", "blocks"):
                for name, x in blocks(dtype):
                    for axis in (1, 0) if x.size < 1_000_000 else (1,):
                        found[f"{case.id} {dtype} {name} axis={axis}"] = digest(case(stablesoft, x, axis=axis))
        if batch in ("all", "blocks"):
            for name, x in blocks(dtype):
                found[f"logcumsumexp {dtype} {name} axis=1"] = digest(stablesoft.logcumsumexp(x, axis=1))
            found.update(caffes(dtype))
        if batch in ("all", "rows"):
            for options in ({}, {"reverse": True, "exclusive": True}):
                results = (stablesoft.logcumsumexp(row, **options) for row in named.values())
                found[f"logcumsumexp {options} {dtype} rows"] = digest(*results)
        found |= loss_digests(dtype, batch)
        if batch in ("all", "rows"):
            a = np.stack([named["N(0,10)"], named["U(-300,300)"]])
            b = np.where(np.arange(200) % 3, 0.5, -0.25).astype(dtype)
            found[f"logsumexp b {dtype}"] = digest(*stablesoft.logsumexp(a, axis=1, b=b, return_sign=True))
    if batch in ("all", "blocks", "margin"):
        found.update(margins())
    if batch in ("all", "blocks"):
        found.update(doubtful_sums())
    return found


if __name__ == "__main__":
    result = digests(sys.argv[1])
    result["isa"] = stablesoft.show_config("dicts")["isa"]
    print(json.dumps(result))
