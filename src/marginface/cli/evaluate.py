"""`marginface evaluate MODEL... --protocol lfw --data SOURCE`, or `--config FILE`: judge models on strangers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import RuntimeName, parse, split_settings


def verb(settings: list[str]):  # type: ignore[no-untyped-def]  # tyro reads the signature of what comes back
    """Return the verb, given the settings of the protocol."""

    def evaluate(
        models: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="MODEL ...")],
        data: str = "",
        protocol: str = "generated",
        config: Path | None = None,
        pairs: Path | None = None,
        name: str = "",
        non_mated: str = "100000",
        flip: Literal["sum", "none"] = "sum",
        template_quality: Literal["mean", "max"] = "mean",
        groups: Path | None = None,
        group_fmr: float = 1e-2,
        magface_ten_fold: bool = False,
        quality: str = "",
        replicates: int = 1000,
        seed: int = 0,
        workers: int = 2,
        runtime: RuntimeName = "auto",
        skip_broken: bool = False,
        baseline: bool = False,
        keep_embeddings: Path | None = None,
        scores: Path | None = None,
        out: Path | None = None,
    ) -> None:
        """Judge models on strangers: error rates of pairs, templates or searches, with counts and intervals.

        Protocols: pack, lfw, csv, generated, rfw (pairs); ijbb, ijbc (1:1); ijbb-1n, ijbc-1n, ijbs, tinyface,
        scface, megaface, gallery (searches). Their settings are flags too, such as --meta DIR or --pooling.norm drop;
        `marginface protocols` lists them. Several sets at once stand in a file: docs/report.md.

        Args:
            models: Run folders (their last weights), model folders, folders of saved embeddings, or raw-pixels; the
                report is about the last one.
            data: Aligned faces of people who were not in training: tar:lfw.tar, folder:faces; a pack: lfw.bin.
            protocol: What is compared with what.
            config: YAML file with a list `evaluations` as recipes have it, in the place of one set's settings.
            pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
            name: What the report calls the evaluation; the protocol's name unless given.
            non_mated: How many non-mated pairs `generated` draws, or all.
            flip: sum adds the embedding of the mirrored image, as published tables do.
            template_quality: Quality of a template, for error versus discard: the mean of its images', or the highest.
            groups: Table identity,group or image,group: error rates of pairs for each group too.
            group_fmr: FMR over all comparisons that sets the threshold which groups are judged at.
            magface_ten_fold: Give the ten-fold accuracy by MagFace's convention too.
            quality: Quality methods with commas, sharpness,exposure: error versus discard beside the norm's.
            replicates: Resamplings of the people for the intervals; 0 leaves Wilson's alone.
            seed: Of generated pairs, distractors and resampling.
            workers: Processes that decode.
            runtime: What runs models on a CPU; auto is what MARGINFACE_RUNTIME says, or chooses by the work.
            skip_broken: Leave out images that cannot be decoded, and count them, rather than stop.
            baseline: Also judge raw pixels.
            keep_embeddings: Folder for the embeddings, which serves as MODEL afterwards; of several models or sets,
                folders MODEL/SET in it, and each MODEL serves.
            scores: File for the scores of the comparisons, for auditors and other tools; of several a folder, in which
                each is MODEL/SET.csv.
            out: Folder for the report and its JSON record; without it only the table is printed.
        """
        from marginface.cli.judged import judge
        from marginface.cli.suites import suite_of

        suite = suite_of(locals(), settings)
        files = {"keep_embeddings": keep_embeddings, "scores": scores, "out": out}
        judge(models, suite, baseline, workers=workers, runtime=runtime, **files)

    return evaluate


def main(words: list[str]) -> int:
    """Run the verb."""
    own, settings = split_settings(verb, words)
    parse(verb(settings), own, "evaluate")
    return 0
