"""The training loop, in two functions: `train` sets a run up, `loop` takes its steps.

Text becomes tokens, tokens become batches, and every batch becomes one optimizer step:

    lr = learning_rate(schedule, step)    the schedule says how large the step is
    x, y = batches.draw(rng)              token ids (B, T); y is x shifted by one token
    take_step(x, y, lr, rng)              forward, backward, clip the gradient, update the weights

Every `training.eval_interval` steps the loop evaluates the model on held-out text, generates a sample, and
saves a checkpoint from which the run can be resumed bit for bit.
"""

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
from scratchgpt.training.fine_tuning import initial_weights, model_config, save_starting_point
from scratchgpt.training.held_out import HeldOut
from scratchgpt.training.loggers import open_loggers
from scratchgpt.training.mfu import ideal_seconds_per_token
from scratchgpt.training.progress import TrainingProgress
from scratchgpt.training.run import Run
from scratchgpt.training.settings import RunSettings
from scratchgpt.training.state import TrainingState
from scratchgpt.training.step import TrainingStep
from scratchgpt.training.summary import describe
from scratchgpt.training.text import load_or_train_tokenizer, resolve_settings, tokenize
from scratchgpt.training.update_ratio import update_ratio
from scratchgpt.utils.signals import signals_request_stop


def train(settings: RunSettings, corpus: Corpus, run: Run, backend: Backend, console: Console) -> int:
    """Set up a run and train it: from scratch, from another model's weights, or from its last checkpoint.

    Args:
        settings: everything the user can set.
        corpus: the text.
        run: where checkpoints and metrics go.
        backend: where to compute.
        console: where to report progress.

    Returns:
        0, or the exit code of the signal that stopped training early.

    Raises:
        InputError: the settings, the text or the checkpoint cannot be used, or the loss is not finite.
    """
    # The text: tokenize it, and hold out its last part for evaluation.
    source = load(settings.init_from, backend=backend) if settings.init_from and not settings.resume else None
    existing = tokenizers.load(run.path) if settings.resume else source.tokenizer if source else None
    tokenizer = load_or_train_tokenizer(settings, corpus, console, existing)
    text = tokenize(corpus, tokenizer, console)
    config = model_config(settings, tokenizer.vocab_size, source)
    train_text, val_text = data.split(text, settings.training.val_fraction, config.block_size)
    train_rows = data.rows_of(train_text, config.block_size)
    settings = resolve_settings(settings, corpus, tokenizer, config, train_rows)
    training = settings.training
    batches = data.batches(training.batches, train_rows, training.batch_size, training.seed)
    held_out = HeldOut(corpus, val_text, tokenizer, training)

    # The model: a structure without arrays. Its weights are one flat vector, which the optimizer updates.
    model = GPT(config, recompute=training.recompute)
    params = initial_weights(model, training.seed, source).map(backend.to_device)
    optimizer = make_optimizer(training.optimizer, params, backend, **training.hyperparameters)
    ema = None if training.ema_decay is None else EMA(params, training.ema_decay)
    state = TrainingState(model, optimizer, ema, batches, text.folder.name)

    # Fail now, not an hour later, if the backend does not support the model or the prompt cannot be encoded.
    backend.check_supports(config)
    lm = LanguageModel(model, params, tokenizer, backend, *bos_and_eos_of(corpus, tokenizer))
    lm.stream(**dataclasses.asdict(settings.generation))

    # The run: a new folder, or the state and the metrics of the last checkpoint.
    if settings.resume:
        run.resume(settings, state)
    else:
        run.begin(settings, model, tokenizer, corpus)
    run.summary = describe(settings, model, train_text, val_text, backend)
    console.print(f"{run.summary}\nrun folder {run.path}")
    if source:
        console.print(save_starting_point(run, state, held_out, str(settings.init_from)))
    return loop(settings, state, held_out, lm, run, console)


def loop(
    settings: RunSettings,
    state: TrainingState,
    held_out: HeldOut,
    lm: LanguageModel,
    run: Run,
    console: Console,
) -> int:
    """Take the remaining steps. Evaluate, sample and save every `training.eval_interval` steps.

    Args:
        settings: everything the user can set.
        state: optimizer, EMA and position in the text, which the loop updates.
        held_out: the text to evaluate on.
        lm: the same model and weights, to generate samples with.
        run: where checkpoints and metrics go.
        console: where to report progress.

    Returns:
        0, or the exit code of the signal that stopped training early.
    """
    training, model, params = settings.training, state.model, state.params
    sampling = settings.generation.shortened(training.sample_tokens)
    generate_sample = partial(lm.generate, **dataclasses.asdict(sampling), seed=training.seed)
    take_step = TrainingStep(model, state.optimizer, training.grad_clip, training.accumulate)
    with (
        signals_request_stop(training.max_minutes) as stop,
        open_loggers(settings.logger, run.path, dataclasses.asdict(settings), run.step) as run.record.loggers,
        TrainingProgress(console, training.max_steps, run.step, run.record.seconds) as progress,
        quiet_overflow(),  # no NumPy warnings: run.record checks every loss and gradient norm
    ):
        progress.ideal_seconds = ideal_seconds_per_token(model.config, lm.backend)
        for step in range(run.step, training.max_steps):
            n_done = step + 1
            is_planned = n_done % training.eval_interval == 0 or n_done == training.max_steps
            before = params.copy() if is_planned else None  # to measure how far this step moves each layer

            # Take a step. Its random numbers depend on (seed, step) only: a resumed run continues exactly.
            progress.step_begins()
            rng = step_rng(training.seed, step)
            lr = learning_rate(training.schedule, step, **training.schedule_settings)
            x, y = state.batches.draw(rng)
            take_step(x, y, lr, rng)
            state.update_ema()

            # Read the losses of the steps since the last reading. On a GPU this waits for the queued steps.
            evaluate_now = is_planned or stop.is_set()
            if evaluate_now or n_done % training.log_interval == 0:
                loss = run.record.log_steps(n_done, take_step.read(), training.on_not_finite)
                progress.show(n_done, loss, lr)
            progress.step_ends(x.size)
            if not evaluate_now:
                continue

            # Evaluate, sample, save a checkpoint and redraw the curves, in this order.
            metrics = held_out.evaluate(state.eval_model())
            moved: dict[str, Any] = {"update_ratio": update_ratio(before, params)} if before else {}
            run.record.log_evaluation(n_done, held_out.label, **metrics, **moved, **progress.pace)
            progress.show_sample(run.record.log_sample(n_done, generate_sample))
            is_best = run.save(state, n_done, metrics["val_loss"], keep=training.keep_checkpoints)
            run.plot(model.config.vocab_size, held_out.label, held_out.floor)
            progress.show_evaluation(n_done, loss, metrics["val_loss"], held_out.label, is_best)

            # Stop early on Ctrl-C or SIGTERM, at the time limit, or when the loss has stopped improving.
            if stop.is_set() or run.has_stalled(training.patience):
                return stop.exit_code if n_done < training.max_steps else 0
    return 0
