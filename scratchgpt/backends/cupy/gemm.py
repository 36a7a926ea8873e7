"""Matrix products by cuBLASLt, for row-major matrices.

cuBLASLt expects column-major matrices, and a row-major matrix is its transpose in column-major order. So
instead of C = A B it computes Cᵀ = Bᵀ Aᵀ: the factors are swapped and no data moves.
"""

import contextlib
import functools
from ctypes import c_double, c_float, c_int32, c_uint64, c_void_p
from typing import Any, NamedTuple

import cupy
import numpy as np

from scratchgpt.backends.cupy import cublaslt
from scratchgpt.backends.cupy.cublaslt import ComputeType, DataType, Description
from scratchgpt.backends.cupy.kernels import address
from scratchgpt.shapes import Array

WORKSPACE_BYTES = 32 << 20  # what NVIDIA recommends for Hopper
BIAS_ALIGNMENT = 16  # bytes, because a kernel may read a bias 16 bytes at a time


class Matrix(NamedTuple):
    """What a plan depends on: dtype, rows, columns, elements from one row to the next, alignment in bytes."""

    dtype: str
    rows: int
    columns: int
    leading: int
    alignment: int


class Plan(NamedTuple):
    """A prepared product; `adds_bias` tells whether cuBLASLt adds the bias in the same kernel."""

    description: c_void_p
    layouts: tuple[c_void_p, c_void_p, c_void_p]
    algorithm: cublaslt.Algorithm
    adds_bias: bool


class Gemm:
    """Multiplies matrices of float32, float64 or 16-bit numbers.

    Sums are float32 (float64 for float64). With `tf32`, float32 factors are rounded to 10 bits of mantissa
    and multiplied by tensor cores.
    """

    def __init__(self, tf32: bool) -> None:
        self._tf32 = tf32
        self._handle = cublaslt.create_handle()
        self._workspace = cupy.empty(WORKSPACE_BYTES, dtype=np.uint8)
        self._plan = functools.cache(self._make_plan)

    def __call__(
        self,
        a: Array,
        b: Array,
        *,
        transpose_a: bool = False,
        transpose_b: bool = False,
        bias: Array | None = None,
        dtype: Any = None,
        out: Array | None = None,
        accumulate: bool = False,
    ) -> Array:
        """Return op(a) op(b), of shape (M, N).

        Args:
            a: (M, K), or (K, M) with `transpose_a`.
            b: (K, N), or (N, K) with `transpose_b`.
            transpose_a: whether to transpose a.
            transpose_b: whether to transpose b.
            bias: (N,), contiguous, added to every row.
            dtype: the dtype of the result; None means that of a.
            out: the array to write the result to; None allocates one.
            accumulate: whether to add the result to `out` instead of overwriting it.
        """
        a, b = _rows_without_gaps(a), _rows_without_gaps(b)
        shape = (a.shape[1 if transpose_a else 0], b.shape[0 if transpose_b else 1])
        if out is None:
            out = cupy.empty(shape, dtype=a.dtype if dtype is None else dtype)
        plan = self._plan_for(a, b, out, transpose_a, transpose_b, bias)
        added_by_product = bias is not None and plan.adds_bias
        if bias is not None and added_by_product:
            cublaslt.describe(plan.description, Description.BIAS_POINTER, c_uint64(address(bias)))
        number: Any = c_double if a.dtype == np.float64 else c_float
        layout_b, layout_a, layout_out = plan.layouts
        cublaslt.multiply(
            self._handle,
            plan.description,
            ((address(b), layout_b), (address(a), layout_a), (address(out), layout_out)),
            (number(1.0), number(1.0 if accumulate else 0.0)),
            plan.algorithm,
            (address(self._workspace), WORKSPACE_BYTES),
            cupy.cuda.get_current_stream().ptr,
        )
        if bias is not None and not added_by_product:
            out += bias
        return out

    def _plan_for(
        self, a: Array, b: Array, out: Array, transpose_a: bool, transpose_b: bool, bias: Array | None
    ) -> "Plan":
        """Return a prepared product, which includes the bias if cuBLASLt can add it: never in float64."""
        matrices = (_matrix(a), _matrix(b), _matrix(out), transpose_a, transpose_b)
        if bias is not None and a.dtype != np.float64 and _alignment(bias) >= BIAS_ALIGNMENT:
            with contextlib.suppress(cublaslt.NoAlgorithm):
                return self._plan(*matrices, True)
        return self._plan(*matrices, False)

    def _make_plan(
        self, a: Matrix, b: Matrix, out: Matrix, transpose_a: bool, transpose_b: bool, has_bias: bool
    ) -> Plan:
        """Prepare outᵀ = op(b)ᵀ op(a)ᵀ."""
        compute, scale = ComputeType.FLOAT32, DataType.float32
        if a.dtype == "float64":
            compute, scale = ComputeType.FLOAT64, DataType.float64
        elif a.dtype == "float32" and self._tf32:
            compute = ComputeType.TF32
        description = cublaslt.create_description(compute, scale, transpose_b, transpose_a)
        if has_bias:
            cublaslt.describe(description, Description.EPILOGUE, c_int32(cublaslt.EPILOGUE_BIAS))
        layouts = (_layout(b), _layout(a), _layout(out))
        alignments = (b.alignment, a.alignment, out.alignment)
        try:
            algorithm = cublaslt.choose_algorithm(
                self._handle, description, layouts, alignments, WORKSPACE_BYTES
            )
        except cublaslt.NoAlgorithm as error:
            raise cublaslt.NoAlgorithm(f"{error}: {a} and {b} to {out}") from None
        return Plan(description, layouts, algorithm, has_bias)


def _rows_without_gaps(x: Array) -> Array:
    """Return the matrix, or a copy if its rows are not contiguous."""
    return (
        x
        if x.strides[1] == x.itemsize and x.strides[0] >= x.shape[1] * x.itemsize
        else cupy.ascontiguousarray(x)
    )


def _matrix(x: Array) -> Matrix:
    return Matrix(x.dtype.name, x.shape[0], x.shape[1], x.strides[0] // x.itemsize, _alignment(x))


def _alignment(x: Array) -> int:
    """Return the largest power of two, up to 256, that divides the address."""
    place = address(x)
    return min(256, place & -place)


def _layout(x: Matrix) -> c_void_p:
    """Return the layout of a row-major matrix: that of its transpose in column-major order."""
    return cublaslt.create_layout(DataType[x.dtype], x.columns, x.rows, x.leading)
