# %% [markdown]
# # Lesson 11 · Heads are a reshape
#
# **Question.** One softmax produces one set of weights, but a token may want to read several things for
# several reasons. How does a GPT look with many heads at once, and what does that cost?

# %%
import copy
import dataclasses
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

import scratchgpt as sg
from scratchgpt.nn.context import NO_GRADS, Context
from scratchgpt.ops import attention, merge_heads, split_heads
from scratchgpt.training.step import TrainingStep

lesson = Lesson(11)
engine = SimpleNamespace(
    split_forward=split_heads.forward,
    split_backward=split_heads.backward,
    merge_forward=merge_heads.forward,
    merge_backward=merge_heads.backward,
)
functions = lesson.functions(engine)

# %% [markdown]
# ## What it does, by hand
#
# Take two positions with four channels each, (1, 2, 3, 4) and (5, 6, 7, 8), and H = 2 heads. D is 4/2 = 2, so
# each head gets two neighboring channels *of every position*:
#
# - head 0: (1, 2) of position 0 and (5, 6) of position 1,
# - head 1: (3, 4) of position 0 and (7, 8) of position 1.
#
# A reshape alone would cut the sequence 1 to 8 in the middle, and head 0 would get 1 to 4. The shape is
# right, but head 0 now holds all of position 0 and nothing of position 1. This mistake raises no error.

# %%
lesson.title("By hand")
x = np.arange(1.0, 9.0).reshape(1, 2, 4)
(q, k, v), _ = functions.split_forward(np.concatenate([x, 10 * x, 100 * x], axis=2), 2)
lesson.holds("head 0 of q", q[0, 0], [[1.0, 2.0], [5.0, 6.0]])
lesson.holds("head 1 of q", q[0, 1], [[3.0, 4.0], [7.0, 8.0]])
lesson.holds("head 1 of v", v[0, 1], [[300.0, 400.0], [700.0, 800.0]])
lesson.holds("head 0 after a reshape alone", x.reshape(1, 2, 2, 2)[0, 0], [[1.0, 2.0], [3.0, 4.0]])

# %% [markdown]
# ## Where each number goes, and the way back
#
# One matmul produces queries, keys and values together, 3C channels for each position. Splitting gives each
# number its place in a head. **A: q, B: k, C: v** are the three thirds:
#
# $$q_{b,h,t,d} = \mathrm{qkv}_{b,\,t,\;hD+d} \qquad k_{b,h,t,d} = \mathrm{qkv}_{b,\,t,\;C+hD+d} \qquad
# v_{b,h,t,d} = \mathrm{qkv}_{b,\,t,\;2C+hD+d} \tag{11.1}$$
#
# After attention, merging puts the heads side by side again:
#
# $$y_{b,\,t,\;hD+d} = \mathrm{heads}_{b,h,t,d} \tag{11.2}$$
#
# Both are **permutations**: the numbers stay the same and only their places change, $y_i = x_{\pi(i)}$. As a
# matrix, Π has a single 1 in each row and each column, so $\Pi^\top \Pi = I$. Backward multiplies by the
# transpose (lesson 04), which here is the inverse:
#
# $$dx = \Pi^\top dy = \Pi^{-1} dy \tag{11.3}$$
#
# Each gradient goes back to where its number came from. Nothing is multiplied, and nothing is added.
#
# **What heads cost.** The linear maps before and after attention have the same size for every H. The scores
# of one head take $T^2 D$ multiplications, and those of all H heads take
#
# $$H \cdot T^2 \cdot D = T^2 C \tag{11.4}$$
#
# whatever H is. What grows is the number of *weights*: H T² instead of T². And each head has fewer channels
# to compare.
#
# ## The engine's code

# %%
lesson.title("The code under study")
for pair in (split_heads, merge_heads):
    lesson.show(pair.forward)
    lesson.show(pair.backward)

# %% [markdown]
# ## There and back

# %%
lesson.title("There and back")
rng = np.random.default_rng(11)
B, T, H, D = 2, 5, 4, 7
qkv = rng.standard_normal((B, T, 3 * H * D))
(q, k, v), saved = functions.split_forward(qkv, H)
back = functions.split_backward(saved, (q, k, v))
lesson.predict("we pass q, k and v themselves to backward, as if they were gradients. What comes out?")
lesson.holds(
    "its largest difference from qkv",
    np.abs(np.asarray(back).reshape(qkv.shape) - qkv).max(),
    0.0,
    tolerance=0.0,
)
merged, _ = functions.merge_forward(q)
lesson.holds(
    "merge after split: largest difference from the first third",
    np.abs(merged - qkv[..., : H * D]).max(),
    0.0,
)

# %% [markdown]
# ## Upper picture: what four heads look at
#
# A GPT with one block and four heads of 8 channels memorizes a text of 64 characters. Then we give it the
# text and draw the weights of each head over the first 26 characters.

# %%
lesson.title("A GPT with four heads learns a text")
text = (Path(sg.__file__).parent.parent / "data" / "memorise.txt").read_text(encoding="utf-8").rstrip("\n")
tokenizer = sg.CharTokenizer.train(text)
tokens = tokenizer.encode(text)[None]
config = sg.GPTConfig(tokenizer.vocab_size, block_size=tokens.shape[1], n_layer=1, n_head=4, n_embd=32)
model = sg.GPT(config)
seen = []


def op(forward, backward):
    """Return two functions as an entry of the engine's table; a single gradient need not be in a tuple."""

    def gradients(saved, dy):
        returned = backward(saved, dy)
        return returned if isinstance(returned, tuple) else (returned,)

    return SimpleNamespace(forward=forward, backward=gradients)


def table(backend: sg.Backend) -> sg.Backend:
    """Return the backend with this lesson's functions in its table, and an attention that records its weights."""

    def watched(q, k, v, *dropout):
        identity = np.broadcast_to(np.eye(k.shape[2], dtype=k.dtype), (*k.shape[:2], k.shape[2], k.shape[2]))
        seen[:] = [attention.forward(q, k, identity)[0]]  # the identity as values: the trick of lesson 09
        return attention.forward(q, k, v, *dropout)

    changed = copy.copy(backend)
    changed.ops = dataclasses.replace(
        backend.ops,
        split_heads=op(functions.split_forward, functions.split_backward),
        merge_heads=op(functions.merge_forward, functions.merge_backward),
        attention=SimpleNamespace(forward=watched, backward=attention.backward),
    )
    return changed


backend = table(sg.get_backend("numpy"))
params = model.init(seed=1, dtype="float64")
optimizer = sg.AdamW(params, weight_decay=0.0, backend=backend)
step = TrainingStep(model, optimizer, grad_clip=1.0)
n_steps = 150 if lesson.fast else 300
for _ in range(n_steps):
    step(tokens[:, :-1], tokens[:, 1:], 1e-2, np.random.default_rng(0))
losses = [taken.loss for taken in step.read()]
lesson.predict("four heads are trained on the same loss. Do they end up looking at the same places?")
print(f"the loss falls from {losses[0]:.2f} to {losses[-1]:.2g} nats in {n_steps} steps")
assert losses[0] > 3 and losses[-1] < 0.5

model.logits(Context(params, NO_GRADS, backend.ops), tokens[:, :-1])
maps = seen[0][0]  # (H, T, T)
favorite = maps[:, 1:].argmax(axis=2)
pairs = [(a, b) for a in range(4) for b in range(a)]
agree = np.mean([(favorite[a] == favorite[b]).mean() for a, b in pairs])
print(f"two heads give their largest weight to the same key at {100 * agree:.0f} % of the positions")
assert agree < 0.7

# %% [markdown]
# ## Lower picture: when the transpose is forgotten
#
# We split and merge with `reshape(B, H, T, D)` and its inverse, without a transpose, and change one position
# after another, as in lesson 09. Both ways give the right shapes.

# %%
lesson.title("The forgotten transpose")
T, H, D = 16, 4, 4
rng = np.random.default_rng(2)
x = np.repeat(rng.standard_normal((1, T, 3 * H * D)), T + 1, axis=0)
for s in range(T):
    x[s + 1, s] += rng.standard_normal(3 * H * D)  # copy s + 1 differs at position s


def influence(with_transpose: bool) -> np.ndarray:
    """Return a (T, T) matrix that is True where the output at position t changes when position s does."""
    if with_transpose:
        (q, k, v), _ = functions.split_forward(x, H)
        y, _ = functions.merge_forward(attention.forward(q, k, v)[0])
    else:
        q, k, v = (part.reshape(T + 1, H, T, D) for part in np.split(x, 3, axis=2))
        y = attention.forward(q, k, v)[0].reshape(T + 1, T, H * D)
    return (np.abs(y[1:] - y[0]) > 1e-12).any(axis=2).T


right_way, forgotten = influence(True), influence(False)
lesson.predict("of the 16 · 17 / 2 = 136 pairs (t, s ≤ t), how many can still be read without the transpose?")
lesson.holds("with it", right_way.sum(), T * (T + 1) // 2)
lesson.holds("without it", forgotten.sum(), 4 * (4 * 5 // 2))

# %% [markdown]
# Without the transpose, the four "heads" are four quarters of the text, and none of them can read the others.
# Position 4, the first of its quarter, sees only itself. No error reveals it: the shapes are right, and if
# backward forgets the transpose as well, even its gradients are correct for this forward.

# %%
N = 26
figure, (above, below) = plt.subplots(2, 1, figsize=(11, 7), layout="constrained", height_ratios=[1, 1])
letters = text[:N].replace(" ", "·").replace("\n", "↵")
gap = np.full((N, 1), np.nan)
strip = np.hstack(
    [part for each in maps for part in (np.where(np.tri(N, dtype=bool), each[:N, :N], np.nan), gap)]
)
picture = above.imshow(strip[:, :-1], cmap="magma_r", vmin=0.0, vmax=0.5)
above.set(
    yticks=range(N),
    xticks=[h * (N + 1) + i for h in range(4) for i in range(N)],
    ylabel="position that reads",
    xlabel="character that is read by head 0, 1, 2 and 3",
    title="Four heads of one block after training",
)
above.set_xticklabels(letters * 4, fontsize=6.5)
above.set_yticklabels(letters, fontsize=6.5)
figure.colorbar(picture, ax=above, label="weight", shrink=0.6, extend="max")
both = np.hstack([right_way, np.full((T, 2), np.nan), forgotten])
below.imshow(both, cmap="Blues", vmin=0.0, vmax=1.4)
below.set(
    xticks=[0, 5, 10, 15, 18, 23, 28, 33],
    yticks=[0, 4, 8, 12],
    xlabel="position that is changed",
    ylabel="output that moves",
    title="Which position reads which: split with the transpose, and without it",
)
below.set_xticklabels([0, 5, 10, 15] * 2)
lesson.save(
    figure,
    "Above: four heads of one block, trained on one text, look at different places. Below: with the transpose, each "
    "position reads itself and all positions before it; without it, it reads only its own quarter of the text.",
)

# %% [markdown]
# ## Your turn
#
# Write the two pairs in `lessons/exercises/11_heads.py`, then run `python -m lessons check 11`.
# `python lessons/11_heads.py --mine` trains the little GPT with your functions and draws the picture, and
# `python -m lessons train 11` trains a larger one.
#
# Then go hunting: `python -m lessons hunt 11` plants one or two mistakes in a copy of the answer, and you
# name them.
#
# ## What this lesson leaves out
#
# - How many heads are enough: after training, many of them can be removed with little loss.
# - Why the heads come to differ: nothing in the loss asks for it; they only start from different random
#   numbers.
# - What the transpose costs: in NumPy it moves no number and only changes the order in which memory is read.
#   Whether that order is fast is another question.
#
# **Sources.** Vaswani et al., "Attention Is All You Need" (2017), section 3.2.2. Radford et al., "Language
# Models are Unsupervised Multitask Learners" (2019), whose released weights fix the order q, k, v. Michel,
# Levy, Neubig, "Are Sixteen Heads Really Better than One?" (2019), on removing heads.
