"""The textbook: one module per operation, `forward` next to `backward`, pure functions of arrays.

The contract, for every module here:

    y, saved = op.forward(*inputs)          saved: a NamedTuple of what backward needs
    dinputs  = op.backward(saved, dy)       one gradient per differentiable input, in order

`d<name>` is the derivative of the loss by `<name>` and has its shape. Inputs are never changed.
The code is plain NumPy; NumPy's dispatch protocols (NEP 13, NEP 18, NEP 35) run the same lines
on CuPy arrays.
"""
