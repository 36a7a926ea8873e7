# %% [markdown]
# # Lesson 04 · Matmul: what is broadcast forward is summed backward
#
# **Question.** Most of a GPT's work is y = x W + b. The same W and the same b serve every position of every
# text. How much does each of their entries contribute to the loss, and how can we compute all of it without
# writing a single loop?

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.gradcheck.numerical import numerical_gradient
from scratchgpt.ops import linear

lesson = Lesson(4)
functions = lesson.functions(linear)

# %% [markdown]
# ## By hand
#
# Two rows with two inputs each, one output, and a bias of 10:
#
# x = ((1, 2), (3, 4)), W = (5, 6) as a column, b = 10.
#
# - Row 1: 1·5 + 2·6 + 10 = 27. Row 2: 3·5 + 4·6 + 10 = 49.
#
# Let the loss be L = y₁ + 100 y₂, so that dy = (1, 100). The 100 shows which row a number comes from.
#
# - W₁ = 5 was used twice: it multiplied 1 in row 1 and 3 in row 2. Raise it by a small h. Then y₁ grows by
#   1h, y₂ by 3h, and L by 1·1h + 100·3h, so dW₁ = 301. In the same way, dW₂ = 2 + 400 = 402.
# - b was used twice, each time with a factor of 1, so db = 1 + 100 = 101.
# - x₁₁ was used once, multiplied by W₁ = 5, so its gradient is dy₁·5 = 5.

# %%
lesson.title("By hand")
x, weight, bias = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0], [6.0]]), np.array([10.0])
dy = np.array([[1.0], [100.0]])
y, saved = functions.forward(x, weight, bias)
dx, dweight, dbias = functions.backward(saved, dy)
lesson.holds("y", y[:, 0], [27.0, 49.0])
lesson.holds("dW", dweight[:, 0], [301.0, 402.0])
lesson.holds("db", dbias, [101.0])
lesson.holds("dx", dx, [[5.0, 6.0], [500.0, 600.0]])

# %% [markdown]
# ## The proof, by indices
#
# Let n count rows, i inputs and o outputs. The output is a sum of two terms, the **product** and the
# **bias**:
#
# $$y_{no} = \underbrace{\sum_i x_{ni} W_{io}}_{\text{product}} + \underbrace{b_o}_{\text{bias}} \tag{4.1}$$
#
# The loss L depends on y, and the upstream gradient $dy_{no} = \partial L/\partial y_{no}$ is given. Let z
# stand for any number that we may change. The chain rule says: visit *every* y that z reaches, and add up.
#
# $$dz = \sum_n \sum_o dy_{no}\, \frac{\partial y_{no}}{\partial z} \tag{4.2}$$
#
# 1. $x_{mi}$ reaches the outputs of its own row m, each of them through $W_{io}$. One term of the sum over n
#    is left:
#    $$dx_{mi} = \sum_o dy_{mo} W_{io} \qquad\text{that is}\qquad dx = dy\, W^{\mathsf T} \tag{4.3}$$
# 2. $W_{io}$ reaches output o of every row, each time through $x_{ni}$. One term of the sum over o is left:
#    $$dW_{io} = \sum_n x_{ni}\, dy_{no} \qquad\text{that is}\qquad dW = x^{\mathsf T} dy \tag{4.4}$$
# 3. $b_o$ reaches output o of every row, with slope 1:
#    $$db_o = \sum_n dy_{no} \tag{4.5}$$
#
# All three are the same rule. Look at the indices of each term in (4.1): A has n, i and o, and B has n and o.
# An array's gradient keeps the indices that the array has, and **sums** over the other indices of its term.
# The bias has no n: forward, it was stretched over n (NumPy says *broadcast*), and backward, n is summed
# away. The transposes only bring the indices into the right order.
#
# The shapes alone almost give the answer. With N = 2, I = 3 and O = 5, the only product of dy (2, 5) and W
# (3, 5) that has the shape of x, (2, 3), is dy Wᵀ. With a square W, however, the shapes do not help, and a
# forgotten transpose raises no error.
#
# ## The engine's code
#
# In a GPT, x has shape (B, T, C). B and T both count "rows", so `reshape` merges them into one axis of length
# N = B·T.

# %%
lesson.title("The code under study")
lesson.show(linear.forward)
lesson.show(linear.backward)

# %% [markdown]
# ## The rule for any broadcast
#
# NumPy stretches an array in two ways: it adds an axis in front, or it repeats an axis of length 1. Backward,
# an axis of the first kind is summed away, and an axis of the second kind is summed and kept with length 1.
# We check four shapes against finite differences:

# %%
lesson.title("Broadcast forward, sum backward")


def sum_to(gradient, shape):
    """Return the gradient of an array of this shape, which was broadcast to the shape of `gradient`."""
    added = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(added)))
    repeated = tuple(axis for axis, length in enumerate(shape) if length == 1 < gradient.shape[axis])
    return gradient.sum(axis=repeated, keepdims=True)


rng = np.random.default_rng(4)
lesson.predict(
    "z of shape (2, 1) is added to an array of shape (4, 2, 3). How many numbers are summed for each entry of dz?"
)
big, dsum = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2, 3))
for shape in [(3,), (2, 1), (4, 1, 3), ()]:
    z = rng.standard_normal(shape)
    numerical = numerical_gradient(lambda z: float(((big + z) * dsum).sum()), z)
    error = np.abs(sum_to(dsum, shape) - numerical).max()
    print(f"z {shape!s:<10} each entry was used {big.size // z.size:>2} times; dz is off by {error:.0e}")
    assert error < 1e-8
lesson.holds("numbers summed for each entry of dz of shape (2, 1)", big.size // 2, 12)

# %% [markdown]
# ## One matrix product, or loops?
#
# (4.1) can also be computed by a loop over rows, or over rows and outputs. The numbers are the same, but the
# time is not. A matrix product uses each number that it fetches from memory many times before the number
# leaves the processor's cache, and one instruction multiplies several numbers at once.

# %%
lesson.title("Loops or one product")
SIZES = (8, 16, 32, 64) if lesson.fast else (8, 16, 32, 64, 128, 256)
lesson.predict(
    "n rows, n inputs, n outputs. For n = 64, how many times faster is one product than n² dot products?"
)


def dots(x, weight):
    """Return x W, computed as one dot product for each row and output."""
    y = np.empty((len(x), weight.shape[1]))
    for n in range(len(x)):
        for o in range(weight.shape[1]):
            y[n, o] = x[n] @ weight[:, o]
    return y


def rows_in_turn(x, weight):
    """Return x W, computed row by row."""
    return np.stack([row @ weight for row in x])


def at_once(x, weight):
    """Return x W, computed by the functions under study."""
    return functions.forward(x, weight)[0]


def seconds(function, *arguments):
    """Return the time of a call, the best of five measurements: the others were disturbed more."""
    best = np.inf
    for _ in range(5):
        calls, started = 0, time.perf_counter()
        while time.perf_counter() - started < (0.002 if lesson.fast else 0.02):
            function(*arguments)
            calls += 1
        best = min(best, (time.perf_counter() - started) / calls)
    return best


ways = {"n² dot products": dots, "n rows, one at a time": rows_in_turn, "one product": at_once}
times = {name: [] for name in ways}
for n in SIZES:
    x, weight = rng.standard_normal((n, n)), rng.standard_normal((n, n))
    for name, way in ways.items():
        assert np.allclose(way(x, weight), x @ weight)
        times[name].append(seconds(way, x, weight))
at_64 = SIZES.index(64)
ratio = times["n² dot products"][at_64] / times["one product"][at_64]
print(f"n = 64: one product is {ratio:.0f} times faster than n² dot products (on this machine, now)")
assert ratio > 5 or lesson.mine  # yours may be loops

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
letters = {"y = Σ x W": "no", "dx = Σ dy W": "ni", "dW = Σ x dy": "io", "db = Σ dy": "o"}
used = {"y = Σ x W": "nio", "dx = Σ dy W": "nio", "dW = Σ x dy": "nio", "db = Σ dy": "no"}
table = np.array(
    [[2 if axis in letters[row] else 1 if axis in used[row] else 0 for axis in "nio"] for row in letters]
)
left.imshow(table, cmap="Blues", vmin=0, vmax=4, aspect="auto")
for place, value in np.ndenumerate(table):
    left.text(*place[::-1], ("absent", "summed", "kept")[value], ha="center", va="center")
left.set_xticks(range(3), ["n: rows", "i: inputs", "o: outputs"])
left.set_yticks(range(4), list(letters))
left.set_title("An index that the result lacks is summed")
for name, values in times.items():
    right.loglog(SIZES, values, "o-", label=name)
right.set(xlabel="n (rows, inputs and outputs)", ylabel="seconds", title="The same numbers, three ways")
right.set_xticks(SIZES, [str(n) for n in SIZES])
right.minorticks_off()
right.legend()
lesson.save(
    figure,
    "Left: the indices of the four sums; each keeps those of its result and sums over the others. "
    "Right: the time to compute x W by dot products, row by row, and as one product, against its size.",
)

# %% [markdown]
# The loops lose twice: every call costs Python some overhead, and every call reads W (or a column of it) from
# memory again. How much each of the two costs depends on n and on the machine: read it off the picture.
#
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/04_matmul.py`, for x with any number of dimensions,
# then run `python -m lessons check 4`. Its first case has a square W, with which a forgotten transpose still
# runs. `python lessons/04_matmul.py --mine` draws the picture with your functions.
#
# Then go hunting: `python -m lessons hunt 4` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - What comes before W when the input is a *choice* rather than a number: lesson 05.
# - Why several linear maps in a row are no better than one: lesson 06.
# - How large W should be at the start: lesson 07.
# - Why a GPU is at its best with matrix products, and what memory has to do with it: beyond these lessons.
#
# **Sources.** Goodfellow, Bengio, Courville, "Deep Learning" (2016), section 6.5. The rules of broadcasting:
# the NumPy manual, "Broadcasting". Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"
# (2008), on why a single product is fast.
