"""Exercise 12: a block and a whole GPT, assembled from layers.

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
    raise NotImplementedError  # your code goes here


def block_backward(saved, dy, ln_1, attn, ln_2, mlp):
    """Return dx, the gradient with respect to the block's input, given the upstream gradient dy.

    Call the backward of every layer once, with the gradient with respect to that layer's output.
    """
    raise NotImplementedError  # your code goes here


def gpt_forward(tokens, targets, wte, wpe, layers):
    """Return (loss, saved) of a GPT with a tied head, from tokens and targets (B, T).

    The residual stream starts as embedding.forward(tokens, wte, wpe) -> (x, saved), goes through every layer
    in the list `layers` (blocks, then the final LayerNorm), and ends in the head, whose weight is wte (V, C)
    again: linear_cross_entropy.forward(x, wte, targets) -> (loss, saved).
    """
    raise NotImplementedError  # your code goes here


def gpt_backward(saved, layers):
    """Return (dwte, dwpe), the gradients of the loss with respect to the two tables.

    Use linear_cross_entropy.backward(saved) -> (dx, dweight) and embedding.backward(saved, dx) -> (dwte,
    dwpe). `layers` is the list that gpt_forward got; call the backward of each layer once.
    """
    raise NotImplementedError  # your code goes here
