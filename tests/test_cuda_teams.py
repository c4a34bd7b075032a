"""Rows that teams of blocks share: how calls are laid over them, and many turns of few teams, run on the CPU."""

import numpy as np
import pytest
from test_cuda_emulation import expected, run
from test_cuda_losses import check
from test_reproducibility import assert_same_bits

from emulation import EMULATED, aligned, tiled
from stablesoft import _cuda, _cuda_kernels


@pytest.mark.parametrize("multiprocessors", [1, 7, 46, 132])
@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("operation", ["softmax", "logsumexp"])
def test_plans(operation, kind, multiprocessors):
    """Every element has its block; those that wait for each other run at once, and share what the cache can hold."""
    size = np.dtype(kind).itemsize
    for shape, axis in (((1, 10**8), 1), ((3, 10**6), 1), ((200, 16384), 1), ((8192, 262144), 1), ((8192, 50257), 1),
                        ((65536, 512), 0), ((4 * 10**6, 21), 0), ((10**6, 40), 0), ((4096, 65536), 0)):  # fmt: skip
        steps = shape[1] * size, size
        steps_y = tuple(0 if operation == "logsumexp" and i == axis else step for i, step in enumerate(steps))
        plan = _cuda.plan(operation, kind, shape, (axis,), steps, steps_y, True, multiprocessors=multiprocessors)
        first, g = plan.launches[0], plan.structs[0]
        if not g["parts"]:
            assert not first.together
            continue
        columns = first.kernel.endswith("columns_teams")
        width, height = first.block if columns else (1, first.block[0])
        places, members = -(-int(g["rows"]) // width), int(g["parts"])
        teams, left = divmod(first.grid[0], members)
        assert left == 0
        assert g["share"] * (members - 1) < g["n"] <= g["share"] * members
        assert plan.scratch >= teams * members * width * _cuda.PER_PART
        assert g["emptied"] * 64 * height >= g["share"]
        assert first.together == (operation == "softmax")
        if not first.together:
            assert teams == places
            continue
        running = multiprocessors * _cuda_kernels.kernels()[first.kernel].blocks
        assert teams <= places
        assert first.grid[0] <= running
        # a block has as many bytes as the cache has room for, or all blocks work on the same rows
        assert g["share"] * width * size <= 1.25 * _cuda.TEAM_BYTES or teams == 1


@pytest.fixture
def few_teams(monkeypatch):
    monkeypatch.setattr(_cuda, "MULTIPROCESSORS", 4)
    monkeypatch.setattr(_cuda, "MOST_THREADS", 64)
    monkeypatch.setattr(_cuda, "LEAST_SHARE", 256)
    monkeypatch.setattr(_cuda, "TEAM_BYTES", 4096)


@EMULATED[0]
@EMULATED[1]
@pytest.mark.parametrize("operation", ["softmax", "log_softmax"])
@pytest.mark.usefixtures("few_teams")
def test_turns(emulation, operation, dtype):
    """A team goes from rows to rows, of which some have to be read again."""
    for outer, n in ((90, 1500), (40, 6000)):
        x = tiled(dtype, outer, n)
        want = expected(operation, x, 1)
        assert_same_bits(run(emulation, operation, x, 1, wanted="long_teams"), want, (outer, n))
        columns = aligned((n, outer), dtype)
        columns[...] = x.T
        assert_same_bits(run(emulation, operation, columns, 0, wanted="columns_teams").T, want, (outer, n))
        assert_same_bits(run(emulation, operation, x, 1, y=x, wanted="teams"), want, "in place")


@EMULATED[0]
@EMULATED[1]
@pytest.mark.usefixtures("few_teams")
def test_turns_of_losses(emulation, dtype):
    x = tiled(dtype, 60, 3000)
    labels = np.random.default_rng(1).integers(0, 3000, 60)
    for options in ({}, {"reduction": "none"}, {"ignore_index": int(labels[3])}, {"z_loss": 0.1}):
        check(emulation, x, labels, 1, options, "long", **options)
        check(emulation, np.ascontiguousarray(x.T), labels, 0, options, "columns", **options)
