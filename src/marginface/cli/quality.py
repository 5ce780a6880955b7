"""`marginface quality MODEL SOURCE --out DIR`: how good the images of a source are, and what each score is worth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import RuntimeName, parse, split_settings


def verb(settings: list[str]):  # type: ignore[no-untyped-def]  # tyro reads the signature of what comes back
    """Return the verb, given the settings of the protocol."""

    def quality(
        model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
        source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
        out: Path,
        methods: tuple[str, ...] = (),
        edc: tyro.conf.UseAppendAction[tuple[str, ...]] = (),
        pairs: Path | None = None,
        fmr: float = 1e-2,
        fpir: float = 1e-2,
        template_quality: Literal["mean", "max"] = "mean",
        recogniser: str | None = None,
        detector: Path | None = None,
        ofiq: Path | None = None,
        area_limit: float = 0.2,
        flip: Literal["sum", "none"] = "sum",
        non_mated: str = "100000",
        replicates: int = 200,
        seed: int = 0,
        workers: int = 2,
        runtime: RuntimeName = "auto",
        skip_broken: bool = False,
    ) -> None:
        """Score the quality of face images: a table, the images sorted by it, and error versus discard curves.

        Settings of a protocol of --edc are flags too, such as --meta DIR; `marginface protocols` lists them.

        Args:
            model: A model folder or a run folder whose embeddings are asked, or none for classical measures alone.
            source: Aligned faces: tar:, folder:, list:, or people who do not exist: drawn:?people=50&images=10&seed=1.
            out: Folder for quality.csv (as OFIQ writes it), quality.json, pictures and the embedding table.
            methods: Names of methods (docs/quality.md); all that the source and the helpers can serve unless given.
            edc: Also draw error versus discard by this protocol, or by those of a YAML file; may recur.
            pairs: LFW's pairs.txt, or a table with the columns left,right,mated.
            fmr: False match rate at which the curves of comparisons count errors.
            fpir: False positive rate at which those of searches do; rank 1 counts where strangers are too few for it.
            template_quality: Quality of a template: the mean of its images', or the highest.
            recogniser: Another model that compares or searches; MODEL unless given.
            detector: A YuNet .onnx file, for pose and detector confidence where the records carry no landmarks.
            ofiq: A CSV of OFIQ, whose columns join the table and the curves.
            area_limit: Share left out up to which the area under a curve counts.
            flip: Of the comparisons; scores of images are always of the image alone.
            non_mated: How many non-mated pairs `generated` draws, or all.
            replicates: Resamplings of the people for the bands.
            seed: Of generated pairs and resampling.
            workers: Processes that decode.
            runtime: What runs the models on a CPU; auto is what MARGINFACE_RUNTIME says, or chooses by the work.
            skip_broken: Leave out images that cannot be decoded, and name them, rather than stop.
        """
        from marginface.cli.progress import progress_bars
        from marginface.cli.quality_sets import edc_sets, faces_of
        from marginface.cli.quality_table import detector_of, models_of, print_quality
        from marginface.evaluation.quality_plots import write_pictures
        from marginface.evaluation.quality_run import run_quality, write_quality
        from marginface.quality import usable_methods

        sets = edc_sets(edc, source, locals(), settings)
        asked, judge = models_of(model, recogniser or "none", runtime=runtime)
        faces, finder = faces_of(source, sets), detector_of(detector)
        usable, why_not = usable_methods(faces, model=asked, detector=finder)
        with progress_bars() as show:
            run = run_quality(
                faces,
                methods or usable,
                model=asked,
                detector=finder,
                ofiq=ofiq,
                protocols=sets,
                recogniser=judge,
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

    return quality


def main(words: list[str]) -> int:
    """Run the verb."""
    own, settings = split_settings(verb, words)
    parse(verb(settings), own, "quality")
    return 0
