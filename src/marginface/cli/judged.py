"""A model judged by any protocol, and what came of it printed and written: comparisons, searches and groups."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from marginface.cli.arguments import command_line, table
from marginface.cli.progress import progress_bars
from marginface.cli.results import cell, print_results
from marginface.distributed import default_device, joined_ranks
from marginface.evaluation import words
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.embed import Embedder
from marginface.evaluation.run import Evaluation, Identification, judge_systems
from marginface.evaluation.saved import SavedEmbeddings
from marginface.evaluation.settings import EvaluationConfig
from marginface.models import load_model, resolve_model_folder
from marginface.records.record import RecordSource

Judged = Sequence[Evaluation | Identification]


def judge(
    model: str,
    config: EvaluationConfig,
    baseline: bool,
    *,
    workers: int,
    keep_embeddings: Path | None = None,
    scores: Path | None = None,
    out: Path | None = None,
) -> None:
    """Judge what MODEL names, with raw pixels before it if `baseline`; print the tables and write what is asked for."""
    source = config.protocol.open(config.data)
    with joined_ranks(default_device()) as ranks, progress_bars() if ranks.is_first else nullcontext() as show:
        judged = judge_systems(
            _systems(model, baseline, ranks.device),
            config,
            source=source,
            num_workers=workers,
            keep_embeddings=keep_embeddings,
            command=command_line(),
            progress=show and (lambda system, done, total: show(f"embedding with {system}", done, total)),
            searching=show and (lambda system, done, total: show(f"searching with {system}", done, total)),
            ranks=ranks,
        )
    if judged:  # the first of several ranks has them, and speaks for all
        print_judged(judged)
        write_judged(judged, source=source, model=Path(model), out=out, scores=scores)


def _systems(model: str, baseline: bool, device: torch.device) -> list[Embedder | SavedEmbeddings]:
    """Return what stands behind MODEL: raw pixels, saved embeddings, or a run's or folder's weights."""
    saved = [SavedEmbeddings(model)] if (Path(model) / "table.json").is_file() else []
    learned = [] if saved or model == "raw-pixels" else [load_model(resolve_model_folder(model))]
    size = learned[0].contract.input_size if learned else 112
    raw = [RawPixels(input_size=size)] if baseline or model == "raw-pixels" else []
    return [*raw, *saved, *(one.to(device) for one in learned)]


def print_judged(judged: Judged, *, console: Console | None = None) -> None:
    """Print the tables of what was judged, then what the data cannot support."""
    console = console or Console()
    evaluations = [one for one in judged if isinstance(one, Evaluation)]
    searches = [one.to_json() for one in judged if isinstance(one, Identification)]
    if evaluations:
        print_results(evaluations, console=console)
        for one in evaluations:
            record = one.to_json()
            if record["groups"] is not None:
                _print_groups(record, console)
    if searches:
        _print_searches(searches, console)


def write_judged(
    judged: Judged, *, source: RecordSource, model: Path, out: Path | None = None, scores: Path | None = None
) -> None:
    """Write the report of comparisons, or the record of searches, into `out`, and the last system's scores."""
    evaluations = [one for one in judged if isinstance(one, Evaluation)]
    if scores is not None:
        from marginface.evaluation.score_output import write_scores_of

        print(f"scores: {write_scores_of(judged[-1], scores)}")
    if out is None:
        return
    if not evaluations:
        out.mkdir(parents=True, exist_ok=True)
        path = out / "identification.json"
        records = [one.to_json() for one in judged]
        path.write_text(json.dumps(records, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        print(f"record: {path}")
        return
    from marginface.evaluation.report import write_report

    log, recipe = model / "log.jsonl", model / "recipe.yaml"
    page = write_report(
        out,
        evaluations,
        title=f"{model.name} on {evaluations[-1].name}",
        training_log=log if log.is_file() else None,
        sources=[source],
        recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else None,
    )
    print(f"report: {page}")


def _print_searches(records: Sequence[dict[str, Any]], console: Console) -> None:
    last = records[-1]
    galleries = [*last["galleries"], *([last["average"]] if last["average"] else [])]
    ranks = [one["rank"] for one in galleries[0]["ranks"]]
    rates = [one["target_fpir"] for one in galleries[-1]["fnir_at_fpir"] if one["fnir"]]
    precision = galleries[0]["mean_average_precision"] is not None
    header = (
        *("system", "gallery", "searches\nmated / other"),
        *(f"rank-{k}" for k in ranks),
        *(["mAP"] if precision else []),
        *(f"FNIR at FPIR {words.rate_name(rate)}" for rate in rates),
    )
    rows = []
    for record in records:
        for one in [*record["galleries"], *([record["average"]] if record["average"] else [])]:
            found = {point["target_fpir"]: point["fnir"] for point in one["fnir_at_fpir"]}
            cells = [
                *one["ranks"],
                *([one["mean_average_precision"]] if precision else []),
                *(found.get(r) for r in rates),
            ]
            counts = f"{one['mated_searches']:,} / {one['non_mated_searches']:,}"
            rows.append((record["system"]["name"], one["name"], counts, *map(cell, cells)))
    title = f"{last['protocol']['name']}: {last['counts']['people']:,} people"
    console.print(table(rows, header, title=title, numbers=True))
    for sentence in (*last["caveats"], last["convention"]):
        console.print(sentence, markup=False, highlight=False)


def _print_groups(record: dict[str, Any], console: Console) -> None:
    found = record["groups"]
    fmr, fnmr = ({one["group"]: one for one in found[kind]} for kind in ("fmr", "fnmr"))
    rows = [(group, cell(fmr.get(group)), cell(fnmr.get(group))) for group in found["groups"]]
    rows += [(f"{one['group']} with {one['other']}", cell(one), "") for one in found["fmr_across"]]
    title = f"{record['system']['name']}: groups at the threshold {found['threshold']:.3f}"
    if found["target_fmr"] is not None:
        title += f", FMR {words.rate_name(found['target_fmr'])} over all"
    console.print(table(rows, ("group", "FMR", "FNMR"), title=title, numbers=True))
    for name in ("fmr", "fnmr"):
        ratios = found[f"{name}_ratios"]
        if ratios is not None:
            known = ratios["highest_over_lowest"]
            times = f"{known:.1f}" if known is not None else "an unknown number of"
            console.print(
                f"{name.upper()}: {ratios['highest']} has {times} times that of {ratios['lowest']}; at least "
                f"{ratios['at_least']:.1f} by the intervals.",
                markup=False,
                highlight=False,
            )
    for sentence in found["caveats"]:
        console.print(sentence, markup=False, highlight=False)
