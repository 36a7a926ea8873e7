# %% [markdown]
# # Lesson 14 · AdamW: a step of the same size in every direction
#
# **Question.** Some weights of a GPT have gradients a thousand times larger than others. How large a step
# should each weight take, and what does weight decay have to do with it?

# %%
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.ops.updates import adamw

lesson = Lesson(14)


def engine_step(w, g, m, v, t, lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1):
    """Call the engine's update, which works in place on flat vectors, in the form of the exercise."""
    w, m, v = (np.array(each, dtype=np.float64) for each in (w, m, v))
    n_decaying = w.size if w.ndim >= 2 else 0
    flat = (w.reshape(-1), np.ravel(g), m.reshape(-1), v.reshape(-1))
    adamw.update(adamw.Update(*flat, n_decaying, betas, eps, weight_decay, adamw.scalars_of(lr, t, betas)))
    return w, m, v


functions = lesson.functions(SimpleNamespace(step=engine_step))

# %% [markdown]
# ## One step, by hand
#
# AdamW keeps two running averages for each weight: m of the gradient, and v of its square. Both start at 0,
# and $\hat m$ and $\hat v$ correct for that. The step is $\hat m$ divided by the root of $\hat v$. Here t is
# the number of the step, 1 in the first; β₁ and β₂ say how slowly the averages forget; ε is tiny and prevents
# a division by 0; λ is the weight decay.
#
# $$m \leftarrow \beta_1 m + (1-\beta_1) g \qquad v \leftarrow \beta_2 v + (1-\beta_2) g^2 \tag{14.1}$$
# $$\hat m = \frac{m}{1-\beta_1^t} \qquad \hat v = \frac{v}{1-\beta_2^t} \tag{14.2}$$
# $$\Delta w = \underbrace{-\,lr\,\frac{\hat m}{\sqrt{\hat v} + \epsilon}}_{A} \;\underbrace{-\; lr\,\lambda\, w}_{B}
# \tag{14.3}$$
#
# Take the first step, with g = 2, β₁ = 0.9, β₂ = 0.95, lr = 0.1 and no weight decay. m is 0.1 · 2 = 0.2, and
# $\hat m$ is 0.2 / (1 - 0.9) = 2. v is 0.05 · 4 = 0.2, and $\hat v$ is 0.2 / (1 - 0.95) = 4. The ratio is
# 2/√4 = 1, so **A** is -lr = -0.1. With g = 2000 everything cancels in the same way, and the step is again
# 0.1.

# %%
lesson.title("By hand")
PLAIN = {"lr": 0.1, "betas": (0.9, 0.95), "eps": 1e-12, "weight_decay": 0.0}
zero = np.zeros(1)
for g in (2.0, 2000.0, -0.002):
    w, m, v = functions.step(np.array([1.0]), np.array([g]), zero, zero, 1, **PLAIN)
    lesson.holds(f"g = {g:g}: m", m, [0.1 * g])
    lesson.holds(f"g = {g:g}: w, from 1, after one step", w, [1.0 - 0.1 * np.sign(g)], tolerance=1e-8)
lesson.predict(
    "a matrix with the single entry 1, g = 2, and now a weight decay of λ = 0.1. What is w after one step?"
)
w, _, _ = functions.step(np.ones((1, 1)), 2 * np.ones((1, 1)), 0, 0, 1, **{**PLAIN, "weight_decay": 0.1})
lesson.holds(
    "w = 1 - 0.1 (A) - 0.1 · 0.1 · 1 (B), or 0.891 if B comes after A", w, [[0.89]], tolerance=1.01e-3
)

# %% [markdown]
# ## Why the bias correction
#
# Unroll (14.1) from m = 0:
#
# $$m_t = (1-\beta_1)\sum_{i=1}^t \beta_1^{t-i} g_i \tag{14.4}$$
#
# If all gradients have the same mean, then $E[m_t] = (1-\beta_1)(1 + \beta_1 + \dots + \beta_1^{t-1})\,E[g]$,
# and the sum is $(1-\beta_1^t)/(1-\beta_1)$:
#
# $$E[m_t] = (1-\beta_1^t)\,E[g] \tag{14.5}$$
#
# So m is too small by exactly the factor that (14.2) divides by, and the same holds for v. After step 1 the
# factor for m is 0.1. After step 50 it is $1 - 0.9^{50}$ = 0.995, and the correction has done its work.
#
# ## Why the decay is decoupled
#
# **B** pulls each weight toward 0, all of them by the same fraction. The older way, L2 regularization, adds
# λw to the gradient. Then the pull passes through m and v, where it is divided by √v̂, and weights with large
# gradients are hardly pulled at all. In AdamW, m and v know nothing of the decay: it is **decoupled**.
# LayerNorm weights are left out, because one near 0 would switch its channel off; biases are left out by
# convention.

# %%
lesson.title("The code under study")
lesson.holds("1 - 0.9^50", round(1 - 0.9**50, 3), 0.995)
lesson.show(adamw.scalars_of)
lesson.show(adamw.update)

# %% [markdown]
# ## Weight decay, decoupled and through the gradient
#
# Two weights start at 1. Their gradients only alternate in sign, ±100 for the first and ±0.01 for the second.
# Nothing but the decay should move them.

# %%
lesson.title("Two ways to decay")
STEPS, LR, LAMBDA = 200, 0.001, 1.0
lesson.predict(
    f"(1 - {LR} · {LAMBDA:g})^{STEPS} is about 0.82. Which weights get there with AdamW, and which with L2?"
)
ends = {}
for name in ("AdamW", "L2"):
    w, m, v = np.ones((1, 2)), np.zeros((1, 2)), np.zeros((1, 2))
    for t in range(1, STEPS + 1):
        g = np.array([[100.0, 0.01]]) * (-1.0) ** t
        if name == "L2":
            g = g + LAMBDA * w
        decay = LAMBDA if name == "AdamW" else 0.0
        w, m, v = functions.step(w, g, m, v, t, LR, (0.9, 0.999), 1e-8, decay)
    ends[name] = w[0]
    print(f"{name:<5}  gradient ±100: w = {w[0, 0]:.3f}   gradient ±0.01: w = {w[0, 1]:.3f}")
assert np.abs(ends["AdamW"] - (1 - LR * LAMBDA) ** STEPS).max() < 0.01
assert ends["L2"][0] > 0.97 and ends["L2"][1] < 0.85

# %% [markdown]
# ## Experiment: the first steps, and a curved valley
#
# First, a gradient that is always 1. How long is each step, in units of lr? To leave the correction out, we
# pass a very large t. To count wrongly, we pass t + 1.

# %%
lesson.title("The first twenty steps")
lesson.predict("β = (0.9, 0.999), no correction. Is the first step shorter than lr, as long, or longer?")


def step_lengths(t_of):
    """Return |Δw| / lr of 20 steps with gradient 1, where step i passes t = t_of(i)."""
    w = m = v = np.zeros(1)
    lengths = []
    for i in range(1, 21):
        before = w
        w, m, v = functions.step(w, np.ones(1), m, v, t_of(i), 0.01, (0.9, 0.999), 1e-8, 0.0)
        lengths.append(float(before[0] - w[0]) / 0.01)
    return lengths


lengths = {
    "as it should be": step_lengths(lambda i: i),
    "no correction": step_lengths(lambda i: 10**6),
    "t one too far": step_lengths(lambda i: i + 1),
}
lesson.holds("corrected: first and last step", [lengths["as it should be"][i] for i in (0, -1)], [1, 1], 1e-6)
lesson.holds("no correction: first step, 0.1/√0.001", lengths["no correction"][0], 0.1 / 0.001**0.5, 1e-5)
lesson.holds("t one too far: first step", round(lengths["t one too far"][0], 3), 0.744)
longest = int(np.argmax(lengths["no correction"]))
print(
    f"no correction: the longest step is number {longest + 1}, with {lengths['no correction'][longest]:.1f} lr"
)

# %% [markdown]
# Now a valley. The loss $(1-a)^2 + 20\,(b - a^2)^2$ has its minimum at (1, 1), on the floor of a narrow,
# curved valley. Across the valley the slope is steep; along it, it is nearly flat. Plain gradient descent
# cannot afford steps that are too long *across*, so it crawls *along*. Adam divides the slope in a and the
# slope in b, each by its usual size. We try many learning rates for both methods and show the best of each.

# %%
lesson.title("A curved valley")
STEPS = 200
lesson.predict(
    f"which reaches the lower loss after {STEPS} steps, each at its best rate: gradient descent or Adam?"
)


def valley(p):
    """Return the loss at one or many points."""
    a, b = p
    return (1 - a) ** 2 + 20 * (b - a**2) ** 2


def slope(p):
    """Return the gradient of the loss."""
    a, b = p
    return np.array([-2 * (1 - a) - 80 * a * (b - a**2), 40 * (b - a**2)])


def descent(lr):
    """Return the path of gradient descent at a learning rate."""
    path = [np.array([-1.2, 1.8])]
    for _ in range(STEPS):
        path.append(path[-1] - lr * slope(path[-1]))
    return np.array(path)


def adam(lr):
    """Return the path of Adam, which is AdamW without decay."""
    path, m, v = [np.array([-1.2, 1.8])], np.zeros(2), np.zeros(2)
    for t in range(1, STEPS + 1):
        w, m, v = functions.step(path[-1], slope(path[-1]), m, v, t, lr, (0.9, 0.95), 1e-8, 0.0)
        path.append(w)
    return np.array(path)


def best(method, rates):
    """Return the rate whose path ends lowest, and the path."""
    with np.errstate(all="ignore"):
        paths = [(rate, method(rate)) for rate in rates]
        return min(paths, key=lambda each: np.nan_to_num(valley(each[1][-1]), nan=np.inf))


rates = np.geomspace(1e-4, 1.0, 13 if lesson.fast else 41)
(rate_gd, path_gd), (rate_adam, path_adam) = best(descent, rates), best(adam, rates)
print(f"gradient descent, best rate {rate_gd:.4f}: loss {valley(path_gd[-1]):.2g} after {STEPS} steps")
print(f"Adam,             best rate {rate_adam:.4f}: loss {valley(path_adam[-1]):.2g}")
assert valley(path_adam[-1]) < valley(path_gd[-1])

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
a, b = np.meshgrid(np.linspace(-1.6, 1.6, 200), np.linspace(-0.6, 2.2, 200))
left.contour(a, b, np.log10(valley((a, b)) + 1e-3), levels=14, cmap="Greys", linewidths=0.7)
left.plot(*path_gd.T, ".-", color="tab:blue", markersize=3, linewidth=0.8, label="gradient descent")
left.plot(*path_adam.T, ".-", color="tab:orange", markersize=3, linewidth=0.8, label="Adam")
left.plot(1, 1, "*", color="black", markersize=12, label="minimum")
left.set(xlabel="a", ylabel="b", title=f"A curved valley, {STEPS} steps, best rate of each", ylim=(-0.6, 2.2))
left.legend(loc="lower center", fontsize=8)
for name, values in lengths.items():
    right.plot(range(1, 21), values, marker=".", label=name)
right.set(
    xlabel="step",
    ylabel="length of the step / lr",
    title="A gradient that is always 1",
    ylim=(0, None),
    xticks=range(1, 21, 3),
)
right.legend()
lesson.save(
    figure,
    "Left: gradient descent and Adam in a curved valley, from the same point, each at its best rate. Right: with bias "
    "correction every step is lr long; without it the first steps are several times longer; with t one too far, shorter.",
)

# %% [markdown]
# ## Your turn
#
# Write `step` and `update` in `lessons/exercises/14_adamw.py`, then run `python -m lessons check 14`. The
# checker takes four steps: a mistake in the correction may give the right result in the first step, but not
# in the second. `python lessons/14_adamw.py --mine` draws the picture with your step, and
# `python -m lessons train 14` trains a GPT with it.
#
# Then go hunting: `python -m lessons hunt 14` plants one or two mistakes in a copy of the answer, and you
# name them.
#
# ## What this lesson leaves out
#
# - Why the root of the mean square is a good measure of how steep the valley is in each direction (far from a
#   minimum, it is not).
# - Why β₂ is 0.95 in language models and 0.999 elsewhere.
# - How to choose lr: AdamW makes steps comparable, but it does not say how long they should be. Lesson 15 has
#   the usual answer, a schedule.
#
# **Sources.** Kingma, Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1 and section 3.
# Loshchilov, Hutter, "Decoupled Weight Decay Regularization" (2019), algorithm 2; that lr multiplies the
# decay is PyTorch's convention.
