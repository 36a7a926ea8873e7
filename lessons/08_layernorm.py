# %% [markdown]
# # Lesson 08 · LayerNorm: project out two directions
#
# **Question.** A deep network multiplies by one matrix after another. What keeps the numbers in it from
# exploding or fading away, and what does the cure do to the gradient?

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
# LayerNorm takes a row of C numbers, subtracts their mean μ and divides by their standard deviation σ. A
# small constant ε keeps σ away from 0, and the learned γ and β scale and shift the result:
#
# $$\mu = \frac1C\sum_i x_i \qquad \sigma^2 = \frac1C\sum_i (x_i-\mu)^2 + \epsilon \qquad
# \hat x_i = \frac{x_i-\mu}{\sigma} \qquad y_i = \gamma_i \hat x_i + \beta_i \tag{8.1}$$
#
# Take the row (1, 3) with γ = 1, β = 0 and ε = 0. Its mean is 2 and its standard deviation is 1, so
# $\hat x = (-1, 1)$. Two facts are plain to see: add 100 to the row, or multiply it by 7, and x̂ stays the
# same.

# %%
lesson.title("By hand")
one, zero = np.ones(2), np.zeros(2)
for row in ([1.0, 3.0], [101.0, 103.0], [7.0, 21.0]):
    y, _ = layernorm.forward(np.array(row), one, zero, eps=0.0)
    lesson.holds(f"LayerNorm of {row}", y, [-1.0, 1.0])

# %% [markdown]
# ## The gradient, term by term
#
# Write $h_i = \gamma_i\, \partial L/\partial y_i$ for the gradient that arrives at $\hat x_i$ (in the code it
# is `dx_hat`). Changing one $x_j$ changes the loss in three ways, because $x_j$ appears in three places of
# (8.1).
#
# 1. In its own numerator: $\hat x_j$ moves by $1/\sigma$ for each unit of $x_j$. The **direct** term:
#    $$\text{direct}_j = \frac{h_j}{\sigma} \tag{8.2}$$
# 2. In the mean: $\partial\mu/\partial x_j = 1/C$, and μ is subtracted from *every* number of the row.
#    The **mean** term:
#    $$\text{mean}_j = -\frac{1}{\sigma}\,\frac1C\sum_i h_i = -\frac{\mathrm{mean}(h)}{\sigma} \tag{8.3}$$
# 3. In σ, which includes ε here: differentiate the σ² of (8.1). The centered numbers sum to 0, so the change
#    of μ does not matter. So $2\sigma\,\partial\sigma/\partial x_j = \frac2C(x_j-\mu)$, which gives
#    $\partial\sigma/\partial x_j = \hat x_j / C$. And $\partial \hat x_i/\partial\sigma = -\hat x_i/\sigma$.
#    The **variance** term:
#    $$\text{variance}_j = -\frac{\hat x_j}{\sigma}\,\frac1C\sum_i h_i\hat x_i = -\frac{\hat x_j\,\mathrm{mean}(h\hat x)}{\sigma} \tag{8.4}$$
#
# Together:
#
# $$\frac{\partial L}{\partial x_j} = \text{direct}_j + \text{mean}_j + \text{variance}_j = \frac{h_j - \mathrm{mean}(h) - \hat x_j\,\mathrm{mean}(h\hat x)}{\sigma} \tag{8.5}$$
#
# γ and β are simpler. Each of their entries is used once in every row, so its gradient is a sum over rows:
# $\partial L/\partial\gamma = \sum dy\,\hat x$ and $\partial L/\partial\beta = \sum dy$. (8.6)
#
# ## The engine's code

# %%
lesson.title("The code under study")
lesson.show(layernorm.forward)
lesson.show(layernorm.backward)

# %% [markdown]
# ## Why it must look like this
#
# Adding a constant to a row of x does not change y, so the gradient cannot point in that direction: each row
# of dx sums to 0. Scaling a centered row does not change y either, up to ε, so each row of dx is orthogonal
# to x̂. The mean and variance terms are exactly what it takes to remove these two directions from the direct
# term. Apart from the factors γ and 1/σ, LayerNorm's backward is a *projection*.
#
# Why means? The part of h along a vector u is $u\,\langle h, u\rangle / \|u\|^2$. For u = (1, ..., 1), which
# has $\|u\|^2 = C$, each entry of that part is mean(h). For u = x̂, $\|\hat x\|^2 = C$ as well (up to ε), so
# the part is $\hat x\,\mathrm{mean}(h\hat x)$.

# %%
lesson.title("Two directions are gone")
rng = np.random.default_rng(8)
C = 28
x, weight, dy = rng.standard_normal((4, C)) + 3.0, rng.uniform(0.5, 1.5, C), rng.standard_normal((4, C))
y, saved = functions.forward(x, weight, np.zeros(C), 0.0)
dx, *_ = functions.backward(saved, dy)
x_hat = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
direct = dy * weight / x.std(axis=1, keepdims=True)  # the direct term alone

lesson.predict("what do the rows of the direct term sum to, and what do the rows of dx?")
print("rows of the direct term sum to", np.round(direct.sum(axis=1), 3))
lesson.holds("rows of dx sum to", dx.sum(axis=1), np.zeros(4))
lesson.holds("rows of dx, each dotted with x̂", (dx * x_hat).sum(axis=1), np.zeros(4))

# %% [markdown]
# ## Experiment: 32 layers, with and without
#
# Each layer multiplies by a random matrix. If its entries had standard deviation 1/√width, a row would keep
# its norm on average; ours is 10 % larger, so rows grow by a factor of about 1.1 per layer. We send a random
# gradient back through 32 such layers and measure its norm at every depth.

# %%
lesson.title("32 layers")
DEPTH, WIDTH = (32, 128) if lesson.fast else (32, 256)
lesson.predict(
    "by what factor does the gradient grow over 32 layers without LayerNorm? (Think of 1.1 to the power of 32.)"
)


def gradient_norms(with_layernorm: bool) -> list[float]:
    """Return the norm of the gradient at every depth, from the top down."""
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
print(
    f"without LayerNorm the gradient grows by a factor of {without[-1] / without[0]:.1f} (1.1**32 = {1.1**32:.1f})"
)
print(f"with LayerNorm it ends at {with_it[-1] / with_it[0]:.2f} times its initial norm")
assert without[-1] / without[0] > 10 and 0.1 < with_it[-1] / with_it[0] < 3

# %% [markdown]
# So this is what keeps the numbers from exploding. Each matrix makes σ ≈ 1.1. On the way up LayerNorm divides
# by σ, and on the way down its backward divides the gradient by the same σ. The factor 1.1 of the matrix
# cancels, forward and backward, and so would any other.


# %%
def up(factor: float) -> tuple[float, np.ndarray]:
    """Return the mean σ after a matrix that is too large by a factor, and LayerNorm of the rows."""
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((64, WIDTH)) @ (factor * rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH))
    return float(rows.std(axis=1).mean()), functions.forward(rows, np.ones(WIDTH), np.zeros(WIDTH), 0.0)[0]


lesson.title("The factor cancels")
(sigma, rows), (_, larger) = up(1.1), up(2.0)
lesson.holds("mean σ after one matrix", sigma, 1.1, tolerance=0.01)
lesson.holds("largest change of y if the factor is 2 instead of 1.1", np.abs(larger - rows).max(), 0.0)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.semilogy(without, label="without LayerNorm")
left.semilogy(with_it, label="with LayerNorm")
left.set(
    xlabel="layers the gradient has passed through",
    ylabel="norm of the gradient",
    title="32 layers, standard deviation 10 % above 1/√width",
)
left.legend()
places = np.arange(4)
right.bar(places - 0.2, np.abs(direct.sum(axis=1)), 0.4, label="direct term alone")
sums = right.bar(places + 0.2, np.abs(dx.sum(axis=1)), 0.4, label="dx, all three terms")
right.bar_label(sums, ["0"] * len(places), color="C1")  # up to rounding: `holds` above has checked it
right.set(
    xlabel="row",
    ylabel="|sum of the row|",
    title="The direction (1, 1, ..., 1) is projected out",
    xticks=places,
)
right.legend()
lesson.save(
    figure,
    "Left: on its way down through 32 layers, the gradient grows more than tenfold without LayerNorm and keeps its norm "
    "with it. Right: rows of the direct term do not sum to 0, but rows of dx do.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/08_layernorm.py`, then run `python -m lessons check 8`.
# It tells you which of the three terms is missing, doubled or has a wrong sign.
# `python lessons/08_layernorm.py --mine` draws the picture with your functions.
#
# Then go hunting: `python -m lessons hunt 8` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - Why γ and β exist at all if the next layer is a matrix, which could scale and shift by itself.
# - Why RMSNorm, which leaves out the mean, works just as well.
# - Why the *place* of the LayerNorm, before or after attention and the MLP, matters as much as its presence.
#   Lesson 12 shows the place; the reason is beyond these lessons.
#
# **Sources.** Ba, Kiros, Hinton, "Layer Normalization" (2016). Xu et al., "Understanding and Improving Layer
# Normalization" (2019), which finds that the derivatives of mean and variance matter more than the
# normalization in the forward pass.
