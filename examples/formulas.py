"""The three ways to write a softmax that the demo compares, and exact values to judge them by."""

from decimal import Decimal, localcontext

import numpy as np
import scipy.special

import stablesoft

NAMES = ("naive", "SciPy", "stablesoft")
FUNCTIONS = ("softmax", "log_softmax", "logsumexp")


def naive_softmax(x, axis=-1):
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def naive_log_softmax(x, axis=-1):
    return np.log(naive_softmax(x, axis))


def naive_logsumexp(x, axis=-1):
    return np.log(np.exp(x).sum(axis=axis))


def naive_cross_entropy(logits, labels):
    """The mean over the rows, and its gradient."""
    rows = np.arange(len(labels))
    loss = -naive_log_softmax(logits)[rows, labels].mean()
    gradient = naive_softmax(logits)
    gradient[rows, labels] -= 1
    return loss, gradient / logits.dtype.type(len(labels))


def shifted_softmax(x, axis=-1):
    """The usual repair: take the largest element off first."""
    return naive_softmax(x - x.max(axis=axis, keepdims=True), axis)


TABLE = {
    "naive": {"softmax": naive_softmax, "log_softmax": naive_log_softmax, "logsumexp": naive_logsumexp},
    "SciPy": {name: getattr(scipy.special, name) for name in FUNCTIONS},
    "stablesoft": {name: getattr(stablesoft, name) for name in FUNCTIONS},
}


def exact_rows(logits):
    """Exact softmax, log_softmax and logsumexp of each row, as lists of Decimal in the order of FUNCTIONS."""
    results = ([], [], [])
    with localcontext() as context:
        context.prec = 60
        for row in logits:
            x = [Decimal(float(v)) for v in row]
            peak = max(range(len(x)), key=x.__getitem__)
            terms = [(v - x[peak]).exp() for v in x]
            rest = sum(t for i, t in enumerate(terms) if i != peak)
            log_total = log1p(rest)
            results[0].extend(t / (1 + rest) for t in terms)
            # At the peak log_softmax is -log1p(rest): nothing cancels, however small the rest is.
            results[1].extend(v - x[peak] - log_total for v in x)
            results[2].append(x[peak] + log_total)
    return dict(zip(FUNCTIONS, results, strict=True))


def log1p(r):
    # 1 + r would round a small r away at 60 digits; below 1e-20 three terms leave an error of r^3/4 < 1e-60.
    return (1 + r).ln() if r > Decimal("1e-20") else r - r * r / 2 + r**3 / 3


def ulps(values, exact):
    """Error of each value in units of the last place of the exact result; infinite where the value is not finite."""
    values = np.ravel(values)
    errors = np.full(values.shape, np.inf)
    for i, (value, target) in enumerate(zip(values, exact, strict=True)):
        if np.isfinite(value):
            unit = np.spacing(abs(values.dtype.type(target)))
            errors[i] = float(abs(Decimal(float(value)) - target) / Decimal(float(unit)))
    return errors


def measure_errors(logits):
    """{function: {implementation: errors in ulps}} over all rows of the logits."""
    exact = exact_rows(logits)
    with np.errstate(all="ignore"):  # the naive formulas overflow: that is what is being measured
        return {f: {name: ulps(TABLE[name][f](logits, axis=1), exact[f]) for name in NAMES} for f in FUNCTIONS}
