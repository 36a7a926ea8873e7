# %% [markdown]
# # Train on your own text
#
# From a text file to a model that generates text: train a BPE tokenizer on it, tokenize it into a cache, train, evaluate,
# save.
# These are the calls that `train.py` makes; the last cell is the one command that replaces them all.

# %%
import bz2
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from pydoc_data.topics import topics

import matplotlib.pyplot as plt

import scratchgpt as sg
from scratchgpt import data
from scratchgpt.corpora import open_corpus
from scratchgpt.evaluation.metrics import in_other_units
from scratchgpt.evaluation.text_loss import text_loss
from scratchgpt.ops.rng import step_rng
from scratchgpt.tokenizers.bpe_training import count_chunks, train_bpe
from scratchgpt.tokenizers.split_patterns import pattern_named
from scratchgpt.training.step import TrainingStep
from scratchgpt.utils.cache_folder import cache_folder

# %% [markdown]
# ## The text
#
# Put the path of your own text here. As an example, this cell writes one: the help texts on Python's language, which ship
# with Python.

# %%
folder = Path(tempfile.mkdtemp(prefix="scratchgpt-"))
path = folder / "my_text.txt"
path.write_text("\n\n".join(topics[name] for name in sorted(topics)), encoding="utf-8")

corpus = open_corpus(str(path))
print(f"{path}: {path.stat().st_size:,} bytes")

# %% [markdown]
# ## The tokenizer
#
# Byte-pair encoding starts with the 256 bytes and repeatedly merges the most frequent pair of adjacent tokens into a new one,
# never across the chunks of the split pattern. Frequent words become one token, rare ones several, and every text can be
# represented.

# %%
pattern = pattern_named("gpt4")
tokenizer = train_bpe(count_chunks((piece.text for piece in corpus.pieces()), pattern), 768, pattern, [])
sentence = "The statement returns an iterator."
ids = tokenizer.encode(sentence).tolist()
print(f"{tokenizer.vocab_size} tokens; {len(sentence)} characters become {len(ids)} tokens:")
print(" | ".join(tokenizer.decode([i]) for i in ids))

# %% [markdown]
# ## Tokens, rows, batches
#
# `prepare` tokenizes once, into a memory-mapped cache whose name is derived from text and tokenizer; the text may be larger
# than memory. The last tenth is held out for validation. With "epochs", every row of 64 tokens is used once before any is
# used again.

# %%
STEPS = 400
BLOCK, BATCH, SEED = 64, 12, 1337
tokens = data.prepare(corpus, tokenizer, cache=cache_folder())
train_part, val_part = data.split(tokens, val_fraction=0.1, block_size=BLOCK)
train_rows, val_rows = data.rows_of(train_part, BLOCK), data.rows_of(val_part, BLOCK)
batches = data.batches("epochs", train_rows, BATCH, SEED)
print(f"{len(train_part):,} tokens to train on, in {len(train_rows):,} rows; {len(val_part):,} held out")
print(f"{STEPS} batches of {BATCH} rows: {STEPS * BATCH / len(train_rows):.2f} epochs")

# %% [markdown]
# ## Train
#
# `TrainingStep` combines forward, backward, clipping and the optimizer, so that the program need not wait for a GPU; `read()`
# returns losses and norms later. All randomness of a step derives from its number and the seed, so a resumed run is
# bitwise identical.

# %%
config = sg.GPTConfig(vocab_size=tokenizer.vocab_size, block_size=BLOCK, n_layer=2, n_head=4, n_embd=128)
model = sg.GPT(config)
params = model.init(SEED)
optimizer = sg.make_optimizer("adamw", params, betas=(0.9, 0.99))
take_step = TrainingStep(model, optimizer, grad_clip=1.0)
backend = optimizer.backend

losses, evaluations = [], {}
for step in range(STEPS + 1):
    if step % 100 == 0:
        losses += [taken.loss for taken in take_step.read()]
        loss = text_loss(
            sg.BoundModel(model, params, backend), val_rows, batch_size=BATCH, max_tokens=8_000
        ).loss
        evaluations[step] = loss
        units = in_other_units(loss, tokenizer, val_part)
        print(
            f"step {step:4}: validation loss {loss:.3f} nats per token, {units['bits_per_byte']:.3f} bits per byte"
        )
    if step < STEPS:
        rng = step_rng(SEED, step)
        lr = sg.learning_rate("cosine", step, peak=3e-3, floor=2e-4, warmup_steps=STEPS // 4, max_steps=STEPS)
        take_step(*batches.draw(rng), lr, rng)

figure, axes = plt.subplots(figsize=(8, 3.2), layout="constrained")
axes.plot(losses, color="0.75", linewidth=0.8, label="training")
axes.plot(list(evaluations), list(evaluations.values()), "o-", label="validation")
axes.set(xlabel="step", ylabel="nats per token", ylim=(0, None))
axes.legend()
plt.show()

# %% [markdown]
# Nats per token depend on the tokenizer: with a larger vocabulary there are fewer tokens, and each is harder to predict. Bits
# per byte can be compared between tokenizers, and with a compression program, although that one has not seen the rest of the
# text. After these 400 steps the model still loses, with 2.04 against 2.00 bits when this was written; with `STEPS = 800` it
# wins with 1.86.

# %%
held_out = tokenizer.decode(val_part.tokens.tolist()).encode()
units = in_other_units(
    text_loss(sg.BoundModel(model, params, backend), val_rows, batch_size=BATCH).loss, tokenizer, val_part
)
print(f"model: {units['bits_per_byte']:.3f} bits per byte of the whole validation text")
print(f"bz2:   {8 * len(bz2.compress(held_out)) / len(held_out):.3f}")

# %% [markdown]
# ## Save, load, generate

# %%
run = folder / "my_model"
sg.LanguageModel(model, params, tokenizer, backend).save(run)
print(f"{run}: {', '.join(sorted(file.name for file in run.iterdir()))}\n")
again = sg.load(run)
prompt = "The statement"
print(prompt + again.generate(prompt, max_new_tokens=120, temperature=0.7, top_k=40, seed=1))

# %% [markdown]
# ## The same in one command
#
# `train.py` does all of this, and also shows progress, writes checkpoints and a report, and resumes. With the package
# installed it is `scratchgpt train`, in a clone `python train.py`. This example takes only 20 steps.

# %%
command = f"""
scratchgpt train --data {shlex.quote(str(path))} --out {shlex.quote(str(folder / "run"))}
    --tokenizer.kind bpe --tokenizer.vocab_size 768 --tokenizer.pattern gpt4
    --model.n_layer 2 --model.n_head 4 --model.n_embd 128 --model.block_size 64 --training.batches epochs
    --training.max_steps 20 --training.eval_tokens 8000 --generation.max_new_tokens 40
"""
print(command)
arguments = shlex.split(command)[1:]
done = subprocess.run(
    [sys.executable, "-m", "scratchgpt", *arguments], stdout=subprocess.PIPE, text=True, check=True
)
print(done.stdout)
