"""What the losses are, in array-API terms.

As in `_sums`, everything is lazy: no branch on data, and `xp.where` chooses before a function is taken, so that
automatic differentiation meets no 0 * inf. Arguments are in normal form (`_loss_arguments`).
"""

import math

from array_api_compat import device

from ._loss_arguments import holds
from ._sums import peak_of, rest_of, shifted, stands_alone


def _one_hot(xp, x, axis, labels, ignored):
    """1.0 at the label of each row that counts; where rows count; where their label is no class."""
    index = xp.expand_dims(labels, axis=axis)
    shape = tuple(-1 if i == axis else 1 for i in range(x.ndim))
    classes = xp.reshape(xp.arange(x.shape[axis], dtype=index.dtype, device=device(x)), shape)
    counts = xp.ones_like(index, dtype=xp.bool)
    if ignored is not None and holds(xp, index.dtype, ignored):
        counts = index != ignored
    bad = counts & ((index < 0) | (index >= x.shape[axis]))
    return xp.astype((classes == index) & counts, x.dtype), counts, bad


def softmax_definition(xp, x, axis, labels, targets, *, weight, ignored, smoothing, z_loss, gamma, factor, divisor, cap,
                       reduction, weighs, return_grad):
    """Softmax cross-entropy and focal loss: with a the weighted probabilities of the classes and q = 1 - p,

    loss = sum a q^gamma (-log p) + z_loss A logsumexp^2, A = sum a. The gradient is p H - h, where
    h = a q^gamma (1 + gamma p (-log p) / q) and H is its sum. A row with one class alone has -q h there, which does not
    cancel.
    """
    weights = 1.0 if weight is None else xp.reshape(weight, tuple(-1 if i == axis else 1 for i in range(x.ndim)))
    if labels is not None:
        t, counts, bad = _one_hot(xp, x, axis, labels, ignored)
        if ignored is not None:
            x = xp.where(counts, x, 0.0)  # a NaN in an ignored row reaches no derivative
    else:
        t, counts, bad = targets, None, None
    hard = xp.sum(t * weights, axis=axis, keepdims=True) if weighs else None
    if weighs and bad is not None:
        hard = xp.where(bad, 1.0, hard)  # it counts, or a batch of nothing else would cost nothing
    if smoothing:
        t = (1.0 - smoothing) * t + smoothing / x.shape[axis]
    a = t * weights
    if counts is not None:
        a = xp.where(counts, a, 0.0)
    none = a == 0

    peak = peak_of(xp, x, axis)
    exponents = shifted(xp, x, peak, axis)
    rest = rest_of(xp, exponents, axis)
    terms, total, excess = xp.exp(exponents), 1.0 + rest, xp.log1p(rest)
    p = terms / total
    loss = xp.where(none, 0.0, excess - xp.where(none, 0.0, exponents))
    focus = growth = 1.0
    at_peak = exponents == 0
    q = xp.where(at_peak & stands_alone(xp, at_peak, axis, x.dtype), rest, total - terms) / total
    if gamma:
        usable = q > 0
        safe = xp.where(usable, q, 1.0)
        focus = xp.where(usable, safe**gamma, 0.0)
        focus = xp.where(loss < math.inf, focus, 1.0)  # q is 1 there; inf times its derivative 0 would be NaN
        known = usable & (loss < math.inf)
        growth = 1.0 + gamma * p * xp.where(known, xp.where(known, loss, 0.0) / safe, 1.0)
    items = xp.sum(xp.where(none, 0.0, a * focus * loss), axis=axis, keepdims=True)
    slope = a * focus * growth
    whole = xp.sum(slope, axis=axis, keepdims=True)
    empty = xp.all(none, axis=axis, keepdims=True)  # no weight at all: the row does not count, even with NaN in it
    sum_log = xp.where(empty, 0.0, peak + excess)
    if z_loss:
        items = items + z_loss * xp.sum(a, axis=axis, keepdims=True) * sum_log**2
    undefined = ~(peak > -math.inf)  # all -inf, or a NaN
    if bad is not None:
        undefined, empty = undefined | bad, empty & ~bad
    items = xp.where(empty, 0.0, xp.where(undefined, math.nan, items))
    items = xp.where(items > cap, cap, items)

    if reduction == "mean" and divisor is None:
        divisor = _divisor(xp, hard, counts, x, axis)
    elif reduction != "mean":
        divisor = 1.0
    loss = _reduced(xp, items, axis, divisor, reduction)
    if not return_grad:
        return loss
    single = xp.sum(xp.astype(none, x.dtype), axis=axis, keepdims=True) == x.shape[axis] - 1
    grad = xp.where(single & ~none, -q * slope, p * whole - slope)
    if z_loss:
        grad = grad + xp.where(p > 0, 2.0 * z_loss * sum_log * xp.where(p > 0, p * whole, 1.0), 0.0)
    grad = xp.where(empty, 0.0, xp.where(undefined, math.nan, grad))
    return loss, _divided(xp, grad * factor, divisor)


def _divisor(xp, hard, counts, x, axis):
    """What a mean divides by: the weights of the labels, the labels that count, or the rows.

    Weights that cancel are not nothing: over them there is no mean.
    """
    if hard is not None and counts is not None:
        total = xp.sum(hard)
        return xp.where((total == 0) & xp.any(hard != 0), math.nan, total)
    if counts is not None:
        return xp.sum(xp.astype(counts, x.dtype))
    return float(math.prod(n for i, n in enumerate(x.shape) if i != axis))


def _divided(xp, value, divisor):
    """value / divisor, 0 where the divisor is 0."""
    if isinstance(divisor, float):
        return value / divisor if divisor else xp.zeros_like(value)
    return xp.where(divisor == 0, 0.0, value / xp.where(divisor == 0, 1.0, divisor))


def _reduced(xp, items, axis, divisor, reduction):
    if reduction == "none":
        return items if axis is None else xp.squeeze(items, axis=axis)
    return _divided(xp, xp.sum(items), divisor)


def sigmoid_definition(xp, x, t, *, weight, positive, counts, focal, alpha, gamma, factor, divisor, reduction,
                       return_grad):
    """Sigmoid cross-entropy and focal loss, as src/loops/logistic.inc.h has them."""
    if counts is not None:
        x, t = xp.where(counts, x, 0.0), xp.where(counts, t, 0.0)  # a NaN that does not count reaches no derivative
    up = x > 0
    term = xp.exp(xp.where(up, -x, x))
    log = xp.log1p(term)
    larger, smaller = 1.0 / (1.0 + term), term / (1.0 + term)
    above, below = xp.where(up, larger, smaller), xp.where(up, smaller, larger)  # sigma(x), sigma(-x)
    none, some = 1.0 - t, t if positive is None else t * positive
    high = xp.where(none == 0, 0.0, none * xp.where((none != 0) & up, x, 0.0))
    low = xp.where(some == 0, 0.0, some * xp.where((some != 0) & ~up, -x, 0.0))
    items = high + low + (none + some) * log
    slope = none * above - some * below
    if focal:
        q = none * above + t * below
        usable = q > 0
        safe = xp.where(usable, q, 1.0)
        focus = xp.where(usable, safe**gamma, 1.0 if gamma == 0 else 0.0)
        balance = xp.ones_like(t) if math.isnan(alpha) else alpha * t + (1.0 - alpha) * none
        power = focus * balance
        known = xp.where(usable & (items < math.inf), items, 0.0)
        slope = power * (slope + gamma * known * (none - t) * larger * smaller / safe)
        focus = xp.where(items < math.inf, focus, 1.0)  # inf stays inf; inf times a derivative 0 would be NaN
        items = xp.where(power == 0, 0.0, focus * balance * xp.where(power == 0, 0.0, items))
    if weight is not None:
        items, slope = items * weight, slope * weight
    if counts is not None:
        items, slope = xp.where(counts, items, 0.0), xp.where(counts, slope, 0.0)
    if reduction == "mean" and divisor is None:
        divisor = float(math.prod(x.shape)) if counts is None else xp.sum(xp.astype(counts, x.dtype))
    elif reduction != "mean":
        divisor = 1.0
    loss = _reduced(xp, items, None, divisor, reduction)
    return (loss, _divided(xp, slope * factor, divisor)) if return_grad else loss
