"""Train a GPT on a text and let it write.

python train.py                                        the embedded fables, about a minute
python train.py --data my.txt --out runs/mine          your own text, a file, a folder, or a built-in set
python train.py --data grammar --tokenizer.kind bpe    stories of known entropy, with a tokenizer of their own
python train.py --resume runs/mine --training.max_steps 2000
"""

import dataclasses
import importlib
import sys
import time
from pathlib import Path

from rich.console import Console

import scratchgpt as sg
from scratchgpt import cli, data, tokenizers
from scratchgpt.about import describe
from scratchgpt.corpora import Corpus, open_corpus
from scratchgpt.evaluation import evaluate
from scratchgpt.interrupt import signals_request_stop
from scratchgpt.loading import begin_and_ends
from scratchgpt.loggers import open_loggers
from scratchgpt.metrics import meaning
from scratchgpt.passes import quiet_overflow
from scratchgpt.progress import TrainingProgress
from scratchgpt.reading import nats_per_token, prompted, tokenizer_for, tokens_of
from scratchgpt.rng import step_rng
from scratchgpt.run_folder import RunFolder, saved_generation
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
    with run:  # while it trains, nobody else may in its folder
        exit_code = train(settings, corpus, run, backend)
    if exit_code:
        console.print(run.how_to_go_on())
        sys.exit(exit_code)

    how = saved_generation(run.path)
    written = sg.load(run.path, backend=backend).generate(**how, seed=settings.training.seed)
    sample = (how["prompt"] or "") + written
    run.write_sample(sample)
    console.rule("a sample")
    console.print(sample)
    console.rule()
    console.print(run.outcome(f"{time.perf_counter() - started:.0f} s in all{backend.memory()}"))


def train(settings: RunSettings, corpus: Corpus, run: RunFolder, backend: sg.Backend) -> int:
    """Train from the beginning or the last checkpoint; return 0, or the exit code if a signal ended it."""
    training = settings.training

    # Text becomes tokens; the last tenth of them is held out.
    tokenizer = tokenizers.load(run.path) if settings.resume else tokenizer_for(settings, corpus, console)
    text = tokens_of(corpus, tokenizer, console)
    given = {name: value for name, value in settings.model.items() if value is not None}
    config = sg.GPTConfig.from_dict({"vocab_size": tokenizer.vocab_size} | given)
    settings = prompted(settings, corpus, tokenizer, config.block_size)
    train_text, val_text = data.split(text, training.val_fraction, config.block_size)
    train_rows, val_rows = (data.rows_of(part, config.block_size) for part in (train_text, val_text))
    batches = data.batches(training.batches, train_rows, training.batch_size, training.seed)
    val_label = "held-out" if training.val_fraction else "whole-text"

    # The model is a structure without arrays; its weights are one flat vector, which the optimizer changes.
    model = sg.GPT(config, recompute=training.recompute)
    params = model.init(training.seed).map(backend.to_device)
    optimizer = sg.make_optimizer(training.optimizer, params, backend, **training.hyperparameters)
    ema = None if training.ema_decay is None else sg.EMA(params, training.ema_decay)
    # What cannot be computed, or a prompt that cannot be encoded, is better known now than later.
    backend.check(config)
    ends = begin_and_ends(corpus.generation_config(tokenizer.special_ids), corpus.name)
    writer = sg.LanguageModel(model, params, tokenizer, backend, *ends)
    writer.stream(settings.generation.prompt, 0)
    if settings.resume:
        run.resume(settings, model, optimizer, ema, text.folder.name)
        batches.position = run.position
    else:
        run.begin(settings, model, tokenizer, corpus)
    run.about = describe(settings, model, train_text, val_text, backend)
    console.print(f"{run.about}\nrun folder {run.path}")

    take_step = TrainingStep(model, optimizer, training.grad_clip, training.accumulate)
    with (
        signals_request_stop(training.max_minutes) as stop,
        open_loggers(settings.logger, run.path, dataclasses.asdict(settings), run.step) as run.loggers,
        TrainingProgress(console, training.max_steps, run.step, run.seconds) as progress,
        quiet_overflow(),  # the loop itself looks for what is not finite
    ):
        for step in range(run.step, training.max_steps):
            progress.step_begins()
            rng = step_rng(training.seed, step)
            lr = sg.learning_rate(training.schedule, step, **training.rates)
            x, y = batches.draw(rng)
            take_step(x, y, lr, rng)
            if ema:
                ema.update()
            done = step + 1
            evaluate_now = done % training.eval_interval == 0 or done == training.max_steps or stop.is_set()
            if evaluate_now or done % training.log_interval == 0:  # the loop waits for a GPU only here
                loss = run.log_steps(done, take_step.read(), training.on_not_finite)
                progress.show(done, loss, lr)
            progress.step_ends(x.size)

            if evaluate_now:
                val_loss = evaluate(
                    model, ema.weights() if ema else params, val_rows,
                    batch_size=-(-training.batch_size // training.accumulate), backend=backend,
                    max_tokens=training.eval_tokens,
                )  # fmt: skip
                run.log_evaluation(
                    done, val_loss, val_label, **meaning(val_loss, tokenizer, val_text), **progress.pace
                )
                how = dataclasses.asdict(settings.generation) | {"max_new_tokens": training.sample_tokens}
                progress.sampled(run.log_sample(done, writer.generate(**how, seed=training.seed)))
                is_best = run.save(
                    optimizer, ema, done, val_loss, batches.position, text.folder.name,
                    keep=training.keep_checkpoints,
                )  # fmt: skip
                run.draw(config.vocab_size, val_label, nats_per_token(corpus, val_text))
                progress.evaluated(done, loss, val_loss, val_label, is_best)
                if stop.is_set() or run.has_stalled(training.patience):
                    return stop.exit_code if done < training.max_steps else 0
    return 0


if __name__ == "__main__":
    with cli.errors_in_words("train.py"):
        main()
