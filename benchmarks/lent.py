"""What lending gains: PyTorch's tensors and JAX's arrays beside NumPy's, the definition and the library's own calls.

Run as `python -m benchmarks.lent`; libraries that are not installed are left out.
"""

import importlib
import timeit
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.table import Table

import stablesoft
from stablesoft._arrays import kernels_of

from .data import draw

CASES = [
    (operation, shape)
    for operation in ("softmax", "log_softmax", "logsumexp", "logcumsumexp", "expit", "softmax_cross_entropy")
    for shape in ((1, 10), (64, 1000), (2048, 2048))
]
OWN = {
    "torch": {
        "softmax": "torch.softmax(x, 1)",
        "log_softmax": "torch.log_softmax(x, 1)",
        "logsumexp": "torch.logsumexp(x, 1)",
        "logcumsumexp": "torch.logcumsumexp(x, 1)",
        "expit": "torch.sigmoid(x)",
        "softmax_cross_entropy": "torch.nn.functional.cross_entropy(x, second)",
    },
    "jax": {
        "softmax": "jax.nn.softmax(x, 1)",
        "log_softmax": "jax.nn.log_softmax(x, 1)",
        "logsumexp": "jax.nn.logsumexp(x, 1)",
        "logcumsumexp": "jax.lax.cumlogsumexp(x, 1)",
        "expit": "jax.nn.sigmoid(x)",
        "softmax_cross_entropy": "-jax.nn.log_softmax(x, 1)[rows, second].mean()",
    },
}


@contextmanager
def kept(kind):
    """Nothing is lent, so the definition answers."""
    lender = kernels_of(kind)
    lent, lender.first = lender.first, frozenset()
    yield
    lender.first = lent


def seconds(statement, names):
    """Fastest of several turns of one call."""
    timer = timeit.Timer(statement, globals=names)
    timer.timeit(1)
    number = max(1, int(5e-3 / timer.timeit(1)))
    return min(timer.repeat(9, number)) / number


def compare(library, operation, shape):
    """Seconds with NumPy's array, with the library's, of the definition, and of the library's own function."""
    x, *second = draw(operation, shape, "float32", 1)
    array = library.asarray if library.__name__ == "torch" else library.numpy.asarray
    names = {library.__name__: library, "ours": getattr(stablesoft, operation), "rows": np.arange(shape[0])}
    arguments = ", ".join(["x"] + ["second"] * len(second) + ["axis=1"] * (operation != "expit"))
    ours = f"ours({arguments})"
    ready = "" if library.__name__ == "torch" else ".block_until_ready()"
    arrays = dict(zip(("x", "second"), (x, *second)))
    lent = names | {name: array(one) for name, one in arrays.items()}
    found = [seconds(ours, names | arrays), seconds(ours + ready, lent)]
    with kept(type(lent["x"])):
        found.append(seconds(ours + ready, lent))
    return [*found, seconds(f"({OWN[library.__name__][operation]}){ready}", lent)]


def main():
    console = Console(width=120)
    for name in OWN:
        try:
            library = importlib.import_module(name)
        except ImportError:
            console.print(f"{name} is not installed.")
            continue
        table = Table(title=f"stablesoft on arrays of {name} {library.__version__}, float32, microseconds")
        table.add_column("case", no_wrap=True)
        for column in ("NumPy's array", "the array", "definition", f"{name}'s own", "definition / ours", "own / ours"):
            table.add_column(column, justify="right")
        for operation, shape in CASES:
            plain, lent, defined, own = compare(library, operation, shape)
            figures = [f"{1e6 * one:.3g}" for one in (plain, lent, defined, own)]
            table.add_row(f"{operation} {shape}", *figures, f"{defined / lent:.3g}", f"{own / lent:.3g}")
        console.print(table)


if __name__ == "__main__":
    main()
