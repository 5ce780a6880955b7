"""`marginface evaluate MODEL --protocol lfw --data SOURCE`: judge a model on strangers by any protocol."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface.cli.arguments import parse, split_overrides
from marginface.cli.protocol_arguments import protocol_of


def verb(settings: list[str]):  # type: ignore[no-untyped-def]  # tyro reads the signature of what comes back
    """Return the verb, given the settings of the protocol."""

    def evaluate(
        model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
        data: str,
        protocol: str = "generated",
        pairs: Path | None = None,
        name: str = "",
        non_mated: str = "100000",
        flip: Literal["sum", "none"] = "sum",
        groups: Path | None = None,
        group_fmr: float = 1e-2,
        magface_ten_fold: bool = False,
        replicates: int = 1000,
        seed: int = 0,
        workers: int = 2,
        skip_broken: bool = False,
        baseline: bool = False,
        keep_embeddings: Path | None = None,
        scores: Path | None = None,
        out: Path | None = None,
    ) -> None:
        """Judge a model on strangers: error rates of pairs, templates or searches, with counts and intervals.

        Protocols: pack, lfw, csv, generated, rfw (pairs); ijbb, ijbc (1:1); ijbb-1n, ijbc-1n, tinyface, scface,
        megaface, gallery (searches). Their settings are flags too, such as --meta DIR or --pooling.norm drop;
        `marginface protocols` lists them.

        Args:
            model: A run folder (its last weights), a model folder, a folder of saved embeddings, or raw-pixels.
            data: Aligned faces of people who were not in training: tar:lfw.tar, folder:faces; a pack: lfw.bin.
            protocol: What is compared with what.
            pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
            name: What the report calls the evaluation; the protocol's name unless given.
            non_mated: How many non-mated pairs `generated` draws, or all.
            flip: sum adds the embedding of the mirrored image, as published tables do.
            groups: Table identity,group or image,group: error rates of pairs for each group too.
            group_fmr: FMR over all comparisons that sets the threshold which groups are judged at.
            magface_ten_fold: Give the ten-fold accuracy by MagFace's convention too.
            replicates: Resamplings of the people for the intervals; 0 leaves Wilson's alone.
            seed: Of generated pairs, distractors and resampling.
            workers: Processes that decode.
            skip_broken: Leave out images that cannot be decoded, and count them, rather than stop.
            baseline: Also judge raw pixels.
            keep_embeddings: Folder for the embeddings; it serves as MODEL afterwards.
            scores: File for the scores of the comparisons, for auditors and other tools.
            out: Folder for the report and its JSON record; without it only the table is printed.
        """
        from marginface.cli.judged import judge
        from marginface.evaluation.settings import EvaluationConfig

        config = EvaluationConfig(
            name=name or protocol,
            data=data,
            protocol=protocol_of(protocol, pairs, non_mated, seed, settings),
            flip=flip,
            groups=groups,
            group_fmr=group_fmr,
            magface_ten_fold=magface_ten_fold,
            num_replicates=replicates,
            seed=seed,
            skip_broken=skip_broken,
        )
        judge(model, config, baseline, workers=workers, keep_embeddings=keep_embeddings, scores=scores, out=out)

    return evaluate


def main(words: list[str]) -> int:
    """Run the verb."""
    parameters = inspect.signature(verb([])).parameters.values()
    flags = {f"--{one.name.replace('_', '-')}": not isinstance(one.default, bool) for one in parameters}
    own, settings = split_overrides(words, {**flags, "--help": False})
    parse(verb(settings), own, "evaluate")
    return 0
