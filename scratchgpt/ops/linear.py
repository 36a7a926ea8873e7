"""The affine map: y = x W + b.

Convention: W is (inputs, outputs), as in GPT-2, which calls this layer Conv1D; PyTorch's nn.Linear
stores the transpose. Source: any text on backpropagation, e.g. Goodfellow, Bengio, Courville, "Deep
Learning" (2016), section 6.5.4.
"""

from typing import NamedTuple

from scratchgpt.shapes import IO, AnyI, AnyO, Array, VectorO


class Saved(NamedTuple):
    """What backward needs: the input for dW, the weight for dx."""

    x: AnyI
    weight: IO
    has_bias: bool


def forward(x: AnyI, weight: IO, bias: VectorO | None = None) -> tuple[AnyO, Saved]:
    """Map every row of `x` from I to O features: y = x W + b.

    The leading dimensions are flattened into rows, so that a single matrix product does all the work.
    """
    rows: Array = x.reshape(-1, x.shape[-1])  # (N, I)
    y: Array = rows @ weight
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], weight.shape[1]), Saved(x, weight, bias is not None)


def backward(saved: Saved, dy: AnyO) -> tuple[AnyI, IO, VectorO | None]:
    """Return dx, dweight, dbias (None without a bias).

    dx = dy Wᵀ,  dW = Σ_rows xᵀ dy,  db = Σ_rows dy: what forward broadcasts, backward sums.
    """
    x, weight, has_bias = saved
    rows: Array = x.reshape(-1, x.shape[-1])  # (N, I)
    drows: Array = dy.reshape(-1, dy.shape[-1])  # (N, O)
    dx: Array = (drows @ weight.T).reshape(x.shape)
    dweight: Array = rows.T @ drows
    dbias: Array | None = drows.sum(axis=0) if has_bias else None
    return dx, dweight, dbias
