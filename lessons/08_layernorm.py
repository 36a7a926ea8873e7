# %% [markdown]
# # Lesson 08 · LayerNorm: project out two directions
#
# **Question.** A deep network multiplies by one matrix after another. Why do the numbers in it neither explode
# nor fade, and what does the cure do to the gradient?

# %%
import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.ops import layernorm

lesson = Lesson(8)
functions = lesson.functions(layernorm)

# %% [markdown]
# ## What it does, by hand
#
# LayerNorm takes a row of C numbers, subtracts their mean μ and divides by their spread σ:
#
# $$\mu = \frac1C\sum_i x_i \qquad \sigma^2 = \frac1C\sum_i (x_i-\mu)^2 + \epsilon \qquad
# \hat x_i = \frac{x_i-\mu}{\sigma} \qquad y_i = \gamma_i \hat x_i + \beta_i \tag{8.1}$$
#
# Take the row (1, 3) with γ = 1, β = 0 and no ε. Its mean is 2, its spread is 1, so x̂ = (-1, 1).
# Two facts can be seen at once: add 100 to the row, or multiply it by 7, and x̂ is the same.

# %%
lesson.title("By hand")
one, zero = np.ones(2), np.zeros(2)
for row in ([1.0, 3.0], [101.0, 103.0], [7.0, 21.0]):
    y, _ = layernorm.forward(np.array(row), one, zero, eps=0.0)
    lesson.holds(f"LayerNorm of {row}", y, [-1.0, 1.0])

# %% [markdown]
# ## The gradient, term by term
#
# Write $h_i = \gamma_i\, \partial L/\partial y_i$: what comes back to x̂. Changing one $x_j$ changes the loss
# in three ways, because $x_j$ is in three places of (8.1).
#
# 1. In its own numerator: $\hat x_j$ moves by $1/\sigma$. **Term A**:
#    $$A_j = \frac{h_j}{\sigma} \tag{8.2}$$
# 2. In the mean: $\partial\mu/\partial x_j = 1/C$, and μ is subtracted from *every* number of the row. **Term B**:
#    $$B_j = -\frac{1}{\sigma}\,\frac1C\sum_i h_i = -\frac{\mathrm{mean}(h)}{\sigma} \tag{8.3}$$
# 3. In the spread: $\partial\sigma/\partial x_j = \hat x_j / C$ (the centred numbers sum to 0, so the mean does not
#    matter here), and $\partial \hat x_i/\partial\sigma = -\hat x_i/\sigma$. **Term C**:
#    $$C_j = -\frac{\hat x_j}{\sigma}\,\frac1C\sum_i h_i\hat x_i = -\frac{\hat x_j\,\mathrm{mean}(h\hat x)}{\sigma} \tag{8.4}$$
#
# Together
#
# $$\frac{\partial L}{\partial x_j} = A_j + B_j + C_j = \frac{h_j - \mathrm{mean}(h) - \hat x_j\,\mathrm{mean}(h\hat x)}{\sigma} \tag{8.5}$$
#
# γ and β are simpler: each is used once in every row, so its gradient is a sum over rows,
# $\partial L/\partial\gamma = \sum dy\,\hat x$ and $\partial L/\partial\beta = \sum dy$. (8.6)
#
# ## The engine's own lines

# %%
lesson.title("The code under study")
lesson.show(layernorm.forward)
lesson.show(layernorm.backward)

# %% [markdown]
# ## Why it must look like this
#
# Adding a constant to a row of x does not change y. So the gradient has nothing to say in that direction: each row
# of dx sums to 0. Scaling a (centred) row does not change y either, up to ε: each row of dx is at right angles to x̂.
# B and C are exactly what it takes to remove these two directions from A: LayerNorm's backward is a *projection*.

# %%
lesson.title("Two directions are gone")
rng = np.random.default_rng(8)
C = 28
x, weight, dy = rng.standard_normal((4, C)) + 3.0, rng.uniform(0.5, 1.5, C), rng.standard_normal((4, C))
y, saved = functions.forward(x, weight, np.zeros(C), 0.0)
dx, *_ = functions.backward(saved, dy)
x_hat = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
a = dy * weight / x.std(axis=1, keepdims=True)  # term A alone

lesson.predict("what do the rows of term A sum to, and what do the rows of dx?")
print("rows of A sum to  ", np.round(a.sum(axis=1), 3))
lesson.holds("rows of dx sum to", dx.sum(axis=1), np.zeros(4))
lesson.holds("rows of dx times x̂", (dx * x_hat).sum(axis=1), np.zeros(4))

# %% [markdown]
# ## Experiment: 32 layers, with and without
#
# Each layer multiplies by a random matrix whose entries are too large by 10 % (so rows grow by 1.1 a layer).
# We send a random gradient back through 32 of them and measure its size at every depth.

# %%
lesson.title("32 layers")
DEPTH, WIDTH = (32, 128) if lesson.fast else (32, 256)
lesson.predict(
    "by which factor does the gradient grow over 32 layers without LayerNorm? (1.1 to the power of 32)"
)


def gradient_norms(with_layernorm: bool) -> list[float]:
    """Return the size of the gradient before each layer, from the top down."""
    rng = np.random.default_rng(1)
    matrices = [1.1 * rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH) for _ in range(DEPTH)]
    x, saved = rng.standard_normal((64, WIDTH)), []
    gamma, beta = np.ones(WIDTH), np.zeros(WIDTH)
    for matrix in matrices:
        x = x @ matrix
        if with_layernorm:
            x, kept = functions.forward(x, gamma, beta, 1e-5)
            saved.append(kept)
    dx = rng.standard_normal(x.shape) / np.sqrt(x.size)
    norms = [float(np.linalg.norm(dx))]
    for matrix in reversed(matrices):
        if with_layernorm:
            dx, *_ = functions.backward(saved.pop(), dx)
        dx = dx @ matrix.T
        norms.append(float(np.linalg.norm(dx)))
    return norms


without, with_it = gradient_norms(False), gradient_norms(True)
print(f"without LayerNorm the gradient grows {without[-1] / without[0]:.1f} times (1.1**32 = {1.1**32:.1f})")
print(f"with LayerNorm it ends at {with_it[-1] / with_it[0]:.2f} of what it was")
assert without[-1] / without[0] > 10 and 0.1 < with_it[-1] / with_it[0] < 3

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.semilogy(without, label="without LayerNorm")
left.semilogy(with_it, label="with LayerNorm")
left.set(
    xlabel="layers that the gradient has come down",
    ylabel="size of the gradient",
    title="32 layers, matrices 10 % too large",
)
left.legend()
places = np.arange(4)
right.bar(places - 0.2, np.abs(a.sum(axis=1)), 0.4, label="term A alone")
sums = right.bar(places + 0.2, np.abs(dx.sum(axis=1)), 0.4, label="dx = A + B + C")
right.bar_label(sums, ["0"] * len(places), color="C1")  # up to rounding: `holds` above has seen to that
right.set(
    xlabel="row",
    ylabel="|sum of the row|",
    title="The direction (1, 1, ..., 1) is projected out",
    xticks=places,
)
right.legend()
lesson.save(
    figure,
    "Left: coming down 32 layers, the gradient grows more than tenfold without LayerNorm and keeps its size with it. "
    "Right: rows of term A have a sum, rows of dx have none.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/ex08.py`, then `python -m lessons check 8`.
# It tells you which of A, B and C is missing, doubled or has a wrong sign. `python lessons/08_layernorm.py --mine`
# draws the picture with your functions.
#
# Then hunt: `python -m lessons hunt 8` plants one or two mistakes in a copy of the answer, and you name them.
#
# ## What this does not explain
#
# Why γ and β are there if the next layer is a matrix anyway (it could scale and shift by itself); why RMSNorm, which
# leaves out the mean, works as well; and why *where* the LayerNorm stands (before or after the branch) matters as much
# as that it is there: lesson 12.
#
# **Sources.** Ba, Kiros, Hinton, "Layer Normalization" (2016). Xu et al., "Understanding and Improving Layer
# Normalization" (2019), which finds that the derivatives of mean and variance matter more than the forward pass.
