"""`marginface models probe FILE_OR_MODEL --data SOURCE`: which input contract do these weights want?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from marginface.cli.arguments import parse, table
from marginface.cli.progress import progress_bars
from marginface.cli.protocol_arguments import protocol_of

if TYPE_CHECKING:
    from marginface.evaluation.contract_probe import ContractResult
    from marginface.models import FaceModel


def probe(
    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE_OR_MODEL")],
    data: str,
    protocol: Literal["lfw", "csv", "generated"] = "generated",
    pairs: Path | None = None,
    non_mated: str = "10000",
    seed: int = 0,
    flip: Literal["sum", "none"] = "none",
    workers: int = 0,
) -> None:
    """Judge weights under each colour order and value range, so that the right input contract is plain.

    Args:
        model: A published file of weights, a model folder or a run.
        data: Aligned faces: tar:faces.tar, folder:faces. A few hundred pairs are enough.
        protocol: lfw and csv read --pairs; generated takes all mated pairs and a sample of the non-mated ones.
        pairs: LFW's pairs.txt, or a table with the columns left,right,mated[,fold].
        non_mated: How many non-mated pairs `generated` draws, or all.
        seed: Of generated pairs.
        flip: sum adds the embedding of the mirrored image; not needed to tell contracts apart.
        workers: Processes that decode.
    """
    from rich.console import Console

    from marginface.evaluation.contract_probe import probe_contracts
    from marginface.records.open import open_records

    loaded, known = _load(model)
    with progress_bars() as show:
        results = probe_contracts(
            loaded,
            open_records(data),
            protocol_of(protocol, pairs, non_mated, seed),
            flip=flip,
            num_workers=workers,
            progress=show,
        )
    header = ("colours", "range", "mated", "non-mated", "d'", "EER")
    rows = [_row(result, known) for result in results]
    Console().print(table(rows, header, title=f"{loaded.name}: {results[0].num_pairs:,} pairs", numbers=True))
    print(
        "mated, non-mated: mean cosines; d': their distance in deviations" + ("; *: its own contract" if known else "")
    )
    best = results[0]
    print(f"best: --colour-order {best.colour_order} --value-range {best.value_range}")
    if known and not best.is_own:
        print("That is not its own contract: the pairs are too few to tell, or it was imported wrongly.")


def _load(path: Path) -> tuple[FaceModel, bool]:
    """Return the model, and whether its contract is known rather than made up for the probe."""
    from marginface.models import load_model, resolve_model_folder
    from marginface.models.convert import ContractUnknownError, import_checkpoint

    if path.is_dir() or not path.exists():
        return load_model(resolve_model_folder(path)), True
    try:
        return import_checkpoint(path).model, True
    except ContractUnknownError:
        return import_checkpoint(path, colour_order="rgb", value_range="minus_one_to_one").model, False


def _row(result: ContractResult, known: bool) -> tuple[str, ...]:
    interval = result.eer_interval
    percent = f"{100 * result.eer:.2f} %"
    return (
        f"{result.colour_order}{' *' if known and result.is_own else ''}",
        result.value_range,
        f"{result.mated_mean:.3f}",
        f"{result.non_mated_mean:.3f}",
        f"{result.separation:.2f}",
        percent if interval is None else f"{percent} [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]",
    )


def main(words: list[str]) -> int:
    """Run the verb."""
    parse(probe, words, "models probe")
    return 0
