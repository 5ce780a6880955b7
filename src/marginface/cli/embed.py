"""`marginface embed SOURCE --out DIR`: an embedding table of records, or of the faces in photographs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from marginface.cli.arguments import RuntimeName, parse
from marginface.cli.progress import Show, progress_bars
from marginface.errors import InputError

if TYPE_CHECKING:
    from marginface.evaluation.embed import Flip
    from marginface.images.detect import Which
    from marginface.models import FaceModel
    from marginface.records.embedding_table import EmbeddingTable


def embed(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    model: Path | None = None,
    flip: Literal["sum", "none"] = "sum",
    detect: bool = False,
    faces: Literal["all", "largest", "central"] = "largest",
    detector: Path | None = None,
    workers: int = 2,
    runtime: RuntimeName = "auto",
    skip_broken: bool = False,
) -> None:
    """Turn aligned faces, or with --detect the faces in photographs, into an embedding table: embed once, use often.

    Args:
        source: tar:faces.tar, folder:faces, list:faces.txt or another source of records; with --detect a folder of
            photographs, or one photograph.
        out: Folder of the table; it must not exist unless it is one, which is replaced.
        model: A model or run folder; that of MARGINFACE_MODEL unless given.
        flip: sum adds the embedding of the mirrored image, as published tables do.
        detect: Find and align the faces first.
        faces: With --detect, which of several faces in a photograph are taken.
        detector: A detector's file; YuNet, which is downloaded on first use, unless given.
        workers: Processes that decode, or with --detect threads that decode and detect.
        runtime: What runs the model on a CPU; auto is what MARGINFACE_RUNTIME says, or chooses by the work.
        skip_broken: Leave out records that cannot be decoded, and count them, rather than stop. Photographs always are.
    """
    from contextlib import nullcontext

    from marginface.distributed import default_device, joined_ranks
    from marginface.evaluation.embed import embed_records
    from marginface.models import load_model
    from marginface.recognition.defaults import model_folder
    from marginface.records.open import open_records

    if out.exists() and not (out / "table.json").is_file():
        raise InputError(f"{out} exists and is no embedding table; choose another folder.")
    with joined_ranks(default_device()) as ranks, progress_bars() if ranks.is_first else nullcontext() as show:
        if detect and ranks.world_size > 1:
            raise InputError(
                "--detect runs in one process; align first (`marginface data align`), then embed on ranks."
            )
        chosen = load_model(model_folder(model), runtime=runtime).to(ranks.device)
        if detect and show is not None:
            table = _of_photographs(source, chosen, faces, detector, flip=flip, workers=workers, show=show)
        else:
            table = embed_records(
                chosen,
                open_records(source),
                flip=flip,
                num_workers=workers,
                skip_broken=skip_broken,
                progress=show and (lambda done, total: show("embedding", done, total)),
                ranks=ranks,
            )
    if not ranks.is_first:  # every rank has the table; one writes it
        return
    table.save(out)
    print(f"{out}: {len(table):,} embeddings of {table.embedding_dim} values, model {table.fingerprint}")
    missed = Counter(table.meta.get("missed", {}).values()) + Counter({"broken": len(table.meta.get("broken", []))})
    for reason, count in sorted(missed.items()):
        print(f"without an embedding, {reason}: {count:,}")


def _of_photographs(
    source: str, model: FaceModel, faces: Which, detector: Path | None, *, flip: Flip, workers: int, show: Show
) -> EmbeddingTable:
    from marginface.recognition import detect_and_align, open_detector
    from marginface.recognition.face_records import table_of
    from marginface.recognition.photographs import photographs_in

    found = detect_and_align(
        photographs_in(source),
        detector=open_detector(detector, progress=show),
        which=faces,
        workers=workers,
        progress=lambda done, total: show("photographs", done, total),
    )
    if not len(found):
        raise InputError(f"{source}: there is no face in any of its {found.num_photographs} photographs.")
    return table_of(found, model.embed(found, flip=flip), source=source)


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(embed, words, "embed")
    return 0
