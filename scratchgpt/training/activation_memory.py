"""How much memory activations take: the arrays that forward saves for backward, counted one by one."""

import numpy as np

from scratchgpt.backends import Backend
from scratchgpt.config import GPTConfig
from scratchgpt.nn.accumulation import cut_batch
from scratchgpt.nn.model import GPT
from scratchgpt.utils.words import memory_size

ID_BYTES = 8  # size of a token id


def activation_bytes(
    config: GPTConfig, n_rows: int, n_time: int, *, itemsize: int = 4, recompute: bool = False
) -> int:
    """Return the peak size in bytes of the stack of saved arrays, in a pass on (B, T) tokens.

    This counts what the ops of backend `reference` save; an array that two ops save counts once. Per token
    these are (in brackets: with dropout only):

        embedding   the id (8 bytes) [mask C]
        a block     LayerNorm x̂ and 1/σ, 2 (C + 1);  inputs of c_attn and c_fc, 2 C;  q, k, v, 3 C;
                    probs, H T [mask and dropped probs, 2 H T];  input of attention's c_proj, C;
                    GELU's x and tanh u or Φ(x), 2 F;  input of the MLP's c_proj, F  [two masks, 2 C]
        ln_f        x̂ and 1/σ, C + 1
        head        its input C, probs V, the target's id and whether it is not IGNORE_INDEX (9 bytes)

    The peak is at the end of forward. With `recompute`, a block saves C numbers, and the peak may also come
    in backward, when the last block has been recomputed and head and ln_f have been freed.

    Not counted: weights and gradients, temporary arrays inside an op, and dropout's random state. An adaptive
    head counts like a full one. Other backends save less: `numpy` half of attention's probs, `cupy` none of
    them, and neither saves the head's.

    Args:
        config: the model's configuration.
        n_rows: rows in memory at once, B.
        n_time: tokens per row, T.
        itemsize: bytes per number.
        recompute: activation checkpointing, as for `GPT`.
    """
    C, F, HT, V = config.n_embd, config.mlp_width, config.n_head * n_time, config.vocab_size
    dropout = config.dropout > 0.0
    embedding = ID_BYTES + itemsize * (C if dropout else 0)
    block = itemsize * (8 * C + 3 * F + HT + 2 + (2 * C + 2 * HT if dropout else 0))
    ln_f = itemsize * (C + 1)
    head = itemsize * (C + V) + ID_BYTES + 1

    end_of_forward = embedding + config.n_layer * (itemsize * C if recompute else block) + ln_f + head
    last_block_again = embedding + config.n_layer * itemsize * C + block
    return n_rows * n_time * (max(end_of_forward, last_block_again) if recompute else end_of_forward)


def activation_summary(model: GPT, backend: Backend, batch_size: int, *, accumulate: int = 1) -> str:
    """Return a line on the memory that activations take in a training step, and how to reduce it.

    Args:
        model: the structure, which also says whether blocks are recomputed.
        backend: splits the batch into micro-batches, one per thread in memory at a time, and decides the
            dtype that passes compute in when the weights are float32.
        batch_size: rows per batch, each of block_size tokens.
        accumulate: gradient accumulation, as for `loss_and_grads`.
    """
    n_time = model.config.block_size
    micro_batches = cut_batch(batch_size, n_time, model.size, backend, accumulate)
    sizes = sorted(part.stop - part.start for part in micro_batches)
    n_rows = sum(sizes[-(backend.threads or 1) :])
    itemsize = backend.to_compute(np.zeros(1, np.float32)).itemsize

    def size(recompute: bool) -> str:
        n_bytes = activation_bytes(model.config, n_rows, n_time, itemsize=itemsize, recompute=recompute)
        return memory_size(n_bytes)

    summary = f"peak activation memory: at most {size(model.recompute)} (batch {n_rows} x {n_time}"
    if model.recompute:
        return f"{summary}, blocks recomputed)"
    return f"{summary}); {size(recompute=True)} with --training.recompute true"
