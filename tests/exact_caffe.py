"""Caffe's two loss layers in plain Python: one place after the other, in Decimal, as its documentation describes them.

Independent of the package: fractions are cut off by int(), the axes are walked with indices, the exact values are those
of exact.py.
"""

import itertools
import math
from decimal import Decimal

from exact import DIGITS, INF, WIDE, context, exact_log_softmax, exact_softmax, exp_dec, log1p_dec

CTX = context(DIGITS)
ZERO, ONE = Decimal(0), Decimal(1)
CAP = CTX.multiply(Decimal(126), CTX.ln(Decimal(2)))  # -log(FLT_MIN)


def upstream_batch(random, dtype="float64"):
    """Data and labels with the shapes and distributions of Caffe's own test of the softmax layer."""
    return random.normal(0, 10, (10, 5, 2, 3)).astype(dtype), random.integers(0, 5, (10, 1, 2, 3))


def total_of(values):
    total = ZERO
    for value in values:
        total = CTX.add(total, value)
    return total


def normalizer(options, default, full, valid, batch_size):
    """What the loss is divided by, from Caffe's two parameters; None stands for one that is not set."""
    if options.get("normalization") is not None:
        mode = options["normalization"].upper()
    elif options.get("normalize") is not None:
        mode = "VALID" if options["normalize"] else "BATCH_SIZE"
    else:
        mode = default
    return Decimal(max(1, {"FULL": full, "VALID": valid, "BATCH_SIZE": batch_size, "NONE": 1}[mode]))


def exact_softmax_with_loss(data, label, axis=1, ignore_label=None, loss_weight=1.0, clamp=True, **options):
    """Loss, probabilities and gradient; the last two are {index: value}."""
    axis %= data.ndim
    before = list(itertools.product(*map(range, data.shape[:axis])))
    after = list(itertools.product(*map(range, data.shape[axis + 1 :])))
    labels = [int(v) for v in label.ravel().tolist()]
    assert len(labels) == len(before) * len(after) and label.shape[0] == data.shape[0]

    losses, prob, slopes = [], {}, {}
    for (i, outer), (j, inner) in itertools.product(enumerate(before), enumerate(after)):
        places = [(*outer, c, *inner) for c in range(data.shape[axis])]
        row = tuple(float(data[place]) for place in places)
        p = exact_softmax(row)
        prob.update(zip(places, p))
        y = labels[i * len(after) + j]
        if y == ignore_label:
            slopes.update(dict.fromkeys(places, ZERO))
            continue
        loss = exact_log_softmax(row)[y].copy_negate()
        losses.append(CAP if clamp and loss > CAP else loss)
        p[y] = total_of(p[:y] + p[y + 1 :]).copy_negate()
        slopes.update(zip(places, p))
    by = normalizer(options, "VALID", len(labels), len(losses), len(before))
    factor = CTX.divide(Decimal(float(loss_weight)), by)
    grad = {place: CTX.multiply(slope, factor) for place, slope in slopes.items()}
    return CTX.divide(total_of(losses), by), prob, grad


def exact_sigmoid(x):
    """1 / (1 + e^-x)."""
    if math.isinf(x):
        return ONE if x > 0 else ZERO
    term = exp_dec(Decimal(-abs(x)), CTX)
    return CTX.divide(ONE if x > 0 else term, CTX.add(ONE, term))


def exact_sigmoid_loss(x, t):
    """max(x, 0) - x t + log(1 + e^-|x|), with nothing lost in the difference; 0 at an infinity that agrees with t."""
    if math.isinf(x):
        return ZERO if t == (x > 0) else INF
    base = WIDE.subtract(max(Decimal(x), ZERO), WIDE.multiply(Decimal(x), Decimal(t)))
    return CTX.add(base, log1p_dec(exp_dec(Decimal(-abs(x)), CTX), CTX))


def exact_sigmoid_cross_entropy_loss(data, target, ignore_label=None, loss_weight=1.0, **options):
    """Loss, gradient in C order, and the larger of the two parts whose difference an element of the gradient is."""
    losses, slopes, parts = [], [], []
    for x, t in zip(map(float, data.ravel()), map(float, target.ravel()), strict=True):
        if ignore_label is not None and int(t) == ignore_label:
            slopes.append(ZERO)
            parts.append(ZERO)
            continue
        losses.append(exact_sigmoid_loss(x, t))
        p = exact_sigmoid(x)
        slope = exact_sigmoid(-x).copy_negate() if t == 1 else CTX.subtract(p, Decimal(t))
        slopes.append(slope)
        parts.append(slope if t in (0, 1) else max(p, abs(Decimal(t))))
    by = normalizer(options, "BATCH_SIZE", data.size, len(losses), data.shape[0])
    factor = CTX.divide(Decimal(float(loss_weight)), by)
    scaled = ([CTX.multiply(value, factor) for value in values] for values in (slopes, parts))
    return CTX.divide(total_of(losses), by), *scaled
