# %% [markdown]
# # Lesson 03 · Softmax couples all outputs
#
# **Question.** Most functions in a network treat each number by itself. Softmax does not: raise one score,
# and every probability moves. What is the gradient of such a function, and why can it be computed without a
# matrix?

# %%
import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.ops import cross_entropy, softmax

lesson = Lesson(3)
functions = lesson.functions(softmax)

# %% [markdown]
# ## By hand
#
# Softmax takes a row of scores, which may be any numbers, and turns it into probabilities: exp of each score,
# divided by the sum. Under exp, the scores (0, ln 3) become (1, 3), so p = (1/4, 3/4).
#
# Add 5 to both scores. Both exponentials grow by the factor e⁵, and so does their sum, so p does not change.
# Only *differences* between scores matter. Now raise the second score alone: it takes probability away from
# the first.

# %%
lesson.title("By hand")
scores = np.array([0.0, np.log(3.0)])
p, saved = functions.forward(scores)
lesson.holds("softmax of (0, ln 3)", p, [0.25, 0.75])
lesson.holds("softmax of (5, 5 + ln 3)", functions.forward(scores + 5.0)[0], [0.25, 0.75])
p_raised, _ = functions.forward(scores + np.array([0.0, 0.1]))
print(f"softmax with the second score raised by 0.1: {np.round(p_raised, 3)}")
assert p_raised[0] < 0.25

# %% [markdown]
# ## The derivative of every output with respect to every input
#
# Write $e_i = e^{x_i}$ and $S = \sum_j e_j$, so that
#
# $$p_i = \frac{e_i}{S} \tag{3.1}$$
#
# A score $x_j$ appears in $p_i$ in two places: in the numerator if i = j, and always in S, where
# $\partial S/\partial x_j = e_j$. By the quotient rule,
#
# $$\frac{\partial p_i}{\partial x_j} = \underbrace{\frac{e_i}{S}\,[i = j]}_{\text{numerator}} \; \underbrace{- \frac{e_i e_j}{S^2}}_{\text{sum}}
# = p_i\,[i=j] - p_i p_j \tag{3.2}$$
#
# where [i = j] is 1 if i = j and 0 otherwise. Together these derivatives form a square matrix, the
# **Jacobian**. It is the diagonal matrix of the probabilities, minus the matrix of all products
# $p_i p_j$:
#
# $$J = \mathrm{diag}(p) - p\,p^{\mathsf T} \tag{3.3}$$
#
# For p = (1/4, 3/4) the diagonal holds 1/4 - 1/16 = 3/16 and 3/4 - 9/16 = 3/16, and the other two entries are
# -3/16.
#
# ## Without the matrix
#
# Backward is given the upstream gradient $dp_i$, the derivative of the loss with respect to each $p_i$, and
# must return $dx_j$, the derivative with respect to each $x_j$. The chain rule sums over all paths from $x_j$
# to the loss:
#
# $$dx_j = \sum_i dp_i\, \frac{\partial p_i}{\partial x_j} \tag{3.4}$$
#
# Substitute (3.2). In the first term only i = j survives. In the second, $p_j$ does not depend on i and comes
# out of the sum:
#
# $$dx_j = \underbrace{p_j\, dp_j}_{\text{numerator}} \; \underbrace{- \; p_j \sum_i p_i\, dp_i}_{\text{denominator}} = p_j \Big( dp_j - \sum_i p_i\, dp_i \Big) \tag{3.5}$$
#
# The **numerator** term is the effect of a score on its own numerator. The **denominator** term is its effect
# on the sum, and through the sum on all the probabilities. Now read (3.5) aloud: Σ p dp is the *average* of
# dp, weighted by p. A score's gradient is positive where dp is above that average, negative where it is
# below, and small where p is small. For M scores, J has M² entries; (3.5) needs one sum of M products and
# another M products.
#
# ## The engine's code

# %%
lesson.title("The code under study")
lesson.show(softmax.forward)
lesson.show(softmax.backward)

# %% [markdown]
# If dp is 1 in one place and 0 elsewhere, (3.5) returns one row of J. So backward can show us the whole
# Jacobian, row by row.

# %%
lesson.title("The Jacobian, row by row")


def jacobian(x):
    """Return the Jacobian of softmax at the scores x, with one call of backward per output."""
    _, saved = functions.forward(x)
    return np.stack([functions.backward(saved, row)[0] for row in np.eye(len(x))])


lesson.holds("J of (0, ln 3), in sixteenths", 16 * jacobian(scores), [[3, -3], [-3, 3]])
x = np.array([1.0, 0.2, -0.5, 2.0, 0.0, -1.5, 1.4, 0.6])
p, saved = functions.forward(x)
J = jacobian(x)
lesson.holds("largest difference from (3.3)", np.abs(J - (np.diag(p) - np.outer(p, p))).max(), 0.0)

lesson.predict("what does each row of J sum to, and why?")
lesson.holds("sums over the rows of J", J.sum(axis=1), np.zeros(8))
lesson.predict("is the gradient longer or shorter if we forget the denominator term? (dp is random)")
dp = np.random.default_rng(3).standard_normal(8)
(dx,) = functions.backward(saved, dp)
print(f"norm of dx: {np.linalg.norm(dx):.3f}, norm of the numerator term alone: {np.linalg.norm(p * dp):.3f}")
lesson.holds("dx sums to", dx.sum(), 0.0)
print(
    f"the numerator term alone sums to {(p * dp).sum():.3f}: part of it shifts all scores alike, which changes nothing"
)
assert abs((p * dp).sum()) > 0.01

# %% [markdown]
# ## Cross-entropy is softmax and a logarithm
#
# Lesson 02 found p - onehot(y) for the gradient of $-\ln p_y$. For that loss, dp is $-1/p_y$ at the target
# and 0 elsewhere. So Σ p dp is -1, and (3.5) becomes $p_j (dp_j + 1)$. That is $p_j$ where j is not the
# target, and $p_y (-1/p_y + 1) = p_y - 1$ at the target: the same gradient.

# %%
lesson.title("Softmax and cross-entropy")
target = 2
dp = np.zeros(8)
dp[target] = -1.0 / p[target]
(through_softmax,) = functions.backward(saved, dp)
_, kept = cross_entropy.forward(x[None], np.array([target]))
(directly,) = cross_entropy.backward(kept)
lesson.holds("largest difference between the two ways", np.abs(through_softmax - directly[0]).max(), 0.0)

# %% [markdown]
# ## When softmax stops learning
#
# Multiply the scores by 10. The largest score takes nearly all of the probability, and every entry of J goes
# to 0, because each entry is either p (1 - p) or minus the product of two different p. The upstream gradient
# is then multiplied by almost nothing. We say that the softmax is *saturated*.

# %%
lesson.title("Saturation")
lesson.predict("by what factor does the largest entry of J shrink when the scores are 10 times larger?")
sizes = {scale: np.abs(jacobian(scale * x)).max() for scale in (1.0, 10.0, 100.0)}
for scale, size in sizes.items():
    print(f"scores times {scale:<5g} largest entry of J {size:.1e}")
assert sizes[1.0] > 0.2 and sizes[10.0] < 0.003 and sizes[100.0] < 1e-20

# %% [markdown]
# ## Experiment: overflow
#
# exp grows fast, and every number format has a largest number: 65504 for float16, about 3·10³⁸ for float32,
# about 2·10³⁰⁸ for float64. Their logarithms, 11.1, 88.7 and 709.8, are the largest scores that exp can take.
# Beyond them exp is infinite, and ∞/∞ is not a number (NaN).
#
# Scores that large do occur. The cure costs almost nothing, since only differences matter: first subtract m,
# the maximum of the row.
#
# $$\frac{e^{x_i}}{\sum_j e^{x_j}} = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}} \tag{3.6}$$
#
# Now the largest exponent is 0, and its exp is 1. Other exponentials may underflow to 0, which is harmless:
# the sum is at least 1, so there is no division by zero. As a test, we add a constant c to the eight scores,
# which should change nothing.

# %%
lesson.title("Overflow")
limits = {np.dtype(kind): float(np.log(float(np.finfo(kind).max))) for kind in ("f2", "f4", "f8")}
largest = [float(np.finfo(kind).max) for kind in limits]
lesson.holds("log10 of the largest number", np.log10(largest), [4.82, 38.53, 308.25], tolerance=0.01)
lesson.holds("largest score that exp can take", list(limits.values()), [11.09, 88.72, 709.78], tolerance=0.01)
lesson.predict("up to which c does softmax work in each format if the maximum is not subtracted?")


def naive(x):
    """Return softmax exactly as (3.1) says, without subtracting the maximum."""
    exp = np.exp(x)
    return exp / exp.sum()


constants = np.logspace(-1, 3.3, 60 if lesson.fast else 120)
results = {}
for kind, limit in limits.items():
    shifted = [(x + c).astype(kind) for c in constants]
    with np.errstate(all="ignore"):
        plain = np.array([np.abs(naive(each) - p).max() for each in shifted])
    safe = np.array([np.abs(functions.forward(each)[0] - p).max() for each in shifted])
    results[kind] = plain, safe
    last = constants[np.isfinite(plain) & (plain < 0.1)][-1]
    print(f"{kind.name}: works up to c = {last:.0f} without subtracting the maximum, and for every c with it")
    assert np.isfinite(safe).all()
    assert (limit - 2) / 1.25 < last < limit - 1.9, "the largest score is 2 + c, and c grows in steps"

# %% [markdown]
# With the maximum subtracted there is no limit, but there is still an error, and it grows with c: x + c is
# itself rounded before softmax sees it. Large scores cost digits even where nothing overflows. (And without
# the maximum, just below the limit, the sum can overflow although no single exp does. Then all the
# probabilities are 0, with no NaN to warn you.)

# %%
with np.errstate(all="ignore"):
    silent = naive((x + 9.0).astype(np.float16))
lesson.holds("float16, c = 9, maximum not subtracted: sum of the eight probabilities", silent.sum(), 0.0)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=(5, 6))
top = np.abs(J).max()
image = left.imshow(J, cmap="RdBu_r", vmin=-top, vmax=top)
for i, j in np.ndindex(J.shape):
    hue = "white" if J[i, j] > 0.6 * top else "black"
    left.text(j, i, f"{J[i, j]:.3f}", ha="center", va="center", fontsize=6.5, color=hue)
names = [f"{each:g}" for each in x]
left.set(xticks=range(8), yticks=range(8), xticklabels=names, xlabel="score that is raised")
left.set_yticklabels([f"{each:.2f}" for each in p])
left.set(ylabel="probability that moves", title="The Jacobian: one score moves them all")
figure.colorbar(image, ax=left, shrink=0.8)
for hue, (kind, (plain, safe)) in zip(("C3", "C1", "C0"), results.items(), strict=True):
    right.loglog(constants, np.maximum(safe, 1e-17), color=hue, linewidth=1, label=kind.name)
    ends = int(np.isfinite(plain).sum()) - 1
    shown, errors = constants[: ends + 1], np.maximum(plain[: ends + 1], 1e-17)
    right.loglog(shown, errors, color=hue, linewidth=6, alpha=0.3)
    right.plot(shown[-1], errors[-1], "x", color=hue, markersize=10, markeredgewidth=2)
right.plot([], [], "kx", markersize=8, label="NaN from here on if not subtracted")
right.plot([], [], "k", linewidth=6, alpha=0.3, label="broad: maximum not subtracted")
right.set(
    xlabel="constant c added to all scores",
    ylabel="largest error of a probability",
    ylim=(1e-17, 10),
    title="Unless the maximum is subtracted, exp overflows",
)
right.legend(loc="center left", bbox_to_anchor=(0.0, 0.36))
lesson.save(
    figure,
    "Left: the Jacobian at eight scores, positive (red) on the diagonal and negative (blue) off it; each row sums to 0. "
    "Right: adding c to all scores should change nothing. Unless the maximum is subtracted, softmax ends in NaN.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/03_softmax.py`, for arrays of any number of dimensions,
# always over the last axis. Then run `python -m lessons check 3`. It tells you whether the numerator or the
# denominator term is missing or wrong. `python lessons/03_softmax.py --mine` draws the picture with your
# functions.
#
# Then go hunting: `python -m lessons hunt 3` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - Why scores should be kept small *before* softmax, and by which factor: attention divides them by √D,
#   lesson 09.
# - How to take the softmax of a row that is too long to hold in memory at once, so that its maximum is not
#   known yet: "online softmax", Milakov and Gimelshein (2018).
# - Why softmax at all, rather than squares or absolute values divided by their sum. One reason: the logarithm
#   in the loss undoes exp, and the gradient p - onehot(y) is large whenever the model is wrong.
#
# **Sources.** Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs" (1990).
# Blanchard, Higham, Higham, "Accurately Computing the Log-Sum-Exp and Softmax Functions" (2021), on (3.6) and
# its rounding errors.
