"""Muon as an optimizer: `ops/updates/muon.py` for the matrices inside blocks, AdamW for everything else."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.nn.params import Layout, Param, ParamVector
from scratchgpt.ops.updates import adamw, muon
from scratchgpt.optim.base import Optimizer, check_betas, check_weight_decay, expect, zero_moments
from scratchgpt.shapes import Array


def is_hidden(param: Param) -> bool:
    """Return whether a parameter is a matrix inside a block, which Muon updates.

    AdamW updates the rest: vectors have no singular values, and for embeddings and head the source found
    AdamW to work better.
    """
    return len(param.shape) == 2 and param.name.startswith("h.")


def hidden_matrices(vector: ParamVector) -> list[Array]:
    """Return views of all hidden matrices, with c_attn split into the matrices of q, k and v.

    The source finds that orthogonalizing the three separately works better: they are three maps, and as one
    matrix (C, 3C) they would share a rank of C.
    """
    views: list[Array] = []
    for param in filter(is_hidden, vector.layout.params):
        view = vector[param]
        views += np.split(view, 3, axis=1) if param.name.endswith(".c_attn.weight") else [view]
    return views


class Muon(Optimizer):
    """Muon: orthogonalized momentum for hidden matrices, AdamW for the rest. Updates `params` in place.

    Attributes:
        m: running mean of the gradient, a ParamVector; its decay is `momentum` in hidden matrices, else β₁.
        v: running mean of the squared gradient, a ParamVector of the parameters that AdamW updates.
    """

    name = "muon"

    def __init__(
        self,
        params: ParamVector,
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        adamw_lr_ratio: float = 1.0,
        backend: Backend | None = None,
    ) -> None:
        """Start with moments of 0.

        Args:
            params: the weights.
            lr: the learning rate of hidden matrices, comparable to AdamW's.
            momentum: μ, for hidden matrices.
            betas: AdamW's, for the rest.
            eps: AdamW's, for the rest.
            weight_decay: decoupled weight decay, for every matrix.
            adamw_lr_ratio: AdamW's learning rate is lr times this.
            backend: runs the updates; None means `get_backend()`.
        """
        super().__init__(params, lr, backend)
        expect("momentum", momentum, 0.0 <= momentum < 1.0, "a number in [0, 1)")
        check_betas(betas)
        expect("eps", eps, eps > 0.0, "a positive number")
        check_weight_decay(weight_decay)
        expect("adamw_lr_ratio", adamw_lr_ratio, adamw_lr_ratio >= 0.0, "a number of at least 0")
        self.momentum = momentum
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.adamw_lr_ratio = adamw_lr_ratio
        self.m = zero_moments(params)
        rest = Layout(param for param in params.layout.params if not is_hidden(param))
        self.v = ParamVector(rest, np.zeros_like(self.m.flat, shape=rest.size))
        # Runs of consecutive parameters with one update rule: their slices of the flat vectors, and of v.
        self._hidden = [_span(params.layout, run) for hidden, run in _runs(params.layout) if hidden]
        self._rest = [
            (_span(params.layout, run), _span(rest, run))
            for hidden, run in _runs(params.layout)
            if not hidden
        ]

    @property
    def vectors(self) -> dict[str, ParamVector]:
        """Both moments, as checkpoints name them."""
        return {"m": self.m, "v": self.v}

    def next_scalars(self, lr: float) -> Array:
        """Count a step; return AdamW's three scalars and the hidden matrices' learning rate, on the host."""
        self.t += 1
        return np.append(adamw.scalars_of(lr * self.adamw_lr_ratio, self.t, self.betas), lr)

    def change(self, grads: ParamVector, scalars: Array, norm: Any) -> None:
        """Update weights and moments in place, unless the gradient norm is not finite."""
        w, g, m, v = self.params.flat, grads.flat, self.m.flat, self.v.flat
        for span, span_of_v in self._rest:
            n_decaying = min(max(0, self.params.layout.n_decaying - span.start), span.stop - span.start)
            self.backend.adamw(
                adamw.Update(
                    w[span], g[span], m[span], v[span_of_v], n_decaying,
                    self.betas, self.eps, self.weight_decay, scalars[:3],
                ),
                norm,
            )  # fmt: skip
        changed = [vector[span] for vector in (w, m) for span in self._hidden]
        self.backend.apply_if_finite(lambda: self._orthogonal_steps(grads, scalars[3]), changed, norm)

    def _orthogonal_steps(self, grads: ParamVector, lr: Array) -> None:
        """Update all hidden matrices, which the backend may do in parallel."""
        matrices = zip(*map(hidden_matrices, (self.params, grads, self.m)), strict=True)
        steps = [muon.Update(w, g, m, lr, self.momentum, self.weight_decay) for w, g, m in matrices]
        self.backend.map(lambda step: muon.update(step, self.backend.matmul), steps)


def _runs(layout: Layout) -> Iterator[tuple[bool, list[Param]]]:
    """Yield (is hidden, parameters) for each run of consecutive parameters that are all hidden or all not."""
    for hidden, run in itertools.groupby(layout.params, is_hidden):
        yield hidden, list(run)


def _span(layout: Layout, run: list[Param]) -> slice:
    """Return the slice of the flat vector that a run of consecutive parameters occupies."""
    return slice(layout.spans[run[0].name][0], layout.spans[run[-1].name][1])
