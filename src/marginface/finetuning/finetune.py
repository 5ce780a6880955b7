"""Fine-tuning on one's own people, judged before and after.

runs/staff/
  split/                who is for what, as lists (split.py)
  run/                  the run folder; run/model is the fine-tuned model
  result.json           all numbers
  table.md              the tables
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from marginface import config as recipes
from marginface.distributed import default_device
from marginface.errors import InputError
from marginface.evaluation.embed import Flip
from marginface.evaluation.run import EvaluationConfig, evaluate_systems
from marginface.finetuning.record import finetuning_record
from marginface.finetuning.scores import Row, Scoring, Vectors, embed_parts, score_staff
from marginface.finetuning.split import PARTS, split_staff, store_split
from marginface.finetuning.tables import tables_of
from marginface.heads import MarginHead
from marginface.heads.class_means import class_templates
from marginface.heads.settings import HeadSettings
from marginface.images.degrade import check
from marginface.models import FaceModel, load_model, resolve_model_folder
from marginface.records.open import open_records
from marginface.records.record import RecordSource
from marginface.training.config import TrainConfig
from marginface.training.run_folder import RunFolder, write_json, write_text
from marginface.training.run_head import head_of_run
from marginface.training.train import train

Show = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, how much there is)."""
Bars = Callable[[], AbstractContextManager[Show]]


@dataclass(frozen=True, kw_only=True)
class FinetunePlan:
    """What to hold back, and how to judge."""

    test_share: float = 0.3
    """Of each known person's images."""
    unknown_share: float = 0.2
    """Of the people; they stay strangers. 0 leaves the open-set numbers out."""
    degrade: tuple[str, float] | None = ("gaussian", 3.0)
    """Kind and strength of the spoilt copies that are judged beside the clean images; None leaves them out."""
    unknown_accepted: float = 0.05
    """Share of the calibration strangers' images that the threshold may accept."""
    verification: EvaluationConfig | None = None
    """Strangers to judge forgetting by."""
    flip: Flip = "sum"
    num_replicates: int = 1000
    seed: int = 0
    """Of the split and the resampling."""

    def __post_init__(self) -> None:
        if self.degrade is not None:
            check(*self.degrade)
        if not 0 <= self.unknown_accepted < 1:
            raise InputError(
                f"--unknown-accepted {self.unknown_accepted:g} is no share of strangers; give 0 to less than 1."
            )


@dataclass(frozen=True)
class FinetuneResult:
    """What fine-tuning leaves; `record` is result.json. Without numbers where the run was stopped."""

    exit_code: int
    record: dict[str, Any] | None = None
    table: str = ""


def recipe_for(model: FaceModel, folder: str, recipe: dict[str, Any], *, source: str) -> TrainConfig:
    """Return a recipe's config with the model, its backbone and input size, and the data put in.

    Raises:
        InputError: settings that do not fit.
    """
    mapping = dict(recipe)
    mapping["backbone"] = recipes.dump(model.backbone_config)
    mapping["data"] = {**mapping.get("data", {}), "source": source, "input_size": model.contract.input_size}
    mapping["start"] = {**(mapping.get("start") or {}), "model": folder}
    return recipes.load(TrainConfig, mapping)


def finetune(
    config: TrainConfig, plan: FinetunePlan, out: Path, *, bars: Bars, resume: bool = False, command: str = ""
) -> FinetuneResult:
    """Split, judge, train, judge again; all goes into `out`.

    Args:
        config: with `start`, and all of one's own people as `data.source`.
        plan: what to hold back, and how to judge.
        out: the folder.
        bars: opens a display of progress; training shows its own.
        resume: go on with what is in `out`.
        command: what was typed, for the record.

    Raises:
        InputError: no such model, data that cannot be split, a folder in use.
        WorkError: the disk is full, or training failed.
    """
    _refuse(config, out, resume=resume)
    assert config.start is not None
    before = load_model(resolve_model_folder(config.start.model))
    source = open_records(config.data.source)
    if plan.verification is not None:  # a wrong path should show now, not after training
        judged = plan.verification.protocol
        judged.plan(judged.open(plan.verification.data))
    split = split_staff(source, test_share=plan.test_share, unknown_share=plan.unknown_share, seed=plan.seed)
    store_split(split, source, out / "split")
    run = RunFolder(out / "run")
    exit_code = train(
        _on(config, out / "split" / "train.txt"),
        run.path,
        resume=run.recipe.exists(),
        command=command,
        name=out.name,
    )
    if exit_code:
        return FinetuneResult(exit_code)

    scoring = Scoring(
        flip=plan.flip, unknown_accepted=plan.unknown_accepted, num_replicates=plan.num_replicates, seed=plan.seed
    )
    parts = {name: split.part(source, name) for name in PARTS if len(getattr(split, name))}
    device = default_device()
    models = {"before": before.to(device), "after": load_model(run.model).to(device)}
    with bars() as show:
        rows, labels = _judge(models, parts, run.path, config=config, plan=plan, scoring=scoring, show=show)
        verification = _verify(models, plan, config.data.num_workers, command, show)
    record = finetuning_record(
        rows,
        labels=labels,
        scoring=scoring,
        models=models,
        data=source.location,
        parts=parts,
        plan={
            **{name: value for name, value in asdict(plan).items() if name != "verification"},
            "verification": None if plan.verification is None else recipes.dump(plan.verification),
        },
        start=recipes.dump(config.start),
        verification=verification,
        command=command,
    )
    table = tables_of(record)
    write_json(out / "result.json", record)
    write_text(out / "table.md", table)
    return FinetuneResult(0, record, table)


def _on(config: TrainConfig, listed: Path) -> TrainConfig:
    """Return the config with the images that a file lists as its data."""
    joint = "&" if "?" in config.data.source else "?"
    return replace(config, data=replace(config.data, source=f"{config.data.source}{joint}only={listed}"))


def _judge(
    models: Mapping[str, FaceModel],
    parts: Mapping[str, RecordSource],
    run: Path,
    *,
    config: TrainConfig,
    plan: FinetunePlan,
    scoring: Scoring,
    show: Show,
) -> tuple[list[Row], dict[str, Any]]:
    """Return the rows of both models, and the labels of the test images under each condition."""
    rows: list[Row] = []
    labels: dict[str, Any] = {}
    for when, model in models.items():
        tables = embed_parts(
            model,
            parts,
            degrade=plan.degrade,
            flip=plan.flip,
            num_workers=config.data.num_workers,
            skip_broken=config.data.skip_broken,
            max_side=config.data.max_side,
            show=lambda what, done, total, when=when: show(f"{when}, {what}", done, total),  # type: ignore[misc]
        )
        labels = {"clean": tables.tables["test"].labels}
        if plan.degrade is not None:
            labels["degraded"] = tables.tables["test, degraded"].labels
        rows += score_staff(tables, tables.templates(), when=when, by="template", scoring=scoring)
        if when == "after":
            rows += score_staff(tables, _centres(run), when=when, by="classifier", scoring=scoring)
    return rows, labels


def _refuse(config: TrainConfig, out: Path, *, resume: bool) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("finetune runs on one rank; with several use `marginface train` and the setting start.")
    if config.data.more_sources:
        raise InputError("data.more_sources: finetune splits the people of one source; put all images into it.")
    head = config.head
    if not isinstance(head, HeadSettings) or head.sub_centres > 1 or head.spheres is not None:
        raise InputError(
            "finetune judges the head as a classifier, one centre a person; leave out sub_centres and spheres."
        )
    if not head.margin.build().normalised:
        raise InputError(
            f"head.margin: {head.margin.kind} does not compare directions; fine-tune with arcface or another."
        )
    there = (out / "split").exists()
    if there and not resume:
        raise InputError(f"{out}: there is a fine-tuning already; --resume goes on with it, or choose another --out.")
    if resume and not there:
        raise InputError(f"{out}: there is nothing to resume; leave out --resume to start.")
    if not there and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: this is not an empty folder; choose another --out.")


def _centres(run: Path) -> Vectors:
    head = head_of_run(run).head
    assert isinstance(head, MarginHead)
    return np.asarray(class_templates(head).cpu().numpy(), dtype=np.float32)


def _verify(
    models: dict[str, FaceModel], plan: FinetunePlan, num_workers: int, command: str, show: Show
) -> list[dict[str, Any]]:
    """Return what the verification set says of both models, without curves and pairs."""
    if plan.verification is None:
        return []
    evaluations = evaluate_systems(
        list(models.values()),
        plan.verification,
        names=list(models),
        num_workers=num_workers,
        command=command,
        progress=lambda system, done, total: show(f"{system}, verification", done, total),
    )
    kept = ("system", "protocol", "counts", "eer", "accuracy", "operating_points", "interval_method")
    return [{name: value for name, value in e.to_json().items() if name in kept} for e in evaluations]
