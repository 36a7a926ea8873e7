"""Train a GPT on a text and let it write.

python train.py                                        the embedded fables, about a minute
python train.py --data my.txt --out runs/mine          your own text, a file, a folder, or a built-in set
python train.py --data grammar --tokenizer.kind bpe    stories of known entropy, with a tokenizer of their own
python train.py --resume runs/mine --training.max_steps 2000
"""

import dataclasses
import importlib
import shlex
import sys
import time
from pathlib import Path

from rich.console import Console

import scratchgpt as sg
from scratchgpt import cli, data, tokenizers
from scratchgpt.corpora import Corpus, open_corpus
from scratchgpt.evaluation import evaluate
from scratchgpt.interrupt import ctrl_c_requests_stop
from scratchgpt.passes import quiet_overflow
from scratchgpt.progress import TrainingProgress
from scratchgpt.reading import nats_per_token, tokenizer_for, tokens_of
from scratchgpt.rng import step_rng
from scratchgpt.run_folder import RunFolder
from scratchgpt.settings import RunSettings
from scratchgpt.training_step import TrainingStep

ROOT = Path(__file__).parent
console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def main() -> None:
    """Read the settings, train, show the result."""
    started = time.perf_counter()
    settings = cli.parse_train_args(None, ROOT)
    corpus = open_corpus(settings.data, root=ROOT, **dataclasses.asdict(settings.corpus))
    run = RunFolder(settings.out or Path("runs", corpus.name))
    backend = sg.get_backend(
        settings.backend, settings.threads,
        precision=settings.precision, graph=settings.graph, device=settings.device,
    )  # fmt: skip
    if settings.mine:
        backend = importlib.import_module("lessons.kit.graft").in_training(settings, backend)
    stopped = train(settings, corpus, run, backend)
    if stopped:
        console.print(
            f"Stopped and saved at step {run.step}. "
            f"Go on with: python train.py --resume {shlex.quote(str(run.path))}"
        )
        sys.exit(130)

    how = dataclasses.asdict(settings.generation)
    written = sg.load(run.path, backend=backend).generate(**how, seed=settings.training.seed)
    sample = (settings.generation.prompt or "") + written
    run.write_sample(sample)
    console.rule("a sample")
    console.print(sample)
    console.rule()
    console.print(
        f"best loss {run.best_loss:.4f} nats per token at step {run.best_step} of {run.step}, "
        f"{time.perf_counter() - started:.0f} s in all{backend.memory()}\n"
        f"checkpoints, settings and metrics: {run.path}\n"
        f"picture: {run.path / 'loss.png'}\n"
        f"more text: python sample.py {shlex.quote(str(run.path))}"
    )


def train(settings: RunSettings, corpus: Corpus, run: RunFolder, backend: sg.Backend) -> bool:
    """Train from the beginning or from the run's last checkpoint; return whether Ctrl-C ended it early."""
    training = settings.training

    # Text becomes tokens; the last tenth of them is held out.
    tokenizer = tokenizers.load(run.path) if settings.resume else tokenizer_for(settings, corpus, console)
    text = tokens_of(corpus, tokenizer, console)
    given = {name: value for name, value in settings.model.items() if value is not None}
    config = sg.GPTConfig.from_dict({"vocab_size": tokenizer.vocab_size} | given)
    train_text, val_text = data.split(text, training.val_fraction, config.block_size)
    train_rows, val_rows = (data.rows_of(part, config.block_size) for part in (train_text, val_text))
    batches = data.batches(training.batches, train_rows, training.batch_size, training.seed)
    val_label = "held-out" if training.val_fraction else "whole-text"

    # The model is a structure without arrays; its weights are one flat vector, which AdamW changes.
    model = sg.GPT(config)
    params = model.init(training.seed).map(backend.to_device)
    optimizer = sg.AdamW(
        params, betas=(training.beta1, training.beta2), eps=training.adam_eps,
        weight_decay=training.weight_decay, backend=backend,
    )  # fmt: skip
    # What cannot be computed, or a prompt that cannot be encoded, is better known now than later.
    backend.check(config)
    sg.LanguageModel(model, params, tokenizer, backend).stream(settings.generation.prompt, 0)
    if settings.resume:
        run.resume(settings, model, optimizer, text.folder.name)
        batches.position = run.position
    else:
        run.begin(settings, model, tokenizer, corpus)
    console.print(
        f"{params.size:,} parameters: n_layer {config.n_layer}, n_head {config.n_head}, "
        f"n_embd {config.n_embd}, block_size {config.block_size}, vocab_size {config.vocab_size}\n"
        f"{len(train_text):,} training tokens, {len(val_text):,} {val_label}, from {settings.data}\n"
        f"{backend.describe()}\nrun folder {run.path}"
    )

    take_step = TrainingStep(model, optimizer, training.grad_clip)
    with (
        ctrl_c_requests_stop() as stop,
        TrainingProgress(console, training.max_steps, run.step) as progress,
        quiet_overflow(),  # the loop itself looks for what is not finite
    ):
        for step in range(run.step, training.max_steps):
            progress.step_begins()
            rng = step_rng(training.seed, step)
            lr = sg.cosine_with_warmup(
                step,
                peak=training.learning_rate,
                floor=training.min_learning_rate,
                warmup_steps=training.warmup_steps,
                max_steps=training.max_steps,
            )
            x, y = batches.draw(rng)
            take_step(x, y, lr, rng)
            done = step + 1
            evaluate_now = done % training.eval_interval == 0 or done == training.max_steps or stop.is_set()
            if evaluate_now or done % training.log_interval == 0:  # the loop waits for a GPU only here
                loss = run.log_steps(done, take_step.read())
                progress.show(done, loss, lr)
            progress.step_ends(x.size)

            if evaluate_now:
                val_loss = evaluate(
                    model, params, val_rows,
                    batch_size=training.batch_size, backend=backend, max_tokens=training.eval_tokens,
                )  # fmt: skip
                run.must_be_finite(done, {f"{val_label} loss": val_loss})
                run.log(step=done, val_loss=val_loss, tokens_per_second=progress.tokens_per_second)
                is_best = run.save(optimizer, done, val_loss, batches.position, text.folder.name)
                run.draw(config.vocab_size, val_label, nats_per_token(corpus, val_text))
                progress.evaluated(done, loss, val_loss, val_label, is_best)
                if stop.is_set():
                    return done < training.max_steps
    return False


if __name__ == "__main__":
    with cli.errors_in_words("train.py"):
        main()
