"""Compile every CUDA kernel for this device into CuPy's cache, on all processors: the first calls then find them."""

import multiprocessing
import sys
import time

from stablesoft import _cuda_kernels


def compile_kernel(job):
    from stablesoft import _cupy

    _cupy._cubin(*job)


def architecture():
    import cupy

    from stablesoft import _cupy

    return _cupy._architecture(int(cupy.cuda.Device().compute_capability))


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else architecture()
    start = time.perf_counter()
    # Spawned, not forked: a fork would inherit the CUDA context.
    with multiprocessing.get_context("spawn").Pool() as pool:
        jobs = [(name, wanted) for name in _cuda_kernels.kernels()]
        pool.map(compile_kernel, jobs, chunksize=1)
    print(f"{len(jobs)} kernels for sm_{wanted} in {time.perf_counter() - start:.0f} s")
