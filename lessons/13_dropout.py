# %% [markdown]
# # Lesson 13 · Dropout: noise that keeps the mean
#
# **Question.** Dropout throws numbers away at random while a network learns. Why does nothing have to change
# when it is switched off, and what does the noise do to the weights?

# %%
import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.ops import dropout

lesson = Lesson(13)
functions = lesson.functions(dropout)

# %% [markdown]
# ## What it does, by hand
#
# Each number of x is multiplied by its own entry of a random **mask**. With probability p the entry is 0 (the
# number is dropped). Otherwise it is 1/(1-p) (the number is kept, and scaled up):
#
# $$y_i = x_i\, m_i \qquad m_i = \begin{cases} 0 & \text{with probability } p \\ 1/(1-p) & \text{else}\end{cases} \tag{13.1}$$
#
# The original form of dropout scales in evaluation instead; to scale in training, as here, is called
# **inverted dropout**.
#
# Take x = (4, 4) and p = 0.5. A random number is drawn for each element, and the element is dropped if its
# number is below p. There are four masks, all equally likely, so y is (0, 0), (0, 8), (8, 0) or (8, 8). The
# mean of the four is (4, 4): x itself.


# %%
class Drawn:
    """A stand-in for a random generator, which returns numbers that we choose."""

    def __init__(self, numbers):
        self.numbers = numbers

    def random(self, size, dtype=np.float64):
        """Return the chosen numbers in the given shape."""
        return np.array(self.numbers, dtype=dtype).reshape(size)


lesson.title("By hand")
x = np.array([4.0, 4.0])
results = []
for numbers in ([0.1, 0.2], [0.1, 0.9], [0.9, 0.1], [0.9, 0.8]):
    y, _ = functions.forward(x, 0.5, Drawn(numbers))
    print(f"drawn {numbers}: y = {y}")
    results.append(y)
lesson.predict("what is the mean of these four results, and what is their variance?")
lesson.holds("mean", np.mean(results, axis=0), x)
lesson.holds("variance", np.var(results, axis=0), [16.0, 16.0])
y, _ = functions.forward(x, 0.5, None)
lesson.holds("y in evaluation (no generator)", y, x)

# %% [markdown]
# ## Mean, variance, gradient
#
# The mean of a mask entry is a sum of two cases:
#
# $$E[m] = p \cdot 0 + (1-p)\cdot\frac{1}{1-p} = 1 \tag{13.2}$$
#
# so $E[y] = x$. That is the whole reason for the scale: the next layer sees the same mean in training and in
# evaluation. The variance is not zero. Since $E[m^2] = (1-p)\cdot\frac{1}{(1-p)^2} = \frac{1}{1-p}$,
#
# $$\mathrm{Var}[m] = \frac{1}{1-p} - 1 = \frac{p}{1-p} \qquad \mathrm{Var}[y_i] = \frac{p}{1-p}\,x_i^2 \tag{13.3}$$
#
# At p = 0.5 that is $x^2$ = 16, as above. Backward multiplies by the same mask. There is one term:
#
# $$dx_i = \underbrace{dy_i\, m_i}_{\text{mask}} \tag{13.4}$$
#
# This **mask** term is $dy_i/(1-p)$ where $x_i$ was kept, and 0 where it was dropped. The mask must be *the
# same one* that forward used. Another mask has the same mean and variance, and the loss may well go down with
# it, only more slowly. That makes the mistake hard to see.

# %%
lesson.title("The code under study")
lesson.show(dropout.forward)
lesson.show(dropout.backward)
lesson.show(dropout.draw_mask)

# %% [markdown]
# ## Experiment 1: mean and standard deviation
#
# We send many ones through dropout, and measure the mean and the standard deviation of what comes out.

# %%
lesson.title("Mean and standard deviation")
N = 20_000 if lesson.fast else 400_000
lesson.predict("at which p is the standard deviation of y as large as its mean?")
shares = np.arange(0.0, 0.95, 0.1)
means, spreads, unscaled = [], [], []
for p in shares:
    y, _ = functions.forward(np.ones(N), float(p), np.random.default_rng(13))
    means.append(y.mean())
    spreads.append(y.std())
    unscaled.append((y > 0).mean())  # the mean without the scale
theory = np.sqrt(shares / (1 - shares))
for p, mean, spread in zip(shares, means, spreads, strict=True):
    print(
        f"p = {p:.1f}: mean {mean:.3f}, standard deviation {spread:.3f}, by (13.3) {np.sqrt(p / (1 - p)):.3f}"
    )
assert np.abs(np.array(means) - 1).max() < 10 / np.sqrt(N)
assert np.abs(np.array(spreads) - theory).max() < 20 / np.sqrt(N)
lesson.holds("standard deviation by (13.3) at p = 0.5", theory[5], 1.0)

# %% [markdown]
# ## The gradient: right mask, wrong mask
#
# Take the loss L = ½ |y - t|². Its slope with respect to x can be measured without any backward, provided
# that the same random numbers are drawn every time. Compare it with the gradient for the right mask, and for
# another mask.

# %%
lesson.title("Which mask?")
rng = np.random.default_rng(5)
x, target, P = rng.standard_normal(1000), rng.standard_normal(1000), 0.3


def loss(x):
    """Return the loss with the mask drawn from seed 7."""
    y, _ = functions.forward(x, P, np.random.default_rng(7))
    return 0.5 * float(np.sum((y - target) ** 2))


y, saved = functions.forward(x, P, np.random.default_rng(7))
(dx,) = functions.backward(saved, y - target)
_, other = functions.forward(x, P, np.random.default_rng(8))
(wrong,) = functions.backward(other, y - target)
u = rng.standard_normal(1000)
slope = (loss(x + 1e-5 * u) - loss(x - 1e-5 * u)) / 2e-5
lesson.holds("slope along a direction minus what the right mask says", slope - dx @ u, 0.0, tolerance=1e-5)
print(f"the slope is {slope:.3f}; another mask says {wrong @ u:.3f}")
cosine = wrong @ dx / np.linalg.norm(wrong) / np.linalg.norm(dx)
print(f"and its gradient points {np.degrees(np.arccos(cosine)):.0f} degrees away from the true one")
assert abs(wrong @ u - slope) > 0.1 and 0.3 < cosine < 0.95

# %% [markdown]
# The angle is less than 90 degrees, so a short step against the wrong gradient still goes downhill. That is
# why training does not reveal the mistake.
#
# ## Experiment 2: what the noise does to the weights
#
# Take the smallest network: one layer that predicts t as x · w, trained on (t - x·w)². With dropout on x, the
# mean of the loss over all masks is, by (13.2) and (13.3),
#
# $$E\Big[\big(t - \sum_j x_j m_j w_j\big)^2\Big] = \big(t - x\cdot w\big)^2 + \frac{p}{1-p}\sum_j x_j^2 w_j^2 \tag{13.5}$$
#
# because the mean of a square is the square of the mean plus the variance, and the variance of a sum of
# independent numbers is the sum of their variances. The noise puts a price on large weights: here, dropout is
# an L2 penalty in disguise (lesson 14). Summed over the rows i of X, (13.5) has the derivative
# $-2\sum_i X_{ik}(t_i - (Xw)_i) + 2\frac{p}{1-p}\,w_k \sum_i X_{ik}^2$ with respect to $w_k$, and
# $\sum_i X_{ik}^2$ is entry k of the diagonal of $X^T X$. All these derivatives are zero where
#
# $$\Big(X^T X + \frac{p}{1-p}\,\mathrm{diag}(X^T X)\Big) w = X^T t \tag{13.6}$$
#
# This w can be computed without any randomness. We train with dropout and see whether we arrive there.

# %%
lesson.title("Dropout puts a price on weights")
lesson.predict(
    "at p = 0.5, how much shorter is w than without dropout: by 10 %, by half, by nearly all of it?"
)
ROWS, STEPS = 200, 500 if lesson.fast else 4000
rng = np.random.default_rng(2)
X = rng.standard_normal((ROWS, 8)) + 0.6 * rng.standard_normal((ROWS, 1))
t = X @ np.linspace(-1.0, 2.0, 8) + 0.5 * rng.standard_normal(ROWS)


def trained(p, seed=3):
    """Return the weights trained with dropout, averaged over the second half of the steps."""
    rng, w, mean = np.random.default_rng(seed), np.zeros(8), np.zeros(8)
    for step in range(STEPS):
        y, _ = functions.forward(X, p, rng)
        error = y @ w - t
        w = w - 0.05 * y.T @ error / ROWS
        mean += (step >= STEPS // 2) * w / (STEPS - STEPS // 2)
    return mean


def computed(p):
    """Return the solution of (13.6)."""
    gram = X.T @ X
    return np.linalg.solve(gram + p / (1 - p) * np.diag(np.diag(gram)), X.T @ t)


chosen = [0.0, 0.1, 0.3, 0.5, 0.7, 0.8]
lengths = [(np.linalg.norm(trained(p)), np.linalg.norm(computed(p))) for p in chosen]
for p, (by_training, by_formula) in zip(chosen, lengths, strict=True):
    print(f"p = {p:.1f}: |w| = {by_training:.3f} trained with dropout, {by_formula:.3f} by (13.6)")
    assert abs(by_training / by_formula - 1) < (0.1 if lesson.fast else 0.03)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
fine = np.linspace(0, 0.91, 200)
left.plot(fine, np.sqrt(fine / (1 - fine)), color="tab:orange", label="standard deviation, √(p/(1-p))")
left.plot(shares, spreads, "o", color="tab:orange", label="standard deviation, measured")
left.plot(shares, means, "o-", color="tab:blue", label="mean, measured")
left.plot(shares, unscaled, ":", color="tab:gray", label="mean without the scale")
left.set(xlabel="p", ylabel="of y, for x = 1", title="The mean stays, the noise grows")
left.legend()
right.plot(fine, [np.linalg.norm(computed(p)) for p in fine], label="computed, (13.6)")
right.plot(chosen, [length for length, _ in lengths], "o", label="trained with dropout")
right.set(xlabel="p", ylabel="|w|", title="Noise on the inputs puts a price on weights", ylim=(0, None))
right.legend()
lesson.save(
    figure,
    "Left: dropout keeps the mean at 1 for every p, and the standard deviation follows √(p/(1-p)). Right: the weights of "
    "a linear model trained with dropout are as long as those of the formula, which puts a price on large weights.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/13_dropout.py`, then run `python -m lessons check 13`.
# `python lessons/13_dropout.py --mine` draws the picture with your functions, and
# `python -m lessons train 13 --model.dropout 0.1` trains a GPT with them.
#
# Then go hunting: `python -m lessons hunt 13` plants one or two mistakes in a copy of the answer, and you
# name them.
#
# ## What this lesson leaves out
#
# - Equation (13.5) is exact for one linear layer. After a GELU or a softmax, the mean of the outputs is no
#   longer the output of the mean, so evaluation is only an approximation there.
# - Whether dropout helps depends on the data. A model that sees every text only once has little chance to
#   memorize, and large language models are often trained without dropout.
#
# **Sources.** Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A Simple Way to Prevent
# Neural Networks from Overfitting" (2014); section 9.1 has (13.5), section 10 the inverted form (there p is
# the probability to *keep*). Wager, Wang, Liang, "Dropout Training as Adaptive Regularization" (2013).
