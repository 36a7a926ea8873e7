# %% [markdown]
# # Lesson 06 · GELU: a nonlinearity and its slope
#
# **Question.** Between two matrices, a GPT applies a nonlinearity to every number, a curve called GELU. Why
# is a curve needed at all, why this one, and what is its slope?

# %%
import math
import time
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.ops import gelu_exact, gelu_tanh

lesson = Lesson(6)
functions = lesson.functions(
    SimpleNamespace(
        exact_forward=gelu_exact.forward,
        exact_backward=gelu_exact.backward,
        tanh_forward=gelu_tanh.forward,
        tanh_backward=gelu_tanh.backward,
    )
)

# %% [markdown]
# ## By hand: why something must bend
#
# Two linear maps in a row are one linear map: (x W₁) W₂ = x (W₁ W₂). To double and then triple is to multiply
# by six. A stack of a hundred matrices can do no more than one matrix.
#
# Here is something that one matrix cannot do. Two inputs a and b are 0 or 1, and the output should be 1 when
# exactly one of them is 1. A linear map f, with a bias, satisfies f(0,0) + f(1,1) = f(0,1) + f(1,0), whatever
# its weights are. We would need 0 + 0 = 1 + 1.
#
# Now bend: let relu(z) be z where z is positive, and 0 elsewhere. Then
#
#     f(a, b) = relu(a + b) - 2 relu(a + b - 1)
#
# does it: (0,0) gives 0 - 0, (0,1) and (1,0) give 1 - 0, and (1,1) gives 2 - 2.

# %%
lesson.title("By hand")
pairs = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
total = pairs.sum(axis=1)
lesson.holds("relu(a+b) - 2 relu(a+b-1)", np.maximum(total, 0) - 2 * np.maximum(total - 1, 0), [0, 1, 1, 0])
columns = np.column_stack([pairs, np.ones(4)])  # a, b and the bias
best, *_ = np.linalg.lstsq(columns, np.array([0.0, 1.0, 1.0, 0.0]), rcond=None)
lesson.holds("the best fit of a linear map", columns @ best, [0.5] * 4)

# %% [markdown]
# ## The curve
#
# relu multiplies x by 0 or by 1. GELU multiplies x by a number *between* 0 and 1 that rises smoothly with x:
# the probability that a standard normal random number lies below x. This probability is called Φ(x), and its
# slope, the bell curve, is φ(x).
#
# $$y = x\,\Phi(x) \qquad \Phi(x) = \tfrac12\,\mathrm{erfc}\!\left(-\tfrac{x}{\sqrt2}\right) \tag{6.1}$$
# $$\Phi'(x) = \varphi(x) = \frac{1}{\sqrt{2\pi}}\, e^{-x^2/2} \tag{6.2}$$
#
# Libraries offer the area under the bell curve in the form
# $\mathrm{erfc}(z) = \frac{2}{\sqrt\pi}\int_z^\infty e^{-s^2}ds$.
#
# A number to remember: 84.1 % of a standard normal distribution lies below 1. So y(1) = 0.841, and y(-1) =
# -1·(1 - 0.841) = -0.159. Their difference is 1, and that is a rule: Φ(x) + Φ(-x) = 1, hence
# $y(x) - y(-x) = x$.

# %%
lesson.title("Three points")
points = np.array([-1.0, 0.0, 1.0])
y, saved = functions.exact_forward(points)
lesson.holds("y at -1, 0, 1", y, [-0.159, 0.0, 0.841], tolerance=5e-4)
lesson.holds("y(1) - y(-1)", y[2] - y[0], 1.0)

# %% [markdown]
# ## The slope, term by term
#
# x appears twice in (6.1), so the product rule gives two terms. The **gate** term holds Φ fixed, and the
# **slope** term holds the factor x fixed and takes the slope of Φ:
#
# $$dx = \underbrace{\Phi(x)\,dy}_{\text{gate}} + \underbrace{x\,\varphi(x)\,dy}_{\text{slope}} \tag{6.3}$$
#
# There is no sum: each number of y depends on a single number of x, and the upstream gradient is multiplied
# by a slope.
#
# Where is the slope largest? Differentiate it, using $\varphi'(x) = -x\varphi(x)$:
#
# $$y''(x) = 2\varphi(x) - x^2\varphi(x) = (2 - x^2)\,\varphi(x) \tag{6.4}$$
#
# This is zero at x = ±√2 and negative beyond them on both sides. Far to the left the slope starts at 0 and
# falls until -√2, where it is *below 0*. Far to the right it ends at 1, and from √2 on it falls towards that
# value, so at √2 it is *above 1*. GELU does not rise everywhere.
#
# ## The other form
#
# Φ was once expensive to compute, so GPT-2 uses a curve close to it. tanh also rises from one level to
# another, and its argument u was fitted so that the two nearly agree:
#
# $$y = \tfrac{x}{2}\,(1 + \tanh u) \qquad u = \sqrt{\tfrac2\pi}\,\left(x + 0.044715\,x^3\right) \tag{6.5}$$
#
# Its slope has two terms as well, the **tanh gate** and the **tanh slope**. The slope of tanh u is
# $(1 - \tanh^2 u)\,u'$:
#
# $$dx = \underbrace{\tfrac12(1 + \tanh u)\,dy}_{\text{tanh gate}} + \underbrace{\tfrac{x}{2}(1 - \tanh^2 u)\,u'\,dy}_{\text{tanh slope}}
# \qquad u' = \sqrt{\tfrac2\pi}\,\left(1 + 3\cdot 0.044715\,x^2\right) \tag{6.6}$$
#
# The factor √(2/π) is no accident: at x = 0, half the slope of tanh u must equal the slope of Φ, which is
# 1/√(2π).
#
# ## The engine's code

# %%
lesson.title("The code under study")
lesson.show(gelu_exact.forward)
lesson.show(gelu_exact.backward)
lesson.show(gelu_tanh.forward)
lesson.show(gelu_tanh.backward)
lesson.holds("√(2/π) / 2 - 1/√(2π)", math.sqrt(2 / math.pi) / 2 - 1 / math.sqrt(2 * math.pi), 0.0)

# %% [markdown]
# ## Experiment: two forms, their slopes, and a mixture
#
# First the slopes, each compared with finite differences of its own forward.

# %%
lesson.title("Slopes")
x = np.linspace(-6.0, 6.0, 2401 if lesson.fast else 12001)
dy = np.ones_like(x)
y_exact, saved_exact = functions.exact_forward(x)
y_tanh, saved_tanh = functions.tanh_forward(x)
(slope_exact,) = functions.exact_backward(saved_exact, dy)
(slope_tanh,) = functions.tanh_backward(saved_tanh, dy)

some = x[:: len(x) // 40]
for name, forward, slopes in (
    ("exact", functions.exact_forward, slope_exact),
    ("tanh", functions.tanh_forward, slope_tanh),
):
    numerical = numerical_gradient(lambda z, forward=forward: float(forward(z)[0].sum()), some)
    error = np.abs(slopes[:: len(x) // 40] - numerical).max()
    print(f"{name:<5} slope: differs from finite differences by {error:.0e}")
    assert error < 1e-8

lesson.predict("the slope of relu is 0 or 1. What are the smallest and the largest slope of GELU?")
lesson.holds("largest slope", slope_exact.max(), 1.1289, tolerance=1e-4)
lesson.holds("  at x", x[slope_exact.argmax()], math.sqrt(2), tolerance=6e-3)
lesson.holds("smallest slope", slope_exact.min(), -0.1289, tolerance=1e-4)
lesson.holds("slope at 0", slope_exact[len(x) // 2], 0.5)
lesson.holds("smallest y", y_exact.min(), -0.17, tolerance=1e-3)
lesson.holds("  at x", x[y_exact.argmin()], -0.752, tolerance=6e-3)

# %% [markdown]
# Now the mistake that is hardest to see: the exact forward combined with the slope of the tanh form. On
# normally distributed inputs, how much of the gradient is wrong?

# %%
lesson.title("The mixture")
lesson.predict("to how many digits do the two slopes agree?")
value_error, slope_error = np.abs(y_tanh - y_exact), np.abs(slope_tanh - slope_exact)
lesson.holds("largest difference between the values", value_error.max(), 0.00047, tolerance=1e-5)
lesson.holds("largest difference between the slopes", slope_error.max(), 0.00087, tolerance=1e-5)
normal = np.random.default_rng(6).standard_normal(2000 if lesson.fast else 100_000)
_, saved_exact = functions.exact_forward(normal)
_, saved_tanh = functions.tanh_forward(normal)
(right,) = functions.exact_backward(saved_exact, np.ones_like(normal))
(mixed,) = functions.tanh_backward(saved_tanh, np.ones_like(normal))
relative = np.linalg.norm(mixed - right) / np.linalg.norm(right)
print(f"on normal inputs, the relative error of the mixed gradient is {relative:.1e}")
assert 1e-4 < relative < 1e-3

# %% [markdown]
# A check that tolerates an error of 1 in 1000, as a check in float32 often must, does not notice this
# mistake. In float64, finite differences are correct to about nine digits and leave no doubt.
#
# Is the tanh form still the faster one? Measure it:

# %%
lesson.title("Time")
big = np.random.default_rng(7).standard_normal(20_000 if lesson.fast else 1_000_000)
for name, forward in (("exact", functions.exact_forward), ("tanh", functions.tanh_forward)):
    forward(big)
    started = time.perf_counter()
    forward(big)
    print(f"{name:<5} {1e9 * (time.perf_counter() - started) / big.size:5.1f} ns per number")

# %%
figure, (left, right_panel) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
shown = np.abs(x) <= 4.0
left.plot(x[shown], y_exact[shown], label="GELU")
left.plot(x[shown], slope_exact[shown], label="its slope, both terms")
left.plot(
    x[shown],
    slope_exact[shown] - x[shown] * np.exp(-0.5 * x[shown] ** 2) / math.sqrt(2 * math.pi),
    ":",
    label="gate term alone, Φ",
)
left.plot(x[shown], np.maximum(x[shown], 0.0), "k--", linewidth=0.8, label="relu")
left.plot([-math.sqrt(2), math.sqrt(2)], [slope_exact.min(), slope_exact.max()], "ko", markersize=4)
left.set(
    xlabel="x", ylabel="value, slope", ylim=(-0.4, 2.0), title="The slope rises above 1 and falls below 0"
)
left.legend()
floor = 1e-9
right_panel.semilogy(x, np.maximum(value_error, floor), label="values")
right_panel.semilogy(x, np.maximum(slope_error, floor), label="slopes")
right_panel.set(
    xlabel="x",
    ylabel="|tanh form - exact form|",
    ylim=(1e-8, 1e-2),
    title="The two forms agree to about three digits",
)
right_panel.legend()
lesson.save(
    figure,
    "Left: GELU, its slope, largest and smallest at plus and minus √2 (dots), and the gate term alone. "
    "Right: the two forms differ by at most about one in a thousand, in value and in slope.",
)

# %% [markdown]
# ## Your turn
#
# Write four functions in `lessons/exercises/06_gelu.py`, forward and backward of both forms, then run
# `python -m lessons check 6`. It tells you which term is missing, doubled or has a wrong
# factor. `python lessons/06_gelu.py --mine` draws the picture with your functions.
#
# Then go hunting: `python -m lessons hunt 6` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - Why GELU trains better than relu, where it does: that is an observation, not a theorem.
# - Why the hidden layer of a GPT is four times as wide as its input: that is a habit, too.
# - What happens to slopes when many layers multiply them: lessons 07 and 08.
#
# **Sources.** Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016), for both forms. Minsky and Papert,
# "Perceptrons" (1969), on what a linear map with a threshold cannot do. Radford et al., "Language Models are
# Unsupervised Multitask Learners" (2019), whose released code has the tanh form.
