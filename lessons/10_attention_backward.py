# %% [markdown]
# # Lesson 10 · Attention backward is matmul and softmax
#
# **Question.** Attention decides by itself what it reads. How does a loss far above tell a query that it should have
# looked somewhere else?

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
# The two positions of lesson 9: keys 1 and 0, queries 0 and ln 3, values 8 and 4, one channel. Position 1 weighs the
# values with 3/4 and 1/4 and puts out 7. Let the loss be this output alone, so dy = (0, 1).
#
# - Values: each gets its weight, dv = (3/4, 1/4).
# - Weights: raising the weight of a key adds its value, so dP = (8, 4).
# - Scores: raising one score raises its own weight and lowers the other. The output is 7; value 8 lies 1 above it,
#   value 4 lies 3 below. So dscores = (3/4 · 1, 1/4 · (-3)) = (3/4, -3/4): the loss rises with the first score
#   and falls with the second. A step *against* the gradient looks less at the first and more at the second.
# - Query 1: 3/4 · 1 - 3/4 · 0 = 3/4. Keys: (3/4, -3/4) · ln 3.

# %%
lesson.title("By hand")


def heads(*numbers: float) -> np.ndarray:
    """Return numbers as an array (B, H, T, D) with B = H = D = 1."""
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
# Forward is three steps: the scores $S = Q K^\top / \sqrt D$ (future hidden), then $P = \mathrm{softmax}(S)$, then
# $Y = P V$. Backward goes through them in reverse. Write dX for the derivative of the loss by X;
# so dS is the dscores above.
#
# **The average.** $y_{td} = \sum_s P_{ts} v_{sd}$. Value s is used by every query t, so its gradient sums over t;
# weight $P_{ts}$ meets every channel d, so its gradient sums over d:
#
# $$dV = P^\top\, dY \tag{10.1}$$
# $$dP = dY\, V^\top \qquad dP_{ts} = dy_t \cdot v_s \tag{10.2}$$
#
# **The softmax** (lesson 3), for each row on its own. A score reaches its own weight, **term A**, and through the sum
# in the denominator all weights of the row, **term B**:
#
# $$dS_{ts} = \underbrace{P_{ts}\, dP_{ts}}_{A} \;\underbrace{-\; P_{ts} \sum_r P_{tr}\, dP_{tr}}_{B} \tag{10.3}$$
#
# The sum is the average of dP under the weights. A positive dP means: more weight here, more loss. So a step *against*
# (10.3) says: *raise the scores of the keys whose dP is below average, by as much as it is below, times the weight they
# have already, and lower the others.* With (10.2) this average is
#
# $$\sum_r P_{tr}\, dP_{tr} = \sum_r P_{tr}\,(dy_t \cdot v_r) = dy_t \cdot y_t \tag{10.4}$$
#
# which needs only y and dy, and no row of P: fast attention kernels use it.
#
# **The scores.** $\mathrm{scores}_{ts} = q_t \cdot k_s / \sqrt D$ is a matmul again (lesson 4), with one factor:
#
# $$dQ = \frac{1}{\sqrt D}\, dS\, K \qquad dK = \frac{1}{\sqrt D}\, dS^\top Q \tag{10.5}$$
#
# **The mask** needs no line of its own. Where P is 0, both terms of (10.3) are 0.
#
# ## The engine's own lines

# %%
lesson.title("The code under study")
lesson.show(attention.backward)
lesson.show(softmax.backward)

# %% [markdown]
# ## What must hold whatever the numbers are
#
# Each row of dS sums to 0, since adding a constant to a row of scores changes no weight. Adding one vector to *all*
# keys adds such a constant to each row, so the gradients of the keys must sum to 0. And as the weights sum to 1, the
# gradients of the values must sum to what the dy sum to.

# %%
lesson.title("Sums")
rng = np.random.default_rng(10)
B, H, T, D = (1, 2, 6, 4) if lesson.fast else (2, 3, 8, 5)
q, k, v, dy = rng.standard_normal((4, B, H, T, D))
y, saved = functions.forward(q, k, v)
dq, dk, dv = functions.backward(saved, dy)
lesson.predict("what do the gradients of the keys sum to, and what those of the values?")
lesson.holds("largest |Σ dk|", np.abs(dk.sum(axis=2)).max(), 0.0)
lesson.holds("largest |Σ dv - Σ dy|", np.abs(dv.sum(axis=2) - dy.sum(axis=2)).max(), 0.0)

scores = q @ k.swapaxes(2, 3) / math.sqrt(D)
weights, _ = softmax.forward(np.where(np.tri(T, dtype=bool), scores, -math.inf))
dP = dy @ v.swapaxes(2, 3)
difference = (weights * dP).sum(axis=-1) - (dy * y).sum(axis=-1)
lesson.holds("(10.4): Σ P∘dP - dy·y, the largest", np.abs(difference).max(), 0.0)

# %% [markdown]
# ## Experiment, left: beside finite differences
#
# Nudge every number of q, k and v by a little, and measure the loss $\sum dy \circ y$ each time (lesson 0). We also
# make dq and dk as they would be without term B.

# %%
lesson.title("Each gradient beside its finite difference")
inputs = {"q": q, "k": k, "v": v}


def measured(name: str) -> np.ndarray:
    """Return the gradient of one input by finite differences."""
    return numerical_gradient(
        lambda x: float((functions.forward(**{**inputs, name: x})[0] * dy).sum()), inputs[name]
    )


true = {name: measured(name) for name in inputs}
computed = {"q": dq, "k": dk, "v": dv}
A = weights * dP
without_b = {"q": A @ k / math.sqrt(D), "k": A.swapaxes(2, 3) @ q / math.sqrt(D)}
lesson.predict("to how many digits do the gradients agree with the measured ones?")
for name in inputs:
    error = np.abs(computed[name] - true[name]).max()
    print(f"d{name}: the largest error is {error:.0e}, of numbers up to {np.abs(true[name]).max():.1f}")
    assert error < 1e-8
off = np.linalg.norm(without_b["q"] - true["q"]) / np.linalg.norm(true["q"])
print(f"without term B, dq is off by {100 * off:.0f} % of its size")
assert off > 0.3

# %% [markdown]
# ## Experiment, right: the gradient knows where to look
#
# A small task: each position should copy the value of the position *just before* it (position 0 its own). The values are the rows of the
# identity matrix, so y *is* the row of weights, and the loss is half the squared distance to the wanted row. All
# scores start at 0: every query reads all it may see, equally.
#
# The keys are the rows of the identity matrix, too, so $dQ = dS / \sqrt T$: the gradient of the queries shows dS
# itself. Then we let the queries follow it.

# %%
lesson.title("Copy the one before")
T = 12
identity = np.eye(T).reshape(1, 1, T, T)
wanted = np.eye(T, k=-1).reshape(1, 1, T, T)
wanted[0, 0, 0, 0] = 1.0  # position 0 has nobody before it
q = np.zeros((1, 1, T, T))
losses = []
for step in range(100 if lesson.fast else 400):
    y, saved = functions.forward(q, identity, identity)
    dq, _, _ = functions.backward(saved, y - wanted)
    if step == 0:
        first = -dq[0, 0] * math.sqrt(T)  # the way in which the scores are to go
    losses.append(0.5 * float(((y - wanted) ** 2).sum()))
    q = q - 20.0 * dq

lesson.predict(
    "in row 5 of dS, how many of the 12 entries ask for a higher score, and how many are exactly 0?"
)
print("row 5 of -dS:", np.round(first[5], 3) + 0.0)  # no -0
lesson.holds("entries that ask for more", (first[5] > 1e-12).sum(), 1)
lesson.holds("entries that are exactly 0", (first[5] == 0.0).sum(), 6)
lesson.holds("each row of dS sums to", first.sum(axis=1), np.zeros(T))
assert (first[1:].argmax(axis=1) == np.arange(T - 1)).all()
print(f"the loss falls from {losses[0]:.2f} to {losses[-1]:.3f}")
assert losses[-1] < 0.1 * losses[0]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
size = {name: np.abs(true[name]).max() for name in inputs}  # so that all three fill the picture
for name in ("q", "k"):
    label = "dq and dk without term B" if name == "q" else None
    left.plot(
        true[name].ravel() / size[name], without_b[name].ravel() / size[name], ".", color="0.75", label=label
    )
for name, marker, width in (("v", "^", 9), ("k", "s", 6), ("q", "o", 3)):
    x, y = true[name].ravel() / size[name], computed[name].ravel() / size[name]
    left.plot(x, y, marker, markersize=width, fillstyle="full" if name == "q" else "none", label=f"d{name}")
left.set(
    xlabel="measured by finite differences, over the largest",
    ylabel="computed by backward, over the same",
    title="On the diagonal: right",
)
left.legend()
limit = np.abs(first).max()
colours = SymLogNorm(0.003, vmin=-limit, vmax=limit)  # or else the lower rows look white
picture = right.imshow(first, cmap="RdBu_r", norm=colours)
right.set(
    xticks=range(T),
    yticks=range(T),
    xlabel="key s",
    ylabel="query t",
    title="Which scores should rise (-dS, first step)",
)
figure.colorbar(picture, ax=right, label="red: look here more, blue: less, white: 0", shrink=0.8)
lesson.save(
    figure,
    "Left: every number of dq, dk and dv lies on the diagonal beside its finite difference; without term B they do "
    "not. Right: when each position should copy the one before it, a step against the first gradient raises exactly "
    "that score in each row but row 0, lowers the others, and leaves the future alone.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/ex10.py`, then `python -m lessons check 10`. Forward is that of
# lesson 9; what it saves is up to you. `python lessons/10_attention_backward.py --mine` draws the picture with your
# functions, and `python train.py --mine 10` trains a GPT with them.
#
# Then hunt: `python -m lessons hunt 10` plants one or two mistakes in a copy of the answer, and you name them.
#
# ## What this does not explain
#
# Both terms of (10.3) have the factor P: a score whose weight is 0 now gets no gradient either, however good it would be. So a softmax
# that is sure of itself learns slowly, which is one more reason for the √D of lesson 9. And P is kept from forward to
# backward, T² numbers for each head. Whether it must be: beyond these lessons.
#
# **Sources.** Vaswani et al., "Attention Is All You Need" (2017), for the forward. Dao et al., "FlashAttention: Fast
# and Memory-Efficient Exact Attention with IO-Awareness" (2022), which uses (10.4) in its backward.
