# %% [markdown]
# # Lesson 09 · Attention is a weighted average
#
# **Question.** The layers so far work on one position at a time, and the model of lesson 07 reads a fixed
# number of positions. How can a token read the tokens before it, how much of each does it read, and why is
# there a √D in the formula?

# %%
import math

import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson

from scratchgpt.ops import attention
from scratchgpt.tokenizers import CharTokenizer

lesson = Lesson(9)
functions = lesson.functions(attention)

# %% [markdown]
# ## What it does, by hand
#
# Each position t has three vectors: a **query** $q_t$ (what it looks for), a **key** $k_t$ (what it can be
# found by) and a **value** $v_t$ (what it hands over). The output at t is an average of values. The better a
# key matches the query, the larger the weight of its value.
#
# Take two positions and one channel (D = 1): keys 1 and 0, queries 0 and ln 3, values 8 and 4.
#
# - Position 0 may see only itself, so its output is 8, whatever its query says.
# - Position 1 has the scores ln 3 · 1 and ln 3 · 0. Their exponentials are 3 and 1, so the weights are 3/4
#   and 1/4, and the output is 3/4 · 8 + 1/4 · 4 = 7.

# %%
lesson.title("By hand")


def heads(*numbers: float) -> np.ndarray:
    """Return the numbers as an array of shape (B, H, T, D) with B = H = D = 1."""
    return np.array(numbers).reshape(1, 1, -1, 1)


q, k, v = heads(0.0, math.log(3.0)), heads(1.0, 0.0), heads(8.0, 4.0)
y, _ = functions.forward(q, k, v)
lesson.holds("the outputs", y.ravel(), [8.0, 7.0])

# %% [markdown]
# Here is a trick for the rest of the lesson. If the values are the rows of the identity matrix, the average
# of the values *is* the list of weights. So attention can show us its own weights, and we need not reach
# inside.

# %%
y, _ = functions.forward(q, k, np.eye(2).reshape(1, 1, 2, 2))
lesson.holds("the weights", y[0, 0], [[1.0, 0.0], [0.75, 0.25]])

# %% [markdown]
# ## The formula, step by step
#
# - **A: compare.** The score of key s for query t is their dot product divided by √D:
#
# $$\mathrm{scores}_{ts} = \frac{1}{\sqrt D}\sum_{d} q_{td}\, k_{sd} \tag{9.1}$$
#
# - **B: mask the future.** Position t predicts token t + 1, so it must not see it. The scores of later keys
#   are set to -∞. Since exp(-∞) is 0, these keys get weight 0, and the other weights still sum to 1. (A score
#   of 0 would not do: exp(0) is 1.)
# - **C: average.** A softmax (lesson 03) turns each row of scores into weights P, which average the values:
#
# $$P_{ts} = \frac{e^{\mathrm{scores}_{ts}}}{\sum_{r \le t} e^{\mathrm{scores}_{tr}}} \qquad
# y_t = \sum_{s \le t} P_{ts}\, v_s \tag{9.2}$$
#
# **Why √D?** Let the entries of q and k be independent, with mean 0 and variance 1. Each product $q_d k_d$
# has mean 0 and variance $E[q_d^2]\,E[k_d^2] = 1$, and the variances of independent numbers add up:
#
# $$\mathrm{Var}(q \cdot k) = \sum_{d=1}^{D} \mathrm{Var}(q_d k_d) = D \qquad
# \mathrm{Var}\!\left(\frac{q \cdot k}{\sqrt D}\right) = 1 \tag{9.3}$$
#
# Without the root, the scores of a head with D = 64 channels have a standard deviation of 8 instead of 1.
#
# **More keys than queries.** While a model generates text, it keeps the keys and values of the past (the KV
# cache) and computes only the newest queries. With S keys and T queries, the queries are the *last* T
# positions:
#
# $$\text{query } t \text{ sees the keys } 0, \dots, S - T + t \tag{9.4}$$
#
# ## The engine's code

# %%
lesson.title("The code under study")
lesson.show(attention.forward)

# %% [markdown]
# ## Variance, and keys from a cache

# %%
lesson.title("The variance of a dot product")
rng = np.random.default_rng(9)
lesson.predict("q and k have 64 entries of variance 1. What is the variance of q · k, and of q · k / 8?")
products = (rng.standard_normal((20_000, 64)) * rng.standard_normal((20_000, 64))).sum(axis=1)
lesson.holds("variance of q · k (64 within 5 %)", products.var(), 64.0, tolerance=3.2)
lesson.holds("variance of q · k / 8 (1 within 5 %)", (products / 8).var(), 1.0, tolerance=0.05)

# %%
lesson.title("The last queries alone")
lesson.predict("we pass all 10 keys but only the last 3 queries. Which rows of the full output come out?")
q, k, v = rng.standard_normal((3, 1, 2, 10, 4))
full, _ = functions.forward(q, k, v)
last, _ = functions.forward(q[:, :, -3:], k, v)
lesson.holds("difference from the last 3 rows of the full output", np.abs(last - full[:, :, -3:]).max(), 0.0)

# %% [markdown]
# ## Left picture: what happens without the root
#
# We take 64 random keys, random queries, and more and more channels. How evenly the weights are spread is
# measured by their **entropy**, $-\sum_s P_s \ln P_s$. It is ln 64 = 4.16 when all 64 weights are equal, and
# 0 when one key has all the weight. To leave the root out, we multiply q by √D beforehand.

# %%
lesson.title("Entropy and the number of channels")
lesson.predict(
    "with or without the root: which entropy stays the same as D grows, and where does the other one go?"
)
N_KEYS, N_QUERIES = 64, 50 if lesson.fast else 400
WIDTHS = [1, 4, 16, 64, 256, 1024]


def entropy(D: int, scaled: bool) -> float:
    """Return the mean entropy of the weights that random queries give to random keys of D channels."""
    rng = np.random.default_rng(D)
    q = rng.standard_normal((N_QUERIES, 1, 1, D))
    k = rng.standard_normal((N_QUERIES, 1, N_KEYS, D))
    identity = np.broadcast_to(np.eye(N_KEYS), (N_QUERIES, 1, N_KEYS, N_KEYS))
    weights, _ = functions.forward(q if scaled else q * math.sqrt(D), k, identity)
    return float(-(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=-1).mean())


with_root = [entropy(D, True) for D in WIDTHS]
without_root = [entropy(D, False) for D in WIDTHS]
lesson.holds("all weights equal: ln 64, rounded", round(math.log(N_KEYS), 2), 4.16)
print("D           ", *(f"{D:>6}" for D in WIDTHS))
print("with root   ", *(f"{value:6.2f}" for value in with_root))
print("without root", *(f"{value:6.2f}" for value in without_root))
assert min(with_root) > 3 and without_root[-1] < 0.5
assert (np.diff(without_root) < 0).all()

# %% [markdown]
# Without the root, a wide head picks one key and ignores the rest before it has learned anything. And a
# saturated softmax hardly changes when its scores do, so little gradient comes back through it: lesson 10.
#
# ## Right picture: which character reads which
#
# Now a text. Each distinct character gets a random vector E[character] of 16 channels, and q, k and v are all
# made from it: k = v = E and q = 2E. A character is then most similar to itself, so attention should find
# *earlier copies of the same character*. Instead of looking at the weights, we do what a skeptic would do:
# change q, k and v at position s, and measure how far the output at each position t moves.

# %%
lesson.title("Which character reads which")
TEXT = "the heron and the hen then ran"
tokens = CharTokenizer.train(TEXT).encode(TEXT)
T = len(TEXT)
rng = np.random.default_rng(3)
vectors = rng.standard_normal((tokens.max() + 1, 16))
x = np.repeat(vectors[tokens][None, None], T + 1, axis=0)  # (T + 1, 1, T, 16): one copy per change
for s in range(T):
    x[s + 1, 0, s] += 0.1 * rng.standard_normal(16)  # copy 0 stays unchanged
y, _ = functions.forward(2.0 * x, x, x)
influence = np.linalg.norm(y[1:, 0] - y[0, 0], axis=-1).T  # (T, T): how far row t moves because of column s

same = tokens[:, None] == tokens[None, :]
past = np.tri(T, T, -1, dtype=bool)
lesson.predict("how far does an output move when a later character is changed?")
lesson.holds("largest movement", influence[~np.tri(T, T, dtype=bool)].max(), 0.0, tolerance=0.0)
lesson.predict("which earlier characters move an output more, equal ones or different ones?")
ratio = influence[same & past].mean() / influence[~same & past].mean()
print(f"equal characters move it {ratio:.1f} times as far as different ones")
assert ratio > 4

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
left.semilogx(WIDTHS, with_root, "o-", label="scores divided by √D")
left.semilogx(WIDTHS, without_root, "o-", label="scores not divided by √D")
left.axhline(math.log(N_KEYS), color="gray", linestyle=":", label="all 64 weights equal: ln 64")
left.set(
    xlabel="channels of the head, D",
    ylabel="mean entropy of the weights, nats",
    title="Without the root, one key takes it all",
    ylim=(0, None),
)
left.legend(loc="lower left")
shown = np.where(np.tri(T, T, dtype=bool), influence / influence.max(), np.nan)
picture = right.imshow(shown, cmap="magma_r", vmin=0.0)
letters = TEXT.replace(" ", "·")
right.set(
    xticks=range(T),
    yticks=range(T),
    xlabel="character that is changed, s",
    ylabel="output that moves, t",
    title="Which character reads which (white: exactly 0)",
)
right.set_xticklabels(letters, fontsize=9)
right.set_yticklabels(letters, fontsize=9)
right.set_facecolor("white")
figure.colorbar(picture, ax=right, label="movement, largest = 1", shrink=0.8)
lesson.save(
    figure,
    "Left: if the scores are divided by √D, the weights stay spread out at every width; if not, their entropy falls "
    "towards 0. Right: each output is moved by its own character and by earlier copies of it, never by a later character.",
)

# %% [markdown]
# ## Your turn
#
# Write `forward` in `lessons/exercises/09_attention.py`, then run `python -m lessons check 9`. It changes one
# position after another and tells you which position sees which. `python lessons/09_attention.py --mine`
# draws the picture with your function.
#
# Then go hunting: `python -m lessons hunt 9` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - Where q, k and v come from: in a GPT they are three linear maps of the same stream, and the maps are
#   learned.
# - How attention knows *where* a key is: it does not. Apart from the mask, (9.2) is the same for keys in any
#   order, so positions must be put into the vectors (lesson 05).
# - Why T² scores are affordable: beyond these lessons.
# - Whether a large weight explains anything: what a head reads much of may be of no use to the layers above.
#
# **Sources.** Vaswani et al., "Attention Is All You Need" (2017): equation 1 is (9.1) and (9.2), and footnote
# 4 has the variance argument (9.3). Bahdanau, Cho, Bengio, "Neural Machine Translation by Jointly Learning to
# Align and Translate" (2014), where the weighted average comes from. Jain and Wallace, "Attention is not
# Explanation" (2019).
