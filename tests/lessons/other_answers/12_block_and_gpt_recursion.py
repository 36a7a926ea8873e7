"""Exercise 12 by recursion: a GPT is a layer with a smaller GPT above it."""

from scratchgpt.ops import embedding, linear_cross_entropy


def block_forward(x, ln_1, attn, ln_2, mlp):
    middle, first = _add_branch(x, ln_1, attn)
    y, second = _add_branch(middle, ln_2, mlp)
    return y, (first, second)


def block_backward(saved, dy, ln_1, attn, ln_2, mlp):
    return _back(saved[0], _back(saved[1], dy, ln_2, mlp), ln_1, attn)


def _add_branch(x, norm, branch):
    normed, of_norm = norm.forward(x)
    y, of_branch = branch.forward(normed)
    return y + x, (of_norm, of_branch)


def _back(saved, dy, norm, branch):
    return norm.backward(saved[0], branch.backward(saved[1], dy)) + dy


def gpt_forward(tokens, targets, wte, wpe, layers):
    x, saved = embedding.forward(tokens, wte, wpe)
    loss, rest = _upward(x, targets, wte, layers)
    return loss, (saved, rest)


def _upward(x, targets, wte, layers):
    if not layers:
        return linear_cross_entropy.forward(x, wte, targets)
    x, saved = layers[0].forward(x)
    loss, rest = _upward(x, targets, wte, layers[1:])
    return loss, (saved, rest)


def _downward(saved, layers):
    if not layers:
        return linear_cross_entropy.backward(saved)
    dx, dwte = _downward(saved[1], layers[1:])
    return layers[0].backward(saved[0], dx), dwte


def gpt_backward(saved, layers):
    dx, dwte = _downward(saved[1], layers)
    more, dwpe = embedding.backward(saved[0], dx)
    return dwte + more, dwpe
