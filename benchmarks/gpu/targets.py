"""What was aimed at on a GPU, and what was measured: the first table of docs/gpu.md."""

from benchmarks.gpu.tasks import figures_of
from benchmarks.results import Content
from benchmarks.tables import Table, ratio_text
from benchmarks.timing import median

RECIPE_LOSS = 1.4697  # nats per character, of nanoGPT's recipe for a GPU
OURS = {"bf16": "scratchgpt bf16", "float32": "scratchgpt tf32"}  # the engine that counts, by group
SPEED = [  # model, group, the other engine, and the ratio to reach
    ("6x6x384", "bf16", "PyTorch bf16", 1.5),
    ("6x6x384", "bf16", "torch.compile bf16", 1.0),
    ("124M", "bf16", "PyTorch bf16", 1.0),
    ("780", "float32", "PyTorch tf32", 5.0),
]


def ratio(tasks: Content, model: str, group: str, theirs: str) -> float | None:
    """Return the median step of another engine divided by ours; None where one was not measured."""
    figures = figures_of(tasks, f"speed.{model}.{group}")
    ours = OURS[group]
    if figures is None or not {theirs, ours} <= set(figures["seconds"]):
        return None
    return median(figures["seconds"][theirs]) / median(figures["seconds"][ours])


def table(tasks: Content) -> Table:
    """Return the table of targets."""
    rows = []
    for model, group, theirs, target in SPEED:
        measured = ratio(tasks, model, group, theirs)
        is_met = None if measured is None else measured >= target
        what = f"{model}, {OURS[group].removeprefix('scratchgpt ')}: step time of {theirs} / ours"
        rows.append([what, f"{target:.1f} or more", ratio_text(measured), _met(is_met)])
    recipe = figures_of(tasks, "recipe.scratchgpt") or {}
    loss = recipe.get("best_val_loss")
    is_met = loss <= RECIPE_LOSS if loss is not None and recipe["finished"] else None
    measured_loss = "–" if loss is None else f"{loss:.4f}"
    rows.append(["recipe, best validation loss", f"{RECIPE_LOSS} or less", measured_loss, _met(is_met)])
    note = "Ratios of median step times; below 1, scratchgpt is behind. –: not measured."
    return Table("Targets", ["what", "target", "measured", "met"], rows, note)


def _met(is_met: bool | None) -> str:
    return {True: "yes", False: "**no**", None: "not known"}[is_met]
