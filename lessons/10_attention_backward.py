# %% [markdown]
# # Lesson 10 · Attention backward is matmul and softmax
#
# **Question.** Attention decides by itself what to read. How does a loss far above it tell a query that it
# should have looked somewhere else?

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson
from matplotlib.colors import SymLogNorm

from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.ops import attention, softmax

lesson = Lesson(10)
functions = lesson.functions(attention)

# %% [markdown]
# ## What it does, by hand
#
# Take the two positions of lesson 09: keys 1 and 0, queries 0 and ln 3, values 8 and 4, one channel.
# Position 1 weights the values by 3/4 and 1/4 and outputs 7. Let the loss be this output alone, so
# $dy = (0, 1)$.
#
# - Values: each gets its weight, dv = (3/4, 1/4).
# - Weights: raising the weight of a key adds its value, so dP = (8, 4).
# - Scores: raising one score raises its own weight and lowers the other. The output is 7; value 8 lies 1
#   above it and value 4 lies 3 below it. So dscores = (3/4 · 1, 1/4 · (-3)) = (3/4, -3/4): the loss rises
#   with the first score and falls with the second. A step *against* the gradient looks less at the first key
#   and more at the second.
# - Query 1: each dscore times its key, added up, is 3/4 · 1 - 3/4 · 0 = 3/4.
# - Keys: each dscore times the query ln 3 is (3/4, -3/4) · ln 3.

# %%
lesson.title("By hand")


def heads(*numbers: float) -> np.ndarray:
    """Return the numbers as an array of shape (B, H, T, D) with B = H = D = 1."""
    return np.array(numbers).reshape(1, 1, -1, 1)


q, k, v = heads(0.0, math.log(3.0)), heads(1.0, 0.0), heads(8.0, 4.0)
y, saved = functions.forward(q, k, v)
dq, dk, dv = functions.backward(saved, heads(0.0, 1.0))
lesson.holds("dv", dv.ravel(), [0.75, 0.25])
lesson.holds("dq", dq.ravel(), [0.0, 0.75])
lesson.holds("dk / ln 3", dk.ravel() / math.log(3.0), [0.75, -0.75])

# %% [markdown]
# ## The gradient, step by step
#
# In this lesson S stands for the scores and P for the probabilities, which are the weights. (Elsewhere S
# counts the keys and P the positions.) Forward takes three steps: the scores $S = Q K^\top / \sqrt D$ (with the
# future masked), then $P = \mathrm{softmax}(S)$, then $Y = P V$. Backward goes through them in reverse. Write dX for the
# derivative of the loss with respect to X; dS is the dscores from above.
#
# **The average.** $y_{td} = \sum_s P_{ts} v_{sd}$. Value s is used by every query t, so its gradient sums
# over t. Weight $P_{ts}$ multiplies every channel d, so its gradient sums over d:
#
# $$dV = P^\top\, dY \tag{10.1}$$
# $$dP = dY\, V^\top \qquad dP_{ts} = dy_t \cdot v_s \tag{10.2}$$
#
# **The softmax** (lesson 03), row by row. A score reaches its own weight through the **numerator**,
# and all the weights of its row through the sum in the **denominator**:
#
# $$dS_{ts} = \underbrace{P_{ts}\, dP_{ts}}_{\text{numerator}} \;\underbrace{-\; P_{ts} \sum_r P_{tr}\, dP_{tr}}_{\text{denominator}} \tag{10.3}$$
#
# The sum is the average of dP under the weights. A positive dP means: more weight here, more loss. So a step
# *against* (10.3) says: *raise the scores of the keys whose dP is below average, in proportion to how far
# below it is and to the weight they already have, and lower the others.* By (10.2), this average is
#
# $$\sum_r P_{tr}\, dP_{tr} = \sum_r P_{tr}\,(dy_t \cdot v_r) = dy_t \cdot y_t \tag{10.4}$$
#
# It needs only y and dy, and no row of P. Fast attention kernels use that.
#
# **The scores.** $\mathrm{scores}_{ts} = q_t \cdot k_s / \sqrt D$ is again a matmul (lesson 04), with one
# extra factor:
#
# $$dQ = \frac{1}{\sqrt D}\, dS\, K \qquad dK = \frac{1}{\sqrt D}\, dS^\top Q \tag{10.5}$$
#
# **The mask** needs no extra code. Where P is 0, both terms of (10.3) are 0.
#
# ## The engine's code
#
# The engine also drops weights (lesson 13; off here). In its docstring, `softmax'` means softmax's backward.

# %%
lesson.title("The code under study")
lesson.show(attention.backward)
lesson.show(softmax.backward)

# %% [markdown]
# ## What must hold, whatever the numbers are
#
# Each row of dS sums to 0, because adding a constant to a row of scores changes no weight. Adding the same
# vector to *all* keys adds such a constant to each row, so the gradients of the keys must sum to 0. And since
# the weights of each query sum to 1, the gradients of the values must have the same sum as the dy.

# %%
lesson.title("Sums")
rng = np.random.default_rng(10)
B, H, T, D = (1, 2, 6, 4) if lesson.fast else (2, 3, 8, 5)
q, k, v, dy = rng.standard_normal((4, B, H, T, D))
y, saved = functions.forward(q, k, v)
dq, dk, dv = functions.backward(saved, dy)
lesson.predict("what do the gradients of the keys sum to? And those of the values?")
lesson.holds("largest |Σ dk|", np.abs(dk.sum(axis=2)).max(), 0.0)
lesson.holds("largest |Σ dv - Σ dy|", np.abs(dv.sum(axis=2) - dy.sum(axis=2)).max(), 0.0)

scores = q @ k.swapaxes(2, 3) / math.sqrt(D)
weights, _ = softmax.forward(np.where(np.tri(T, dtype=bool), scores, -math.inf))
dP = dy @ v.swapaxes(2, 3)
difference = (weights * dP).sum(axis=-1) - (dy * y).sum(axis=-1)
lesson.holds("(10.4): largest |Σ P∘dP - dy·y|", np.abs(difference).max(), 0.0)

# %% [markdown]
# ## Left picture: backward against finite differences
#
# Move each number of q, k and v a little, and measure the loss $\sum dy \circ y$ each time (lesson 00). For
# comparison, we also compute dq and dk without the denominator term.

# %%
lesson.title("Backward against finite differences")
inputs = {"q": q, "k": k, "v": v}


def measured(name: str) -> np.ndarray:
    """Return the gradient of one input by finite differences."""
    return numerical_gradient(
        lambda x: float((functions.forward(**{**inputs, name: x})[0] * dy).sum()), inputs[name]
    )


true = {name: measured(name) for name in inputs}
computed = {"q": dq, "k": dk, "v": dv}
numerator = weights * dP
one_term = {"q": numerator @ k / math.sqrt(D), "k": numerator.swapaxes(2, 3) @ q / math.sqrt(D)}
lesson.predict("to how many digits do the gradients of backward agree with the measured ones?")
for name in inputs:
    error = np.abs(computed[name] - true[name]).max()
    print(f"d{name}: largest error {error:.0e}, largest number {np.abs(true[name]).max():.1f}")
    assert error < 1e-8
off = np.linalg.norm(one_term["q"] - true["q"]) / np.linalg.norm(true["q"])
print(f"without the denominator term, dq has a relative error of {100 * off:.0f} %")
assert off > 0.3

# %% [markdown]
# ## Right picture: the gradient knows where to look
#
# A small task: each position should copy the value of the position *just before* it (position 0 copies its
# own). The values are the rows of the identity matrix, so y *is* the row of weights, and the loss is half the
# squared distance from the row we want. All scores start at 0: every query reads all the positions it may
# see, with equal weights.
#
# The keys are the rows of the identity matrix, too, and D = T, so $dQ = dS / \sqrt T$: the gradient of the
# queries shows dS itself. Then we let the queries descend.

# %%
lesson.title("Copy the position before")
T = 12
identity = np.eye(T).reshape(1, 1, T, T)
wanted = np.eye(T, k=-1).reshape(1, 1, T, T)
wanted[0, 0, 0, 0] = 1.0  # no position comes before position 0
q = np.zeros((1, 1, T, T))
losses = []
for step in range(100 if lesson.fast else 400):
    y, saved = functions.forward(q, identity, identity)
    dq, _, _ = functions.backward(saved, y - wanted)
    if step == 0:
        first = -dq[0, 0] * math.sqrt(T)  # the direction in which the scores should move
    losses.append(0.5 * float(((y - wanted) ** 2).sum()))
    q = q - 20.0 * dq

lesson.predict(
    "in row 5 of dS, how many of the 12 entries ask for a higher score, and how many are exactly 0?"
)
print("row 5 of -dS:", np.round(first[5], 3) + 0.0)  # no -0
lesson.holds("entries that ask for a higher score", (first[5] > 1e-12).sum(), 1)
lesson.holds("entries that are exactly 0", (first[5] == 0.0).sum(), 6)
lesson.holds("each row of dS sums to", first.sum(axis=1), np.zeros(T))
assert (first[1:].argmax(axis=1) == np.arange(T - 1)).all()
print(f"the loss falls from {losses[0]:.2f} to {losses[-1]:.3f}")
assert losses[-1] < 0.1 * losses[0]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
size = {name: np.abs(true[name]).max() for name in inputs}  # scales all three to fill the picture
for name in ("q", "k"):
    label = "dq and dk without the denominator term" if name == "q" else None
    left.plot(
        true[name].ravel() / size[name], one_term[name].ravel() / size[name], ".", color="0.75", label=label
    )
for name, marker, width in (("v", "^", 9), ("k", "s", 6), ("q", "o", 3)):
    x, y = true[name].ravel() / size[name], computed[name].ravel() / size[name]
    left.plot(x, y, marker, markersize=width, fillstyle="full" if name == "q" else "none", label=f"d{name}")
left.set(
    xlabel="finite difference, divided by the largest",
    ylabel="backward, divided by the same number",
    title="On the diagonal: correct",
)
left.legend()
limit = np.abs(first).max()
colors = SymLogNorm(0.003, vmin=-limit, vmax=limit)  # a linear scale would leave the lower rows white
picture = right.imshow(first, cmap="RdBu_r", norm=colors)
right.set(
    xticks=range(T),
    yticks=range(T),
    xlabel="key s",
    ylabel="query t",
    title="Which scores should rise (-dS, first step)",
)
figure.colorbar(picture, ax=right, label="red: look more, blue: look less, white: 0", shrink=0.8)
lesson.save(
    figure,
    "Left: every number of dq, dk and dv agrees with its finite difference and lies on the diagonal; without the denominator term, dq "
    "and dk do not. Right: when each position should copy the one before it, a step against the first gradient raises "
    "exactly that score in every row except row 0, lowers the others, and leaves the future alone.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/10_attention_backward.py`, then run
# `python -m lessons check 10`. Forward is that of lesson 09; what it saves is up to you.
# `python lessons/10_attention_backward.py --mine` draws the picture with your functions, and
# `python -m lessons train 10` trains a GPT with them.
#
# Then go hunting: `python -m lessons hunt 10` plants one or two mistakes in a copy of the answer, and you
# name them.
#
# ## What this lesson leaves out
#
# - Both terms of (10.3) contain the factor P. A score whose weight is currently 0 gets no gradient, however
#   useful its key would be. A saturated softmax learns slowly, which is one more reason for the √D of
#   lesson 09.
# - P is saved from forward to backward, T² numbers for each head. Whether it has to be: beyond these lessons.
#
# **Sources.** Vaswani et al., "Attention Is All You Need" (2017), for the forward. Dao et al.,
# "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness" (2022), which uses (10.4) in
# its backward.
