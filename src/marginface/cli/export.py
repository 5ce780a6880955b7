"""`marginface export MODEL --to onnx --out FILE`: a graph for other programs, or for speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars
from marginface.cli.protocol_arguments import protocol_of

if TYPE_CHECKING:
    from marginface.evaluation.parity import Parity


def export(
    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    to: Literal["onnx", "openvino", "torch"],
    out: Path,
    takes: Literal["normalised", "pixels", "bytes"] = "normalised",
    flip_inside: bool = False,
    int8: bool = False,
    calibrate: str | None = None,
    check: str | None = None,
    protocol: Literal["generated", "lfw", "csv"] | None = None,
    pairs: Path | None = None,
    max_drift: float | None = None,
) -> None:
    """Write a model as a graph with batch norms folded, unless its embeddings differ from the model's.

    Args:
        model: A model folder or a run.
        to: onnx and openvino are loaded by every verb that takes a model; torch by torch.export.load.
        out: An .onnx or .pt2 file, or for openvino a folder.
        takes: What goes in: floats normalised as the input contract says, (B, 3, S, S); RGB pixels 0 to 255 as floats
            of that shape; or the bytes of RGB crops, (B, S, S, 3).
        flip_inside: Add the embedding of the mirrored image inside the graph.
        int8: Weights and activations in eight bits: faster, and no longer the same embeddings.
        calibrate: For int8, aligned faces of people whom you do not judge on.
        check: Aligned faces to compare model and graph on; drawn people unless given.
        protocol: Which pairs of them are judged before and after; lfw and csv read --pairs. All mated pairs unless
            given, and as many others.
        pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
        max_drift: The largest 1 - cosine that is written: 1e-5, or 0.2 for int8, unless given.
    """
    from marginface.evaluation.parity import export_checked
    from marginface.models import load_model, resolve_model_folder
    from marginface.models.exporting.export import ExportConfig
    from marginface.records.open import open_records

    config = ExportConfig(to=to, takes=takes, adds_mirror_image=flip_inside, int8=int8)
    chosen: Any = None if protocol is None else protocol_of(protocol, pairs, "100000", 0, [])
    with progress_bars() as show:
        parity = export_checked(
            load_model(resolve_model_folder(model), runtime="eager"),
            out,
            config,
            check=None if check is None else open_records(check),
            protocol=chosen,
            calibrate=None if calibrate is None else open_records(calibrate),
            max_drift=max_drift,
            progress=show,
        )
    print(f"{out}: {to}, {'int8' if int8 else 'float32'}, takes {takes}{', adds the mirror image' * flip_inside}")
    for line in told(parity):
        print(line)


def told(parity: Parity) -> list[str]:
    """Return what the gate saw, line by line."""
    lines = [
        f"1 - cosine to the model on {parity.num_images:,} {parity.faces}: mean {parity.mean_drift:.2g}, "
        f"at most {parity.max_drift:.2g}"
    ]
    for word, one in (("before", parity.before), ("after", parity.after)):
        if one is not None:
            lines.append(f"{word:6s} {one.result.sentence}")
    return lines


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(export, words, "export")
    return 0
