"""`marginface finetune MODEL --data SOURCE --out DIR`: a model trained further on one's own people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro

from marginface import config as recipes
from marginface.cli.arguments import command_line, parse, split_overrides
from marginface.cli.progress import progress_bars
from marginface.errors import InputError

FLAGS = {
    **dict.fromkeys(("--help", "--resume"), False),
    **dict.fromkeys(("--data", "--out", "--recipe", "--test-share", "--unknown-share", "--unknown-accepted"), True),
    **dict.fromkeys(("--degrade", "--trains", "--verification", "--protocol", "--pairs", "--flip"), True),
    **dict.fromkeys(("--replicates", "--seed", "--workers"), True),
}
FILLED_IN = ("--backbone", "--data.source", "--data.input_size", "--start.model", "--start.trains", "--seed")
HEAD_ALONE = ("--start.trains=head", "--start.frozen_batch_norm=false")


def main(words: list[str]) -> int:
    """Fine-tune; returns the exit code."""
    own, overrides = split_overrides(words, FLAGS)

    def run(
        model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")],
        data: str,
        out: Path,
        recipe: str = "fine_tune",
        trains: Literal["all", "last_stage", "head"] | None = None,
        test_share: float = 0.3,
        unknown_share: float = 0.2,
        unknown_accepted: float = 0.05,
        degrade: str = "gaussian:3",
        verification: str = "",
        protocol: Literal["lfw", "csv", "generated"] = "generated",
        pairs: Path | None = None,
        flip: Literal["sum", "none"] = "sum",
        replicates: int = 1000,
        seed: int = 0,
        workers: int | None = None,
        resume: bool = False,
    ) -> int:
        """Train a model further on your own people. Any setting can be given too, as `--epochs 4` or `--optim.lr 0.01`.

        Args:
            model: The folder of the model to begin with, or of the run that made it.
            data: Your people, aligned: folder:my-people, tar:staff.tar. Everybody needs two images.
            out: The folder to write.
            recipe: A YAML file, or a recipe that ships with the package.
            trains: How much of the model may change; the recipe's unless given.
            test_share: Of each known person's images, held back to judge by.
            unknown_share: Of the people, held back as strangers; 0 for none.
            unknown_accepted: Share of strangers' images that the threshold may accept, on strangers apart.
            degrade: Kind and strength of the spoilt copies that are judged too, as for `marginface degrade`, or none.
            verification: Other people to judge forgetting by, such as tar:lfw.tar.
            protocol: Of --verification: lfw and csv read --pairs; generated makes pairs.
            pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
            flip: sum adds the embedding of the mirrored image.
            replicates: Resamplings of the people for the intervals; 0 for none.
            seed: Of the split, of training and of the resampling.
            workers: Processes that decode; the recipe's unless given.
            resume: Go on with what is in --out.
        """
        from marginface.cli.protocol_arguments import protocol_of
        from marginface.evaluation.run import EvaluationConfig
        from marginface.finetuning.finetune import FinetunePlan, finetune, recipe_for
        from marginface.models import load_model, resolve_model_folder

        for word in overrides:
            if word.startswith(FILLED_IN):
                raise InputError(f"{word}: finetune takes this from MODEL, --data, --trains and --seed; leave it out.")
        more = [f"--seed={seed}"]
        if trains is not None:
            more += HEAD_ALONE if trains == "head" else [f"--start.trains={trains}"]
        more += [f"--data.num_workers={workers}"] if workers is not None else []
        mapping = recipes.with_overrides(recipes.read_recipe(recipe), [*more, *overrides])
        config = recipe_for(load_model(resolve_model_folder(model)), model, mapping, source=data)
        judged = None
        if verification:
            judged = EvaluationConfig(
                name=protocol,
                data=verification,
                protocol=protocol_of(protocol, pairs, "100000", seed),
                flip=flip,
                num_replicates=replicates,
                seed=seed,
            )
        plan = FinetunePlan(
            test_share=test_share,
            unknown_share=unknown_share,
            degrade=_degradation(degrade),
            unknown_accepted=unknown_accepted,
            verification=judged,
            flip=flip,
            num_replicates=replicates,
            seed=seed,
        )
        result = finetune(config, plan, out, bars=progress_bars, resume=resume, command=command_line())
        if result.record is not None:
            print(result.table)
            print(f"model: {out / 'run' / 'model'}\nnumbers: {out / 'result.json'}, {out / 'table.md'}")
        return result.exit_code

    return parse(run, own, "finetune")


def _degradation(text: str) -> tuple[str, float] | None:
    if text == "none":
        return None
    kind, _, strength = text.partition(":")
    try:
        return kind, float(strength)
    except ValueError:
        raise InputError(f"--degrade {text}: say kind and strength, as gaussian:3, or none.") from None
