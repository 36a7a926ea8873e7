"""Train a GPT on a text and let it write.

python train.py                                        the embedded fables, about a minute
python train.py --data my.txt --out runs/mine          your own text, a file, a folder, or a built-in set
python train.py --resume runs/mine --training.max_steps 3000
python train.py --init-from runs/mine --data other.txt      fine-tune: begin with the weights of a run
"""

import dataclasses
import importlib
import sys
import time
from functools import partial
from pathlib import Path

from rich.console import Console

import scratchgpt as sg
from scratchgpt import cli, data, tokenizers
from scratchgpt.corpora import Corpus, open_corpus
from scratchgpt.fine_tuning import first_weights, keep_start, shape_of
from scratchgpt.interrupt import signals_request_stop
from scratchgpt.loading import begin_and_ends_of
from scratchgpt.loggers import open_loggers
from scratchgpt.passes import quiet_overflow
from scratchgpt.progress import TrainingProgress
from scratchgpt.reading import resolved, tokenizer_for, tokens_of
from scratchgpt.rng import step_rng
from scratchgpt.runs.about import describe
from scratchgpt.runs.folder import RunFolder, saved_generation
from scratchgpt.runs.held_out import HeldOut
from scratchgpt.settings import RunSettings
from scratchgpt.training.matrix_rate import ideal_seconds_per_token
from scratchgpt.training.state import TrainingState
from scratchgpt.training.step import TrainingStep
from scratchgpt.training.update_ratio import update_ratio

ROOT = Path(__file__).parent
console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def main() -> None:
    """Read the settings, train, show the result."""
    started = time.perf_counter()
    settings = cli.parse_train_args(None, ROOT)
    corpus = open_corpus(settings.data, root=ROOT, **dataclasses.asdict(settings.corpus))
    run = RunFolder(settings.out or Path("runs", corpus.name))
    backend = sg.get_backend(settings.backend, **settings.computing)
    if settings.mine:
        backend = importlib.import_module("lessons.kit.graft").in_training(settings, backend)
    with run:  # while it trains, nobody else may in its folder
        exit_code = train(settings, corpus, run, backend)
    if exit_code:
        console.print(run.how_to_go_on())
        sys.exit(exit_code)

    how = saved_generation(run.path)
    written = sg.load(run.path, backend=backend).generate(**how, seed=settings.training.seed)
    sample = run.write_sample((how["prompt"] or "") + written)
    console.rule("a sample")
    console.print(sample)
    console.rule()
    console.print(run.outcome(f"{time.perf_counter() - started:.0f} s in all{backend.memory()}"))


def train(settings: RunSettings, corpus: Corpus, run: RunFolder, backend: sg.Backend) -> int:
    """Train from the beginning or the last checkpoint; return 0, or the exit code if a signal ended it."""
    # Text becomes tokens; the last tenth of them is held out.
    source = sg.load(settings.init_from, backend=backend) if settings.begins_elsewhere else None
    existing = tokenizers.load(run.path) if settings.resume else source and source.tokenizer
    tokenizer = tokenizer_for(settings, corpus, console, existing)
    text = tokens_of(corpus, tokenizer, console)
    config = shape_of(settings, tokenizer.vocab_size, source)
    train_text, val_text = data.split(text, settings.training.val_fraction, config.block_size)
    train_rows = data.rows_of(train_text, config.block_size)
    settings = resolved(settings, corpus, tokenizer, config, train_rows)
    training = settings.training
    batches = data.batches(training.batches, train_rows, training.batch_size, training.seed)
    held_out = HeldOut(corpus, val_text, tokenizer, training, backend)

    # The model is a structure without arrays; its weights are one flat vector, which the optimizer changes.
    model = sg.GPT(config, recompute=training.recompute)
    params = first_weights(model, training.seed, source).map(backend.to_device)
    optimizer = sg.make_optimizer(training.optimizer, params, backend, **training.hyperparameters)
    ema = None if training.ema_decay is None else sg.EMA(params, training.ema_decay)
    state = TrainingState(model, optimizer, ema, batches, text.folder.name)

    # What cannot be computed, or a prompt that cannot be encoded, is better known now than later.
    backend.check(config)
    writer = sg.LanguageModel(model, params, tokenizer, backend, *begin_and_ends_of(corpus, tokenizer))
    writer.stream(**dataclasses.asdict(settings.generation))
    if settings.resume:
        run.resume(settings, state)
    else:
        run.begin(settings, model, tokenizer, corpus)
    run.about = describe(settings, model, train_text, val_text, backend)
    console.print(f"{run.about}\nrun folder {run.path}")
    if source:
        console.print(keep_start(run, state, held_out, settings.init_from))
    return loop(settings, state, held_out, writer, run)


def loop(
    settings: RunSettings, state: TrainingState, held_out: HeldOut, writer: sg.LanguageModel, run: RunFolder
) -> int:
    """Take the steps that are left; evaluate, show and save now and then."""
    training, model, params = settings.training, state.model, state.params
    how = dataclasses.asdict(settings.generation.shortened(training.sample_tokens)) | {"seed": training.seed}
    take_step = TrainingStep(model, state.optimizer, training.grad_clip, training.accumulate)
    with (
        signals_request_stop(training.max_minutes) as stop,
        open_loggers(settings.logger, run.path, dataclasses.asdict(settings), run.step) as run.record.loggers,
        TrainingProgress(console, training.max_steps, run.step, run.record.seconds) as progress,
        quiet_overflow(),  # the loop itself looks for what is not finite
    ):
        progress.ideal_seconds = ideal_seconds_per_token(model.config, writer.backend)
        for step in range(run.step, training.max_steps):
            done = step + 1
            is_planned = done % training.eval_interval == 0 or done == training.max_steps
            before = params.copy() if is_planned else None

            progress.step_begins()
            rng = step_rng(training.seed, step)
            lr = sg.learning_rate(training.schedule, step, **training.rates)
            x, y = state.batches.draw(rng)
            take_step(x, y, lr, rng)
            state.update_mean()
            evaluate_now = is_planned or stop.is_set()
            if evaluate_now or done % training.log_interval == 0:  # the loop waits for a GPU only here
                loss = run.record.log_steps(done, take_step.read(), training.on_not_finite)
                progress.show(done, loss, lr)
            progress.step_ends(x.size)

            if evaluate_now:
                moved = {"update_ratio": update_ratio(before, params)} if before else {}
                figures = held_out.evaluate(model, state.weights())
                run.record.log_evaluation(done, held_out.label, **figures, **moved, **progress.pace)
                progress.sampled(run.record.log_sample(done, partial(writer.generate, **how)))
                is_best = run.save(state, done, figures["val_loss"], keep=training.keep_checkpoints)
                run.draw(model.config.vocab_size, held_out.label, held_out.floor)
                progress.evaluated(done, loss, figures["val_loss"], held_out.label, is_best)
                if stop.is_set() or run.has_stalled(training.patience):
                    return stop.exit_code if done < training.max_steps else 0
    return 0


if __name__ == "__main__":
    with cli.errors_in_words("train.py"):
        main()
