"""Print the worst error, in ulps, of every case of the tests' tables on the named rows: `make errors`."""

import sys
from pathlib import Path

import numpy as np

import stablesoft

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import cases
import loss_cases
from exact import worst

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


def main():
    """Print one line for each case: its bound, and the errors in float32 and in float64."""
    print(f"{'':74} bound  float32 float64")
    for case in cases.CASES:
        print(f"{case.id:74} {case.bound:5} ", *(f"{float(of_case(case, dtype)):7.3f}" for dtype in cases.DTYPES))
    for case in loss_cases.CASES:
        found = [of_loss(case, dtype) for dtype in cases.DTYPES]
        for j, what in enumerate(("loss", "gradient")):
            print(f"{case.id + ', ' + what:74} {case.bound:5} ", *(f"{float(error[j]):7.3f}" for error in found))


if __name__ == "__main__":
    main()
