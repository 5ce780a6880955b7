"""Models judged by any protocols, and what came of it printed and written: comparisons, searches and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from marginface.cli.arguments import RuntimeName, command_line, table
from marginface.cli.progress import progress_bars
from marginface.cli.results import cell, print_results
from marginface.distributed import default_device, joined_ranks
from marginface.errors import InputError
from marginface.evaluation import words
from marginface.evaluation.baselines import RawPixels
from marginface.evaluation.embed import Embedder
from marginface.evaluation.run import Evaluation, Identification
from marginface.evaluation.saved import SavedEmbeddings, is_saved, places
from marginface.evaluation.score_output import write_all_scores
from marginface.evaluation.suite import OpenSet, SuiteConfig, judge_suite, open_sets
from marginface.models import FaceModel, ModelCard, load_model, resolve_model_folder
from marginface.protocols import Pairs, TemplatePairs

Judged = Sequence[Evaluation | Identification]


def judge(
    models: Sequence[str],
    suite: SuiteConfig,
    baseline: bool,
    *,
    workers: int,
    runtime: RuntimeName = "auto",
    keep_embeddings: Path | None = None,
    scores: Path | None = None,
    out: Path | None = None,
) -> None:
    """Judge what the MODELs name, with raw pixels before them if `baseline`; print and write what is asked for."""
    sets = open_sets(suite)
    compared = [one.config.name for one in sets if isinstance(one.plan, Pairs | TemplatePairs)]
    if scores is not None and not compared:
        raise InputError("--scores: searches have no list of scores; it goes with pairs and templates.")
    with joined_ranks(default_device()) as ranks, progress_bars() if ranks.is_first else nullcontext() as show:
        systems = _systems(models, baseline, ranks.device, runtime)
        names = _names(systems, models)
        score_files = {} if scores is None else places(scores, names, compared, suffix=".csv")
        judged = judge_suite(
            systems,
            suite,
            sets,
            names=names,
            num_workers=workers,
            keep_embeddings=keep_embeddings,
            command=command_line(),
            show=show,
            ranks=ranks,
        )
    if not judged:  # the first of several ranks has them, and speaks for all
        return
    for one in sets:
        print_judged([found for found in judged if found.name == one.config.name])
    if keep_embeddings is not None:
        print(f"embeddings: {keep_embeddings}")
    for path in write_all_scores(judged, score_files):
        print(f"scores: {path}")
    if out is not None:
        cards = {name: one.card for name, one in zip(names, systems, strict=True) if isinstance(one, FaceModel)}
        write_judged(judged, sets, suite, models=[Path(model) for model in models], cards=cards, out=out)


def _systems(
    models: Sequence[str], baseline: bool, device: torch.device, runtime: RuntimeName
) -> list[Embedder | SavedEmbeddings]:
    """Return what stands behind each MODEL: raw pixels, saved embeddings, or a run's or folder's weights."""
    found: list[Embedder | SavedEmbeddings] = []
    for model in models:
        if model == "raw-pixels":
            found.append(RawPixels(input_size=112))
        elif is_saved(Path(model)):
            found.append(SavedEmbeddings(model))
        else:
            found.append(load_model(resolve_model_folder(model), runtime=runtime).to(device))
    if runtime != "auto" and not any(isinstance(one, FaceModel) for one in found):
        raise InputError("--runtime says what runs a model; raw pixels and saved embeddings have nothing to run.")
    sizes = [one.contract.input_size for one in found if isinstance(one, FaceModel)]
    return [RawPixels(input_size=sizes[-1] if sizes else 112), *found] if baseline else found


def _names(systems: Sequence[Embedder | SavedEmbeddings], models: Sequence[str]) -> list[str]:
    """Return the systems' names; where two are alike, with the folder that each comes from."""
    own = [one.name for one in systems]
    folders = ["", *models][-len(systems) :] if len(systems) == len(models) else ["", *models]
    return [f"{name} ({folder})" if own.count(name) > 1 else name for name, folder in zip(own, folders, strict=True)]


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
    judged: Judged,
    sets: Sequence[OpenSet],
    suite: SuiteConfig,
    *,
    models: Sequence[Path],
    cards: Mapping[str, ModelCard],
    out: Path,
) -> None:
    """Write the report of all sets into `out`, with the training curves of the last model where it is a run."""
    from marginface.evaluation.report import write_report

    log, recipe = models[-1] / "log.jsonl", models[-1] / "recipe.yaml"
    who = " and ".join(model.name for model in models) if len(models) < 4 else f"{len(models)} models"
    page = write_report(
        out,
        judged,
        title=suite.title or f"{who} on {f'{len(sets)} sets' if len(sets) > 1 else judged[-1].name}",
        training_log=log if log.is_file() else None,
        sources={one.config.name: [one.source] for one in sets},
        notes=suite.notes,
        recipe=recipe.read_text(encoding="utf-8") if recipe.is_file() else None,
        cards=cards,
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
        for one in [*record["galleries"], *filter(None, (record["average"], record["joined"]))]:
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
    if last["verification"]:
        _print_verification(records, console)
    for sentence in (*last["caveats"], last["convention"]):
        console.print(sentence, markup=False, highlight=False)


def _print_verification(records: Sequence[dict[str, Any]], console: Console) -> None:
    """Print FNMR at low FMRs of every number of distractors that carries them."""
    points = records[-1]["verification"][-1]["fnmr_at_fmr"]
    rates = [point["target_fmr"] for point in points if point["fnmr"]]
    if not rates:
        return
    rows = []
    for record in records:
        for one in record["verification"]:
            found = {point["target_fmr"]: point["fnmr"] for point in one["fnmr_at_fmr"]}
            strangers = f"{one['fnmr_at_fmr'][0]['non_mated']:,}"
            rows.append((record["system"]["name"], one["name"], strangers, *(cell(found[rate]) for rate in rates)))
    header = ("system", "among", "comparisons\nwith them", *(f"FNMR at FMR {words.rate_name(rate)}" for rate in rates))
    console.print(table(rows, header, title=f"verification of {points[0]['mated']:,} couples", numbers=True))


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
