"""The adaptive head: a full-width unembedding for frequent tokens, narrower ones for rare tokens."""

from itertools import pairwise
from typing import Any

from scratchgpt.config import GPTConfig
from scratchgpt.nn.context import Context
from scratchgpt.nn.layers.linear import Linear
from scratchgpt.nn.layers.unembedding import Unembedding
from scratchgpt.nn.params import Param
from scratchgpt.ops import adaptive_softmax
from scratchgpt.ops.cross_entropy import IGNORE_INDEX
from scratchgpt.shapes import BTC, AnyV, Array, Tokens


class AdaptiveHead:
    """The loss and the log-probabilities of `ops.adaptive_softmax`, built from the backend's own pairs.

    Every part is a `linear` or a `linear_cross_entropy` with fewer rows or a smaller vocabulary, so every
    backend runs it with its own pairs. The number of rows in a tail depends on the targets, so in every pass
    the host waits for a GPU to count them.
    """

    def __init__(self, config: GPTConfig) -> None:
        assert config.adaptive_cutoffs is not None
        C, std = config.n_embd, config.init_std
        self.cutoffs = (*config.adaptive_cutoffs, config.vocab_size)
        n_entries = self.cutoffs[0] + len(config.adaptive_cutoffs)
        self.head = Unembedding(Param("lm_head.head.weight", (n_entries, C), std=std))
        self.tails = []
        width = C
        for i, (first, last) in enumerate(pairwise(self.cutoffs)):
            width = max(1, int(width / config.adaptive_factor))
            self.tails.append(Tail(f"lm_head.tail.{i}", C, width, last - first, std))
        self.params = [*self.head.params, *(param for tail in self.tails for param in tail.params)]

    def logits(self, ctx: Context, x: BTC) -> AnyV:
        """Return the log-probabilities (B, T, V): logits whose exponentials already sum to 1."""
        return adaptive_softmax.log_probs(
            self.head.logits(ctx, x), [tail.logits(ctx, x) for tail in self.tails]
        )

    def forward(self, ctx: Context, x: BTC, targets: Tokens, n_targets: int | None) -> tuple[Array, Any]:
        """Return the sum of the targets' losses divided by `n_targets`, and what backward needs."""
        if n_targets is None:
            n_targets = int((targets != IGNORE_INDEX).sum())
        head_targets, shares = adaptive_softmax.assign(targets, self.cutoffs)
        loss, saved_head = self.head.forward(ctx, x, head_targets, n_targets)
        saved_tails = []
        for tail, share in zip(self.tails, shares, strict=True):
            tail_loss, saved_tail = tail.forward(ctx, x, share, n_targets)
            loss = loss + tail_loss
            saved_tails.append(saved_tail)
        return loss, (saved_head, saved_tails)

    def backward(self, ctx: Context, saved: Any) -> BTC:
        """Add the gradients of all weights; return dx, the sum of the head's and every tail's."""
        saved_head, saved_tails = saved
        parts = [
            tail.backward(ctx, saved_tail)
            for tail, saved_tail in zip(reversed(self.tails), reversed(saved_tails), strict=True)
        ]
        dx = self.head.backward(ctx, saved_head)
        for part in parts:
            dx = dx + part
        return dx


class Tail:
    """A cluster of rarer tokens: logits = (x P) Wᵀ, with P of shape (C, width) and W of shape (n, width)."""

    def __init__(self, name: str, n_embd: int, width: int, n_tokens: int, std: float) -> None:
        self.proj = Linear(f"{name}.proj", n_embd, width, std, bias=False)
        self.unembedding = Unembedding(Param(f"{name}.weight", (n_tokens, width), std=std))
        self.params = [*self.proj.params, *self.unembedding.params]

    def logits(self, ctx: Context, x: BTC) -> Array:
        """Return the logits (B, T, n) of the cluster's n tokens."""
        h, _ = self.proj.forward(ctx, x)
        return self.unembedding.logits(ctx, h)

    def forward(
        self, ctx: Context, x: BTC, share: adaptive_softmax.Tail, n_targets: int | None
    ) -> tuple[Array, Any]:
        """Return the loss of the rows whose targets are in this tail, and what backward needs."""
        h, saved_rows = adaptive_softmax.forward(x, share.rows)  # (N, C)
        h, saved_proj = self.proj.forward(ctx, h)  # (N, width)
        loss, saved_unembedding = self.unembedding.forward(ctx, h, share.targets, n_targets)
        return loss, (saved_rows, saved_proj, saved_unembedding)

    def backward(self, ctx: Context, saved: Any) -> BTC:
        """Add dP and dW; return dx, which is zero in the rows whose targets are elsewhere."""
        saved_rows, saved_proj, saved_unembedding = saved
        dh = self.unembedding.backward(ctx, saved_unembedding)  # (N, width)
        dh = self.proj.backward(ctx, saved_proj, dh)  # (N, C)
        (dx,) = adaptive_softmax.backward(saved_rows, dh)
        return dx
