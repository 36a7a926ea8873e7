"""The fake CuPy computes like NumPy and catches every planted mistake."""

import ctypes
import gc
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.gpu_emulation import capture, fake_cuda, install, memory, pools, streams
from tests.gpu_emulation import fake_cupy as cp
from tests.gpu_emulation.stats import allow_synchronize, stats
from tests.gpu_emulation.surface import surface
from tests.support.project import ROOT

HOST = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Start with zero counts, and leave no capture, limit or damage behind."""
    stats.reset()
    yield
    if capture.capturing():
        capture.end()
    streams.Stream._capturing = None
    streams.Stream.null.use()
    memory.limit = None
    stats.reset()
    memory.check_guards()


@pytest.fixture
def device() -> Any:
    return cp.asarray(HOST)


def ids(*numbers: int) -> Any:
    return cp.asarray(np.array(numbers))


def captured(work: Callable[[], Any], pool: Any = None) -> tuple[Any, Any]:
    """Capture `work`; return the graph and the result of `work`."""
    pool = pool or cp.cuda.MemoryPool()
    stream = cp.cuda.Stream(non_blocking=True)
    with stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        try:
            result = work()
        finally:
            graph = stream.end_capture()
    return graph, result


def bfloat16(*shape: int) -> Any:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    return cp.zeros(shape, dtype=ml_dtypes.bfloat16)


DISPATCHED: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "maximum": lambda x: np.maximum(x, 3.0),
    "numpy scalar": lambda x: np.float32(2.0) * x,
    "where": lambda x: np.where(x > 3, x, 0.0),
    "zeros_like": np.zeros_like,
    "ones_like": lambda x: np.ones_like(x, dtype=np.float64),
    "full_like": lambda x: np.full_like(x, 7.0),
    "tri": lambda x: np.tri(3, 3, 0, dtype=bool, like=x),
    "asarray": lambda x: np.asarray(HOST, like=x),
    "arange": lambda x: np.arange(4, like=x),
    "stack": lambda x: np.stack([x, x]),
    "concatenate": lambda x: np.concatenate([x, x], axis=1),
    "take_along_axis": lambda x: np.take_along_axis(x, np.arange(3, like=x)[:, None], axis=-1),
    "sum": lambda x: np.sum(x, axis=0, keepdims=True),
    "var": lambda x: np.var(x, axis=1),
    "matmul": lambda x: np.matmul(x, x.T),
    "linalg": np.linalg.norm,
    "add.at": lambda x: _added_at(np.zeros_like(x), np.asarray(np.array([0, 0, 1]), like=x), x),
    "split": lambda x: np.split(x, 2, axis=1)[1],
    "operators": lambda x: -(2.0 - x) / (x + 1) ** 2 // 1 % 5,
    "methods": lambda x: x.max(axis=-1) - x.min(axis=-1) + x.mean(axis=-1) + x.reshape(-1)[:3].copy(),
    "views": lambda x: x.T[1:, ::2].swapaxes(0, 1),
    "integers": lambda x: (x.astype(np.int32) & 6) << 1,
    "clip": lambda x: x.clip(2.0, 5.0),
    "gather": lambda x: x[np.asarray(np.array([2, 0]), like=x), 1:],
    "mask": lambda x: x[x > 5],
    "argsort": lambda x: np.argsort(-x, axis=-1),
    "promote": lambda x: x.astype(np.promote_types(x.dtype, np.float64)),
}


def _added_at(array: Any, index: Any, values: Any) -> Any:
    np.add.at(array, index, values)
    return array


@pytest.mark.parametrize("name", DISPATCHED)
def test_numpys_functions_reach_the_fake_and_agree_with_numpy(name: str, device: Any) -> None:
    expected, result = DISPATCHED[name](HOST.copy()), DISPATCHED[name](device)
    assert isinstance(result, cp.ndarray)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result.get(), expected)


def test_empty_like_takes_a_shape_and_empty_is_poisoned(device: Any) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        assert np.isnan(cp.empty((3,), dtype).get()).all()
    assert (cp.empty((2,), np.int32).get() == -1).all()
    assert np.isnan(np.empty_like(device, shape=(2, 5)).get()).all()
    assert np.isnan(bfloat16(1).get().astype(np.float32)).sum() == 0
    assert np.isnan(np.empty_like(bfloat16(2)).get().astype(np.float32)).all()


def test_views_share_memory_and_results_do_not(device: Any) -> None:
    row = device[1]
    row += 100.0
    assert device[1, 0].item() == 104.0
    copy = device.copy()
    copy.fill(0.0)
    assert device[1, 0].item() == 104.0
    before = device
    device -= 1.0
    assert before is device
    assert device.astype(np.float32, copy=False) is device
    assert np.exp(device, out=device) is device


MISTAKES: dict[str, tuple[type[Exception], Callable[[Any], Any]]] = {
    "numpy on the right": (TypeError, lambda x: x * HOST),
    "numpy on the left": (TypeError, lambda x: HOST * x),
    "numpy in matmul": (TypeError, lambda x: HOST @ x.T),
    "in place": (TypeError, lambda x: x.__iadd__(HOST)),
    "numpy in where": (TypeError, lambda x: np.where(HOST > 3, x, 0.0)),
    "numpy in concatenate": (TypeError, lambda x: np.concatenate([x, HOST])),
    "implicit conversion": (TypeError, np.array),
    "into numpy": (TypeError, lambda x: np.copyto(HOST.copy(), x)),
    "numpy gets it": (TypeError, lambda x: HOST.copy().__setitem__(slice(None), x)),
    "ufunc without counterpart": (TypeError, lambda x: np.vecdot(x, x)),
    "function without counterpart": (TypeError, np.block),
    "reduce": (TypeError, np.maximum.reduce),
    "where=": (TypeError, lambda x: cp.sum(x, where=x > 0)),
    "initial=": (TypeError, lambda x: np.max(x, initial=0.0)),
    "method's initial=": (TypeError, lambda x: x.max(initial=0.0)),
    "ufunc where=": (TypeError, lambda x: np.exp(x, where=x > 0)),
    "errstate": (AttributeError, lambda x: cp.errstate(all="raise")),
    "clip min=": (TypeError, lambda x: cp.clip(x, min=0, max=1)),
    "take mode=": (TypeError, lambda x: cp.take(x, ids(0), mode="clip")),
    "einsum out=": (TypeError, lambda x: cp.einsum("ab->ba", x, out=x)),
    "assign numpy": (TypeError, lambda x: x.__setitem__(slice(None), HOST)),
    "host index": (TypeError, lambda x: x[np.array([1])]),
    "host index to write": (TypeError, lambda x: x.__setitem__(np.array([1]), 0.0)),
    "list index": (TypeError, lambda x: x[[0, 1]]),
    "gather out of range": (IndexError, lambda x: x[ids(3)]),
    "take out of range": (IndexError, lambda x: cp.take(x, ids(-4), axis=0)),
    "scatter out of range": (IndexError, lambda x: x.__setitem__(ids(7), 0.0)),
    "duplicate setitem": (ValueError, lambda x: x.__setitem__(ids(1, 1), 0.0)),
    "same row counted from both ends": (ValueError, lambda x: x.__setitem__(ids(2, -1), 0.0)),
    "multiply.at": (NotImplementedError, lambda x: np.multiply.at(x, ids(0), 2.0)),
    "range": (TypeError, lambda x: range(x[0, 0])),
    "dtype of set": (TypeError, lambda x: x.set(HOST.astype(np.float64))),
    "shape of set": (ValueError, lambda x: x.set(HOST[:2])),
    "set of a view": (RuntimeError, lambda x: x[:, ::2].set(HOST[:, ::2])),
    "bf16 batched matmul": (TypeError, lambda x: bfloat16(2, 3, 4) @ bfloat16(2, 4, 3)),
    "bf16 var": (TypeError, lambda x: bfloat16(3).var()),
    "normal": (AttributeError, lambda x: cp.random.default_rng(0).normal),
    "permutation": (AttributeError, lambda x: cp.random.default_rng(0).permutation),
    "no device": (fake_cuda.CUDARuntimeError, lambda x: cp.cuda.Device(3).use()),
    "null stream": (RuntimeError, lambda x: cp.cuda.Stream.null.begin_capture()),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_caught(name: str, device: Any) -> None:
    error, mistake = MISTAKES[name]
    with pytest.raises(error):
        mistake(device)


HIDDEN_WAITS: dict[str, Callable[[Any], Any]] = {
    "float": lambda x: float(x[0, 0]),
    "int": lambda x: int(x[0, 0]),
    "bool": lambda x: bool(x[0, 0]),
    "item": lambda x: x[0, 0].item(),
    "get": lambda x: x.get(),
    "tolist": lambda x: x.tolist(),
    "format": lambda x: f"{x[0, 0]:.3f}",
    "print": str,
    "nonzero": np.nonzero,
    "mask": lambda x: x[x > 3],
    "allclose": lambda x: bool(np.allclose(x, x)),
}


@pytest.mark.parametrize("name", HIDDEN_WAITS)
def test_hidden_waits_are_counted_and_refused(name: str, device: Any) -> None:
    HIDDEN_WAITS[name](device)
    assert stats.synchronisations == 1
    with allow_synchronize(False), pytest.raises(RuntimeError, match="allow_synchronize"):
        HIDDEN_WAITS[name](device)
    with pytest.raises(RuntimeError, match="captur"):
        captured(lambda: HIDDEN_WAITS[name](device))


def test_reductions_and_copies_that_do_not_wait_are_not_counted(device: Any) -> None:
    with allow_synchronize(False):
        assert device.sum().shape == ()
        pinned = pools.empty_pinned((3, 4), np.float32)
        device.get(out=pinned, blocking=False)
    np.testing.assert_array_equal(pinned, HOST)
    assert stats.synchronisations == 0
    device.set(HOST)
    assert stats.uploads == 2  # one by the fixture, and this one


CHAIN_INPUT = np.linspace(-2.0, 2.0, 12, dtype=np.float32).reshape(3, 4)


def _chain(x: Any, host: np.ndarray) -> tuple[Any, Any]:
    x.set(host)
    y = np.exp(x) / (x * x + 1.0)
    y -= y.max(axis=-1, keepdims=True)
    z = np.where(y > -0.5, y, 0.0).T.reshape(2, 6)  # a view, then a copy
    z[:, 1:3] *= 2.0
    order = (x[:, 0] * 0.0).astype(np.int64) + np.arange(3, like=x)
    rows = y[order]
    rows[order, order] = 9.0
    np.add.at(rows, (order, order), z[0, :3])
    total = np.zeros_like(y)
    total += rows
    np.maximum(total, 0.25, out=total)
    return total, z.sum(axis=0, keepdims=True) + total.mean()


def test_a_replayed_graph_equals_eager_work() -> None:
    host = CHAIN_INPUT.copy()
    x = cp.empty((3, 4), np.float32)
    gc.collect()  # so that nothing left by earlier tests is freed in between
    before = memory.current
    graph, results = captured(lambda: _chain(x, host))
    assert memory.current > before
    for result in (x, *results):
        assert np.isnan(result.get()).all()  # nothing ran yet
    for factor in (1.0, -0.5):
        host[...] = CHAIN_INPUT * factor  # a captured upload reads the values at launch
        graph.launch()
        for result, expected in zip(results, _chain(cp.empty((3, 4), np.float32), host.copy()), strict=True):
            np.testing.assert_array_equal(result.get(), expected.get())


def test_an_index_out_of_range_shows_when_the_graph_runs(device: Any) -> None:
    index = ids(0, 1)
    graph, _ = captured(lambda: device[index])
    graph.launch()
    index.set(np.array([0, 9]))
    with pytest.raises(IndexError):
        graph.launch()


UNCAPTURABLE: dict[str, Callable[[Any], Any]] = {
    "matmul": lambda x: x @ x.T,
    "dot": lambda x: x.dot(x.T),
    "einsum": lambda x: cp.einsum("ab,cb->ac", x, x),
    "argsort": lambda x: x.argsort(),
    "sort": lambda x: x.sort(),
    "unique": np.unique,
    "upload": lambda x: cp.asarray(HOST),
    "random": lambda x: cp.random.default_rng(0).random(3),
    "pinned": lambda x: cp.cuda.alloc_pinned_memory(8),
    "synchronize": lambda x: cp.cuda.get_current_stream().synchronize(),
    "device": lambda x: cp.cuda.runtime.deviceSynchronize(),
    "other stream": lambda x: cp.cuda.Stream.null.use() and x + 1,
    "wrong shape in place": lambda x: x.__iadd__(cp.empty((5,))),
}


@pytest.mark.parametrize("name", UNCAPTURABLE)
def test_work_that_cannot_be_captured_is_refused(name: str, device: Any) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        captured(lambda: UNCAPTURABLE[name](device))


def test_the_default_pool_is_refused_while_capturing(device: Any) -> None:
    default = cp.get_default_memory_pool()
    with pytest.raises(RuntimeError, match="default memory pool"):
        captured(lambda: device + 1.0, pool=default)


def test_guard_zones_reveal_writes_outside_an_array() -> None:
    array = cp.zeros((3,), np.float32)
    assert array.data.ptr % 256 == 0
    memory.check_guards()
    ctypes.memset(array.data.ptr + array.nbytes, 0, 4)
    with pytest.raises(memory.IllegalAddress, match="after an array of 12 bytes"):
        memory.check_guards()
    ctypes.memset(array.data.ptr + array.nbytes, 0xFF, 4)
    ctypes.memset(array.data.ptr - 1, 0, 1)
    del array  # damage outlives the array
    with pytest.raises(memory.IllegalAddress, match="before"):
        memory.check_guards()


def test_memory_is_counted_and_limited() -> None:
    before = memory.current
    array = cp.zeros((1000,), np.float32)
    assert memory.current == before + 4000
    assert cp.cuda.runtime.memGetInfo()[0] == memory.TOTAL - memory.current
    view = array[10:]
    del array
    assert memory.current == before + 4000
    del view
    assert memory.current == before
    memory.limit = before + 100
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.zeros((1000,), np.float32)


def test_pools_count_and_limit() -> None:
    pool = cp.cuda.MemoryPool()
    with cp.cuda.using_allocator(pool.malloc):
        array = cp.zeros((100,), np.float32)
        assert pool.used_bytes() == pool.total_bytes() == 512
        del array
        assert (pool.used_bytes(), pool.total_bytes()) == (0, 512)
        pool.free_all_blocks()
        assert pool.total_bytes() == 0
        pool.set_limit(size=100)
        with pytest.raises(cp.cuda.memory.OutOfMemoryError):
            cp.zeros((100,), np.float32)


def test_16_bit_numbers_are_accumulated_in_float32() -> None:
    ones = bfloat16(1, 1000) + 1.0
    assert float(ones.sum()) == 1000.0
    assert float((ones @ ones.T)[0, 0]) == 1000.0
    assert (ones * 2.0).dtype == ones.dtype


def test_devices_streams_and_pinned_memory() -> None:
    properties = cp.cuda.runtime.getDeviceProperties(0)
    assert (properties["name"], cp.cuda.Device(0).compute_capability) == (b"Emulated GPU", "90")
    stream = cp.cuda.Stream(non_blocking=True)
    with cp.cuda.Device(0), stream:
        assert cp.cuda.get_current_stream() == stream != cp.cuda.Stream.null
    assert (cp.cuda.get_current_stream().ptr, stream.is_capturing()) == (0, False)
    pinned = cp.cuda.alloc_pinned_memory(12)
    array = np.frombuffer(pinned, np.float32, 3)
    assert array.ctypes.data == pinned.ptr
    stats.device_count = 0
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError):
        cp.cuda.runtime.getDeviceCount()
    assert not cp.is_available()


def test_the_fake_classes_have_only_names_that_cupy_has() -> None:
    for name in ("Device", "Event", "Graph", "MemoryPool", "Stream"):
        ours = {member for member in vars(getattr(cp.cuda, name)) if not member.startswith("_")}
        theirs = {entry.rsplit(".", 1)[1] for entry in surface() if entry.startswith(f"cupy.cuda.{name}.")}
        assert ours <= theirs, name


def test_every_name_of_the_surface_resolves() -> None:
    for entry in surface():
        if entry.count(".") == 1 and entry != "cupy.__version__":
            assert getattr(cp, entry.rsplit(".", 1)[1]) is not None or entry == "cupy.newaxis"


def test_install_and_uninstall_leave_no_trace() -> None:
    install.uninstall()  # other tests may have left it installed
    watched = ("cupy", "cupyx", "cupy.cuda", "cupy.cuda.runtime", "cuda", "cuda.pathfinder")
    before = {name: sys.modules.get(name) for name in watched}
    install.install()
    try:
        install.install()
        import cupy
        import cupyx
        from cupy.cuda import runtime

        assert cupy is cp
        assert runtime is cp.cuda.runtime
        with cupyx.allow_synchronize(False), pytest.raises(RuntimeError):
            float(cupy.zeros(()))
    finally:
        install.uninstall()
        install.uninstall()
    assert {name: sys.modules.get(name) for name in watched} == before


def test_the_surface_is_that_of_the_installed_cupy() -> None:
    install.uninstall()
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("no CuPy is installed to compare surface.json with")
    command = [sys.executable, "-m", "tests.gpu_emulation.freeze_surface", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
