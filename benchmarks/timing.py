"""Times of one case: stablesoft and its rivals in turns, on the same data, with the same number of threads.

A contestant is one or more statements; the fastest counts. Statements are compiled by timeit, so that nothing but the
call itself is timed.
"""

import timeit
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.special

import stablesoft

from . import rivals
from .data import draw, keywords

try:
    import torch
except ImportError:
    torch = None

THREADS = stablesoft.show_config("dicts")["threads"]
SPLIT = 2**20  # bytes: a plain copy or read of more is also tried with all threads

if torch is not None:
    torch.set_num_threads(THREADS)
    TORCH = {  # operation -> (with out=, new result)
        "softmax": ("aten._softmax.out(t, dim, False, out=t_out)", "torch.softmax(t, dim)"),
        "log_softmax": ("aten._log_softmax.out(t, dim, False, out=t_out)", "torch.log_softmax(t, dim)"),
        "logsumexp": ("torch.logsumexp(t, dim, out=t_out)", "torch.logsumexp(t, dim)"),
        "logcumsumexp": ("torch.logcumsumexp(t, dim, out=t_out)", "torch.logcumsumexp(t, dim)"),
        "expit": ("torch.sigmoid(t, out=t_out)", "torch.sigmoid(t)"),
    }
    TORCH_LOSSES = {  # operation -> loss and gradient
        "softmax_cross_entropy": "t.grad = None; nn.cross_entropy(t, t_second).backward()",
        "sigmoid_cross_entropy": "t.grad = None; nn.binary_cross_entropy_with_logits(t, t_second).backward()",
        "arcface": "rivals.arcface_torch(nn, t, t_second, t_third)",
    }


@dataclass(frozen=True)
class Effort:
    seconds: float  # to spend on a case
    least: int  # turns of every contestant, however long they take
    most: int
    batch: float  # seconds: a turn repeats a statement until it lasts about this long


FULL = Effort(seconds=3.0, least=5, most=200, batch=2e-3)
QUICK = Effort(seconds=0.4, least=2, most=30, batch=1e-3)


def find(case):
    """Our function, or None."""
    return getattr(stablesoft.margin if case.margin else stablesoft, case.operation, None)


def available(case):
    """None, or why the case can not be run."""
    return f"stablesoft has no {case.operation}" if find(case) is None else None


def statements(case):
    """Contestant -> statements."""
    named = [f"{name}={value}" for name, value in keywords(case.operation, case.axis).items()]
    arguments = ", ".join(["x"] + ["second"] * (case.loss or case.margin) + ["third"] * case.margin + named)
    ours = f"ours({arguments}, out=out)" if case.takes_out else f"ours({arguments})"
    scipys = f"scipys({arguments}, out=out)" if case.out and case.elementwise else f"scipys({arguments})"
    split = THREADS > 1 and case.size * np.dtype(case.dtype).itemsize > SPLIT
    known = {
        "np.exp": ["exp(x)"],
        "SciPy": [scipys],
        "NumPy": [f"rivals.{case.operation}(x, second, third)"],
        "memcpy": ["copyto(out, x)"] + ["list(pool.map(copyto, out_parts, x_parts))"] * split,
        "read": ["total(x)"] + ["list(pool.map(total, x_parts))"] * split,
    }
    if torch is not None:
        known["torch"] = [TORCH_LOSSES.get(case.operation) or TORCH[case.operation][0 if case.out else 1]]
        known["read"].append("torch.sum(t)")
    return {"stablesoft": [ours], **{rival: known[rival] for rival in case.rivals if rival in known}}


def names(case, pool):
    """What the statements refer to."""
    x, *second = draw(case.operation, case.shape, case.dtype, case.axis)
    out = np.zeros(case.result_shape, dtype=case.dtype)
    found = {
        "ours": find(case),
        "rivals": rivals,
        "scipys": getattr(scipy.special, case.operation, None),
        "exp": np.exp,
        "copyto": np.copyto,
        "total": np.sum,
        "x": x,
        "out": out,
        "x_parts": np.array_split(x.reshape(-1), THREADS),
        "out_parts": np.array_split(out.reshape(-1), THREADS),
        "pool": pool,
    }
    if torch is not None:
        found |= {
            "torch": torch,
            "aten": torch.ops.aten,
            "t": torch.from_numpy(x),
            "t_out": torch.from_numpy(out),
            "dim": 0 if case.axis is None else case.axis,
        }
    for name, operand in zip(("second", "third"), second):
        found[name] = operand
        if torch is not None:
            found |= {"nn": torch.nn.functional, f"t_{name}": torch.from_numpy(operand)}
            found["t"].requires_grad_()
    if case.margin and torch is not None:
        found["t_second"].requires_grad_()
    return found


def measure(case, effort):
    """Contestant -> least seconds of one call, over turns taken one after the other."""
    with ThreadPoolExecutor(THREADS) as pool:
        namespace = names(case, pool)
        contestants = [
            [rival, timeit.Timer(statement, globals=namespace)]
            for rival, choices in statements(case).items()
            for statement in choices
        ]
        numbers = []
        for _, timer in contestants:
            timer.timeit(1)  # first touch, thread creation
            number, taken = 1, timer.timeit(1)
            while taken < effort.batch / 2:
                number = max(2 * number, min(100 * number, int(number * effort.batch / max(taken, 1e-9))))
                taken = timer.timeit(number)
            numbers.append(number)
        best = {}
        started = timeit.default_timer()
        for turn in range(effort.most):
            if turn >= effort.least and timeit.default_timer() - started > effort.seconds:
                break
            for (rival, timer), number in zip(contestants, numbers):
                timer.timeit(1)  # untimed: the threads of the one before may still be spinning, the caches are its
                taken = timer.timeit(number) / number
                best[rival] = min(taken, best.get(rival, taken))
    return best
