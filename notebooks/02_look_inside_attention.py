# %% [markdown]
# # Look inside attention: what does a head do?
#
# A task so small that the answer can be seen. A row is eight different letters, a sign, and the letters again: after `<` in
# the opposite order, after `>` in the order of the alphabet. So `kqzpbwja<ajwbpzqk`, and `kqzpbwja>abjkpqwz`. One layer with two heads
# learns both in less than half a minute, and then we look at what the heads read, who does which part of the work, and
# what happens without one of them.

# %%
import string

import matplotlib.pyplot as plt
import numpy as np

import scratchgpt as sg
from scratchgpt.inspection import residual
from scratchgpt.ops.cross_entropy import IGNORE_INDEX

N = 8  # letters
STEPS = 500
ALPHABET = string.ascii_lowercase
TASKS = {"<": "reverse", ">": "sort"}


def row(sign: str, rng: np.random.Generator) -> str:
    """Return random letters, the sign, and the letters in the order that the sign asks for."""
    letters = "".join(rng.permutation(list(ALPHABET))[:N])
    return letters + sign + (letters[::-1] if sign == "<" else "".join(sorted(letters)))


unseen = {sign: [row(sign, np.random.default_rng(seed)) for seed in range(1000, 1032)] for sign in TASKS}
print(unseen["<"][0], unseen[">"][0])

# %% [markdown]
# ## Train
#
# Nobody can predict the random letters, so they shall not count: their targets are IGNORE_INDEX. `lm.score(text)` gives
# the log-probability of every token, given those before it.

# %%
tokenizer = sg.CharTokenizer([*ALPHABET, *TASKS])
config = sg.GPTConfig(vocab_size=28, block_size=2 * N, n_layer=1, n_head=2, n_embd=64, init_std=0.05)
model = sg.GPT(config)
params = model.init(seed=1)
lm = sg.LanguageModel(model, params, tokenizer, sg.get_backend())


def losses(sign: str) -> np.ndarray:
    """Return the mean loss of each letter after the sign, (N,), on rows that training does not see."""
    return -np.mean([lm.score(text).log_probs[-N:] for text in unseen[sign]], axis=0)


rng = np.random.default_rng(0)
optimizer = sg.AdamW(params, betas=(0.9, 0.99), weight_decay=0.0)
history = []
for step in range(STEPS + 1):
    if step % 25 == 0:
        history.append((step, losses("<").mean(), losses(">").mean()))
    if step < STEPS:
        tokens = np.stack([tokenizer.encode(row(sign, rng)) for sign in rng.choice(list(TASKS), 32)])
        targets = tokens[:, 1:].astype(np.int64)
        targets[:, :N] = IGNORE_INDEX
        _, grads = sg.loss_and_grads(model, params, tokens[:, :-1], targets)
        sg.clip_grad_norm(grads, max_norm=1.0)
        optimizer.step(
            grads, lr=sg.cosine_with_warmup(step, peak=3e-3, floor=2e-4, warmup_steps=50, max_steps=STEPS)
        )

steps, *curves = zip(*history, strict=True)
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for name, curve in zip(TASKS.values(), curves, strict=True):
    axes.plot(steps, curve, "o-", markersize=3, label=name)
    print(f"{name}: {curve[0]:.2f} nats per letter at first, {curve[-1]:.3f} at the end")
axes.set(xlabel="step", ylabel="nats per letter", ylim=(0, None))
axes.legend()
plt.show()

# %% [markdown]
# ## What the heads read
#
# `lm.attention(text)` is an array (layer, head, T, T): row t tells how much position t reads each position up to it. The rows
# to look at are those from the sign on, for there the next letter is predicted. A red square marks the letter that is right.
# When reversing it depends on the place alone, and the marks lie on a diagonal. When sorting it depends on the letters: what is
# the next one of the alphabet that is there?

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
for i, (sign, name) in enumerate(TASKS.items()):
    text = unseen[sign][0][:-1]
    right = [text.index(letter) for letter in unseen[sign][0][-N:]]  # where the next letter stands
    for head in range(2):
        axis = axes[i, head]
        axis.imshow(lm.attention(text)[0, head, N:], cmap="Blues", vmin=0, vmax=1)
        axis.scatter(right, range(N), s=130, marker="s", facecolors="none", edgecolors="tab:red")
        axis.set_xticks(range(2 * N), list(text))
        axis.set_yticks(range(N), list(text[N:]))
        axis.set(title=f"{name}, head {head}", xlabel="is read", ylabel="reads")
plt.show()

# %% [markdown]
# ## Who does the work
#
# The same over all unseen rows, letter by letter: how much each head reads the right letter, and how much the sign. With this
# seed the heads have shared the work out, a task for each. The one that is not needed must read something, for its weights
# add up to 1. So it rests on the sign. Such places are called attention sinks, and large models have them, too: Xiao et al.
# (2023), https://arxiv.org/abs/2309.17453. Letter 1 is the exception. There the sign itself is what reads, neither head rests
# on it, and when sorting both read the right letter, the first of the alphabet: head 0 with about two thirds of its weight.

# %%
for sign, name in TASKS.items():
    reads = {"the right letter": np.zeros((2, N)), "the sign": np.zeros((2, N))}
    for text in unseen[sign]:
        heads = lm.attention(text[:-1])[0, :, N:]  # (head, N, T)
        right = [text.index(letter) for letter in text[-N:]]
        reads["the right letter"] += heads[:, range(N), right] / len(unseen[sign])
        reads["the sign"] += heads[:, :, N] / len(unseen[sign])
    print(f"{name}, at letter                " + "".join(f"{i:6}" for i in range(1, N + 1)))
    for what, shares in reads.items():
        for head in range(2):
            print(f"    head {head} reads {what:18}" + "".join(f"{share:6.2f}" for share in shares[head]))

# %% [markdown]
# ## Take a head away
#
# That a head reads a place is no proof that it matters. So silence it: each head hands over its 32 channels through its own
# rows of `c_proj`, and with zeros there the rest of the model runs as before. The task that it did falls apart, the other
# one hardly notices. Letter 1 of sorting is the exception again: head 0 reads it, too, and without head 1 most of it is still
# known. (A guess among all letters would cost ln 26 nats; more than that is being sure of a wrong one.)

# %%
print(f"ln 26 = {np.log(26):.2f}")
weight = params["h.0.attn.c_proj.weight"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for axis, (sign, name) in zip(axes, TASKS.items(), strict=True):
    axis.plot(range(1, N + 1), losses(sign), "k:", linewidth=2, zorder=3, label="with both")
    for head in range(2):
        rows = weight[32 * head : 32 * (head + 1)]
        kept = rows.copy()
        rows[...] = 0.0
        without = losses(sign)
        rows[...] = kept
        axis.plot(range(1, N + 1), without, "o-", markersize=4, label=f"without head {head}")
        print(f"{name:7} without head {head}:" + "".join(f"{loss:6.2f}" for loss in without))
    axis.set(title=name, xlabel="letter", ylabel="nats")
    axis.legend()
plt.show()

# %% [markdown]
# ## What comes next, and how long the vectors are
#
# Left, the distribution of the next letter at each position from the sign on. Right, the residual stream: how long the vector
# of each position is before and after the layer, which only adds to it.

# %%
text = unseen[">"][0]
logits = sg.logits(model, params, tokenizer.encode(text[:-1])[None])[0, N:, :26]
probs = np.exp(logits - logits.max(axis=-1, keepdims=True))
probs /= probs.sum(axis=-1, keepdims=True)
norms = residual.norms(sg.BoundModel(model, params, lm.backend), tokenizer.encode(text[:-1]))

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.2), layout="constrained")
left.imshow(probs, cmap="Blues", vmin=0, vmax=1, aspect="auto")
left.set_xticks(range(26), list(ALPHABET))
left.set_yticks(range(N), list(text[N:-1]))
left.set(title="probability of the next letter", ylabel="after")
for name, lengths in zip(("embeddings", "after the layer"), norms, strict=True):
    right.plot(lengths, "o-", markersize=3, label=name)
right.set_xticks(range(2 * N), list(text[:-1]))
right.set(title="length of the residual stream", ylim=(0, None))
right.legend()
plt.show()
print("least sure of a letter:", f"{probs.max(axis=-1).min():.3f}")
print("all in one go:", text[: N + 1] + lm.generate(text[: N + 1], max_new_tokens=N, temperature=0.0))

# %% [markdown]
# `scratchgpt inspect runs/NAME --text "..."` draws pictures like these, and more, of any run.
