# %% [markdown]
# # Lesson 01 · A bigram by counting
#
# **Question.** A language model says what comes next. What is the simplest model that deserves the name, how
# good is it, and what does "good" mean?

# %%
import matplotlib.pyplot as plt
import numpy as np
from kit import Lesson, files

from scratchgpt import data
from scratchgpt.tokenizers.char import CharTokenizer

lesson = Lesson(1)
functions = lesson.functions(files.answer(1))  # the engine does not count, so the answer's functions stand in

# %% [markdown]
# ## By hand
#
# A **bigram** model looks at one character and says how likely each character is to come next. It is a table:
# row a holds the probabilities of what follows a. To build the table, count.
#
# The text `abaab` contains four pairs: ab, ba, aa, ab. So a was followed once by a and twice by b, and b was
# followed once by a:
#
# | | a | b | | | a | b |
# |---|---|---|---|---|---|---|
# | **a** | 1 | 2 | → | **a** | 1/3 | 2/3 |
# | **b** | 1 | 0 | → | **b** | 1 | 0 |
#
# How good is this table? It gives the four pairs the probabilities 2/3, 1, 1/3 and 2/3. The probability of
# the whole text is their product, 4/27. Products of many small numbers are awkward, so take the logarithm,
# flip the sign, and divide by the number of pairs. The result is the **negative log-likelihood** per pair, or
# NLL: (ln 27/4) / 4 = 0.477 (in nats, because the logarithm is natural; divided by ln 2 it is in bits).
# Smaller is better, and 0 is perfect.

# %%
lesson.title("By hand: abaab")
tokens = np.array([0, 1, 0, 0, 1])
counts = functions.count_pairs(tokens, 2)
probs = functions.probabilities(counts, 0.0)
lesson.holds("counts after a", counts[0], [1, 2])
lesson.holds("counts after b", counts[1], [1, 0])
lesson.holds("probabilities after a", probs[0], [1 / 3, 2 / 3])
tiny = 1e-300  # in place of 0: no pair in the text uses these cells, but ln 0 would be infinite
lesson.holds("NLL", functions.nll(np.maximum(probs, tiny), tokens), np.log(27 / 4) / 4)

# %% [markdown]
# ## Why no table can beat counting
#
# Let $n_{ab}$ be the number of pairs (a, b), $n_a$ the sum of row a, and N the number of all pairs. Equal
# pairs have equal probabilities, so the NLL of a table p depends on the text only through the counts:
#
# $$\mathrm{NLL}(p) = -\frac1N \sum_{a,b} n_{ab} \ln p_{ab} \tag{1.1}$$
#
# We want the p that makes it smallest, subject to a constraint: each row must sum to 1. (Without the
# constraint, the answer would be p = ∞.) Multiply by -N, so that we maximize instead. A **Lagrange
# multiplier** $\lambda_a$ for each row puts a price on breaking the constraint:
#
# $$\underbrace{\sum_{a,b} n_{ab} \ln p_{ab}}_{A} + \underbrace{\sum_a \lambda_a \Big(1 - \sum_b p_{ab}\Big)}_{B} \tag{1.2}$$
#
# At the best p, the derivative with respect to each $p_{ab}$ is zero. **Term A** contributes $n_{ab}/p_{ab}$,
# **term B** contributes $-\lambda_a$:
#
# $$\frac{n_{ab}}{p_{ab}} - \lambda_a = 0 \quad\Rightarrow\quad p_{ab} = \frac{n_{ab}}{\lambda_a} \tag{1.3}$$
#
# Row a must sum to 1, so $\lambda_a = \sum_b n_{ab} = n_a$. The best table is the counts divided by their row
# sums:
#
# $$p_{ab} = \frac{n_{ab}}{n_a} \tag{1.4}$$
#
# Any other table q is worse, by a weighted average of **Kullback-Leibler divergences**, one for each row,
# which are never negative:
#
# $$\mathrm{NLL}(q) - \mathrm{NLL}(p) = \sum_a \frac{n_a}{N} \sum_b p_{ab} \ln\frac{p_{ab}}{q_{ab}} \ge 0 \tag{1.5}$$
#
# (To see that, use $\ln x \le x - 1$ and sum over the b where $p_{ab} > 0$:
# $\sum_b p_{ab} \ln (q_{ab}/p_{ab}) \le \sum_b (q_{ab} - p_{ab}) \le 0$. Then flip the sign.)
#
# ## The code under study
#
# The engine has no table of counts; lesson 02 finds the same table with the tools the engine does have. So
# this lesson brings its own three functions. They are the answer to the exercise: look away now if you want
# to write them first. The engine forms the same pairs, a token and the one right after it, in `random_batch`:
# see `places + 1` at the end of the output.

# %%
lesson.title("The code under study")
counting = files.answer(1)
lesson.show(counting.count_pairs)
lesson.show(counting.probabilities)
lesson.show(counting.nll)
lesson.title("The same pairs in the engine")
lesson.show(data.random_batch)

# %% [markdown]
# ## Experiment 1: a book of fables
#
# We count the pairs in the first nine tenths of a book of fables, and hold out the last tenth, so that we can
# test the table on text it has not seen.

# %%
text = (files.LESSONS.parent / "data" / "fables.txt").read_text(encoding="utf-8")
tokenizer = CharTokenizer.train(text)
V, n_characters = tokenizer.vocab_size, len(text)
if lesson.fast:
    text = text[:60_000]
train, held_out = data.split(tokenizer.encode(text), 0.1, block_size=2)  # at least one pair in each part
counts = functions.count_pairs(train, V)

lesson.title("Fables")
lesson.holds("distinct characters", V, 63)
lesson.holds("number of pairs minus number of characters", counts.sum() - len(train), -1)
print(f"empty cells of the table: {np.mean(counts == 0):.0%} of {counts.size}")
assert np.mean(counts == 0) > 0.6

lesson.predict("a uniform table gives every character the probability 1/63. What is its NLL?")
lesson.holds("NLL of a uniform table", functions.nll(np.full((V, V), 1 / V), train), np.log(63))

lesson.predict(
    "how low is the NLL if we know how frequent each character is? And if we also know the one before it?"
)
share = np.bincount(train[1:], minlength=V) / (len(train) - 1)
unigram = functions.nll(np.tile(np.maximum(share, tiny), (V, 1)), train)
bigram = functions.nll(functions.probabilities(counts, 1e-9), train)
print(f"unigram, how frequent each character is: {unigram:.3f} nats")
print(f"bigram, which character stands before:   {bigram:.3f} nats = {bigram / np.log(2):.2f} bits")
print(
    f"e to that power, the perplexity:         a choice among {np.exp(bigram):.1f} equally likely characters"
)
assert 3.1 < unigram < 3.25 and 2.3 < bigram < 2.45 and 10 < np.exp(bigram) < 11.5

# %% [markdown]
# Knowing how frequent each character is brings the NLL from ln 63 = 4.14 down to about 3.2. One character of
# context brings it to about 2.4. That is the number to beat in the lessons to come.
#
# Is it really the best table? Perturb the probabilities at random, and check that (1.5) says how much worse
# it gets.

# %%
lesson.title("Any other table is worse")
rng = np.random.default_rng(1)
best = functions.probabilities(
    counts, 1e-9
)  # nearly (1.4), but without zeros, so that every logarithm is finite
share_of_row = counts.sum(axis=1) / counts.sum()  # n_a / N
for size in (0.01, 0.1, 1.0):
    other = best * np.exp(size * rng.standard_normal(best.shape))
    other /= other.sum(axis=1, keepdims=True)
    worse = functions.nll(other, train) - bigram
    print(f"noise of size {size}: worse by {worse:.6f} nats")
    divergence = share_of_row @ (best * np.log(best / other)).sum(axis=1)
    lesson.holds("  left-hand side of (1.5) minus right-hand side", worse - divergence, 0.0, tolerance=1e-6)
    assert worse > 0

# %% [markdown]
# ## Experiment 2: what has never been seen
#
# A pair that never occurred has count 0 and therefore probability 0, and ln 0 is minus infinity. One such
# pair in the held-out text makes the NLL infinite. The cure is **additive smoothing**: pretend that every
# pair has been seen α more times than it was.
#
# $$p_{ab} = \frac{n_{ab} + \alpha}{\sum_c (n_{ac} + \alpha)} \tag{1.6}$$

# %%
lesson.title("Smoothing")
unseen = int((counts[held_out[:-1], held_out[1:]] == 0).sum())
print(f"pairs of the held-out text that were never counted: {unseen} of {len(held_out) - 1}")
lesson.predict("which α is best for the held-out text: 0.01, 0.1, 1, 10 or 100? And for the counted text?")
alphas = (0.01, 0.1, 1.0, 10.0, 100.0)
on_train, on_held_out = (
    [functions.nll(functions.probabilities(counts, alpha), part) for alpha in alphas]
    for part in (train, held_out)
)
for alpha, first, second in zip(alphas, on_train, on_held_out, strict=True):
    print(f"α = {alpha:<6} counted text {first:.4f}   held-out text {second:.4f}")
with np.errstate(divide="ignore"):
    print(f"α = 0      unseen pairs have probability 0, and -ln 0 is {-np.log(np.zeros(1))[0]}")
assert unseen > 0
assert int(np.argmin(on_train)) == 0, "on the text that was counted, less smoothing is better"
assert 0 < int(np.argmin(on_held_out)) < 3, "on held-out text, a little smoothing is better than almost none"

# %% [markdown]
# ## Where the uncertainty is
#
# For each row a, $-\sum_b p_{ab} \ln p_{ab}$ measures how uncertain the table is about what follows a. It is
# the **entropy** of the row. The NLL of the counted text is the average of these entropies, weighted by how
# often each row is used.

# %%
lesson.title("Entropy")
entropy = -(best * np.log(best)).sum(axis=1)
lesson.holds("weighted mean of the entropies minus NLL", share_of_row @ entropy - bigram, 0.0, tolerance=1e-6)
letters = " abcdefghijklmnopqrstuvwxyz"
ids = tokenizer.encode(letters)
order = ids[np.argsort(entropy[ids])]
names = [tokenizer.symbols[i].replace(" ", "␣") for i in order]
print(f"most certain after: {' '.join(names[:4])}      least certain after: {' '.join(names[-4:])}")
assert names[0] == "q", "after q comes u"

# %% [markdown]
# ## What it writes
#
# To generate text, draw a character from the row of the last one, again and again.

# %%
lesson.title("Samples")
for name, table in (("unigram", np.tile(share, (V, 1))), ("bigram ", best)):
    rng = np.random.default_rng(7)
    written = [int(tokenizer.encode("T")[0])]
    for _ in range(140):
        row = table[written[-1]]
        written.append(int(rng.choice(V, p=row / row.sum())))
    print(f"{name}  {tokenizer.decode(written)!r}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", width_ratios=(5, 6))
labels = list(letters.replace(" ", "␣"))
image = left.imshow(np.sqrt(best[np.ix_(ids, ids)]), cmap="magma", vmin=0, vmax=1)
left.set(
    xticks=range(27),
    yticks=range(27),
    xlabel="next character",
    ylabel="this character",
    title="Bigram probabilities of a book of fables",
)
left.set_xticklabels(labels, fontsize=8)
left.set_yticklabels(labels, fontsize=8)
bar = figure.colorbar(image, ax=left, ticks=np.sqrt([0, 0.01, 0.1, 0.3, 0.6, 1]), shrink=0.8)
bar.set_ticklabels(["0", "0.01", "0.1", "0.3", "0.6", "1"])
right.bar(range(27), entropy[order], color="C0")
right.axhline(np.log(V), color="k", linestyle=":")
right.text(-0.5, np.log(V) - 0.05, "uniform: ln 63", va="top")
right.axhline(unigram, color="C2", linestyle="--")
right.text(-0.5, unigram + 0.04, f"unigram: {unigram:.2f}", color="C2")
right.axhline(bigram, color="C1", linestyle="--")
right.text(-0.5, bigram + 0.04, f"bigram, average over the text: {bigram:.2f}", color="C1")
right.set(
    xticks=range(27),
    xticklabels=names,
    xlabel="this character",
    ylabel="entropy of the next one (nats)",
    title="How uncertain the table is after each character",
)
lesson.save(
    figure,
    "Left: the table for space (␣) and the lowercase letters; brighter means more likely, on a square-root scale. Right: "
    "after q the next character is nearly certain; after a space it could be almost anything.",
)

# %% [markdown]
# ## Your turn
#
# Write `count_pairs`, `probabilities` and `nll` in `lessons/exercises/01_bigram_counting.py`, then run
# `python -m lessons check 1`. `python lessons/01_bigram_counting.py --mine` counts the fables with your
# functions.
#
# Then go hunting: `python -m lessons hunt 1` plants one or two mistakes in a copy of the answer, and you name
# them.
#
# ## What this lesson leaves out
#
# - How to look further back. A table of what follows *three* characters has 63³ rows of 63 cells, about 16
#   million cells in all, and a text of 190 thousand characters leaves nearly all of them empty. Counting does
#   not scale: a model has to learn that different contexts are alike.
# - How to find the table by learning, with nothing but a gradient: lesson 02.
# - Better ways to smooth than one α for every pair.

# %%
lesson.title("Why not count longer contexts?")
lesson.holds("millions of cells in a table with three characters of context", V**4 / 1e6, 15.752961)
lesson.holds("thousands of characters in the fables", round(n_characters / 1000), 190)

# %% [markdown]
# **Sources.** Shannon, "A Mathematical Theory of Communication" (1948), which samples from such models by
# hand, with a book opened at random in place of the table. Chen, Goodman, "An Empirical Study of Smoothing
# Techniques for Language Modeling" (1998).
