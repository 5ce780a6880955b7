"""`marginface quality MODEL SOURCE --out DIR`: how good the images of a source are, and what each score is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse
from marginface.cli.progress import progress_bars


def quality(
    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    methods: tuple[str, ...] = (),
    edc: Literal["lfw", "csv", "generated"] | None = None,
    pairs: Path | None = None,
    fmr: float = 1e-2,
    recogniser: str | None = None,
    detector: Path | None = None,
    ofiq: Path | None = None,
    area_limit: float = 0.2,
    flip: Literal["sum", "none"] = "sum",
    non_mated: str = "100000",
    replicates: int = 200,
    seed: int = 0,
    workers: int = 2,
    skip_broken: bool = False,
) -> None:
    """Score the quality of face images: a table, the images sorted by it, and error versus discard curves.

    Args:
        model: A model folder or a run folder whose embeddings are asked, or none for classical measures alone.
        source: Aligned faces: tar:, folder:, list:, or people who do not exist: drawn:?people=50&images=10&seed=1.
        out: Folder for quality.csv (as OFIQ writes it), quality.json, the pictures and the embedding table.
        methods: Names of methods (docs/quality.md); all that the source and the helpers can serve unless given.
        edc: Also draw error versus discard on these pairs of the source.
        pairs: LFW's pairs.txt, or a table with the columns left,right,mated.
        fmr: False match rate at which the curves count errors.
        recogniser: Another model that compares the pairs; MODEL unless given.
        detector: A YuNet .onnx file, for pose and detector confidence where the records carry no landmarks.
        ofiq: A CSV of OFIQ, whose columns join the table and the curves.
        area_limit: Share of discarded pairs up to which the area under a curve counts.
        flip: Of the comparisons; scores of images are always of the image alone.
        non_mated: How many non-mated pairs `generated` draws, or all.
        replicates: Resamplings of the people for the bands.
        seed: Of generated pairs and resampling.
        workers: Processes that decode.
        skip_broken: Leave out images that cannot be decoded, and name them, rather than stop.
    """
    from marginface.cli.protocol_arguments import protocol_of
    from marginface.cli.quality_table import open_faces, print_quality
    from marginface.evaluation.quality_plots import write_pictures
    from marginface.evaluation.quality_run import run_quality, write_quality
    from marginface.evaluation.settings import EvaluationConfig
    from marginface.images.yunet import YuNet
    from marginface.models import load_model, resolve_model_folder
    from marginface.quality import usable_methods

    faces = open_faces(source)
    asked = None if model == "none" else load_model(resolve_model_folder(model))
    finder = None if detector is None else YuNet(detector)
    usable, why_not = usable_methods(faces, model=asked, detector=finder)
    comparisons = None
    if edc is not None:
        protocol = protocol_of(edc, pairs, non_mated, seed)
        comparisons = EvaluationConfig(
            name=edc, data=source, protocol=protocol, flip=flip, fmr_targets=(fmr,), seed=seed, skip_broken=skip_broken
        )
    with progress_bars() as show:
        run = run_quality(
            faces,
            methods or usable,
            model=asked,
            detector=finder,
            ofiq=ofiq,
            comparisons=comparisons,
            recogniser=None if recogniser is None else load_model(resolve_model_folder(recogniser)),
            area_limit=area_limit,
            num_replicates=replicates,
            num_workers=workers,
            skip_broken=skip_broken,
            show=show,
        )
    write_quality(out, run)
    write_pictures(out, run, faces)
    print_quality(run, {} if methods else why_not)
    print(f"wrote {out}: quality.csv, quality.json and pictures")


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(quality, words, "quality")
    return 0
