"""The one list of what is measured, and the goals; tables, JSON and memory figures are derived from it."""

import math
from dataclasses import dataclass, field

from .data import MARGINS, SECOND

SMALL = 16  # elements: what is timed up to here is the call itself
LARGE = 1_000_000  # elements: from here on the memory is measured too
MEMORY_PER_THREAD = 2**20  # bytes beside the result, and no temporary of the input's size

# Goals bound the rival's time / ours from below, but for these rivals our time / theirs from above.
AT_MOST = frozenset({"np.exp"})


@dataclass(frozen=True)
class Case:
    name: str
    operation: str  # attribute of stablesoft or of stablesoft.margin
    shape: tuple
    dtype: str
    axis: int | None
    goals: dict = field(default_factory=dict)  # rival -> bound on the ratio
    out: bool = True  # write to an array that exists, wherever a function can

    @property
    def id(self):
        return f"{self.operation} {self.shape} {self.dtype}{'' if self.out else ' plain'}"

    @property
    def size(self):
        if self.margin:
            n, k, classes = self.shape
            return (n + classes) * k
        return math.prod(self.shape)

    @property
    def small(self):
        return self.size <= SMALL

    @property
    def reduces(self):
        return self.operation == "logsumexp"

    @property
    def elementwise(self):
        return self.operation == "expit"

    @property
    def loss(self):
        return self.operation in SECOND

    @property
    def margin(self):
        return self.operation in MARGINS

    @property
    def takes_out(self):
        return self.out and not self.loss

    @property
    def result_shape(self):
        """Of the gradient, if it is a loss."""
        if not self.reduces:
            return self.shape
        return tuple(n for axis, n in enumerate(self.shape) if axis != self.axis)

    @property
    def rivals(self):
        if self.small:
            return ("np.exp", "SciPy", "torch")
        if self.margin:
            return ("NumPy", "torch")
        if self.loss or self.operation == "logcumsumexp":
            return ("torch", "memcpy")  # SciPy has none
        return ("SciPy", "torch", "read" if self.reduces else "memcpy")


def both(name, operation, shape, axis, goals, **more):
    return [Case(name, operation, shape, dtype, axis, goals, **more) for dtype in ("float32", "float64")]


CASES = [
    *both("one small row", "softmax", (10,), None, {"np.exp": 2}, out=False),
    *both("one small row", "log_softmax", (10,), None, {"np.exp": 2.5}, out=False),
    *both("one small row", "logsumexp", (10,), None, {"np.exp": 2}, out=False),
    Case("large matrix", "softmax", (4096, 4096), "float32", 1, {"memcpy": 0.8, "torch": 1.5}),
    Case("large matrix, new result", "softmax", (4096, 4096), "float32", 1, {"SciPy": 5}, out=False),
    Case("large matrix", "softmax", (2048, 4096), "float64", 1, {"memcpy": 0.8, "torch": 1.3}),
    *both("in cache", "softmax", (64, 1000), 1, {"torch": 1}),
    Case("many short rows", "softmax", (100_000, 10), "float32", 1, {"memcpy": 0.25, "torch": 12}),
    Case("many short rows", "softmax", (100_000, 10), "float64", 1, {"memcpy": 0.25}),
    *both("channels of images", "softmax", (8, 21, 256, 256), 1, {"memcpy": 0.5, "torch": 1.2}),
    *both("columns", "softmax", (4096, 2048), 0, {"memcpy": 0.5, "torch": 1.2}),
    *both("one long row", "softmax", (10_000_000,), 0, {"torch": 1.5}),
    *both("vocabulary", "softmax", (256, 50257), 1, {"torch": 1.2}),
    Case("large matrix", "log_softmax", (4096, 4096), "float32", 1),
    *both("in cache", "log_softmax", (64, 1000), 1, {}),
    Case("large matrix", "logsumexp", (4096, 4096), "float32", 1, {"read": 0.45, "torch": 7, "SciPy": 40}),
    *both("in cache", "logsumexp", (64, 1000), 1, {"torch": 1.5}),
    *both("many short rows", "logsumexp", (100_000, 10), 1, {"torch": 2}),
    *both("channels of images", "logsumexp", (8, 21, 256, 256), 1, {"torch": 2}),
    *both("columns", "logsumexp", (4096, 2048), 0, {"torch": 2}),
    *both("one long row", "logsumexp", (10_000_000,), 0, {"torch": 3}),
    *both("vocabulary", "logsumexp", (256, 50257), 1, {"torch": 6}),
    *both("square", "logcumsumexp", (1000, 1000), 1, {}),
    Case("large matrix", "softmax_cross_entropy", (4096, 4096), "float32", 1, {"memcpy": 0.6, "torch": 2}),
    *both("many short rows", "softmax_cross_entropy", (100_000, 10), 1, {"torch": 5}),
    *both("channels of images", "softmax_cross_entropy", (8, 21, 256, 256), 1, {"torch": 2}),
    *both("small batch", "softmax_cross_entropy", (32, 10), 1, {"torch": 10}),
    *both("binary labels", "sigmoid_cross_entropy", (4_000_000,), None, {"torch": 2}),
    *both("faces", "arcface", (256, 512, 1000), None, {}, out=False),
    *both("many classes", "arcface", (64, 128, 10_000), None, {}, out=False),
    *both("a plane", "arcface", (32, 2, 10), None, {}, out=False),
    Case("sigmoid", "expit", (4_000_000,), "float32", None, {"torch": 1, "SciPy": 8}),
]


@dataclass(frozen=True)
class Ratio:
    rival: str
    value: float
    goal: float | None

    @property
    def sign(self):
        return "<=" if self.rival in AT_MOST else ">="

    @property
    def met(self):
        """True or False, or None without a goal."""
        if self.goal is None:
            return None
        return self.value <= self.goal if self.rival in AT_MOST else self.value >= self.goal


def ratios(case, seconds):
    """The ratios of a case to the rivals in `seconds` (contestant -> time), in the order of case.rivals."""
    found = []
    for rival in case.rivals:
        if rival in seconds:
            speed_up = seconds[rival] / seconds["stablesoft"]
            found.append(Ratio(rival, 1 / speed_up if rival in AT_MOST else speed_up, case.goals.get(rival)))
    return found
