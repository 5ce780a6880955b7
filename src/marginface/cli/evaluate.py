"""`marginface evaluate MODEL... --protocol lfw --data SOURCE`, or `--config FILE`: judge models on strangers."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse, split_overrides


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
        groups: Path | None = None,
        group_fmr: float = 1e-2,
        magface_ten_fold: bool = False,
        quality: str = "",
        replicates: int = 1000,
        seed: int = 0,
        workers: int = 2,
        skip_broken: bool = False,
        baseline: bool = False,
        keep_embeddings: Path | None = None,
        scores: Path | None = None,
        out: Path | None = None,
    ) -> None:
        """Judge models on strangers: error rates of pairs, templates or searches, with counts and intervals.

        Protocols: pack, lfw, csv, generated, rfw (pairs); ijbb, ijbc (1:1); ijbb-1n, ijbc-1n, tinyface, scface,
        megaface, gallery (searches). Their settings are flags too, such as --meta DIR or --pooling.norm drop;
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
            groups: Table identity,group or image,group: error rates of pairs for each group too.
            group_fmr: FMR over all comparisons that sets the threshold which groups are judged at.
            magface_ten_fold: Give the ten-fold accuracy by MagFace's convention too.
            quality: Quality methods with commas, sharpness,exposure: error versus discard of pairs beside the norm's.
            replicates: Resamplings of the people for the intervals; 0 leaves Wilson's alone.
            seed: Of generated pairs, distractors and resampling.
            workers: Processes that decode.
            skip_broken: Leave out images that cannot be decoded, and count them, rather than stop.
            baseline: Also judge raw pixels.
            keep_embeddings: Folder for the embeddings of one model and set; it serves as MODEL afterwards.
            scores: File for the scores of the comparisons, for auditors and other tools.
            out: Folder for the report and its JSON record; without it only the table is printed.
        """
        from marginface.cli.judged import judge
        from marginface.cli.suites import suite_of

        suite = suite_of(locals(), settings)
        judge(models, suite, baseline, workers=workers, keep_embeddings=keep_embeddings, scores=scores, out=out)

    return evaluate


def main(words: list[str]) -> int:
    """Run the verb."""
    parameters = inspect.signature(verb([])).parameters.values()
    flags = {f"--{one.name.replace('_', '-')}": not isinstance(one.default, bool) for one in parameters}
    own, settings = split_overrides(words, {**flags, "--help": False})
    parse(verb(settings), own, "evaluate")
    return 0
