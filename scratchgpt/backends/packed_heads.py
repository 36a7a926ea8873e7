"""Gradients of q, k and v that are views of one array, as attention's backward may return them."""

from collections.abc import Callable

from scratchgpt.shapes import BHTD, QKV, Array


def packed(dqkv: tuple[BHTD, BHTD, BHTD], address: Callable[[Array], int]) -> QKV | None:
    """Return the array (B, T, 3C) of which the three are views, laid out as in `split_heads`; else None.

    It spares `split_heads` a copy. That the three share memory is not enough: each one must be exactly the
    view that `split_heads` would make. `address` returns where an array begins.
    """
    B, H, T, D = dqkv[0].shape
    whole: Array | None = dqkv[0].base
    if whole is None or whole.shape != (B, T, 3, H, D):
        return None
    in_place = whole.transpose(2, 0, 3, 1, 4)  # 3 x (B, H, T, D)
    for part, place in zip(dqkv, in_place, strict=True):
        same_view = part.shape == place.shape and part.strides == place.strides and part.dtype == place.dtype
        if not same_view or address(part) != address(place):
            return None
    return whole.reshape(B, T, 3 * H * D)
