"""The CUDA kernels of focal losses and of ignored targets, over the templates of the other losses, as _cuda.kernels.

They are kernels of their own because a power, or one more test for each element, takes registers.
"""

from . import _cuda
from ._cuda import ALIKE, FOCAL, MOST_THREADS, SIGMOID, SIGMOID_FOCAL


def focal_kernels():
    """{name: Kernel} of all."""
    found = {}
    for dtype, short in _cuda._TYPES.items():
        for name, *kernel in _cuda._label_kernels(FOCAL, dtype, short):
            if not name.endswith(ALIKE):
                found[name] = _cuda.loss_kernel(*kernel)
        few = 1 if dtype == "float16" else 2  # 8 elements to a thread take 160 registers
        for name, blocks, body in (
            (f"{SIGMOID_FOCAL}_{dtype}", 2, f"focal_elements<{short}>(x, y, a, g, o)"),
            (f"{SIGMOID_FOCAL}_{dtype}_finish", 1, f"finish_focal<{short}>(x, a, g, o)"),
            (f"{SIGMOID}_{dtype}_ignored", few, f"sigmoid_elements<{short}, 1>(x, y, a, g, o)"),
            (f"{SIGMOID}_{dtype}_count", 2, f"count_targets<{short}>(a, g, o)"),
        ):
            found[name] = _cuda.loss_kernel(MOST_THREADS, blocks, body)
    return found
