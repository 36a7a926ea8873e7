# %% [markdown]
# # Lesson 05 · Embedding: a lookup is a one-hot matmul
#
# **Question.** A network computes with numbers that can change by a little. A character cannot. How does text
# get into the network, and how does the gradient find its way back to the right row of a table?

# %%
import time

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson, files

from scratchgpt.ops import embedding
from scratchgpt.tokenizers.char import CharTokenizer

lesson = Lesson(5)
functions = lesson.functions(embedding)

# %% [markdown]
# ## By hand
#
# Take three characters, a = 0, b = 1, c = 2, and a table `wte` with a row of two numbers for each:
#
# | id | row |
# |---|---|
# | 0 | 1, 2 |
# | 1 | 3, 4 |
# | 2 | 5, 6 |
#
# The text "cac" has the ids (2, 0, 2). Looking up their rows gives (5, 6), (1, 2), (5, 6). A matrix product
# gives the same result if each id becomes a **one-hot** row, which is 1 at the id and 0 elsewhere:
#
#     0 0 1     1 2     5 6
#     1 0 0  ·  3 4  =  1 2
#     0 0 1     5 6     5 6
#
# We know the gradient of a product (lesson 04): transpose and multiply. Let dx be (1, 0), (0, 1), (10, 0).
#
#     0 1 0      1  0      0 1     row of a: what came back to position 1
#     0 0 0  ·   0  1  =   0 0     row of b: nothing, b is not in the text
#     1 0 1     10  0     11 0     row of c: what came back to positions 0 and 2, *added up*

# %%
lesson.title("By hand")
ids, wte = np.array([2, 0, 2]), np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
one_hot = np.eye(3)[ids]
lesson.holds("looked up", wte[ids], [[5, 6], [1, 2], [5, 6]])
lesson.holds("one-hot product", one_hot @ wte, [[5, 6], [1, 2], [5, 6]])
dx = np.array([[1.0, 0.0], [0.0, 1.0], [10.0, 0.0]])
lesson.holds("dwte", one_hot.T @ dx, [[0, 1], [0, 0], [11, 0]])

lesson.predict("c occurs twice in ids. What does NumPy's dwte[ids] += dx write into its row?")
naive = np.zeros((3, 2))
naive[ids] += dx
lesson.holds("row of c after dwte[ids] += dx", naive[2], [10, 0])

# %% [markdown]
# The first dx of c is lost, and nothing complains. `dwte[ids] += dx` means `dwte[ids] = dwte[ids] + dx`: read
# three rows, add, write three rows. Row 2 is read as 0 both times and written twice, first with 1 and then
# with 10. The last write wins. `np.add.at(dwte, ids, dx)` adds one row after another and loses none.
#
# ## The derivation
#
# A GPT adds two looked-up rows, one for the **token** and one for its **position**.
#
# $$x_{btc} = \underbrace{wte_{s(b,t)\,c}}_{\text{token}} + \underbrace{wpe_{tc}}_{\text{position}}
# \qquad s(b,t) = \text{the token's id} \tag{5.1}$$
#
# Write the token's row with the one-hot array $X_{btv}$, which is 1 where $s(b,t) = v$ and 0 elsewhere:
#
# $$wte_{s(b,t)\,c} = \sum_v X_{btv}\, wte_{vc} \tag{5.2}$$
#
# By (4.4), the gradient of the table sums over all positions:
#
# $$dwte_{vc} = \sum_{b,t} X_{btv}\, dx_{btc} = \sum_{(b,t):\ s(b,t)=v} dx_{btc} \tag{5.3}$$
#
# For all v together, the sums on the left have B·T·V terms per channel (B is the number of texts), and
# nearly all of the terms are 0. The sum on the right is the same without the zeros: each row
# of dx is *added to* the row that was read. This is called **scatter-add**. It is the *adjoint* of the
# lookup: the lookup multiplies by X, and scatter-add multiplies by the transpose of X.
#
# B is broadcast over the texts of the batch, so backward it is summed over them (lesson 04):
#
# $$dwpe_{tc} = \sum_b dx_{btc} \tag{5.4}$$
#
# Why two tables? Without B, a token would have the same x at every position.
#
# ## The engine's code

# %%
lesson.title("The code under study")
lesson.show(embedding.forward)
lesson.show(embedding.backward)

# %% [markdown]
# ## Another way: sort first
#
# Thousands of threads on a GPU cannot add to the same row at once without waiting for each other, and the
# order in which they arrive changes the last digits. The alternative is to sort the positions by token. Equal
# tokens then form a contiguous **segment**, and each segment is summed by one thread, in a fixed order.

# %%
lesson.title("Sorted segments")


def by_sorting(ids, dx, n_rows):
    """Return a table of n_rows rows to which the rows of dx (N, C) are added, row i to row ids[i]."""
    order = np.argsort(ids, kind="stable")  # equal ids become neighbors and keep their order
    present, first = np.unique(ids[order], return_index=True)  # where each segment starts
    table = np.zeros((n_rows, dx.shape[1]), dtype=dx.dtype)
    table[present] = np.add.reduceat(dx[order], first, axis=0)  # one sum per segment
    return table


def by_one_hot(ids, dx, n_rows):
    """Return the same, computed as a product with one-hot rows."""
    return np.eye(n_rows, dtype=dx.dtype)[ids].T @ dx


def by_adding(ids, dx, n_rows):
    """Return the same, computed by the functions under study from a batch of one text."""
    wte, wpe = np.zeros((n_rows, dx.shape[1]), dtype=dx.dtype), np.zeros_like(dx)
    _, saved = functions.forward(ids[None], wte, wpe)
    return functions.backward(saved, dx[None])[0]


for way in (by_sorting, by_one_hot, by_adding):
    lesson.holds(f"{way.__name__:<10}", way(ids, dx, 3), [[0, 1], [0, 0], [11, 0]])

# %% [markdown]
# ## Experiment: which row gets how much gradient?
#
# We take the project's fables and send back random numbers with standard deviation 1 as dx. A token that
# occurs n times gets the sum of n random rows. A sum of n independent numbers with standard deviation 1 has
# standard deviation √n, because variances add.

# %%
lesson.title("Frequency and gradient")
text = (files.LESSONS.parent / "data" / "fables.txt").read_text(encoding="utf-8")
tokenizer = CharTokenizer.train(text)
BATCH, TIME, WIDTH = (64, 64, 64) if lesson.fast else (128, 128, 64)
tokens = tokenizer.encode(text)[: BATCH * TIME].reshape(BATCH, TIME)
rng = np.random.default_rng(5)
V = tokenizer.vocab_size
tables = rng.standard_normal((V, WIDTH)), rng.standard_normal((TIME, WIDTH))
lesson.predict(
    "the most frequent character occurs about 20 times as often as k. How do their gradients compare?"
)
x, saved = functions.forward(tokens, *tables)
dx = rng.standard_normal(x.shape)
dwte, dwpe = functions.backward(saved, dx)
naive = np.zeros_like(dwte)
naive[tokens] += dx

counts = np.bincount(tokens.ravel(), minlength=V)
present = counts > 0
expected = np.sqrt(counts[present] * WIDTH)  # √(n C): C channels, each a sum of n numbers of size 1
norms = np.linalg.norm(dwte[present], axis=1)
naive_norms = np.linalg.norm(naive[present], axis=1)
commonest = int(counts.argmax())
assert 10 < counts[commonest] / counts[tokenizer.encode("k")[0]] < 40
print(f"{tokens.size} tokens; {present.sum()} of the {V} characters occur, {V - present.sum()} do not")
for character in (tokenizer.symbols[commonest], "e", "k"):
    v = tokenizer.encode(character)[0]
    print(
        f"  {character!r} occurs {counts[v]:>5} times: its row has norm {np.linalg.norm(dwte[v]):6.1f},"
        f" √(n C) = {np.sqrt(counts[v] * WIDTH):6.1f}; with += the norm is {np.linalg.norm(naive[v]):4.1f}"
    )
assert (np.abs(norms / expected - 1.0) < 0.4).all()
lesson.holds(
    "largest gradient of a character that does not occur", np.abs(dwte[~present]).max(initial=0.0), 0.0
)
kept = np.linalg.norm(naive[commonest]) / np.linalg.norm(dwte[commonest])
print(f"in the row of {tokenizer.symbols[commonest]!r}, += keeps {100 * kept:.0f} % of the norm")
assert kept < 0.5
lesson.holds("dwpe minus the sum of dx over the texts, at most", np.abs(dwpe - dx.sum(axis=0)).max(), 0.0)

# %% [markdown]
# The right half of the picture times the three ways. The work of the one-hot product grows with the number of
# tokens *times* the number of rows of the table; that of the other two grows mainly with the tokens. (The
# middle one is timed together with its forward and with dwpe, so it looks slower than it is.)

# %%
lesson.title("Three ways, timed")
N, CHANNELS = (512, 32) if lesson.fast else (2048, 64)
VOCABULARIES = (64, 256, 1024) if lesson.fast else (64, 256, 1024, 4096)
ways = {"one-hot product": by_one_hot, "embedding, both ways": by_adding, "sorted segments": by_sorting}
times = {name: [] for name in ways}
for n_rows in VOCABULARIES:
    ids, dx = rng.integers(0, n_rows, N), rng.standard_normal((N, CHANNELS))
    for name, way in ways.items():
        assert np.allclose(way(ids, dx, n_rows), by_sorting(ids, dx, n_rows))
        best = np.inf
        for _ in range(7):
            started = time.perf_counter()
            way(ids, dx, n_rows)
            best = min(best, time.perf_counter() - started)
        times[name].append(1000.0 * best)
for name, values in times.items():
    print(
        f"{name:<20} " + "  ".join(f"V = {n}: {t:.2f} ms" for n, t in zip(VOCABULARIES, values, strict=True))
    )
assert times["one-hot product"][-1] > 2 * times["sorted segments"][-1]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
left.loglog(counts[present], norms, "o", label="scatter-add")
left.loglog(counts[present], naive_norms, "x", label="dwte[tokens] += dx")
line = np.array([1, counts.max()])
left.loglog(line, np.sqrt(line * WIDTH), "k:", label="√(n C)")
left.set(
    xlabel="n: how often the character occurs",
    ylabel="norm of its row of dwte",
    title="Which row gets how much",
)
left.legend()
for name, values in times.items():
    right.loglog(VOCABULARIES, values, "o-", label=name)
right.set(
    xlabel="V: rows of the table", ylabel="milliseconds", title=f"The same sum for {N} tokens, three ways"
)
right.set_xticks(VOCABULARIES, [str(n) for n in VOCABULARIES])
right.minorticks_off()
right.legend()
lesson.save(
    figure,
    "Left: the gradient of a row grows like the square root of its character's count; with += it does not grow. Right: the "
    "time of the one-hot product, of the embedding forward and backward, and of sorted segments, against the table's size.",
)

# %% [markdown]
# For a character that occurs once, both marks are on the same spot. A test whose tokens are all different
# cannot see the mistake. The test of this exercise has repeated tokens.
#
# ## Your turn
#
# Write `forward` and `backward` in `lessons/exercises/05_embedding.py`, then run `python -m lessons check 5`.
# Use `np.add.at`, or write the sorted version: the checker accepts both.
# `python lessons/05_embedding.py --mine` draws the picture with your functions.
#
# Then go hunting: `python -m lessons hunt 5` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - Real gradients are not random: those of one character often agree, and then n of them sum to more than √n.
# - A row that is rarely read rarely changes. AdamW, which divides each gradient by its usual size, makes up
#   for part of that: lesson 14.
# - A GPT uses `wte` a second time, as its last layer, so a second gradient is added to this one: lesson 12.
# - Why the tokens are characters here, and not longer pieces of text: beyond these lessons.
#
# **Sources.** Bengio, Ducharme, Vincent, Jauvin, "A Neural Probabilistic Language Model" (2003), which learns
# such a table together with a language model. Radford et al., "Improving Language Understanding by Generative
# Pre-Training" (2018), equation 2. `numpy.ufunc.at` in the NumPy manual, on what unbuffered addition means.
