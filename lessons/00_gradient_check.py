# %% [markdown]
# # Lesson 00 · A gradient can be checked without trusting anyone
#
# **Question.** In the lessons that follow you will derive gradients by hand. A wrong gradient often looks
# right, and a model trained with it may still learn a little. How can you be sure that a gradient is correct
# if you trust neither the formula nor its author?

# %%
import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.gradcheck import numerical
from scratchgpt.ops import softmax

lesson = Lesson(0)
functions = lesson.functions(numerical)

# %% [markdown]
# ## By hand
#
# A derivative says how fast f changes when x changes. So change x by a small step h, and see what f does.
# There are two ways to do that:
#
# $$\text{one-sided: } \frac{f(x+h)-f(x)}{h} \qquad\qquad \text{central: } \frac{f(x+h)-f(x-h)}{2h} \tag{0.1}$$
#
# Take f(x) = x³ at x = 2, where the true derivative is 3x² = 12. With h = 0.1:
#
# - one-sided: (2.1³ - 2³) / 0.1 = (9.261 - 8) / 0.1 = 12.61
# - central: (2.1³ - 1.9³) / 0.2 = (9.261 - 6.859) / 0.2 = 12.01
#
# Now make the step ten times smaller. The one-sided error becomes about ten times smaller, the central error
# a hundred times.


# %%
def one_sided(f, x, h):
    """Return the one-sided difference of f at x, an array that holds a single number."""
    return np.array([(f(x + h) - f(x)) / h])


def cube(x):
    """Return x³, for an array x that holds a single number."""
    return float(x[0] ** 3)


lesson.title("By hand: x³ at 2, true derivative 12")
two = np.array([2.0])
lesson.holds("one-sided, h = 0.1 ", one_sided(cube, two, 0.1), [12.61])
lesson.holds("central,   h = 0.1 ", functions.numerical_gradient(cube, two, 0.1), [12.01])
lesson.holds("one-sided, h = 0.01", one_sided(cube, two, 0.01), [12.0601])
lesson.holds("central,   h = 0.01", functions.numerical_gradient(cube, two, 0.01), [12.0001])

# %% [markdown]
# ## Where the error comes from
#
# Taylor's formula describes f near x:
#
# $$f(x \pm h) = f(x) \pm h f'(x) + \frac{h^2}{2} f''(x) \pm \frac{h^3}{6} f'''(x) + \dots \tag{0.2}$$
#
# Substitute it into (0.1). In the one-sided difference f(x) cancels, and dividing by h leaves
#
# $$\frac{f(x+h)-f(x)}{h} = \underbrace{f'(x)}_{A} + \underbrace{\frac{h}{2} f''(x)}_{B} + \dots \tag{0.3}$$
#
# **Term A** is what we want. **Term B** is an error proportional to h. In the central difference, every term
# with an even power of h has the same sign in both values of f and cancels, so B is gone:
#
# $$\frac{f(x+h)-f(x-h)}{2h} = \underbrace{f'(x)}_{A} + \underbrace{\frac{h^2}{6} f'''(x)}_{C} + \dots \tag{0.4}$$
#
# **Term C** shrinks like h². For x³ at 2 we have f'' = 12 and f''' = 6, so at h = 0.1 term B is 0.6 and
# term C is 0.01. (The one-sided difference contains the h²/6 term as well: it is the last 0.01 of 12.61.)
#
# Then why not take h = 10⁻³⁰⁰? Because a computer rounds. A float64 stores a number with a relative error of
# about ε = 2.2·10⁻¹⁶. The two values of f are nearly equal, so their difference is tiny, but their rounding
# errors do not shrink with it. This is called *cancellation*. Divided by h, the rounding errors become
# **term R**, of size
#
# $$R \approx \frac{\epsilon\,|f(x)|}{h} \tag{0.5}$$
#
# which *grows* as h shrinks. The best h balances the error that shrinks against the error that grows.
# Differentiate B + R, or C + R, with respect to h and set the result to zero:
#
# $$h_{\text{one-sided}} = \sqrt{\frac{2\epsilon |f|}{|f''|}} \qquad
# h_{\text{central}} = \sqrt[3]{\frac{3\epsilon |f|}{|f'''|}} \tag{0.6}$$
#
# ## The engine's code
#
# For an array x, the engine moves one number at a time and puts it back before it moves the next.

# %%
lesson.title("The code under study")
lesson.show(numerical.numerical_gradient)

# %% [markdown]
# ## Experiment 1: the V
#
# We choose f(x) = eˣ because every derivative of it is eˣ. Relative to the true derivative, B is then h/2, C
# is h²/6 and R is ε/h. We measure the error for many values of h, each time as the median over many x.

# %%
lesson.title("The V")
EPS = float(np.finfo(np.float64).eps)
EPS_32 = float(np.finfo(np.float32).eps)
best = {
    "one-sided": (2 * EPS) ** (1 / 2),
    "central": (3 * EPS) ** (1 / 3),
    "float32": (3 * EPS_32) ** (1 / 3),
}
lesson.predict(
    "ε is 2.2e-16. Which h is best for the central difference, and how many digits are correct there?"
)

steps = np.logspace(-13, 0, 27 if lesson.fast else 105)
places = np.linspace(0.1, 2.0, 21 if lesson.fast else 101)


def exp(x):
    """Return eˣ, for an array x that holds a single number."""
    return float(np.exp(x[0]))


def exp_32(x):
    """Return eˣ like `exp`, but computed in float32."""
    return float(np.exp(np.float32(x[0])))


def errors(difference, f):
    """Return the relative error at each step size: the median over all places."""
    true = np.exp(places)
    found = [[difference(f, np.array([x]), h)[0] for x in places] for h in steps]
    return np.median(np.abs(np.array(found) / true - 1.0), axis=1)


measured = {
    "one-sided": errors(one_sided, exp),
    "central": errors(functions.numerical_gradient, exp),
    "float32": errors(functions.numerical_gradient, exp_32),
}
for name, found in measured.items():
    at = int(np.argmin(found))
    print(f"{name:<10} best h: {steps[at]:.0e} ({best[name]:.0e} by 0.6), error there {found[at]:.0e}")
    assert best[name] / 20 < steps[at] < best[name] * 20
assert 1e-12 < measured["central"].min() < 2e-11 and 1e-9 < measured["one-sided"].min() < 2e-8
assert 1e-6 < measured["float32"].min() < 2e-5
print(f"the engine uses h = {numerical.H:.0e}")
lesson.holds("log10 of the engine's h", np.log10(numerical.H), -5.0)

# %% [markdown]
# At its best h, the one-sided difference has about 8 correct digits and the central one about 11. That is why
# gradient checks use central differences in float64. In float32, about 5 digits are left at the best h, and
# fewer than 3 at h = 10⁻⁵. A check in float32 would either cry wolf or be so lenient that real mistakes slip
# through.

# %%
at_engine_h = int(np.argmin(np.abs(np.log10(steps) + 5.0)))
print(f"error at h = {steps[at_engine_h]:.0e} in float32: {measured['float32'][at_engine_h]:.0e}")
assert measured["float32"][at_engine_h] > 1e-3

# %% [markdown]
# ## Experiment 2: a check that sees nothing
#
# A layer returns many numbers, but we can only differentiate one. So we multiply the outputs y by numbers dy
# and add the products up: loss = Σ dy·y. The gradient of this loss with respect to y is dy. In a real network
# dy arrives from the layers above, so it is called the **upstream gradient**. It is tempting to set dy = 1,
# that is, loss = sum of y. Watch what happens then with softmax, the function that turns scores into
# probabilities (lesson 03). We check three backward functions: the engine's, one that forgets half of the
# formula, and one that simply returns zeros.

# %%
lesson.title("A check that sees nothing")
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 6))
backwards = {
    "the engine's": lambda saved, dy: softmax.backward(saved, dy)[0],
    "half of it": lambda saved, dy: saved.probs * dy,
    "zeros": lambda saved, dy: np.zeros_like(dy),
}
lesson.predict("which of the three pass the check if dy = 1 everywhere? And which if dy is random?")
reported = {}
for kind, dy in {"dy = 1": np.ones_like(x), "random dy": rng.standard_normal(x.shape)}.items():
    expected = functions.numerical_gradient(lambda x, dy=dy: float((softmax.forward(x)[0] * dy).sum()), x)
    for name, backward in backwards.items():
        reported[kind, name] = np.abs(backward(softmax.forward(x)[1], dy) - expected).max()
        verdict = "passes" if reported[kind, name] < 1e-7 else "caught"
        print(f"{kind:<10} {name:<13} largest error {reported[kind, name]:.0e}  {verdict}")
assert reported["dy = 1", "zeros"] < 1e-7, "with dy = 1 a backward of zeros passes"
assert reported["random dy", "zeros"] > 1e-2 and reported["random dy", "half of it"] > 1e-2
assert reported["random dy", "the engine's"] < 1e-7

# %% [markdown]
# Probabilities sum to 1, whatever the scores are. With dy = 1 the loss is therefore a constant, its true
# gradient is 0, and zeros are the right answer. So **always use a random dy**, or at least one without a
# pattern, as the checker of these lessons does.
#
# ## What it costs
#
# A full check calls f twice for every number in x: two million forward passes for a model with a million
# parameters. If you only want to know *whether* a gradient g is right, two calls are enough. Step along one
# random direction d, which moves all the numbers at once. If g is right, the slope along d is ⟨g, d⟩. If g is
# wrong, the slope is something else, unless the error in g happens to be orthogonal to d.

# %%
lesson.title("A whole gradient in two calls")
big = rng.standard_normal((50, 40))
weights, direction = rng.standard_normal(big.shape), rng.standard_normal(big.shape)
(gradient,) = softmax.backward(softmax.forward(big)[1], weights)
slope = numerical.directional_derivative(
    lambda x: float((softmax.forward(x)[0] * weights).sum()), big, direction
)
lesson.holds("numbers in x", big.size, 2000)
lesson.holds("slope along d - ⟨g, d⟩", slope - (gradient * direction).sum(), 0.0, tolerance=1e-7)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=(3, 2))
for name, hue, text in (
    ("one-sided", "C0", "one-sided"),
    ("central", "C1", "central"),
    ("float32", "C2", "central, f in float32"),
):
    left.loglog(steps, np.maximum(measured[name], 1e-17), color=hue, label=text)
left.loglog(steps, steps / 2, "k:", linewidth=1)
left.loglog(steps, steps**2 / 6, "k:", linewidth=1)
left.loglog(steps, EPS / steps, "k:", linewidth=1)
left.text(7e-7, 1e-6, "B = h/2", ha="right", va="bottom")
left.text(7e-4, 6e-10, "C = h²/6", ha="left", va="top")
left.text(1.5e-12, 4e-6, "R = ε/h", ha="right", va="top")
left.axvline(numerical.H, color="gray", linewidth=0.8)
left.text(numerical.H, 3.0, " the engine's h", color="gray")
left.set(
    xlabel="step h", ylabel="relative error of the derivative", ylim=(1e-13, 30), title="eˣ: the error is a V"
)
left.legend(loc="lower right")
for shift, kind, hue in ((-0.2, "dy = 1", "C3"), (0.2, "random dy", "C4")):
    heights = [max(reported[kind, name], 1e-13) for name in backwards]
    right.bar(np.arange(3) + shift, heights, 0.4, label=kind, color=hue)
right.axhline(1e-7, color="k", linestyle=":", linewidth=1)
right.text(-0.45, 1.4e-7, "passes below", va="bottom")
right.set(
    yscale="log",
    ylim=(1e-13, 30),
    xticks=range(3),
    xticklabels=list(backwards),
    xlabel="which backward of softmax is checked",
    ylabel="largest error reported by the check",
    title="With dy = 1 a backward of zeros passes",
)
right.legend(loc="upper left")
lesson.save(
    figure,
    "Left: the error of a numerical derivative against the step h. Read from the right, it falls with slope 1 "
    "(one-sided) or 2 (central) until rounding takes over and it rises again. Right: with dy = 1, a backward that "
    "returns zeros passes the check.",
)

# %% [markdown]
# ## Your turn
#
# Write `numerical_gradient` in `lessons/exercises/00_gradient_check.py`, then run
# `python -m lessons check 0`. Your function has to do one thing that the engine's does not: accept an x that
# holds integers. `python lessons/00_gradient_check.py --mine` draws the picture with your function.
#
# Then go hunting: `python -m lessons hunt 0` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - A gradient check compares backward with *your own* forward. If the forward is wrong, its gradient may be
#   right and still be useless.
# - At a kink, such as |x| at 0, there is no derivative, and the central difference reports the average of the
#   two slopes.
# - For a function that also accepts complex numbers there is a formula without any cancellation,
#   $\mathrm{Im}\, f(x + ih) / h$, and in it h may be as small as you like:

# %%
lesson.title("Two things to remember")
lesson.holds("|x| at 0", functions.numerical_gradient(lambda x: float(abs(x[0])), np.zeros(1)), [0.0])
lesson.holds(
    "complex step for eˣ at 1, minus e",
    np.exp(1 + 1e-200j).imag / 1e-200 - np.e,
    0.0,
    tolerance=1e-15,
)

# %% [markdown]
# **Sources.** Nocedal, Wright, "Numerical Optimization" (2006), section 8.1, for the balance of the two
# errors. Squire, Trapp, "Using Complex Variables to Estimate Derivatives of Real Functions" (1998), for the
# complex step.
