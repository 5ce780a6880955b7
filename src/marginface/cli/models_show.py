"""`marginface models show [NAME | FOLDER]`: what backbones are made of and what an image costs them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from marginface.cli.arguments import parse, table
from marginface.errors import InputError, one_of

if TYPE_CHECKING:
    from marginface.backbones.describe import BackboneSummary

NOTE = (
    "Multiply-adds are those of convolutions, linear layers and attention for one image; most papers on faces call "
    "them FLOPs, and a count of floating-point operations proper is twice as high."
)
Model = Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="NAME|FOLDER")]


def show(model: Model = None, input_size: int | None = None) -> None:
    """Show all backbones, or one of them or a trained model stage by stage: parameters, multiply-adds, keys, shapes.

    Args:
        model: A backbone's name, a model folder or a run folder; all backbones if left out.
        input_size: Side of the images, pixels; if left out, 112 or what the model's input contract says.
    """
    from rich.console import Console

    console = Console()
    if model is None:
        size = input_size or 112
        header = ("backbone", "parameters", "multiply-adds, M", "keys", "D")
        console.print(table(_count_all(size, console), header, title=f"Backbones at {size} pixels", numbers=True))
    else:
        summary, facts = _open(model, input_size)
        header = ("stage", "layers", "output", "parameters", "multiply-adds, M")
        console.print(table([*facts, *_facts(summary)], ("what", model)))
        console.print(table([_stage(s) for s in summary.stages], header, numbers=True))
    console.print(NOTE, highlight=False)


def _count_all(input_size: int, console: Any) -> list[tuple[str, ...]]:
    from marginface.backbones import BACKBONES

    rows: list[tuple[str, ...]] = []
    with console.status("counting") as status:
        for kind in BACKBONES:
            status.update(f"counting {kind}")
            s, _ = _open(kind, input_size)
            adds = f"{s.multiply_adds / 1e6:,.1f}"
            rows.append((kind, f"{s.parameters:,}", adds, f"{s.num_keys:,}", str(s.embedding_dim)))
    return rows


def _open(model: str, input_size: int | None) -> tuple[BackboneSummary, list[tuple[str, str]]]:
    from marginface.backbones import BACKBONES
    from marginface.backbones.describe import describe_backbone
    from marginface.models import load_model, resolve_model_folder

    if model in BACKBONES:
        make: Any = BACKBONES[model]
        return describe_backbone(make(kind=model), input_size=input_size or 112), []
    if not Path(model).exists():
        raise InputError(f"{model}: this is neither a folder nor a backbone{one_of(model, list(BACKBONES))}.")
    opened = load_model(resolve_model_folder(model))
    card, contract = opened.card, opened.contract
    size = input_size or contract.input_size
    facts = [("name", opened.name), ("description", card.description), ("training data", card.training_data)]
    facts += [("licence", card.licence), ("fingerprint", opened.fingerprint)]
    facts += [("input contract", f"{contract.colour_order}, {contract.value_range}, {contract.alignment}")]
    return describe_backbone(opened.backbone_config, input_size=size), facts


def _facts(summary: BackboneSummary) -> list[tuple[str, str]]:
    size = summary.input_size
    return [
        ("backbone", f"{summary.kind}, images of {size} x {size} pixels to {summary.embedding_dim} values"),
        ("parameters", f"{summary.parameters:,} in {summary.num_keys:,} state-dict keys (statistics included)"),
        ("multiply-adds", f"{summary.multiply_adds / 1e6:,.1f} million"),
    ]


def _stage(stage: Any) -> tuple[str, ...]:
    layers = stage.layer if stage.count == 1 else f"{stage.count} x {stage.layer}"
    shape = " x ".join(map(str, stage.output_shape))
    return stage.name, layers, shape, f"{stage.parameters:,}", f"{stage.multiply_adds / 1e6:,.1f}"


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(show, words, "models show")
    return 0
