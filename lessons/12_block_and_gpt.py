# %% [markdown]
# # Lesson 12 · A block is a sum, a GPT is a stack
#
# **Question.** A GPT is a stack of dozens of layers. How does a gradient get through them all, and how do you find the
# one that is wrong?

# %%
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson, files

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.nn.context import Context
from scratchgpt.nn.layers import Block

lesson = Lesson(12)

# %% [markdown]
# ## A block, by hand
#
# A block does not replace the residual stream x, it adds to it, twice. With the norms $n_1, n_2$:
#
# $$\text{middle} = x + \mathrm{attn}(n_1(x)) \qquad y = \text{middle} + \mathrm{mlp}(n_2(\text{middle})) \tag{12.1}$$
#
# Take layers that only multiply: attention by 3, the MLP by 0.5, the norms by 1. For x = 2 the middle is 2 + 6 = 8,
# and y = 8 + 4 = 12. So y = (1 + 3)(1 + 0.5) x = 6 x, and the derivative is 6. Multiplied out: 1 + 0.5 + 3 + 1.5.
#
# The functions in this lesson take the four layers as arguments. A layer has `forward(x) -> (y, saved)` and
# `backward(saved, dy) -> dx`. The engine's `Block` also needs a context, which small adapters supply.


# %%
def layer_of(forward, backward):
    """Return a layer made of two functions."""
    return SimpleNamespace(forward=forward, backward=backward)


def bound(layer, ctx):
    """Return a layer of the engine with its context filled in, as this lesson's functions expect it."""
    return layer_of(lambda x: layer.forward(ctx, x), lambda saved, dy: layer.backward(ctx, saved, dy))


def as_block(*layers):
    """Return what Block.forward reads: four layers, each of which accepts a context and ignores it."""
    without = [
        layer_of(lambda _, x, f=each.forward: f(x), lambda _, saved, dy, b=each.backward: b(saved, dy))
        for each in layers
    ]
    return SimpleNamespace(**dict(zip(("ln_1", "attn", "ln_2", "mlp"), without, strict=True)))


engine = SimpleNamespace(
    block_forward=lambda x, *layers: Block.forward(as_block(*layers), None, x),
    block_backward=lambda saved, dy, *layers: Block.backward(as_block(*layers), None, saved, dy),
)
functions = lesson.functions(engine)


def times(factor):
    """Return the simplest layer: it multiplies by a number."""
    return layer_of(lambda x: (factor * x, None), lambda saved, dy: factor * dy)


lesson.title("By hand")
layers = [times(factor) for factor in (1.0, 3.0, 1.0, 0.5)]
y, saved = functions.block_forward(np.array(2.0), *layers)
lesson.holds("y", y, 12.0)
lesson.predict("what is dx for dy = 1?")
dx = functions.block_backward(saved, np.array(1.0), *layers)
lesson.holds("dx", dx, 6.0)
lesson.holds("the four paths: 1 + 0.5 + 3 + 3·0.5", 1 + 0.5 + 3 + 3 * 0.5, dx)

# %% [markdown]
# ## Four paths down
#
# Let M be the Jacobian of the MLP branch, $n_2$ included, and S that of the (self-)attention branch: their backward
# multiplies by $M^T$ and $S^T$. A sum hands its gradient to both terms, and an array that is used twice collects both
# gradients:
#
# $$d\text{middle} = dy + M^T dy \qquad dx = d\text{middle} + S^T d\text{middle} \tag{12.2}$$
#
# Multiplied out:
#
# $$dx = \underbrace{dy}_{\text{stream}} + \underbrace{M^T dy}_{\text{MLP}} + \underbrace{S^T dy}_{\text{attention}} + \underbrace{S^T M^T dy}_{\text{both}} \tag{12.3}$$
#
# The **stream** path goes straight down and touches nothing. The others come through the **MLP**, through **attention**
# and through **both**. Forget one of the two additions, and *two* of the paths are gone at once: the checker tells you
# which.

# %%
lesson.title("The code under study")
lesson.show(Block.forward)
lesson.show(Block.backward)
lesson.show(sg.GPT.backward)

# %% [markdown]
# ## A table that is used twice
#
# At the bottom, a GPT looks up rows of wte. At the top, a *tied* head multiplies by wte again. Suppose wte is a single
# number w, with nothing in between: the logit is w · w. Its derivative is 2w, the other factor from each use.
#
# $$\text{logit} = \underbrace{w}_{\text{embedding}} \cdot \underbrace{w}_{\text{head}} \qquad
# \frac{d\,\text{logit}}{dw} = w + w \tag{12.4}$$
#
# In general, with **P** from the head and **Q** from the embedding,
# $$dW_{te} = P + Q \tag{12.5}$$

# %%
lesson.title("A tied head")
text = (files.LESSONS.parent / "data" / "fables.txt").read_text(encoding="utf-8")
tokenizer = sg.CharTokenizer.train(text)
tokens, targets = data.random_batch(np.array(tokenizer.encode(text[:3000])), 4, 32, np.random.default_rng(12))
SHAPE = {"vocab_size": tokenizer.vocab_size, "block_size": 32, "n_head": 4, "n_embd": 64}

tied, untied = (sg.GPT(sg.GPTConfig(**SHAPE, n_layer=2, tie_weights=tie)) for tie in (True, False))
weights, apart = (model.init(seed=1, dtype="float64") for model in (tied, untied))
for name, values in apart.items():
    values[...] = weights["wte.weight" if name == "lm_head.weight" else name]
_, grads = sg.loss_and_grads(tied, weights, tokens, targets)
_, grads_apart = sg.loss_and_grads(untied, apart, tokens, targets)
P, Q = grads_apart["lm_head.weight"], grads_apart["wte.weight"]
print(f"norms: P {np.linalg.norm(P):.4f} (head), Q {np.linalg.norm(Q):.4f} (embedding)")
lesson.holds("largest difference, P + Q and the tied gradient", np.abs(P + Q - grads["wte.weight"]).max(), 0)

# %% [markdown]
# ## Experiment 1: with and without the sum
#
# A gradient comes down a deep stack, once through blocks and once through the same layers without the additions. The
# weights are those of an untrained GPT, but larger (init_std 0.1), so that the branches have an effect.

# %%
lesson.title("A deep stack")
DEPTH = 12 if lesson.fast else 24
lesson.predict(f"{2 * DEPTH} branches in a row. Does the gradient fade with the sums? And without them?")


def chain_up(x, *layers):
    """Return (y, saved) of a block without its two additions."""
    saved = []
    for layer in layers:
        x, kept = layer.forward(x)
        saved.append(kept)
    return x, saved


def chain_down(saved, dy, *layers):
    """Return dx of a block without its two additions."""
    for layer, kept in zip(reversed(layers), reversed(saved), strict=True):
        dy = layer.backward(kept, dy)
    return dy


class Pass:
    """One forward and backward pass through a GPT whose blocks are run by functions of our choice."""

    def __init__(self, model, weights, block_forward):
        self.model, self.grads = model, weights.zeros_like()
        self.ctx = ctx = Context(weights, self.grads, sg.get_backend().ops)
        x, _ = model.embedding.forward(ctx, tokens)
        self.streams, self.blocks = [x], []
        for block in model.blocks:
            layers = [bound(layer, ctx) for layer in (block.ln_1, block.attn, block.ln_2, block.mlp)]
            x, saved = block_forward(x, *layers)
            self.streams.append(x)
            self.blocks.append((layers, saved))
        x, self.saved_ln_f = model.ln_f.forward(ctx, x)
        self.loss, self.saved_head = model.lm_head.forward(ctx, x, targets, None)

    def backward(self, backward_of):
        """Return the norm of the gradient at every depth, from the top; `backward_of(i)` runs block i."""
        dx = self.model.lm_head.backward(self.ctx, self.saved_head)
        gradients = [self.model.ln_f.backward(self.ctx, self.saved_ln_f, dx)]
        for i, (layers, saved) in reversed(list(enumerate(self.blocks))):
            gradients.append(backward_of(i)(saved, gradients[-1], *layers))
        return [float(np.linalg.norm(dx)) for dx in gradients]


deep = sg.GPT(sg.GPTConfig(**SHAPE, n_layer=DEPTH, init_std=0.1))
deep_weights = deep.init(seed=2, dtype="float64")
for name in deep_weights:
    if name.endswith("c_proj.weight"):  # undo their smaller initial scale, which hides the effect
        deep_weights[name] *= np.sqrt(2 * DEPTH)


def spread(x):
    """Return the share of x that differs between positions: 0 if all rows of a text are equal, at most 1."""
    return float(np.linalg.norm(x - x.mean(axis=1, keepdims=True)) / np.linalg.norm(x))


measured = {}
ways = {"with": (functions.block_forward, functions.block_backward), "without": (chain_up, chain_down)}
for name, (forward, backward) in ways.items():
    way = Pass(deep, deep_weights, forward)
    sizes = way.backward(lambda i, backward=backward: backward)
    measured[name] = [spread(x) for x in way.streams]
    print(f"{name:<8} norm of the gradient: {sizes[0]:.2g} at the top, {sizes[-1]:.2g} at the bottom")
    print(
        f"{name:<8} rows differ by {measured[name][-1]:.2g} at the top, {measured[name][0]:.2g} at the bottom"
    )
assert measured["without"][-1] < 0.1 * measured["with"][-1]

# %% [markdown]
# Without the sums the gradient does *not* fade: the norms keep up its size. What fades is the text. Attention
# averages, and averages are alike: at the top, all positions hold nearly the same row. The skips keep them apart.
#
# ## Experiment 2: find the wrong layer
#
# In one block of a smaller stack, backward forgets an addition. The loss is right, so nothing looks odd. Move each
# layer's weights a little along a random direction u, and compare the slope with what backward says:
#
# $$\frac{L(w + hu) - L(w - hu)}{2h} \approx \langle dw, u \rangle \tag{12.6}$$
#
# A wrong layer makes every gradient *below* it wrong and leaves those above it right. So walk down from the loss: the
# mistake lies between the last correct layer and the first wrong one.

# %%
lesson.title("The blame walk")
N_BLOCKS, WRONG = 6, 3
lesson.predict(f"block {WRONG} of blocks 0 to {N_BLOCKS - 1} forgets a skip. Which blocks go wrong?")


def wrong_backward(saved, dy, ln_1, attn, ln_2, mlp):
    """Return dx of the engine's block, with a mistake: the stream and attention paths of (12.3) are missing."""
    dmiddle = ln_2.backward(saved[2], mlp.backward(saved[3], dy))  # should be dy + ...
    return dmiddle + ln_1.backward(saved[0], attn.backward(saved[1], dmiddle))


suspect = sg.GPT(sg.GPTConfig(**SHAPE, n_layer=N_BLOCKS, init_std=0.1))
weights = suspect.init(seed=3, dtype="float64")
way = Pass(suspect, weights, engine.block_forward)
way.backward(lambda i: wrong_backward if i == WRONG else engine.block_backward)

rng, H, walk = np.random.default_rng(4), 1e-5, []
for i in reversed(range(N_BLOCKS)):
    for layer in ("mlp", "attn"):
        name = f"h.{i}.{layer}.c_proj.weight"
        u = rng.standard_normal(weights[name].shape)
        losses = []
        for moved, h in ((weights.copy(), H), (weights.copy(), -H)):
            moved[name][...] += h * u
            losses.append(float(Pass(suspect, moved, engine.block_forward).loss))
        slope, claimed = (losses[0] - losses[1]) / (2 * H), float((way.grads[name] * u).sum())
        walk.append((f"{i} {layer}", abs(slope - claimed) / max(abs(slope), 1e-12)))

TOLERANCE = 1e-4
good = [label for label, error in walk if error < TOLERANCE]
bad = [label for label, error in walk if error >= TOLERANCE]
print(f"right, from the top: {', '.join(good)}\nwrong:               {', '.join(bad)}")
assert [label for label, _ in walk] == good + bad and (good[-1], bad[0]) == (f"{WRONG} mlp", f"{WRONG} attn")
print(f"so the mistake lies between '{good[-1]}' and '{bad[0]}': it is the addition there")

# %%
if lesson.mine:  # your gpt_forward and gpt_backward, on the layers of the tied GPT
    way = Pass(tied, tied.init(seed=1, dtype="float64"), functions.block_forward)
    stack = [bound(layer, way.ctx) for layer in (*tied.blocks, tied.ln_f)]
    wte, wpe = way.ctx.params["wte.weight"], way.ctx.params["wpe.weight"]
    _, saved = functions.gpt_forward(tokens, targets, wte, wpe, stack)
    dwte, dwpe = functions.gpt_backward(saved, stack)
    lesson.holds("your dwte minus the engine's, at most", np.abs(dwte - grads["wte.weight"]).max(), 0)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for name, values in measured.items():
    left.semilogy(values, label=f"{name} the sums", marker=".")
left.set(xlabel="blocks the text has passed through", ylabel="share of x that differs between positions")
left.set_title("Without the sums, all positions become alike")
left.legend()
labels, errors = zip(*walk, strict=True)
right.bar(labels, np.maximum(errors, 1e-11), color=["tab:green"] * len(good) + ["tab:red"] * len(bad))
right.axhline(TOLERANCE, color="black", linewidth=0.8, linestyle="--")
right.set(yscale="log", xlabel="block and layer, from the loss down", ylabel="relative error of the gradient")
right.set_title(f"A mistake between '{good[-1]}' and '{bad[0]}'")
right.tick_params(axis="x", rotation=60)
caption = (
    "Left: in blocks without sums the positions of a text become alike; with sums they stay apart. Right: errors of the "
    "gradients in a stack with one wrong block. They are correct above the mistake and wrong below it."
)
lesson.save(figure, caption)

# %% [markdown]
# ## Your turn
#
# Write `block_forward`, `block_backward`, `gpt_forward` and `gpt_backward` in `lessons/exercises/12_block_and_gpt.py`,
# then run `python -m lessons check 12`. It tells you which of the paths, or which use of wte, is missing.
# `python lessons/12_block_and_gpt.py --mine` sends text through your blocks. Then `python -m lessons hunt 12` plants
# one or two mistakes for you to name.
#
# ## What this lesson leaves out
#
# Why a stack with sums *learns* better, beyond keeping its positions apart; and why the norm stands in the branch
# (pre-norm) and not on the stream, as in the first transformer (post-norm).
#
# **Sources.** He et al., "Deep Residual Learning for Image Recognition" (2015). Veit, Wilber, Belongie, "Residual
# Networks Behave Like Ensembles of Relatively Shallow Networks" (2016), for the sum over paths. Dong, Cordonnier,
# Loukas, "Attention is Not All You Need" (2021). Press and Wolf, "Using the Output Embedding to Improve Language
# Models" (2017).
