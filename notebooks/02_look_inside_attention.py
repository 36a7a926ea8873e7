# %% [markdown]
# # Look inside attention: what does a head do?
#
# A task small enough to see the answer. A row is eight different letters, a sign, and the letters again: reversed after `<`,
# sorted after `>`, e.g. `kqzpbwja<ajwbpzqk` and `kqzpbwja>abjkpqwz`. One layer with two heads learns both in less than half
# a minute. Then we look at what each head attends to, which head does which task, and what happens without one of them.

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
# The random letters cannot be predicted, so they are left out of the loss: their targets are IGNORE_INDEX.
# `lm.score(text)` returns the log-probability of every token given those before it.

# %%
tokenizer = sg.CharTokenizer([*ALPHABET, *TASKS])
config = sg.GPTConfig(vocab_size=28, block_size=2 * N, n_layer=1, n_head=2, n_embd=64, init_std=0.05)
model = sg.GPT(config)
params = model.init(seed=1)
lm = sg.LanguageModel(model, params, tokenizer, sg.get_backend())


def losses(sign: str) -> np.ndarray:
    """Return the mean loss of each letter after the sign, (N,), on unseen rows."""
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
            grads,
            lr=sg.cosine_with_warmup(step, peak=3e-3, floor=2e-4, warmup_steps=STEPS // 10, max_steps=STEPS),
        )

steps, *curves = zip(*history, strict=True)
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
for name, curve in zip(TASKS.values(), curves, strict=True):
    axes.plot(steps, curve, "o-", markersize=3, label=name)
    print(f"{name}: {curve[0]:.2f} nats per letter before training, {curve[-1]:.3f} after")
axes.set(xlabel="step", ylabel="nats per letter", ylim=(0, None))
axes.legend()
plt.show()

# %% [markdown]
# ## What the heads attend to
#
# `lm.attention(text)` is an array (layer, head, T, T): row t holds how much position t attends to each position up to t. The
# interesting rows are those from the sign on, where the next letter is predicted. A red square marks the correct letter. For
# reversing it depends only on the position, so the squares form a diagonal. For sorting it depends on the letters: which of
# them comes next in the alphabet?

# %%
figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained")
for i, (sign, name) in enumerate(TASKS.items()):
    text = unseen[sign][0][:-1]
    right = [text.index(letter) for letter in unseen[sign][0][-N:]]  # position of the next letter
    for head in range(2):
        axis = axes[i, head]
        axis.imshow(lm.attention(text)[0, head, N:], cmap="Blues", vmin=0, vmax=1)
        axis.scatter(right, range(N), s=130, marker="s", facecolors="none", edgecolors="tab:red")
        axis.set_xticks(range(2 * N), list(text))
        axis.set_yticks(range(N), list(text[N:]))
        axis.set(title=f"{name}, head {head}", xlabel="key", ylabel="query")
plt.show()

# %% [markdown]
# ## Which head does what
#
# The same over all unseen rows, letter by letter: how much each head attends to the correct letter, and how much to the sign.
# With this seed the heads have divided the work, one task each. The head that is not needed must attend to something, because
# its weights add up to 1, and it attends to the sign. Such positions are called attention sinks; large models have them, too:
# Xiao et al. (2023), https://arxiv.org/abs/2309.17453. Letter 1 is the exception. There the sign itself is the query, neither
# head attends to it, and for sorting both attend to the correct letter, the first in the alphabet: head 0 with about two
# thirds of its weight.

# %%
for sign, name in TASKS.items():
    reads = {"the correct letter": np.zeros((2, N)), "the sign": np.zeros((2, N))}
    for text in unseen[sign]:
        heads = lm.attention(text[:-1])[0, :, N:]  # (head, N, T)
        right = [text.index(letter) for letter in text[-N:]]
        reads["the correct letter"] += heads[:, range(N), right] / len(unseen[sign])
        reads["the sign"] += heads[:, :, N] / len(unseen[sign])
    print(f"{name}, letter                     " + "".join(f"{i:6}" for i in range(1, N + 1)))
    for what, shares in reads.items():
        for head in range(2):
            print(f"    head {head}: {what:20}" + "".join(f"{share:6.2f}" for share in shares[head]))

# %% [markdown]
# ## Ablate a head
#
# That a head attends to a position does not prove that it matters. So ablate it: the 32 channels of each head pass through
# their own rows of `c_proj`, and with zeros there the rest of the model runs as before. The head's task fails, the other one
# hardly changes. Letter 1 of sorting is the exception again: head 0 attends to it as well, so without head 1 it is still
# mostly predicted. (A uniform guess among all letters costs ln 26 nats; more means being sure of a wrong letter.)

# %%
print(f"ln 26 = {np.log(26):.2f}")
weight = params["h.0.attn.c_proj.weight"]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained", sharey=True)
for axis, (sign, name) in zip(axes, TASKS.items(), strict=True):
    axis.plot(range(1, N + 1), losses(sign), "k:", linewidth=2, zorder=3, label="both heads")
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
# ## Predictions, and the residual stream
#
# Left: the distribution of the next letter at each position from the sign on. Right: the norm of the residual stream at each
# position, before and after the layer, which only adds to it.

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
right.set(title="norm of the residual stream", ylim=(0, None))
right.legend()
plt.show()
print("lowest probability of a predicted letter:", f"{probs.max(axis=-1).min():.3f}")
print("generated:", text[: N + 1] + lm.generate(text[: N + 1], max_new_tokens=N, temperature=0.0))

# %% [markdown]
# `scratchgpt inspect runs/NAME --text "..."` draws figures like these, and more, for any run.
