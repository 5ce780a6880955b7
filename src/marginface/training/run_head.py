"""The margin head of a run, read from a checkpoint: for fine-tuning, and as one template a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from marginface import config as recipes
from marginface.errors import InputError
from marginface.heads.class_means import class_templates
from marginface.heads.margin_head import MarginHead
from marginface.heads.store import StoredHead
from marginface.models import load_model
from marginface.records.embedding_table import EmbeddingTable
from marginface.training import checkpoint as checkpoints
from marginface.training.build import fingerprint_of
from marginface.training.config import TrainConfig
from marginface.training.run_folder import RunFolder
from marginface.training.sources import build_head, plan_heads, plan_named


def head_of_run(folder: str | Path, *, step: int | None = None, name: str | None = None) -> StoredHead:
    """Return the head as a checkpoint of a run holds it, whole, whatever number of ranks wrote it.

    Args:
        folder: a run folder; the data that its recipe names must still be there, for the names of the people.
        step: of the checkpoint; None takes the newest.
        name: of the head where there is one for each source: the number of the source, as text.

    Raises:
        InputError: no run, no such checkpoint, a damaged one, data that has changed since, or no head of that name.
    """
    run = RunFolder(Path(folder))
    if not run.recipe.is_file():
        raise InputError(f"{folder}: there is no run here (no recipe.yaml); give a folder that marginface train wrote.")
    config = recipes.load(TrainConfig, recipes.read_recipe(run.recipe))
    steps = checkpoints.list_steps(run.checkpoints)
    if not steps or (step is not None and step not in steps):
        wanted = "checkpoint" if step is None else f"checkpoint of step {step}"
        there = f"; there are those of steps {', '.join(map(str, steps))}" if steps else ""
        raise InputError(f"{folder}: there is no {wanted}{there}.")
    records = config.data.open()
    plan = plan_named(plan_heads(config, records), name, where=str(folder))
    head = build_head(plan, config)
    if not isinstance(head, MarginHead):
        raise InputError(f"{folder}: a head of kind {config.head.kind} cannot be read from a checkpoint.")
    weights = {f"{plan.prefix}{key}": tensor for key, tensor in head.state_dict().items()}
    state = {"weights": weights, "data_fingerprint": ""}
    checkpoints.load_checkpoint(state, checkpoints.path_of(run.checkpoints, max(steps) if step is None else step))
    if state["data_fingerprint"] != fingerprint_of(records):
        raise InputError(f"{folder}: {records.location} has changed since (images or people), so its names do not fit.")
    return StoredHead(head, config.head, tuple(plan.records.identities))


def templates_of_run(folder: str | Path, *, step: int | None = None, name: str | None = None) -> EmbeddingTable:
    """Return one vector of length 1 a person of the training data: the head's class centres, as an embedding table.

    They live in the space of the run's last model, whose fingerprint the table bears; give `step` only to look at
    earlier heads, which belong to earlier weights.

    Raises:
        InputError: as `head_of_run`; a head with sub-centres.
    """
    stored = head_of_run(folder, step=step, name=name)
    assert isinstance(stored.head, MarginHead)
    vectors = class_templates(stored.head).numpy().astype(np.float32)
    model = load_model(RunFolder(Path(folder)).model)
    return EmbeddingTable(
        vectors=vectors,
        norms=np.linalg.norm(vectors, axis=1).astype(np.float32),
        keys=stored.identities,
        labels=np.arange(len(vectors), dtype=np.int64),
        identities=stored.identities,
        fingerprint=model.fingerprint,
        meta={"source": f"class centres of {folder}", "step": step} | ({"head": name} if name else {}),
    )
