"""The part of cuBLASLt that matrix products need, called through ctypes.

CuPy's own matrix product cannot be captured in a CUDA graph, upcasts 16-bit types and cannot add a bias.
Reference: NVIDIA, "cuBLAS library", chapter "Using the cuBLASLt API".
"""

import ctypes
import functools
from ctypes import (
    POINTER,
    byref,
    c_float,
    c_int,
    c_int32,
    c_int64,
    c_size_t,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum
from typing import Any

from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

from scratchgpt.errors import InputError


class DataType(IntEnum):
    """`cudaDataType`: the type of a matrix's elements."""

    float32 = 0
    float64 = 1
    float16 = 2
    bfloat16 = 14


class ComputeType(IntEnum):
    """`cublasComputeType_t`: the arithmetic of a product and its sums."""

    FLOAT32 = 68
    FLOAT64 = 70
    TF32 = 77


class Description(IntEnum):
    """`cublasLtMatmulDescAttributes_t`: the attributes of a product that are set here."""

    TRANSA = 3
    TRANSB = 4
    EPILOGUE = 7
    BIAS_POINTER = 8


class Preference(IntEnum):
    """`cublasLtMatmulPreferenceAttributes_t`: the constraints on an algorithm that are set here."""

    MAX_WORKSPACE_BYTES = 1
    REDUCTION_SCHEME_MASK = 3
    MIN_ALIGNMENT_A_BYTES = 5
    MIN_ALIGNMENT_B_BYTES = 6
    MIN_ALIGNMENT_C_BYTES = 7
    MIN_ALIGNMENT_D_BYTES = 8


TRANSPOSED = 1  # CUBLAS_OP_T
EPILOGUE_BIAS = 4
REDUCE_IN_COMPUTE_TYPE = 2  # when a sum is split, its partial sums are never rounded to 16 bits
MAX_CANDIDATES = 8  # algorithms requested for a product; the first one that works on this GPU is used


class Algorithm(ctypes.Structure):
    """`cublasLtMatmulHeuristicResult_t`: an algorithm for a product, and what it needs."""

    _fields_ = (
        ("algorithm", c_uint64 * 8),
        ("workspace_size", c_size_t),
        ("state", c_int),
        ("waves", c_float),
        ("reserved", c_int * 4),
    )


class NoAlgorithm(InputError):
    """cuBLASLt has no algorithm for a product of this form."""


@functools.cache
def library() -> Any:
    """Load cuBLASLt, once, and declare the signatures of the functions used here.

    Raises:
        InputError: it is not installed.
    """
    try:
        found = load_nvidia_dynamic_lib("cublasLt")
    except (DynamicLibNotFoundError, RuntimeError) as error:
        raise InputError(
            "cuBLASLt, CUDA's library for matrix products, was not found; install the CUDA toolkit, or run "
            "pip install 'scratchgpt[cuda12]' (or [cuda13]), which includes it. "
            f"Details: {' '.join(str(error).split())[:300]}"
        ) from None
    lt = ctypes.CDLL(found.abs_path)
    handle = c_void_p
    signatures: dict[str, list[Any]] = {
        "Create": [POINTER(handle)],
        "MatmulDescCreate": [POINTER(handle), c_int, c_int],
        "MatmulDescSetAttribute": [handle, c_int, c_void_p, c_size_t],
        "MatrixLayoutCreate": [POINTER(handle), c_int, c_uint64, c_uint64, c_int64],
        "MatmulPreferenceCreate": [POINTER(handle)],
        "MatmulPreferenceDestroy": [handle],
        "MatmulPreferenceSetAttribute": [handle, c_int, c_void_p, c_size_t],
        "MatmulAlgoGetHeuristic": [
            *(handle,) * 7, c_int, POINTER(Algorithm), POINTER(c_int),
        ],
        "Matmul": [
            handle, handle, c_void_p, c_void_p, handle, c_void_p, handle, c_void_p, c_void_p, handle,
            c_void_p, handle, c_void_p, c_void_p, c_size_t, c_void_p,
        ],
    }  # fmt: skip
    for name, arguments in signatures.items():
        function = getattr(lt, f"cublasLt{name}")
        function.argtypes = arguments
        function.restype = c_int
    lt.cublasLtGetVersion.restype = c_size_t
    return lt


def call(name: str, *arguments: Any) -> None:
    """Call `cublasLt<name>`.

    Raises:
        RuntimeError: cuBLASLt reports an error.
    """
    status = getattr(library(), f"cublasLt{name}")(*arguments)
    if status != 0:
        raise RuntimeError(f"cublasLt{name} failed with status {status} ({STATUS.get(status, 'unknown')})")


STATUS = {
    1: "not initialized", 3: "out of memory", 7: "invalid value", 8: "architecture mismatch",
    13: "execution failed", 14: "internal error", 15: "not supported",
}  # fmt: skip


def version() -> str:
    """Return the library's version, such as "12.9.1"."""
    number = library().cublasLtGetVersion()
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def create_handle() -> c_void_p:
    """Return a handle of the library; it is never destroyed."""
    handle = c_void_p()
    call("Create", byref(handle))
    return handle


def create_description(
    compute: ComputeType, scale: DataType, transpose_a: bool, transpose_b: bool
) -> c_void_p:
    """Return the description of a product D = α op(A) op(B) + β C."""
    description = c_void_p()
    call("MatmulDescCreate", byref(description), compute, scale)
    for attribute, transposed in ((Description.TRANSA, transpose_a), (Description.TRANSB, transpose_b)):
        if transposed:
            describe(description, attribute, c_int32(TRANSPOSED))
    return description


def describe(description: c_void_p, attribute: Description, value: Any) -> None:
    """Set an attribute of a product's description."""
    call("MatmulDescSetAttribute", description, attribute, byref(value), ctypes.sizeof(value))


def create_layout(dtype: DataType, rows: int, columns: int, leading: int) -> c_void_p:
    """Return the layout of a column-major matrix; `leading` is its leading dimension in elements."""
    layout = c_void_p()
    call("MatrixLayoutCreate", byref(layout), dtype, rows, columns, leading)
    return layout


def choose_algorithm(
    handle: c_void_p,
    description: c_void_p,
    layouts: tuple[c_void_p, c_void_p, c_void_p],
    alignments: tuple[int, int, int],
    workspace: int,
) -> Algorithm:
    """Return the algorithm that cuBLASLt expects to be fastest, for C and D in the same place.

    Args:
        handle: the library's handle.
        description: the product's description.
        layouts: the layouts of A, B and D.
        alignments: the largest powers of two, up to 256, that divide the addresses of A, B and D.
        workspace: how many bytes of workspace the algorithm may use.

    Raises:
        NoAlgorithm: cuBLASLt has none for this product.
    """
    preference, results, n_results = c_void_p(), (Algorithm * MAX_CANDIDATES)(), c_int()
    a, b, d = alignments
    call("MatmulPreferenceCreate", byref(preference))
    settings = {
        Preference.MAX_WORKSPACE_BYTES: c_size_t(workspace),
        Preference.REDUCTION_SCHEME_MASK: c_uint32(REDUCE_IN_COMPUTE_TYPE),
        Preference.MIN_ALIGNMENT_A_BYTES: c_uint32(a),
        Preference.MIN_ALIGNMENT_B_BYTES: c_uint32(b),
        Preference.MIN_ALIGNMENT_C_BYTES: c_uint32(d),
        Preference.MIN_ALIGNMENT_D_BYTES: c_uint32(d),
    }
    for attribute, value in settings.items():
        call("MatmulPreferenceSetAttribute", preference, attribute, byref(value), ctypes.sizeof(value))
    layout_a, layout_b, layout_d = layouts
    status = library().cublasLtMatmulAlgoGetHeuristic(
        handle, description, layout_a, layout_b, layout_d, layout_d, preference, MAX_CANDIDATES, results,
        byref(n_results),
    )  # fmt: skip
    call("MatmulPreferenceDestroy", preference)
    if status == 0:
        for result in results[: n_results.value]:
            if result.state == 0:
                return result
    raise NoAlgorithm(f"cuBLASLt has no algorithm for this product (status {status})")


def multiply(
    handle: c_void_p,
    description: c_void_p,
    matrices: tuple[tuple[int, c_void_p], tuple[int, c_void_p], tuple[int, c_void_p]],
    factors: tuple[Any, Any],
    algorithm: Algorithm,
    workspace: tuple[int, int],
    stream: int,
) -> None:
    """Compute D = α op(A) op(B) + β D on a stream.

    Args:
        handle: the library's handle.
        description: the product's description.
        matrices: address and layout of A, B and D.
        factors: α and β, as ctypes numbers of the scale's type.
        algorithm: what `choose_algorithm` returned.
        workspace: address and size in bytes.
        stream: the CUDA stream, as an integer handle.
    """
    (a, layout_a), (b, layout_b), (d, layout_d) = matrices
    alpha, beta = factors
    call(
        "Matmul", handle, description, byref(alpha), a, layout_a, b, layout_b, byref(beta), d, layout_d,
        d, layout_d, byref(algorithm), workspace[0], workspace[1], stream,
    )  # fmt: skip
