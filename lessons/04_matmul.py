# %% [markdown]
# # Lesson 04 · Matmul: what is broadcast forward is summed backward
#
# **Question.** Most of a GPT's work is y = x W + b. One W and one b serve every place of every text. How much
# does each of their numbers owe to the loss, and how do we get all of it without writing a single loop?

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
# x = ((1, 2), (3, 4)),  W = (5, 6) as a column,  b = 10.
#
# - Row 1: 1·5 + 2·6 + 10 = 27. Row 2: 3·5 + 4·6 + 10 = 49.
#
# Let the loss be L = y₁ + 100 y₂, so that dy = (1, 100); the 100 shows which row a number comes from.
#
# - W₁ = 5 was used twice, beside 1 in row 1 and beside 3 in row 2. Raise it by a little h: y₁ grows by 1h,
#   y₂ by 3h, and L by 1·1h + 100·3h. So dW₁ = 301. In the same way dW₂ = 2 + 400 = 402.
# - b was used twice, beside a 1 each time: db = 1 + 100 = 101.
# - x₁₁ was used once, beside W₁ = 5: its gradient is dy₁·5 = 5.

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
# Let n count rows, i inputs and o outputs. The output is a sum of two terms, **A** and **B**:
#
# $$y_{no} = \underbrace{\sum_i x_{ni} W_{io}}_{A} + \underbrace{b_o}_{B} \tag{4.1}$$
#
# The loss L depends on y, and $dy_{no} = \partial L/\partial y_{no}$ is given. The chain rule says: for each
# number z that we may change, go over *every* y that it reaches, and add up.
#
# $$dz = \sum_n \sum_o dy_{no}\, \frac{\partial y_{no}}{\partial z} \tag{4.2}$$
#
# 1. $x_{mi}$ reaches the outputs of its own row m, each through $W_{io}$. The sum over n has one term left:
#    $$dx_{mi} = \sum_o dy_{mo} W_{io} \qquad\text{that is}\qquad dx = dy\, W^{\mathsf T} \tag{4.3}$$
# 2. $W_{io}$ reaches output o of every row, each through $x_{ni}$. The sum over o has one term left:
#    $$dW_{io} = \sum_n x_{ni}\, dy_{no} \qquad\text{that is}\qquad dW = x^{\mathsf T} dy \tag{4.4}$$
# 3. $b_o$ reaches output o of every row, with slope 1:
#    $$db_o = \sum_n dy_{no} \tag{4.5}$$
#
# All three are one rule. Look at which of the letters n, i, o an array *has*. Its gradient has the same letters, and those letters *of its term in (4.1)* (A: n, i, o; B: n, o) that it
# lacks are **summed**. b lacks n: forward, it was stretched over n (NumPy
# says *broadcast*); backward, n is summed away. A transpose is only what it takes to bring the letters into
# that order.
#
# The shapes alone nearly give the answer: with N = 2, I = 3, O = 5, the one product of dy (2, 5) with W (3,
# 5) that has the shape of x (2, 3) is dy Wᵀ. With a square W the shapes no longer help, and a forgotten
# transpose runs without a word.
#
# ## The engine's own lines
#
# In a GPT x is (B, T, C). B and T are both "rows": `reshape` joins them into one axis of N = B·T.

# %%
lesson.title("The code under study")
lesson.show(linear.forward)
lesson.show(linear.backward)

# %% [markdown]
# ## The rule for any broadcast
#
# NumPy stretches an axis in two ways: by adding one in front, or by repeating one of length 1. Backward, the
# first kind of axis is summed away, and the second is summed and kept. Four shapes, each against finite
# differences:

# %%
lesson.title("Broadcast forward, sum backward")


def sum_to(gradient, shape):
    """Return the gradient of an array of this shape that was broadcast to the gradient's shape."""
    added = gradient.ndim - len(shape)
    gradient = gradient.sum(axis=tuple(range(added)))
    repeated = tuple(axis for axis, length in enumerate(shape) if length == 1 < gradient.shape[axis])
    return gradient.sum(axis=repeated, keepdims=True)


rng = np.random.default_rng(4)
lesson.predict("z of shape (2, 1) is added to an array (4, 2, 3). Each number of dz is a sum of how many?")
big, dsum = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2, 3))
for shape in [(3,), (2, 1), (4, 1, 3), ()]:
    z = rng.standard_normal(shape)
    numerical = numerical_gradient(lambda z: float(((big + z) * dsum).sum()), z)
    error = np.abs(sum_to(dsum, shape) - numerical).max()
    print(f"z {shape!s:<10} each number was used {big.size // z.size:>2} times; dz is off by {error:.0e}")
    assert error < 1e-8
lesson.holds("numbers in each sum for (2, 1)", big.size // 2, 12)

# %% [markdown]
# ## One matrix product, or loops?
#
# (4.1) can be written as a loop over rows, or over rows and outputs. The numbers are the same. The time is
# not: in a matrix product each number that comes from memory is used many times before it leaves the
# processor's cache, and several are multiplied by one instruction.

# %%
lesson.title("Loops against one product")
SIZES = (8, 16, 32, 64) if lesson.fast else (8, 16, 32, 64, 128, 256)
lesson.predict(
    "n rows, n inputs, n outputs. For n = 64, how many times faster is one product than n² dot products?"
)


def dots(x, weight):
    """Return x W, a dot product for each row and output."""
    y = np.empty((len(x), weight.shape[1]))
    for n in range(len(x)):
        for o in range(weight.shape[1]):
            y[n, o] = x[n] @ weight[:, o]
    return y


def rows_in_turn(x, weight):
    """Return x W, a row at a time."""
    return np.stack([row @ weight for row in x])


def at_once(x, weight):
    """Return x W, as the functions under study do it."""
    return functions.forward(x, weight)[0]


def seconds(function, *arguments):
    """Return the least time of several calls: what the machine can do when nothing disturbs it."""
    best = np.inf
    for _ in range(5):
        calls, started = 0, time.perf_counter()
        while time.perf_counter() - started < (0.002 if lesson.fast else 0.02):
            function(*arguments)
            calls += 1
        best = min(best, (time.perf_counter() - started) / calls)
    return best


ways = {"n² dot products": dots, "n rows, one after another": rows_in_turn, "one product": at_once}
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
    left.text(*place[::-1], ("not there", "summed", "kept")[value], ha="center", va="center")
left.set_xticks(range(3), ["n: rows", "i: inputs", "o: outputs"])
left.set_yticks(range(4), list(letters))
left.set_title("What a result does not have is summed")
for name, values in times.items():
    right.loglog(SIZES, values, "o-", label=name)
right.set(xlabel="n (rows, inputs and outputs)", ylabel="seconds", title="The same numbers, three ways")
right.set_xticks(SIZES, [str(n) for n in SIZES])
right.minorticks_off()
right.legend()
lesson.save(
    figure,
    "Left: the axes of the four sums; each keeps the axes of its result and sums the others. "
    "Right: the time of x W by dot products, row by row and as one product, against its size.",
)

# %% [markdown]
# The loops lose twice: Python takes its time for each call, and every call reads W (or a column of it) anew.
# How much each loss costs depends on n and on the machine: read it off the picture.
#
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/ex04.py`, for x of any rank, then `python -m lessons
# check 4`. Its first case has a square W, in which a forgotten transpose still runs. `python
# lessons/04_matmul.py --mine` draws the picture with your functions.
#
# Then hunt: `python -m lessons hunt 4` plants one or two mistakes in a copy of the answer, and you name them.
#
# ## What this does not explain
#
# What stands before W when the input is a *choice*, not a number: lesson 05. Why several linear
# maps in a row are no better than one: lesson 06. How large W should be at the start: lesson 07. Why a GPU is
# at its best with matrix products, and what memory has to do with it: beyond these lessons.
#
# **Sources.** Goodfellow, Bengio, Courville, "Deep Learning" (2016), section 6.5. The rules of broadcasting:
# the NumPy manual, "Broadcasting". Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication"
# (2008), on why one product is fast.
