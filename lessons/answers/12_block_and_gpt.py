"""The answer to exercise 12: a block and a whole GPT, assembled from layers.

A layer is any object with these two methods; it stores the gradients of its weights itself:

    y, saved = layer.forward(x)         y has the shape of x
    dx = layer.backward(saved, dy)      dx has the shape of x

A pre-norm block adds two branches to the residual stream x:

    middle = x + attn(ln_1(x)),   y = middle + mlp(ln_2(middle))
"""

from scratchgpt.ops import embedding, linear_cross_entropy


def block_forward(x, ln_1, attn, ln_2, mlp):
    """Send the residual stream x (B, T, C) through a block of four layers.

    Returns (y, saved): y has the shape of x; saved is whatever your block_backward needs.
    """
    normed_1, saved_ln_1 = ln_1.forward(x)
    branch_1, saved_attn = attn.forward(normed_1)
    middle = x + branch_1
    normed_2, saved_ln_2 = ln_2.forward(middle)
    branch_2, saved_mlp = mlp.forward(normed_2)
    y = middle + branch_2
    return y, (saved_ln_1, saved_attn, saved_ln_2, saved_mlp)


def block_backward(saved, dy, ln_1, attn, ln_2, mlp):
    """Return dx, the gradient with respect to the block's input, given the upstream gradient dy.

    Call the backward of every layer once, with the gradient with respect to that layer's output.
    """
    saved_ln_1, saved_attn, saved_ln_2, saved_mlp = saved
    dnormed_2 = mlp.backward(saved_mlp, dy)
    from_mlp = ln_2.backward(saved_ln_2, dnormed_2)
    dmiddle = dy + from_mlp
    dnormed_1 = attn.backward(saved_attn, dmiddle)
    from_attn = ln_1.backward(saved_ln_1, dnormed_1)
    dx = dmiddle + from_attn
    return dx


def gpt_forward(tokens, targets, wte, wpe, layers):
    """Return (loss, saved) of a GPT with a tied head, from tokens and targets (B, T).

    The residual stream starts as embedding.forward(tokens, wte, wpe) -> (x, saved), goes through every layer
    in the list `layers` (blocks, then the final LayerNorm), and ends in the head, whose weight is wte (V, C)
    again: linear_cross_entropy.forward(x, wte, targets) -> (loss, saved).
    """
    x, saved_embedding = embedding.forward(tokens, wte, wpe)
    stack = []
    for layer in layers:
        x, saved_layer = layer.forward(x)
        stack.append(saved_layer)
    loss, saved_head = linear_cross_entropy.forward(x, wte, targets)
    return loss, (saved_embedding, stack, saved_head)


def gpt_backward(saved, layers):
    """Return (dwte, dwpe), the gradients of the loss with respect to the two tables.

    Use linear_cross_entropy.backward(saved) -> (dx, dweight) and embedding.backward(saved, dx) -> (dwte,
    dwpe). `layers` is the list that gpt_forward got; call the backward of each layer once.
    """
    saved_embedding, stack, saved_head = saved
    dx, from_head = linear_cross_entropy.backward(saved_head)
    for layer, saved_layer in zip(reversed(layers), reversed(stack), strict=True):
        dx = layer.backward(saved_layer, dx)
    from_embedding, dwpe = embedding.backward(saved_embedding, dx)
    dwte = from_head + from_embedding
    return dwte, dwpe
