"""The training loop: text becomes tokens, tokens become batches, and every batch becomes a step."""

import dataclasses
from functools import partial
from typing import Any

from rich.console import Console

from scratchgpt import data, tokenizers
from scratchgpt.backends import Backend
from scratchgpt.corpora import Corpus
from scratchgpt.language_model.lm import LanguageModel
from scratchgpt.language_model.loading import bos_and_eos_of, load
from scratchgpt.nn.model import GPT
from scratchgpt.nn.passes import quiet_overflow
from scratchgpt.ops.rng import step_rng
from scratchgpt.optim import EMA, learning_rate, make_optimizer
from scratchgpt.training.about import describe
from scratchgpt.training.fine_tuning import first_weights, keep_start, shape_of
from scratchgpt.training.held_out import HeldOut
from scratchgpt.training.loggers import open_loggers
from scratchgpt.training.matrix_rate import ideal_seconds_per_token
from scratchgpt.training.progress import TrainingProgress
from scratchgpt.training.run import Run
from scratchgpt.training.settings import RunSettings
from scratchgpt.training.state import TrainingState
from scratchgpt.training.step import TrainingStep
from scratchgpt.training.text import resolved, tokenizer_for, tokens_of
from scratchgpt.training.update_ratio import update_ratio
from scratchgpt.utils.signals import signals_request_stop


def train(settings: RunSettings, corpus: Corpus, run: Run, backend: Backend, console: Console) -> int:
    """Train from scratch, from another model's weights or from the last checkpoint.

    Args:
        settings: everything the user can set.
        corpus: the text.
        run: where checkpoints and metrics go.
        backend: where to compute.
        console: where to report progress.

    Returns:
        0, or the exit code of the signal that stopped the loop early.

    Raises:
        InputError: settings, text or checkpoint that cannot be used, or a loss that is not finite.
    """
    # Tokenize the text and hold out its last part.
    source = load(settings.init_from, backend=backend) if settings.init_from and not settings.resume else None
    existing = tokenizers.load(run.path) if settings.resume else source.tokenizer if source else None
    tokenizer = tokenizer_for(settings, corpus, console, existing)
    text = tokens_of(corpus, tokenizer, console)
    config = shape_of(settings, tokenizer.vocab_size, source)
    train_text, val_text = data.split(text, settings.training.val_fraction, config.block_size)
    train_rows = data.rows_of(train_text, config.block_size)
    settings = resolved(settings, corpus, tokenizer, config, train_rows)
    training = settings.training
    batches = data.batches(training.batches, train_rows, training.batch_size, training.seed)
    held_out = HeldOut(corpus, val_text, tokenizer, training)

    # The model is a structure without arrays; its weights are one flat vector, which the optimizer updates.
    model = GPT(config, recompute=training.recompute)
    params = first_weights(model, training.seed, source).map(backend.to_device)
    optimizer = make_optimizer(training.optimizer, params, backend, **training.hyperparameters)
    ema = None if training.ema_decay is None else EMA(params, training.ema_decay)
    state = TrainingState(model, optimizer, ema, batches, text.folder.name)

    # Fail now, not after an hour, if the backend cannot run the model or the prompt cannot be encoded.
    backend.check_supports(config)
    writer = LanguageModel(model, params, tokenizer, backend, *bos_and_eos_of(corpus, tokenizer))
    writer.stream(**dataclasses.asdict(settings.generation))
    if settings.resume:
        run.resume(settings, state)
    else:
        run.begin(settings, model, tokenizer, corpus)
    run.about = describe(settings, model, train_text, val_text, backend)
    console.print(f"{run.about}\nrun folder {run.path}")
    if source:
        console.print(keep_start(run, state, held_out, str(settings.init_from)))
    return loop(settings, state, held_out, writer, run, console)


def loop(
    settings: RunSettings,
    state: TrainingState,
    held_out: HeldOut,
    writer: LanguageModel,
    run: Run,
    console: Console,
) -> int:
    """Take the remaining steps, and evaluate, sample and save every `training.eval_interval` steps.

    Args:
        settings: see `train`.
        state: model, optimizer and position in the text; the loop changes it.
        held_out: the text to evaluate on.
        writer: the same model, to generate the samples.
        run: where checkpoints and metrics go.
        console: where to report progress.

    Returns:
        0, or the exit code of the signal that stopped the loop early.
    """
    training, model, params = settings.training, state.model, state.params
    how = dataclasses.asdict(settings.generation.shortened(training.sample_tokens)) | {"seed": training.seed}
    take_step = TrainingStep(model, state.optimizer, training.grad_clip, training.accumulate)
    with (
        signals_request_stop(training.max_minutes) as stop,
        open_loggers(settings.logger, run.path, dataclasses.asdict(settings), run.step) as run.record.loggers,
        TrainingProgress(console, training.max_steps, run.step, run.record.seconds) as progress,
        quiet_overflow(),  # the loop itself checks for NaN and infinity
    ):
        progress.ideal_seconds = ideal_seconds_per_token(model.config, writer.backend)
        for step in range(run.step, training.max_steps):
            done = step + 1
            is_planned = done % training.eval_interval == 0 or done == training.max_steps
            before = params.copy() if is_planned else None

            progress.step_begins()
            rng = step_rng(training.seed, step)
            lr = learning_rate(training.schedule, step, **training.rates)
            x, y = state.batches.draw(rng)
            take_step(x, y, lr, rng)
            state.update_mean()
            evaluate_now = is_planned or stop.is_set()
            if evaluate_now or done % training.log_interval == 0:  # the only place that waits for a GPU
                loss = run.record.log_steps(done, take_step.read(), training.on_not_finite)
                progress.show(done, loss, lr)
            progress.step_ends(x.size)

            if evaluate_now:
                moved: dict[str, Any] = {"update_ratio": update_ratio(before, params)} if before else {}
                figures = held_out.evaluate(state.evaluated())
                run.record.log_evaluation(done, held_out.label, **figures, **moved, **progress.pace)
                progress.sampled(run.record.log_sample(done, partial(writer.generate, **how)))
                is_best = run.save(state, done, figures["val_loss"], keep=training.keep_checkpoints)
                run.draw(model.config.vocab_size, held_out.label, held_out.floor)
                progress.evaluated(done, loss, figures["val_loss"], held_out.label, is_best)
                if stop.is_set() or run.has_stalled(training.patience):
                    return stop.exit_code if done < training.max_steps else 0
    return 0
