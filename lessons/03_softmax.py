# %% [markdown]
# # Lesson 03 · Softmax couples all outputs
#
# **Question.** Most functions in a network treat each number by itself. Softmax does not: raise one score, and every
# probability moves. What is the gradient of such a function, and why does it not need a matrix?

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
# Softmax takes a row of scores, any numbers, and makes probabilities: exp of each, divided by the sum. The scores
# (0, ln 3) become (1, 3) under exp, so p = (1/4, 3/4).
#
# Add 5 to both scores. Both exponentials grow by the factor e⁵, and so does their sum: p stays as it is. Only
# *differences* of scores count. Then raise the second score alone: it takes probability away from the first.

# %%
lesson.title("By hand")
scores = np.array([0.0, np.log(3.0)])
p, saved = functions.forward(scores)
lesson.holds("softmax of (0, ln 3)", p, [0.25, 0.75])
lesson.holds("softmax of (5, 5 + ln 3)", functions.forward(scores + 5.0)[0], [0.25, 0.75])
p_raised, _ = functions.forward(scores + np.array([0.0, 0.1]))
print(f"the second score raised by 0.1: {np.round(p_raised, 3)}")
assert p_raised[0] < 0.25

# %% [markdown]
# ## The derivative of every output by every input
#
# Write $e_i = e^{x_i}$ and $S = \sum_j e_j$, so that
#
# $$p_i = \frac{e_i}{S} \tag{3.1}$$
#
# A score $x_j$ is in $p_i$ in two places: in the numerator if i = j, and in S always. Its derivative there
# is $\partial S/\partial x_j = e_j$. By the quotient rule,
#
# $$\frac{\partial p_i}{\partial x_j} = \underbrace{\frac{e_i}{S}\,[i = j]}_{\text{numerator}} \; \underbrace{- \frac{e_i e_j}{S^2}}_{\text{sum}}
# = p_i\,[i=j] - p_i p_j \tag{3.2}$$
#
# where [i = j] is 1 if i = j and 0 otherwise. All of them together are a square table, the **Jacobian**: the
# probabilities on its diagonal, less the product of each with each,
#
# $$J = \mathrm{diag}(p) - p\,p^{\mathsf T} \tag{3.3}$$
#
# For p = (1/4, 3/4): on the diagonal 1/4 - 1/16 = 3/16 and 3/4 - 9/16 = 3/16, off it -3/16.
#
# ## Without the matrix
#
# Backward is given $dp_i$, the derivative of the loss by each $p_i$, and wants that by each $x_j$. The chain
# rule sums over all the ways from $x_j$ to the loss:
#
# $$dx_j = \sum_i dp_i\, \frac{\partial p_i}{\partial x_j} \tag{3.4}$$
#
# Put (3.2) in. In the first term only i = j remains. In the second, $p_j$ does not depend on i and comes out of the sum:
#
# $$dx_j = \underbrace{p_j\, dp_j}_{A} \; \underbrace{- \; p_j \sum_i p_i\, dp_i}_{B} = p_j \Big( dp_j - \sum_i p_i\, dp_i \Big) \tag{3.5}$$
#
# **Term A** is what each score does to its own probability's numerator. **Term B** is what it does to the sum, and so to
# everybody. Read (3.5) aloud: Σ p dp is the *average* of dp, weighted with p. A score's gradient is positive where dp
# is above that average, negative where it is below, and small where p is small. For M scores J has M² numbers;
# (3.5) needs one sum (of M products) and M products more.
#
# ## The engine's own lines

# %%
lesson.title("The code under study")
lesson.show(softmax.forward)
lesson.show(softmax.backward)

# %% [markdown]
# If dp is 1 at one place and 0 elsewhere, (3.5) gives one row of J. So we can see the whole Jacobian through backward.

# %%
lesson.title("The Jacobian, row by row")


def jacobian(x):
    """Return the Jacobian of softmax at the scores x, from one backward for each output."""
    _, saved = functions.forward(x)
    return np.stack([functions.backward(saved, row)[0] for row in np.eye(len(x))])


lesson.holds("J of (0, ln 3), in sixteenths", 16 * jacobian(scores), [[3, -3], [-3, 3]])
x = np.array([1.0, 0.2, -0.5, 2.0, 0.0, -1.5, 1.4, 0.6])
p, saved = functions.forward(x)
J = jacobian(x)
lesson.holds("largest difference to (3.3)", np.abs(J - (np.diag(p) - np.outer(p, p))).max(), 0.0)

lesson.predict("what does each row of J sum to, and why?")
lesson.holds("sums of the rows", J.sum(axis=1), np.zeros(8))
lesson.predict("does the gradient become longer or shorter if term B is forgotten? (random dp)")
dp = np.random.default_rng(3).standard_normal(8)
(dx,) = functions.backward(saved, dp)
print(f"size of dx: {np.linalg.norm(dx):.3f}, size of term A alone: {np.linalg.norm(p * dp):.3f}")
lesson.holds("dx sums to", dx.sum(), 0.0)
print(f"term A alone sums to {(p * dp).sum():.3f}: it would move all scores along, which changes nothing")
assert abs((p * dp).sum()) > 0.01

# %% [markdown]
# ## Cross-entropy is softmax and a logarithm
#
# Lesson 02 found p - onehot(y) for the gradient of -ln p_y. Its dp is -1/p_y at the target and 0 elsewhere. Then Σ p dp
# is -1, and (3.5) becomes p_j (dp_j + 1): p_j where j is not the target, p_y (-1/p_y + 1) = p_y - 1 at the target.

# %%
lesson.title("Softmax and cross-entropy")
target = 2
dp = np.zeros(8)
dp[target] = -1.0 / p[target]
(through_softmax,) = functions.backward(saved, dp)
_, kept = cross_entropy.forward(x[None], np.array([target]))
(directly,) = cross_entropy.backward(kept)
lesson.holds("largest difference of the two ways", np.abs(through_softmax - directly[0]).max(), 0.0)

# %% [markdown]
# ## When softmax stops learning
#
# Multiply the scores by 10. The largest takes nearly all of the probability, and every entry of J goes towards 0,
# because each is a p times a (1 - p) or a p times another p. What comes from above is then multiplied by nearly nothing.

# %%
lesson.title("Saturation")
lesson.predict("by which factor does the largest entry of J shrink when the scores are 10 times as large?")
sizes = {scale: np.abs(jacobian(scale * x)).max() for scale in (1.0, 10.0, 100.0)}
for scale, size in sizes.items():
    print(f"scores times {scale:<5g} largest entry of J {size:.1e}")
assert sizes[1.0] > 0.2 and sizes[10.0] < 0.003 and sizes[100.0] < 1e-20

# %% [markdown]
# ## Experiment: overflow
#
# exp grows fast, and a number format ends somewhere: float16 at 65504, float32 at about 3·10³⁸, float64 at about 2·10³⁰⁸.
# Their logarithms, 11.1, 88.7 and 709.8, are the largest scores that exp can take. Beyond, exp is infinite, and
# ∞/∞ is not a number (NaN).
#
# Scores like that do occur. The cure costs nothing, since only differences count: subtract each row's maximum m first.
#
# $$\frac{e^{x_i}}{\sum_j e^{x_j}} = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}} \tag{3.6}$$
#
# Now the largest exponent is 0, and exp of it is 1. The others may become 0, which is harmless: the sum is at
# least 1, and nobody divides by zero. We add a constant c to the eight scores, which should change nothing.

# %%
lesson.title("Overflow")
limits = {np.dtype(kind): float(np.log(float(np.finfo(kind).max))) for kind in ("f2", "f4", "f8")}
largest = [float(np.finfo(kind).max) for kind in limits]
lesson.holds("largest numbers, as powers of 10", np.log10(largest), [4.82, 38.53, 308.25], tolerance=0.01)
lesson.holds("largest score that exp can take", list(limits.values()), [11.09, 88.72, 709.78], tolerance=0.01)
lesson.predict("up to which c does softmax without subtracting the maximum work in each format?")


def naive(x):
    """Return softmax as it stands in (3.1)."""
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
    print(f"{kind.name}: without the maximum it works up to c = {last:.0f}; with it always")
    assert np.isfinite(safe).all()
    assert (limit - 2) / 1.25 < last < limit - 1.9, "the largest score is 2 + c, and c goes up in steps"

# %% [markdown]
# With the maximum there is no limit, but there is still an error, and it grows with c: x + c itself is rounded before
# softmax sees it. Large scores cost digits, even where nothing overflows. (And just below its limit the sum can overflow
# where no single exp does: then all probabilities are 0, without any NaN to warn you.)

# %%
with np.errstate(all="ignore"):
    silent = naive((x + 9.0).astype(np.float16))
lesson.holds("float16, c = 9: sum of the eight probabilities", silent.sum(), 0.0)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", width_ratios=(5, 6))
top = np.abs(J).max()
image = left.imshow(J, cmap="RdBu_r", vmin=-top, vmax=top)
for i, j in np.ndindex(J.shape):
    colour = "white" if J[i, j] > 0.6 * top else "black"
    left.text(j, i, f"{J[i, j]:.3f}", ha="center", va="center", fontsize=6.5, color=colour)
names = [f"{each:g}" for each in x]
left.set(xticks=range(8), yticks=range(8), xticklabels=names, xlabel="score that is raised")
left.set_yticklabels([f"{each:.2f}" for each in p])
left.set(ylabel="probability that moves", title="Jacobian: one score moves them all")
figure.colorbar(image, ax=left, shrink=0.8)
for colour, (kind, (plain, safe)) in zip(("C3", "C1", "C0"), results.items(), strict=True):
    right.loglog(constants, np.maximum(safe, 1e-17), color=colour, linewidth=1, label=kind.name)
    ends = int(np.isfinite(plain).sum()) - 1
    shown, errors = constants[: ends + 1], np.maximum(plain[: ends + 1], 1e-17)
    right.loglog(shown, errors, color=colour, linewidth=6, alpha=0.3)
    right.plot(shown[-1], errors[-1], "x", color=colour, markersize=10, markeredgewidth=2)
right.plot([], [], "kx", markersize=8, label="NaN from here on without the maximum")
right.plot([], [], "k", linewidth=6, alpha=0.3, label="broad: without the maximum")
right.set(
    xlabel="constant c that is added to all scores",
    ylabel="largest error of a probability",
    ylim=(1e-17, 10),
    title="Without subtracting the maximum, exp overflows",
)
right.legend(loc="center left", bbox_to_anchor=(0.0, 0.36))
lesson.save(
    figure,
    "Left: the Jacobian at eight scores; positive (red) on the diagonal, negative (blue) off it, and each row sums to 0. "
    "Right: adding c to all scores should change nothing. Without subtracting the maximum, softmax ends in NaN.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/ex03.py`, for arrays of any rank, always over the last axis.
# Then `python -m lessons check 3`: it tells you which of A and B is missing or wrong.
# `python lessons/03_softmax.py --mine` draws the picture with your functions. Then hunt: `python -m lessons hunt 3`.
#
# ## What this does not explain
#
# - Why scores should be kept small *before* softmax, and by which factor: attention divides by √d, lesson 09.
# - How to take a softmax over a row that is too long to be held at once, so that the maximum is not known yet: "online
#   softmax", Milakov and Gimelshein (2018).
# - Why softmax at all, rather than squares or absolute values divided by their sum. One reason: the logarithm in the
#   loss undoes exp, and the gradient p - onehot(y) is large whenever the model is wrong.
#
# **Sources.** Bridle, "Probabilistic Interpretation of Feedforward Classification Network Outputs" (1990). Blanchard,
# Higham, Higham, "Accurately Computing the Log-Sum-Exp and Softmax Functions" (2021), on (3.6) and its rounding errors.
