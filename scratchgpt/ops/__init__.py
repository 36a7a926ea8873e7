"""The reference implementation: forward and backward of each operation, as pure functions of arrays.

A module that defines `forward` and `backward` is a pair, and keeps this contract:

    y, saved = op.forward(*inputs)          saved: a NamedTuple of what backward needs
    dinputs  = op.backward(saved, dy)       a tuple: one gradient per differentiable input, in order

`d<name>` is the derivative of the loss with respect to `<name>` and has its shape; it is None for an
optional input that was left out. Integer inputs (tokens, targets) have no gradient. Inputs are never
modified. The code is plain NumPy; NumPy's dispatch protocols (NEP 13, NEP 18, NEP 35) run the same lines
on CuPy arrays.

Pairs that layers call through a backend's table, in the order of a forward pass: embedding, layernorm,
linear, split_heads, attention, merge_heads, gelu_tanh, gelu_exact, dropout, unembedding,
linear_cross_entropy. Pairs that other pairs are made of: softmax, cross_entropy. The pair that only the
adaptive head calls: adaptive_softmax.

The other modules have no backward, so they are not pairs:

    erfc            the complementary error function, which gelu_exact needs and NumPy lacks
    rng             the random numbers of a training step: batches and dropout masks
    row_gradient    the type of a matrix gradient that is zero except in a few rows
    sampling        draws the next token from its logits
    updates/        how an optimizer changes the weights: adamw, lion, muon; clip
"""
