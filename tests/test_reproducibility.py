"""One input, one result, bit for bit: instruction sets, threads, memory layouts, axes, blocking."""

import multiprocessing
import sys
import warnings

import numpy as np
import pytest
import worker as batch
from conftest import isa_names

import stablesoft
from cases import CASES, PLAIN, rows

IDS = [case.id for case in PLAIN]
NAMES = [case.name for case in PLAIN]


def differing(found, expected):
    assert found.keys() == expected.keys()
    return [key for key in expected if key != "isa" and found[key] != expected[key]]


def test_isa(isa, worker):
    """Every instruction set the machine has gives the digests of the plain C one, and is the one really used."""
    found = worker(isa=isa, threads=2)
    assert found["isa"] == isa
    assert differing(found, worker(isa=isa_names()[-1], threads=2)) == []


def test_threads(threads, worker):
    assert differing(worker(threads=threads, batch="blocks"), worker(threads=1, batch="blocks")) == []


def test_this_process(worker):
    """The digests of a fresh process are those of this one, whatever has run in it before."""
    expected = {key: value for key, value in worker(threads=2).items() if key.endswith(" rows")}
    found = batch.digests("rows")
    assert len(expected) > 10
    assert differing({key: found[key] for key in expected}, expected) == []


def test_bits_distinguish(worker):
    """The digests see the values: no two functions or inputs share one (an option may change nothing)."""
    plain = {key: value for key, value in worker(threads=1, batch="blocks").items() if key.split()[0] in NAMES}
    assert len(plain) >= 4 * 2 * 10
    assert len(set(plain.values())) == len(plain)


def assert_same_bits(got, expected, what):
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.dtype == expected.dtype and got.shape == expected.shape, what
    if batch.canonical(got) != batch.canonical(expected):
        places = np.argwhere(~((got == expected) | (np.isnan(got) & np.isnan(expected))))
        first = tuple(places[0]) if len(places) else "a zero's sign"
        detail = f"{got[first].item().hex()}, not {expected[first].item().hex()}" if len(places) else ""
        pytest.fail(f"{what}: {len(places)} of {got.size} differ, first at {first}: {detail}")


def hard_matrix(dtype, outer, n):
    """Rows cut from the named hard rows, padded by their own neighbours."""
    pool = np.concatenate([row[np.isfinite(row)] for row in rows(dtype).values() if row.size < 300])
    matrix = np.resize(pool, (outer, n)).copy()
    matrix[::7, ::3] = -np.inf
    return matrix


def layouts(x):
    """(name, array equal to the matrix x, axis along which its rows run)."""
    outer, n = x.shape
    yield "F", np.asfortranarray(x), 1
    yield "transposed", np.ascontiguousarray(x.T), 0
    wide = np.full((outer, 3 * n + 1), 77, x.dtype)
    wide[:, 1::3] = x
    yield "strided along the axis", wide[:, 1::3], 1
    tall = np.full((2 * outer, n), 77, x.dtype)
    tall[::2] = x
    yield "strided across", tall[::2], 1
    yield "negative along the axis", np.ascontiguousarray(x[:, ::-1])[:, ::-1], 1
    yield "negative across", np.ascontiguousarray(x[::-1])[::-1], 1
    padded = np.full((outer, n + 3), 77, x.dtype)
    padded[:, 1 : n + 1] = x
    yield "padded rows", padded[:, 1 : n + 1], 1
    columns = np.full((n, 2 * outer), 77, x.dtype)
    columns[:, ::2] = x.T
    yield "columns, strided", columns[:, ::2], 0
    buffer = np.zeros(x.nbytes + 16, np.uint8)
    unaligned = buffer[1 : 1 + x.nbytes].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    assert not unaligned.flags.aligned
    yield "unaligned", unaligned, 1
    read_only = x.copy()
    read_only.flags.writeable = False
    yield "read-only", read_only, 1
    yield "byte-swapped", x.astype(x.dtype.newbyteorder()), 1
    yield "big stride", np.broadcast_to(x[:, :, None], (outer, n, 3))[:, :, 1], 1


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_alone_and_among_many(case, dtype):
    """The lanes of a vector are elements of one row, or rows."""
    for name, row in rows(dtype).items():
        if row.size <= 300:
            alone = np.asarray(case(stablesoft, row))
            many = case(stablesoft, np.tile(row, (40, 1)), axis=1)
            assert_same_bits(many, np.broadcast_to(alone, many.shape), name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
@pytest.mark.parametrize("n", [1, 2, 5, 10, 15, 16, 17, 33, 130])
def test_layouts(case, dtype, n):
    x = hard_matrix(dtype, 29, n)
    expected = np.stack([np.asarray(case(stablesoft, row.copy())) for row in x])
    assert_same_bits(case(stablesoft, x, axis=1), expected, "C, against row by row")
    assert_same_bits(case(stablesoft, x, axis=-1), expected, "negative axis")
    for name, array, axis in layouts(x):
        before = array.tobytes()
        got = case(stablesoft, array, axis=axis)
        if not case.reduces:
            got = np.moveaxis(got, axis, 1)
        assert_same_bits(got, expected, name)
        assert array.tobytes() == before, f"{name}: the input changed"


@pytest.mark.parametrize("case", PLAIN, ids=IDS)
@pytest.mark.parametrize("n", [3, 12, 21, 40])
def test_axis_position(case, dtype, n):
    """3-d: the middle axis has inner-contiguous rows, as NCHW images do."""
    x = hard_matrix(dtype, 6 * 35, n).reshape(6, 35, n)
    expected = case(stablesoft, x, axis=2)
    for place in (0, 1):
        got = case(stablesoft, np.ascontiguousarray(np.moveaxis(x, 2, place)), axis=place)
        if not case.reduces:
            got = np.moveaxis(got, place, 2)
        assert_same_bits(got, expected, f"axis {place}")


@pytest.mark.parametrize("case", PLAIN, ids=IDS)
@pytest.mark.parametrize("axis", [None, (0, 2), (1, 2), (2, 0), (-1, -3), (0, 1, 2), (1,)])
def test_axis_tuple(case, dtype, axis):
    x = hard_matrix(dtype, 30, 7).reshape(5, 6, 7)
    axes = tuple(range(3)) if axis is None else tuple(a % 3 for a in axis)
    kept = [a for a in range(3) if a not in axes]
    order = (*kept, *sorted(axes))
    flat = np.ascontiguousarray(x.transpose(order)).reshape(*(x.shape[a] for a in kept), -1)
    expected = case(stablesoft, flat, axis=-1)
    got = case(stablesoft, x, axis=axis)
    if not case.reduces:
        assert got.shape == x.shape
        got = got.transpose(order).reshape(flat.shape)
    assert_same_bits(got, expected, axis)


@pytest.mark.parametrize("case", PLAIN, ids=IDS)
def test_out_layouts(case, dtype):
    """The layout of out does not matter either."""
    x = hard_matrix(dtype, 19, 23)
    expected = case(stablesoft, x, axis=1)
    makers = {
        "C": lambda y: np.empty(y.shape, dtype),
        "F": lambda y: np.empty(y.shape, dtype, order="F"),
        "strided": lambda y: np.empty((*y.shape[:-1], 2 * y.shape[-1]), dtype)[..., ::2],
        "negative": lambda y: np.empty(y.shape, dtype)[::-1],
    }
    for name, make in makers.items():
        out = make(expected)
        out[...] = 77
        assert case(stablesoft, x, axis=1, out=out) is out, name
        assert_same_bits(out, expected, name)


@pytest.mark.parametrize("case", PLAIN, ids=IDS)
def test_blocking(case, dtype):
    """A row has the same bits wherever it stands in a batch, and whatever its neighbours are."""
    random = np.random.default_rng(2)
    row = random.normal(0, 3, 10).astype(dtype)
    alone = case(stablesoft, row)
    for outer in (2, 7, 8, 9, 33):
        x = random.normal(0, 100, (outer, 10)).astype(dtype)
        for place in range(outer):
            x[place] = row
            assert_same_bits(case(stablesoft, x, axis=1)[place], alone, f"row {place} of {outer}")


@pytest.mark.parametrize("n", [4097, 9000, 20000, 50257])
def test_kept_terms(dtype, n):
    """Rows of several tiles, one scale each, against columns, which know one scale: subnormal results, too."""
    x = np.random.default_rng(n).normal(0, 3, (8, n)).astype(dtype)
    limit = -np.log(np.finfo(dtype).smallest_subnormal)
    for row, fall in zip(x, (0, 0.5, 0.8, 0.95, 1, 1.2, 3, np.inf)):
        row[1000:] -= fall * limit
        row[8200:] -= fall * limit / 20
    x[1] = x[1, ::-1]
    x[2] += 20000
    x[3] += 40000
    expected = np.ascontiguousarray(stablesoft.softmax(np.ascontiguousarray(x.T), axis=0).T)
    assert_same_bits(stablesoft.softmax(x, axis=1), expected, "rows")
    alone = [stablesoft.softmax(row) for row in x]
    assert_same_bits(np.stack(alone), expected, "row by row")


@pytest.mark.parametrize("case", PLAIN, ids=IDS)
def test_beside_the_largest_reduced(case):
    """Tiles on both sides of -2^45, from where on x less the peak is reduced instead of x."""
    x = np.full(5000, -np.inf)
    x[[0, 4999]] = -(2.0**45), np.nextafter(-(2.0**45), -np.inf)
    forth, back = case(stablesoft, np.stack([x, x[::-1]]), axis=1)
    assert_same_bits(back if case.reduces else back[::-1], forth, "reversed")
    assert_same_bits(case(stablesoft, np.stack([x] * 9, axis=1), axis=0)[..., 0], forth, "columns")


def _child(queue, dtype):
    random = np.random.default_rng(9)
    x = random.normal(size=(600, 2000)).astype(dtype)
    queue.put(batch.digest(*(case(stablesoft, x, axis=1) for case in PLAIN)))


def test_large_terms_apart_or_together(dtype):
    """Two large terms, in one tile or in two: how the second one joins the sum must not show in a bit."""
    random = np.random.default_rng(5)
    count, n = 1500, 4300
    large = random.normal(0, 3, (2, count)).astype(dtype)
    apart, together = np.full((2, count, n), -30, dtype=dtype)
    apart[:, 10], apart[:, n - 50] = large
    together[:, 10], together[:, 11] = large
    expected = stablesoft.logsumexp(together, axis=1)
    np.testing.assert_array_equal(stablesoft.logsumexp(apart, axis=1), expected)
    np.testing.assert_array_equal(stablesoft.logsumexp(np.ascontiguousarray(apart.T), axis=0), expected)
    places = [10, n - 50, 0]
    expected = stablesoft.log_softmax(together, axis=1)[:, [10, 11, 0]]
    np.testing.assert_array_equal(stablesoft.log_softmax(apart, axis=1)[:, places], expected)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_forked_child(dtype):
    """libgomp hangs in a child of a process that has used threads, so a child must compute on one."""
    context = multiprocessing.get_context("fork")
    here = context.SimpleQueue()
    _child(here, dtype)  # starts the threads of this process
    expected = here.get()
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(queue, dtype))
    with warnings.catch_warnings():
        # Python 3.12 warns of any fork beside threads; that it works here is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
        child.join()
        pytest.fail("the forked child hangs")
    assert child.exitcode == 0
    assert queue.get() == expected
