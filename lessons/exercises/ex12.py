"""Exercise 12: a block and a whole GPT, assembled from layers.

A layer is anything with these two methods; it keeps the gradients of its own weights to itself:

    y, saved = layer.forward(x)         y has the shape of x
    dx = layer.backward(saved, dy)      dx has the shape of x

A pre-norm block adds two branches to the stream x:

    middle = x + attn(ln_1(x)),   y = middle + mlp(ln_2(middle))
"""

from scratchgpt.ops import embedding, linear_cross_entropy


def block_forward(x, ln_1, attn, ln_2, mlp):
    """Send the stream x (B, T, C) through a block made of four layers.

    Returns (y, saved): y has the shape of x; saved is whatever your block_backward needs.
    """
    raise NotImplementedError  # your code goes here


def block_backward(saved, dy, ln_1, attn, ln_2, mlp):
    """Return dx, the gradient of the stream below the block, given dy, the gradient above it.

    Every layer's backward must be called once, with the gradient of that layer's output.
    """
    raise NotImplementedError  # your code goes here


def gpt_forward(tokens, targets, wte, wpe, layers):
    """Return (loss, saved) of a GPT with a tied head, from tokens and targets (B, T).

    The stream begins as embedding.forward(tokens, wte, wpe) -> (x, saved), goes through every layer of the
    list `layers` (blocks, then the last LayerNorm), and ends in the head, whose weight is wte (V, C) again:
    linear_cross_entropy.forward(x, wte, targets) -> (loss, saved).
    """
    raise NotImplementedError  # your code goes here


def gpt_backward(saved, layers):
    """Return (dwte, dwpe), the gradients of the loss by the two tables.

    The ops: linear_cross_entropy.backward(saved) -> (dx, dweight), embedding.backward(saved, dx) ->
    (dwte, dwpe). `layers` is the list that gpt_forward was given; each layer's backward is called once.
    """
    raise NotImplementedError  # your code goes here
