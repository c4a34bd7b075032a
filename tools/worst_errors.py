"""Print the worst error, in ulps, of every case of the tests' tables on the hard inputs: `make errors`."""

import sys
from pathlib import Path

import numpy as np

import stablesoft

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import cases
import loss_cases
import margin_cases
from exact import worst
from exact_caffe import exact_sigmoid_cross_entropy_loss, exact_softmax_with_loss

CAFFE = {
    "softmax_with_loss": exact_softmax_with_loss,
    "sigmoid_cross_entropy_loss": exact_sigmoid_cross_entropy_loss,
}
MOST = 500  # elements: exact values of longer rows of losses take minutes


def of_case(case, dtype):
    """The worst error of a function over the named rows."""
    return max(worst(case(stablesoft, row), case.values(row), dtype)[0] for row in cases.rows(dtype).values())


def of_loss(case, dtype):
    """The worst errors of a loss and of its gradient, where the loss is finite."""
    found = [0.0, 0.0]
    for row in cases.rows(dtype).values():
        if row.size > MOST:
            continue
        for targets in loss_cases.targets_of(case, row).values():
            loss, gradient = case(stablesoft, row, targets, reduction="none", return_grad=True)
            if np.isfinite(loss).all():
                rows = loss_cases.errors(case, case.exact(row, targets), loss, gradient)
                found = [max(worst, error) for worst, (error, *_) in zip(found, rows, strict=True)]
    return found


def of_caffe(function, exact, dtype):
    """The worst errors of a layer of Caffe and of its gradient, with labels or targets 0 and 1."""
    found = [0.0, 0.0]
    for row in cases.rows(dtype).values():
        if row.size > MOST:
            continue
        if function is stablesoft.caffe.softmax_with_loss:
            targets = [np.array([label]) for label in loss_cases.labels_of(row).values()]
        else:
            targets = [np.zeros((1, row.size), dtype), np.ones((1, row.size), dtype)]
        for target in targets:
            loss, gradient = function(row[None], target, return_grad=True)
            value, *_, slopes = exact(row[None], target)[: 3 if target.ndim == 1 else 2]
            slopes = list(slopes.values() if target.ndim == 1 else slopes)
            if np.isfinite(loss):
                errors = worst(loss, [value], dtype)[0], worst(gradient, slopes, dtype)[0]
                found = [max(pair) for pair in zip(found, errors, strict=True)]
    return found


def of_margin(name, dtype):
    """The worst errors of a margin loss, and of its gradients, over the hard inputs."""
    digits = margin_cases.EVERY_DIGIT
    cases = [*margin_cases.vectors(dtype).values()]
    cases += [margin_cases.vanishing(name, dtype, size) for size in (1e-3, 1e-5, 1e-8, 0)]
    hard = (margin_cases.errors(name, *case, dtype, digits) for case in cases)
    return [max(errors)[0] for errors in zip(*hard, strict=True)]


def show(name, bounds, function, *arguments):
    """One line for the loss, one for the gradient."""
    found = [function(*arguments, dtype) for dtype in cases.DTYPES]
    for j, (what, bound) in enumerate(zip(("loss", "gradient"), bounds, strict=True)):
        print(f"{name + ', ' + what:74} {bound:5} ", *(f"{float(error[j]):7.3f}" for error in found))


def main():
    """Print one line for each case: its bound, and the errors in float32 and in float64."""
    print(f"{'':74} bound  float32 float64")
    for case in cases.CASES:
        print(f"{case.id:74} {case.bound:5} ", *(f"{float(of_case(case, dtype)):7.3f}" for dtype in cases.DTYPES))
    for case in loss_cases.CASES:
        show(case.id, (case.bound, case.bound), of_loss, case)
    for name, exact in CAFFE.items():
        show(f"caffe.{name}", (4, 4), of_caffe, getattr(stablesoft.caffe, name), exact)
    for name in margin_cases.NAMES:
        show(f"margin: {name}", (margin_cases.LOSS_BOUND, margin_cases.GRADIENT_BOUND), of_margin, name)


if __name__ == "__main__":
    main()
