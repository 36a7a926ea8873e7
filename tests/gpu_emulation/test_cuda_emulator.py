"""The emulator of CUDA kernels: correct kernels work, and each mistake is reported with its reason."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.gpu_emulation import capture, gplusplus, memory, pathfinder
from tests.gpu_emulation.raw_module import Kernel, Race, RawModule, every_schedule

pytestmark = pytest.mark.skipif(gplusplus.missing() is not None, reason=str(gplusplus.missing()))

KERNELS = r"""
extern "C" __global__ void block_sum(const float* x, float* sums, int n) {
    __shared__ float parts[8];
    float sum = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += x[blockIdx.x * n + i];
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x == 0) {
        sum = 0.0f;
        for (int i = 0; i < blockDim.x / 32; i++) sum += parts[i];
        sums[blockIdx.x] = sum;
    }
}
extern "C" __global__ void reverse_dynamic(int* x, int barrier) {
    DYNAMIC_SHARED(int, tile);
    tile[threadIdx.x] = x[threadIdx.x];
    if (barrier) __syncthreads();
    x[threadIdx.x] = tile[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void race_of_warps(int* x) {
    if (threadIdx.x % 32 == 0) x[0] = threadIdx.x / 32;
}
extern "C" __global__ void race_of_blocks(int* x) {
    if (threadIdx.x == 0) x[blockIdx.x] = blockIdx.x == 0 ? 7 : x[0] + 1;
}
extern "C" __global__ void neighbour_in_warp(int* x, int synchronised) {
    __shared__ int tile[32];
    tile[threadIdx.x] = x[threadIdx.x];
    if (synchronised) __syncwarp();
    x[threadIdx.x] = tile[(threadIdx.x + 1) % 32];
}
extern "C" __global__ void atomics(int* count, unsigned* ticket, float* total, int* most) {
    atomicAdd(count, 1);
    atomicInc(ticket, 9u);
    atomicAdd(total, 0.5f);
    atomicMax(most, (int)threadIdx.x);
}
extern "C" __global__ void divergent(int* x) {
    if (threadIdx.x < 3) __syncthreads();
    else if (threadIdx.x == 3) __syncthreads();
    x[threadIdx.x] = 1;
}
extern "C" __global__ void wrong_mask(int* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xffffffffu, 5, 0);
}
extern "C" __global__ void half_a_warp(int* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xffffu, (int)threadIdx.x, 3);
    __syncwarp();
}
extern "C" __global__ void vote_without_ended(unsigned* x) {
    if (threadIdx.x >= 16) return;
    __syncwarp();
    x[threadIdx.x] = __ballot_sync(0xffffffffu, 1);
}
extern "C" __global__ void reads_outside_mask(int* x) {
    if (threadIdx.x < 16) x[threadIdx.x] = __shfl_sync(0xffffu, 5, 20);
    __syncwarp();
}
extern "C" __global__ void waits_for_another_warp_operation(int* x) {
    if (threadIdx.x % 2) __syncwarp();
    else x[0] = __any_sync(0xffffffffu, 1);
}
extern "C" __global__ void uninitialised(float* x) {
    __shared__ float tile[64];
    if (threadIdx.x < 32) tile[threadIdx.x] = 1.0f;
    __syncthreads();
    x[threadIdx.x] = tile[threadIdx.x];
}
extern "C" __global__ void beyond_dynamic(int n) {
    DYNAMIC_SHARED(int, tile);
    if (threadIdx.x == 0) tile[n] = 1;
}
extern "C" __global__ void beyond_static(int n) {
    __shared__ int tile[4];
    tile[n + (int)threadIdx.x] = 1;
}
extern "C" __global__ void fill(float* x, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = 3.0f;
}
extern "C" __global__ void fill_strided(float* x_strided, int stride, int n) {
    for (int i = threadIdx.x; i < n; i += blockDim.x) x_strided[(long long)i * stride] = 3.0f;
}
extern "C" __global__ void add(const float* x, float* y, float a) {
    if (x) y[threadIdx.x] += a * x[threadIdx.x];
}
extern "C" __global__ void load_four(const float* x, float* y, int offset) {
    float4 four = *reinterpret_cast<const float4*>(x + offset);
    y[0] = four.x + four.w;
}
extern "C" __global__ void divide(int* x) { x[0] = 7 / x[0]; }
extern "C" __global__ void __launch_bounds__(64) bounded(int* x) { x[threadIdx.x] = 1; }
extern "C" __global__ void lanes(int* down, int* up, int* exchanged, int* segment, unsigned* votes) {
    int lane = threadIdx.x;
    down[lane] = __shfl_down_sync(0xffffffffu, lane, 4);
    up[lane] = __shfl_up_sync(0xffffffffu, lane, 4);
    exchanged[lane] = __shfl_xor_sync(0xffffffffu, lane, 5);
    segment[lane] = __shfl_sync(0xffffffffu, lane, 3, 8);
    votes[lane] = __ballot_sync(0xffffffffu, lane % 3 == 0);
}
extern "C" __global__ void where_am_i(int* x) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    x[block * blockDim.x * blockDim.y * blockDim.z + thread] = block * 1000 + thread;
}
extern "C" __global__ void convert(
    const float* x, unsigned short* half_bits, unsigned short* bf16_bits, float* back
) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    half_bits[i] = float_to_half_bits(x[i]);
    bf16_bits[i] = float_to_bf16_bits(x[i]);
    back[i] = half_bits_to_float(half_bits[i]);
}
// d (16, 8) += a (16, 16) b (16, 8), both row by row, loaded by ldmatrix (b transposed on the way).
extern "C" __global__ void tile_product(
    const unsigned short* a, const unsigned short* b, float* d, int bf16
) {
    __shared__ __align__(16) unsigned short A[16][16], B[16][8];
    for (int i = threadIdx.x; i < 256; i += 32) A[i / 16][i % 16] = a[i];
    for (int i = threadIdx.x; i < 128; i += 32) B[i / 8][i % 8] = b[i];
    __syncwarp();
    int lane = threadIdx.x, row = lane / 4, column = lane % 4 * 2;
    unsigned of_a[4], of_b[4];
    ldmatrix_x4(of_a, &A[lane % 16][lane / 16 * 8]);
    ldmatrix_x4_trans(of_b, &B[lane % 16][0]);
    float sum[4];
    for (int i = 0; i < 4; i++) sum[i] = d[(row + i / 2 * 8) * 8 + column + i % 2];
    if (bf16) mma_m16n8k16_bf16(sum, of_a, of_b);
    else mma_m16n8k16_half(sum, of_a, of_b);
    for (int i = 0; i < 4; i++) d[(row + i / 2 * 8) * 8 + column + i % 2] = sum[i];
}
extern "C" __global__ void misaligned_row(int* x) {
    __shared__ __align__(16) unsigned short A[32][12];
    unsigned r[4];
    ldmatrix_x4(r, A[threadIdx.x]);
    x[threadIdx.x] = r[0];
}
"""


class Device:
    """A device array: all that the emulator sees of one is `_array`."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array


def device(values: Any, dtype: Any = np.int32) -> Device:
    host = np.asarray(values, dtype)
    array = memory.allocate(host.nbytes).view(host.dtype).reshape(host.shape)
    array[...] = host
    return Device(array)


def zeros(*shape: int, dtype: Any = np.int32) -> Device:
    return device(np.zeros(shape), dtype)


@functools.cache
def module() -> RawModule:
    return RawModule(code=KERNELS)


def kernel(name: str) -> Kernel:
    return module().get_function(name)


# ---- correct kernels work in every order ----


def test_a_block_sum_is_right_in_every_schedule() -> None:
    x = np.random.default_rng(0).standard_normal((5, 300)).astype(np.float32)
    sums = zeros(5, dtype=np.float32)
    with every_schedule():
        kernel("block_sum")((5,), (96,), (device(x, np.float32), sums, np.int32(300)))
    np.testing.assert_allclose(sums._array, x.sum(1), rtol=1e-5, atol=1e-5)


def test_dynamic_shared_memory_and_a_barrier() -> None:
    x = device(np.arange(100))
    with every_schedule():
        kernel("reverse_dynamic")((1,), (100,), (x, np.int32(1)), shared_mem=400)
    assert x._array.tolist() == list(range(99, -1, -1))


def test_shuffles_and_votes() -> None:
    lane = np.arange(32)
    down, up, exchanged, segment = (zeros(32) for _ in range(4))
    votes = zeros(32, dtype=np.uint32)
    with every_schedule():
        kernel("lanes")((1,), (32,), (down, up, exchanged, segment, votes))
    assert down._array.tolist() == np.where(lane + 4 < 32, lane + 4, lane).tolist()
    assert up._array.tolist() == np.where(lane >= 4, lane - 4, lane).tolist()
    assert exchanged._array.tolist() == (lane ^ 5).tolist()
    assert segment._array.tolist() == (lane // 8 * 8 + 3).tolist()
    assert set(votes._array) == {sum(1 << i for i in range(0, 32, 3))}


def test_a_shuffle_of_half_a_warp() -> None:
    x = zeros(32)
    with every_schedule():
        kernel("half_a_warp")((1,), (32,), (x,))
    assert x._array.tolist() == [3] * 16 + [0] * 16


def test_ended_lanes_do_not_vote() -> None:
    x = zeros(32, dtype=np.uint32)
    with every_schedule():
        kernel("vote_without_ended")((1,), (32,), (x,))
    assert x._array.tolist() == [0xFFFF] * 16 + [0] * 16


def test_atomics_do_not_depend_on_the_order() -> None:
    count, ticket, total, most = zeros(1), zeros(1, dtype=np.uint32), zeros(1, dtype=np.float32), zeros(1)
    with every_schedule():
        kernel("atomics")((3,), (40,), (count, ticket, total, most))
    assert [a._array[0] for a in (count, ticket, total, most)] == [120, 0, 60.0, 39]


def test_grids_and_blocks_have_three_dimensions() -> None:
    x = zeros(2 * 3 * 2, 4 * 2 * 3)
    with every_schedule():
        kernel("where_am_i")((2, 3, 2), (4, 2, 3), (x,))
    assert (x._array == np.arange(12)[:, None] * 1000 + np.arange(24)).all()


def test_null_pointers_can_be_passed() -> None:
    y = zeros(4, dtype=np.float32)
    kernel("add")((1,), (4,), (np.uintp(0), y, np.float32(1)))
    assert not y._array.any()


def test_views_of_one_array_are_restored_between_schedules() -> None:
    x = device(np.arange(8), np.float32)
    with every_schedule():
        kernel("add")((1,), (4,), (Device(x._array[:4]), Device(x._array[4:]), np.float32(2)))
    assert x._array.tolist() == [0, 1, 2, 3, 4, 7, 10, 13]


def test_an_array_passed_with_its_strides() -> None:
    x = zeros(4, 3, dtype=np.float32)
    kernel("fill_strided")((1,), (2,), (Device(x._array[:, 1]), np.int32(3), np.int32(4)))
    assert x._array.tolist() == [[0, 3, 0]] * 4


def test_conversions_round_to_nearest_even() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, 64 * 100, dtype=np.uint32).view(np.float32)
    x[: 64 * 60] = rng.standard_normal(64 * 60) * 10.0 ** rng.integers(-9, 6, 64 * 60)
    x[:8] = [0.0, -0.0, 65519.0, 65520.0, np.inf, -np.inf, np.nan, 2.0**-25]
    half_bits, bf16_bits = zeros(len(x), dtype=np.uint16), zeros(len(x), dtype=np.uint16)
    back = zeros(len(x), dtype=np.float32)
    kernel("convert")((100,), (64,), (device(x, np.float32), half_bits, bf16_bits, back))
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(np.float16)
    np.testing.assert_array_equal(half_bits._array.view(np.float16), expected)
    np.testing.assert_array_equal(back._array, expected.astype(np.float32))
    rounded = (bf16_bits._array.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(np.isnan(rounded), np.isnan(x))
    number = ~np.isnan(x)
    bits = x[number].view(np.uint32).astype(np.uint64)
    nearest_even = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    np.testing.assert_array_equal(bf16_bits._array[number], nearest_even)


@pytest.mark.parametrize("bf16", [0, 1], ids=["half", "bf16"])
def test_mma_and_ldmatrix(bf16: int) -> None:
    rng = np.random.default_rng(0)
    a, b, d = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((16, 16), (16, 8), (16, 8)))

    def bits(x: np.ndarray) -> Device:
        packed = x.view(np.uint32) >> 16 if bf16 else x.astype(np.float16).view(np.uint16)
        return device(packed, np.uint16)

    result = device(d, np.float32)
    with every_schedule():
        kernel("tile_product")((1,), (32,), (bits(a), bits(b), result, np.int32(bf16)))
    np.testing.assert_array_equal(result._array, d + a @ b)


# ---- mistakes in a kernel ----


def wrong(name: str, args: tuple[Any, ...], threads: int = 32, blocks: int = 1, shared_mem: int = 0) -> None:
    with every_schedule():
        kernel(name)((blocks,), (threads,), args, shared_mem=shared_mem)


def test_a_missing_barrier() -> None:
    with pytest.raises(Race, match="reverse_dynamic: the result depends on the order"):
        wrong("reverse_dynamic", (device(np.arange(64)), np.int32(0)), threads=64, shared_mem=256)


def test_a_race_between_warps() -> None:
    with pytest.raises(Race, match="race_of_warps"):
        wrong("race_of_warps", (zeros(1),), threads=64)


def test_a_race_between_blocks() -> None:
    with pytest.raises(Race, match="race_of_blocks"):
        wrong("race_of_blocks", (zeros(4),), blocks=4)


def test_a_missing_syncwarp() -> None:
    wrong("neighbour_in_warp", (device(np.arange(32)), np.int32(1)))
    with pytest.raises(Race, match="neighbour_in_warp"):
        wrong("neighbour_in_warp", (device(np.arange(32)), np.int32(0)))


def test_a_divergent_barrier() -> None:
    with pytest.raises(
        RuntimeError, match=r"divergent: deadlock, divergent barrier: thread \(0,0,0\) .*block"
    ):
        kernel("divergent")((1,), (4,), (zeros(4),))
    x = zeros(32)
    kernel("half_a_warp")((1,), (32,), (x,))  # the next launch works again
    assert x._array[0] == 3


def test_a_mask_with_ended_lanes() -> None:
    with pytest.raises(RuntimeError, match=r"wrong_mask: __shfl_sync .*lane 16 of mask 0xffffffff has ended"):
        kernel("wrong_mask")((1,), (32,), (zeros(32),))


def test_a_shuffle_from_outside_the_mask() -> None:
    with pytest.raises(RuntimeError, match="lane 0 reads lane 20, which is not in mask"):
        kernel("reads_outside_mask")((1,), (32,), (zeros(32),))


def test_lanes_in_different_warp_operations() -> None:
    with pytest.raises(RuntimeError, match=r"waits_for_another_warp_operation: deadlock"):
        kernel("waits_for_another_warp_operation")((1,), (32,), (zeros(32),))


def test_uninitialised_shared_memory() -> None:
    x = zeros(64, dtype=np.float32)
    wrong("uninitialised", (x,), threads=64)
    assert (x._array[:32] == 1).all() and np.isnan(x._array[32:]).all()


def test_a_write_beyond_dynamic_shared_memory() -> None:
    kernel("beyond_dynamic")((1,), (1,), (np.int32(3),), shared_mem=16)
    with pytest.raises(
        RuntimeError, match="beyond_dynamic: write 0 bytes behind the 16 bytes of dynamic shared"
    ):
        kernel("beyond_dynamic")((1,), (1,), (np.int32(4),), shared_mem=16)


def test_an_index_outside_a_static_array() -> None:
    with pytest.raises(RuntimeError, match=r"beyond_static: .*outside a static array in thread \(2,0,0\)"):
        kernel("beyond_static")((1,), (4,), (np.int32(2),))


def test_a_write_outside_an_array() -> None:
    x = zeros(10, dtype=np.float32)
    with pytest.raises(memory.IllegalAddress, match="after an array of 40 bytes") as caught:
        kernel("fill")((1,), (32,), (x, np.int32(11)))
    memory.forget_damage()
    assert caught.value.__notes__ == ["after kernel fill"]


def test_a_misaligned_vector() -> None:
    x, y = zeros(16, dtype=np.float32), zeros(1, dtype=np.float32)
    kernel("load_four")((1,), (1,), (x, y, np.int32(4)))
    with pytest.raises(RuntimeError, match=r"load_four: misaligned address.* in thread \(0,0,0\)"):
        kernel("load_four")((1,), (1,), (x, y, np.int32(1)))


def test_a_misaligned_ldmatrix_row() -> None:
    with pytest.raises(RuntimeError, match=r"ldmatrix_x4 .* is not aligned to 16 bytes"):
        kernel("misaligned_row")((1,), (32,), (zeros(32),))


def test_a_null_pointer_dereferenced() -> None:
    with pytest.raises(RuntimeError, match=r"fill: illegal memory access in thread \(0,0,0\)"):
        kernel("fill")((1,), (1,), (np.uintp(0), np.int32(1)))


def test_a_division_by_zero() -> None:
    with pytest.raises(RuntimeError, match="divide: integer division by zero"):
        kernel("divide")((1,), (1,), (zeros(1),))


# ---- mistakes in a launch ----

X, ONE = (lambda: zeros(4, dtype=np.float32)), np.float32(1)
BAD_ARGUMENTS: dict[str, tuple[Callable[[], tuple[Any, ...]], type[Exception], str]] = {
    "host array": (lambda: (np.zeros(4, np.float32), X(), ONE), TypeError, "parameter x: a host array"),
    "wrong array type": (
        lambda: (zeros(4), X(), ONE),
        TypeError,
        "parameter x: int32; expected float32 array",
    ),
    "Python float": (lambda: (X(), X(), 1.0), TypeError, r"parameter a: float; expected np\.float32"),
    "Python int": (lambda: (X(), X(), 1), TypeError, r"parameter a: int; expected np\.float32"),
    "wrong scalar type": (
        lambda: (X(), X(), np.float64(1)),
        TypeError,
        r"parameter a: float64; expected np\.float32",
    ),
    "array for a scalar": (lambda: (X(), X(), X()), TypeError, r"parameter a: Device; expected np\.float32"),
    "scalar for an array": (
        lambda: (X(), ONE, ONE),
        TypeError,
        "parameter y: float32; expected float32 array",
    ),
    "None for a scalar": (lambda: (X(), X(), None), TypeError, "parameter a: None"),
    "None for an array": (
        lambda: (None, X(), ONE),
        TypeError,
        "parameter x: None; CuPy versions pass it differently",
    ),
    "missing argument": (lambda: (X(), X()), TypeError, "add takes 3 arguments, not 2"),
    "strided array": (
        lambda: (Device(zeros(4, 2, dtype=np.float32)._array[:, 0]), X(), ONE),
        ValueError,
        "parameter x: the array is not contiguous",
    ),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments(case: str) -> None:
    args, error, message = BAD_ARGUMENTS[case]
    with pytest.raises(error, match=message):
        kernel("add")((1,), (4,), args())


BAD_SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
    "large block": ((1,), (1025,), r"block \(1025,\)"),
    "large block in 2-D": ((1,), (64, 32), "has 2048 threads, too many"),
    "deep block": ((1,), (1, 1, 65), r"block \(1, 1, 65\)"),
    "empty grid": ((0,), (4,), r"grid \(0,\)"),
    "high grid": ((1, 65536), (4,), r"grid \(1, 65536\)"),
}


@pytest.mark.parametrize("case", BAD_SIZES)
def test_bad_sizes(case: str) -> None:
    grid, block, message = BAD_SIZES[case]
    with pytest.raises(RuntimeError, match=message):
        kernel("fill")(grid, block, (X(), np.int32(4)))


def test_more_threads_than_the_launch_bounds() -> None:
    with pytest.raises(RuntimeError, match=r"bounded: block .* has 65 threads, too many"):
        kernel("bounded")((1,), (65,), (zeros(65),))


def test_too_much_shared_memory() -> None:
    bounded = RawModule(code=KERNELS).get_function("bounded")
    with pytest.raises(RuntimeError, match="49153 bytes of shared memory"):
        bounded((1,), (1,), (zeros(1),), shared_mem=(48 << 10) + 1)
    bounded.max_dynamic_shared_size_bytes = 100_000
    bounded((1,), (1,), (zeros(1),), shared_mem=100_000)
    with pytest.raises(RuntimeError, match="bytes of shared memory"):
        bounded.max_dynamic_shared_size_bytes = (227 << 10) + 1


def test_an_unknown_kernel() -> None:
    with pytest.raises(RuntimeError, match="named symbol not found: nothing"):
        kernel("nothing")


def test_a_source_that_does_not_compile() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)g\+\+ cannot compile broken.*broken\.cu:1:"):
        RawModule(code='extern "C" __global__ void broken(int* x) { x[0] = y; }').compile()


def test_types_come_from_the_options() -> None:
    code = "struct half { unsigned short bits; }; struct bf16 { unsigned short bits; };\n"
    code += 'extern "C" __global__ void put(REAL* x, const REAL* y) { *x = *y; }'
    for real, dtype in {"float": np.float32, "double": np.float64, "half": np.float16}.items():
        put = RawModule(code=code, options=(f"-DREAL={real}", "-std=c++17")).get_function("put")
        x = zeros(1, dtype=dtype)
        put((1,), (1,), (x, device([2], dtype)))
        assert x._array[0] == 2
    ml_dtypes = pytest.importorskip("ml_dtypes")
    put = RawModule(code=code, options=("-DREAL=bf16",)).get_function("put")
    put((1,), (1,), (zeros(1, dtype=ml_dtypes.bfloat16), zeros(1, dtype=ml_dtypes.bfloat16)))
    with pytest.raises(TypeError, match="parameter x: float16; expected bfloat16 array"):
        put((1,), (1,), (zeros(1, dtype=np.float16), zeros(1, dtype=ml_dtypes.bfloat16)))


def test_a_captured_launch_runs_when_the_graph_does() -> None:
    y = zeros(2, dtype=np.float32)
    capture.begin()
    kernel("add")((1,), (2,), (device([1, 2], np.float32), y, ONE))
    graph = capture.end()
    assert not y._array.any()
    for work in graph * 2:
        work()
    assert y._array.tolist() == [2, 4]


# ---- cuBLASLt ----

TYPES: dict[Any, int] = {np.float32: 0, np.float64: 1, np.float16: 2}
COMPUTE_32F, COMPUTE_64F, COMPUTE_TF32 = 68, 70, 77
TRANSA, TRANSB, EPILOGUE, BIAS_POINTER = 3, 4, 7, 8
ORDER, BATCH_COUNT, BATCH_STRIDE = 1, 5, 6
DEFAULT, BIAS, GELU_BIAS, BGRADA, BGRADB, RELU = 1, 4, 36, 256, 512, 2
SUCCESS, INVALID_VALUE, NOT_SUPPORTED = 0, 7, 15


def pointer(array: np.ndarray | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if array is None else array.ctypes.data)


class Lt:
    """One matmul through the library's C interface."""

    def __init__(self) -> None:
        path = pathfinder.fake_module().load_nvidia_dynamic_lib("cublasLt").abs_path
        self.lib = ctypes.CDLL(path)
        self.handle = ctypes.c_void_p()
        assert self.lib.cublasLtCreate(ctypes.byref(self.handle)) == SUCCESS
        self.attributes: dict[int, Any] = {}
        self.workspace: np.ndarray | None = memory.allocate(8192)
        self.batches = 1

    def layout(self, array: np.ndarray, rows: int, columns: int, ld: int, order: int = 0) -> ctypes.c_void_p:
        """Return the layout of a matrix, or of a batch of them."""
        result = ctypes.c_void_p()
        created = self.lib.cublasLtMatrixLayoutCreate(
            ctypes.byref(result),
            TYPES[array.dtype.type],
            *map(ctypes.c_uint64, (rows, columns)),
            ctypes.c_int64(ld),
        )
        assert created == SUCCESS
        stride = array.strides[0] // array.itemsize if self.batches > 1 else 0
        for number, value in (
            (ORDER, ctypes.c_int32(order)),
            (BATCH_COUNT, ctypes.c_int32(self.batches)),
            (BATCH_STRIDE, ctypes.c_int64(stride)),
        ):
            self.set(self.lib.cublasLtMatrixLayoutSetAttribute, result, number, value)
        return result

    def set(self, setter: Any, target: ctypes.c_void_p, number: int, value: Any) -> None:
        assert setter(target, number, ctypes.byref(value), ctypes.c_size_t(ctypes.sizeof(value))) == SUCCESS

    def __call__(
        self,
        a: np.ndarray,
        layout_a: ctypes.c_void_p,
        b: np.ndarray,
        layout_b: ctypes.c_void_p,
        d: np.ndarray,
        layout_d: ctypes.c_void_p,
        compute: int = COMPUTE_32F,
        alpha: float = 1.0,
        beta: float = 0.0,
    ) -> int:
        double = compute == COMPUTE_64F
        real = ctypes.c_double if double else ctypes.c_float
        operation, preference = ctypes.c_void_p(), ctypes.c_void_p()
        assert self.lib.cublasLtMatmulDescCreate(ctypes.byref(operation), compute, int(double)) == SUCCESS
        for number, value in self.attributes.items():
            self.set(self.lib.cublasLtMatmulDescSetAttribute, operation, number, value)
        assert self.lib.cublasLtMatmulPreferenceCreate(ctypes.byref(preference)) == SUCCESS
        self.set(self.lib.cublasLtMatmulPreferenceSetAttribute, preference, 1, ctypes.c_uint64(8192))
        results, found = (ctypes.c_uint64 * 12)(), ctypes.c_int()
        layouts = layout_a, layout_b, layout_d, layout_d
        status = self.lib.cublasLtMatmulAlgoGetHeuristic(
            self.handle, operation, *layouts, preference, 1, results, ctypes.byref(found)
        )
        if status != SUCCESS:
            return status
        assert found.value == 1
        bytes_ = 0 if self.workspace is None else self.workspace.nbytes
        return self.lib.cublasLtMatmul(
            self.handle,
            operation,
            ctypes.byref(real(alpha)),
            *(pointer(a), layout_a, pointer(b), layout_b),
            ctypes.byref(real(beta)),
            *(pointer(d), layout_d, pointer(d), layout_d),
            *(results, pointer(self.workspace), ctypes.c_size_t(bytes_), None),
        )


def columns(x: np.ndarray, padding: int = 0, transposed: bool = False) -> tuple[np.ndarray, int, int, int]:
    """Return x (or x^T) stored column-major, its rows, columns and leading dimension."""
    x = x.swapaxes(-1, -2) if transposed else x
    stored = np.full((*x.shape[:-2], x.shape[-1], x.shape[-2] + padding), np.nan, x.dtype)
    stored[..., : x.shape[-2]] = x.swapaxes(-1, -2)
    array = device(stored, x.dtype)._array
    return array, x.shape[-2], x.shape[-1], x.shape[-2] + padding


def random(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def multiply(
    lt: Lt,
    a: np.ndarray,
    b: np.ndarray,
    d: np.ndarray,
    transa: bool = False,
    transb: bool = False,
    **options: Any,
) -> np.ndarray:
    """Return alpha a b + beta d, with the operands stored transposed or not."""
    lt.attributes[TRANSA], lt.attributes[TRANSB] = ctypes.c_int32(transa), ctypes.c_int32(transb)
    A, *shape_a = columns(a, 3, transa)
    B, *shape_b = columns(b, 5, transb)
    D, *shape_d = columns(d, 2)
    layouts = lt.layout(A, *shape_a), lt.layout(B, *shape_b), lt.layout(D, *shape_d)
    assert lt(A, layouts[0], B, layouts[1], D, layouts[2], **options) == SUCCESS
    rest = D[..., d.shape[-2] :]
    assert np.isnan(rest).all()  # the gaps between columns are not written
    return D[..., : d.shape[-2]].swapaxes(-1, -2)


@pytest.mark.parametrize("transb", [False, True])
@pytest.mark.parametrize("transa", [False, True])
@pytest.mark.parametrize(
    ("inputs", "outputs", "compute", "tolerance"),
    [
        (np.float32, np.float32, COMPUTE_32F, 1e-5),
        (np.float64, np.float64, COMPUTE_64F, 1e-13),
        (np.float16, np.float16, COMPUTE_32F, 2e-3),
        (np.float16, np.float32, COMPUTE_32F, 1e-5),
        (np.float32, np.float32, COMPUTE_TF32, 5e-3),
    ],
)
def test_matmul(
    inputs: Any, outputs: Any, compute: int, tolerance: float, transa: bool, transb: bool
) -> None:
    a, b, d = random(7, 11, dtype=inputs), random(11, 5, dtype=inputs), random(7, 5, dtype=outputs)
    result = multiply(Lt(), a, b, d, transa, transb, compute=compute, alpha=0.5, beta=2.0)
    expected = 0.5 * a.astype(np.float64) @ b.astype(np.float64) + 2.0 * d
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=10 * tolerance)


def test_matmul_in_bfloat16() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    TYPES[ml_dtypes.bfloat16] = 14
    a, b = random(7, 11, dtype=ml_dtypes.bfloat16), random(11, 5, dtype=ml_dtypes.bfloat16)
    expected = a.astype(np.float64) @ b.astype(np.float64)
    for dtype, tolerance in ((ml_dtypes.bfloat16, 1e-2), (np.float32, 1e-5)):
        result = multiply(Lt(), a, b, random(7, 5, dtype=dtype))
        np.testing.assert_allclose(result.astype(np.float64), expected, rtol=tolerance, atol=tolerance)


def test_tf32_rounds_its_inputs() -> None:
    one = np.float32([[1 + 2**-12]])
    assert multiply(Lt(), one, one, one, compute=COMPUTE_TF32)[0, 0] == 1
    assert multiply(Lt(), one, one, one)[0, 0] > 1


def test_a_batch() -> None:
    lt = Lt()
    lt.batches = 3
    a, b = random(3, 4, 6), random(3, 6, 5)
    np.testing.assert_allclose(multiply(lt, a, b, random(3, 4, 5)), a @ b, rtol=1e-5, atol=1e-5)


def test_row_major_order() -> None:
    lt = Lt()
    a, b, d = (device(random(*s), np.float32)._array for s in ((4, 6), (6, 5), (4, 5)))
    layouts = lt.layout(a, 4, 6, 6, 1), lt.layout(b, 6, 5, 5, 1), lt.layout(d, 4, 5, 5, 1)
    assert lt(a, layouts[0], b, layouts[1], d, layouts[2]) == SUCCESS
    np.testing.assert_allclose(d, a @ b, rtol=1e-5, atol=1e-6)


def with_epilogue(epilogue: int, bias: np.ndarray) -> Lt:
    lt = Lt()
    lt.attributes = {EPILOGUE: ctypes.c_uint32(epilogue), BIAS_POINTER: pointer(bias)}
    return lt


@pytest.mark.parametrize("epilogue", [BIAS, GELU_BIAS])
def test_a_bias_per_row_of_d(epilogue: int) -> None:
    a, b, bias = random(7, 11), random(11, 5), device(random(7), np.float32)._array
    x = a @ b + bias[:, None]
    if epilogue == GELU_BIAS:
        x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    result = multiply(with_epilogue(epilogue, bias), a, b, random(7, 5))
    np.testing.assert_allclose(result, x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
def test_bias_gradients(transposed: bool) -> None:
    a, b = random(7, 11), random(11, 5)
    of_a, of_b = (zeros(n, dtype=np.float32)._array for n in (7, 5))
    multiply(with_epilogue(BGRADA, of_a), a, b, random(7, 5), transposed, transposed)
    result = multiply(with_epilogue(BGRADB, of_b), a, b, random(7, 5), transposed, transposed)
    np.testing.assert_allclose(result, a @ b, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_a, a.sum(1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_b, b.sum(0), rtol=1e-5, atol=1e-5)


def test_unsupported_and_wrong_arguments() -> None:
    a, b, d = (device(random(4, 4), np.float32)._array for _ in range(3))
    lt = Lt()
    good = [lt.layout(x, 4, 4, 4) for x in (a, b, d)]

    def status(la: Any, lb: Any, ld: Any, out: np.ndarray = d, **options: Any) -> int:
        return lt(a, la, b, lb, out, ld, **options)

    assert status(*good) == SUCCESS
    assert status(lt.layout(a, 4, 4, 3), *good[1:]) == INVALID_VALUE  # leading dimension
    assert status(*good[:2], lt.layout(d, 4, 3, 4)) == INVALID_VALUE  # shapes
    assert status(*good, out=a) == INVALID_VALUE  # D overlaps A
    assert status(*good, out=d.view(np.uint8).reshape(-1)[1:]) == INVALID_VALUE  # alignment
    assert status(*good, compute=COMPUTE_64F) == NOT_SUPPORTED
    halves = lt.layout(zeros(4, 4, dtype=np.float16)._array, 4, 4, 4)
    assert status(halves, *good[1:]) == NOT_SUPPORTED
    lt.attributes = {EPILOGUE: ctypes.c_uint32(RELU)}
    assert status(*good) == NOT_SUPPORTED
    lt.attributes = {EPILOGUE: ctypes.c_uint32(BIAS)}
    assert status(*good) == INVALID_VALUE  # no bias pointer
    lt.attributes, lt.workspace = {}, None
    assert status(*good) == INVALID_VALUE  # no workspace


def test_an_attribute_of_the_wrong_size() -> None:
    lt, operation, value = Lt(), ctypes.c_void_p(), ctypes.c_int64(1)
    lt.lib.cublasLtMatmulDescCreate(ctypes.byref(operation), COMPUTE_32F, 0)
    setter = lt.lib.cublasLtMatmulDescSetAttribute
    assert setter(operation, TRANSA, ctypes.byref(value), ctypes.c_size_t(8)) == INVALID_VALUE
    assert setter(operation, TRANSA, ctypes.byref(value), ctypes.c_size_t(4)) == SUCCESS


def test_a_matmul_that_writes_outside_its_array(capsys: pytest.CaptureFixture[str]) -> None:
    lt = Lt()
    a, b, d = (device(random(n, 4), np.float32)._array for n in (4, 4, 3))
    square = [lt.layout(x, 4, 4, 4) for x in (a, b, d)]
    assert lt(a, square[0], b, square[1], d, square[2]) == 13
    memory.forget_damage()
    assert "guard zone after an array of 48 bytes" in capsys.readouterr().err


def test_captured_work_runs_in_order() -> None:
    lt = Lt()
    a, b, d = (device(random(4, 4), np.float32)._array for _ in range(3))
    layouts = [lt.layout(x, 4, 4, 4) for x in (a, b, d)]
    before = d.copy()
    capture.begin()
    assert lt(a, layouts[0], b, layouts[1], d, layouts[2]) == SUCCESS
    kernel("add")((1,), (16,), (Device(d), Device(d), ONE))  # doubles
    graph = capture.end()
    assert len(graph) == 2
    np.testing.assert_array_equal(d, before)
    a *= 2  # the graph reads the values at the time it runs
    for work in graph * 2:
        work()
    np.testing.assert_allclose(d, 2 * (b @ a), rtol=1e-5)  # row-major memory is the transpose: d^T = b^T a^T


def test_other_libraries_are_not_found() -> None:
    fake = pathfinder.fake_module()
    with pytest.raises(fake.DynamicLibNotFoundError, match="not part of the emulated GPU"):
        fake.load_nvidia_dynamic_lib("cudart")
    with pytest.raises(fake.DynamicLibUnknownError, match="Unknown library name"):
        fake.load_nvidia_dynamic_lib("cublaslt")
