"""Exercise 12 with a list of layers, and a loop over pairs of norm and branch."""

from scratchgpt.ops import embedding, linear_cross_entropy


def block_forward(x, ln_1, attn, ln_2, mlp):
    saved = []
    for norm, branch in ((ln_1, attn), (ln_2, mlp)):
        h, of_norm = norm.forward(x)
        h, of_branch = branch.forward(h)
        x = x + h
        saved.append((of_norm, of_branch))
    return x, saved


def block_backward(saved, dy, ln_1, attn, ln_2, mlp):
    dx = dy
    for (norm, branch), (of_norm, of_branch) in zip(((ln_2, mlp), (ln_1, attn)), saved[::-1], strict=True):
        dx = dx + norm.backward(of_norm, branch.backward(of_branch, dx))
    return dx


def gpt_forward(tokens, targets, wte, wpe, layers):
    x, first = embedding.forward(tokens, wte, wpe)
    saved = [first]
    for layer in layers:
        x, kept = layer.forward(x)
        saved.append(kept)
    loss, last = linear_cross_entropy.forward(x, wte, targets)
    saved.append(last)
    return loss, saved


def gpt_backward(saved, layers):
    saved = list(saved)
    dx, total = linear_cross_entropy.backward(saved.pop())
    for layer in layers[::-1]:
        dx = layer.backward(saved.pop(), dx)
    more, dwpe = embedding.backward(saved.pop(), dx)
    return total + more, dwpe
