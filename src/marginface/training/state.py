"""What a run must remember to go on exactly: weights, optimiser, scaler, averages, and how far it is.

The order of images, flips and dropout need no memory: they are functions of (seed, step).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from marginface.distributed import share_from_first
from marginface.errors import InputError
from marginface.training.build import TrainingRun
from marginface.training.progress import Best, Progress, SourceSums, Window


def share_statistics(run: TrainingRun) -> None:
    """Give all ranks the first one's running statistics and their averages, as those are what is saved and judged.

    Each rank's follow its own images. DDP shares the first's before each forward pass; FSDP2 never does.
    """
    averages = run.ema.state_dict() if run.ema else {}
    share_from_first(run.task.backbone.buffers())
    share_from_first(averages[name] for name, _ in run.task.backbone.named_buffers() if name in averages)


def state_of(run: TrainingRun) -> dict[str, Any]:
    """Return everything a checkpoint holds, as nested mappings of tensors and plain values; all ranks call it.

    What ranks hold parts of stays in parts (DTensors): torch.distributed.checkpoint writes each part once, and cuts
    them anew for whatever number of ranks reads them.
    """
    share_statistics(run)
    weights, optimizer = get_state_dict(run.task, run.optimizer)
    return {
        "weights": weights,
        "optimizer": optimizer,
        "scaler": run.scaler.state_dict(),
        "ema": run.ema.state_dict() if run.ema else {},
        "progress": asdict(run.progress),
        "data_fingerprint": run.data_fingerprint,
        **({"start_fingerprint": run.start_fingerprint} if run.start_fingerprint else {}),
    }


def restore(run: TrainingRun, state: dict[str, Any]) -> None:
    """Put a checkpoint's state back into `run`.

    Raises:
        InputError: the data, or the model that the run began with, is not what the checkpoint was made with.
    """
    if state["data_fingerprint"] != run.data_fingerprint:
        raise InputError(
            f"data.source: {run.dataset.records.location} has changed since the checkpoint was written (images, people "
            f"or their order); resume on the same data, or start a new run."
        )
    if state.get("start_fingerprint", "") != run.start_fingerprint:
        raise InputError(
            f"start.model: the run began with the model {state['start_fingerprint']}, this is another one "
            f"({run.start_fingerprint}); give the same one, wherever it lies now."
        )
    set_state_dict(run.task, run.optimizer, model_state_dict=state["weights"], optim_state_dict=state["optimizer"])
    if run.scaler.is_enabled():
        run.scaler.load_state_dict(state["scaler"])
    if run.ema:
        run.ema.load_state_dict(state["ema"])
    kept = state["progress"]
    sources = {name: SourceSums(**sums) for name, sums in kept["window"]["sources"].items()}
    run.progress = Progress(kept["step"], Window(**kept["window"] | {"sources": sources}), Best(**kept["best"]))
