"""A published file -> a FaceModel with its input contract and card, and the head that came with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from marginface.errors import InputError
from marginface.images.normalize import InputContract
from marginface.models.card import CommercialUse, ModelCard, Provenance
from marginface.models.convert.families import Contract, Recognised, entry_of, recognise
from marginface.models.convert.foreign_file import ForeignFile, named_tensors, read_foreign_file, text_beside
from marginface.models.convert.heads import ForeignHead, find_head
from marginface.models.convert.onnx_pack import OnnxPack, is_onnx, read_onnx_pack
from marginface.models.exported_model import model_of_onnx
from marginface.models.face_model import FaceModel
from marginface.models.store import save_model

COLOUR_ORDERS = ("rgb", "bgr")
VALUE_RANGES = ("minus_one_to_one", "zero_to_one")


class ContractUnknownError(InputError):
    """The file does not tell its input contract, and the user has not."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What came out of a published file."""

    model: FaceModel
    family: str
    """A key of `FAMILIES`, or `onnx`."""
    head: ForeignHead | None
    notes: tuple[str, ...]
    """What a person should know: sentences."""

    def save(self, folder: str | Path) -> None:
        """Write the model folder, with the head in its `head/` where there is one."""
        save_model(self.model, folder)
        if self.head is not None:
            self.head.save(Path(folder) / "head")


def import_checkpoint(
    files: str | Path | Sequence[str | Path],
    *,
    name: str = "",
    colour_order: str | None = None,
    value_range: str | None = None,
    licence: str = "",
    commercial_use: CommercialUse | None = None,
    training_data: str = "",
    command: str = "",
) -> Imported:
    """Return the model in a published file.

    Args:
        files: the file; or several, of which the first has the network and all the shards of its head, by rank.
        name: on the card; the family and the network unless given.
        colour_order: "rgb" or "bgr"; needed where the family does not tell, otherwise it overrules the family.
        value_range: "minus_one_to_one" or "zero_to_one", likewise.
        licence: of the weights; what is known of the family unless given.
        commercial_use: likewise.
        training_data: likewise.
        command: what was typed, for the card.

    Raises:
        InputError: no such family, a damaged or dangerous file, tensors that are missing, left over, of another shape
            or not finite.
        ContractUnknownError: an InputError; the input contract is neither known nor given.
    """
    paths = [files] if isinstance(files, (str, Path)) else list(files)
    if not paths:
        raise InputError("no file to import; name one.")
    if is_onnx(paths[0]):
        pack = read_onnx_pack(paths[0])
        card = ModelCard(
            name=name or Path(paths[0]).stem,
            description="Somebody else's ONNX file, run as it is.",
            training_data=training_data,
            licence=licence,
            commercial_use=commercial_use or "not stated",
            provenance=_provenance([pack.file], command),
        )
        return _imported_pack(pack, _contract_of_pack(pack, colour_order, value_range), card)
    read = [read_foreign_file(path) for path in paths]
    first = read[0]
    found = recognise(first)
    notes: list[str] = []
    contract = _contract(first, found, colour_order, value_range, notes)
    try:
        settings = found.family.settings.get(found.layout_name, {})
        config, input_size = found.layout.config(found.tensors, settings)
        backbone = config.build(input_size=input_size)
    except InputError as error:
        raise InputError(f"{first.path}: recognised as {found.family.title}, but {error}") from error
    _load_strictly(backbone, found, first.path)
    for other in read[1:]:
        _check_same_run(first, other, found)
    head = find_head(found.family, read, embedding_dim=config.embedding_dim)
    _note_head(head, read, found, notes)
    family = found.family
    card = ModelCard(
        name=name or f"{found.name}-{config.kind}",
        description=f"{config.kind} with published weights: {family.title}.",
        training_data=training_data or family.training_data,
        licence=licence or family.licence,
        commercial_use=commercial_use or ("not stated" if licence else family.commercial_use),
        provenance=_provenance(read, command),
    )
    whole = InputContract(input_size=input_size, colour_order=contract[0], value_range=contract[1])
    return Imported(
        model=FaceModel(backbone.eval(), config, whole, card), family=found.name, head=head, notes=tuple(notes)
    )


def _provenance(files: Sequence[ForeignFile], command: str) -> Provenance:
    return Provenance(
        origin="; ".join(f"{file.path.name}, sha256 {file.sha256}" for file in files),
        command=command,
        marginface_version=metadata.version("marginface"),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _imported_pack(pack: OnnxPack, contract: Contract, card: ModelCard) -> Imported:
    whole = InputContract(input_size=pack.input_size, colour_order=contract[0], value_range=contract[1])
    model = model_of_onnx(pack.file.content, pack.takes, whole, card, name=str(pack.file.path))
    notes = []
    if pack.takes.takes == "pixels":
        notes.append("The graph normalises its images itself; it is given RGB pixels of 0 to 255.")
    if pack.gives_unit_embeddings:
        notes.append("Its embeddings have length 1, so their norms say nothing of the quality of an image.")
    return Imported(model=model, family="onnx", head=None, notes=tuple(notes))


# -- the input contract ------------------------------------------------------------------------------------------------


def _contract_of_pack(pack: OnnxPack, colour_order: str | None, value_range: str | None) -> Contract:
    _check_contract_words(colour_order, value_range)
    if pack.takes.takes == "pixels":
        colour_order, value_range = colour_order or "rgb", value_range or "minus_one_to_one"
    if colour_order is None or value_range is None:
        raise ContractUnknownError(
            f"{pack.file.path}: an ONNX file does not tell its input contract; insightface's packs have rgb and "
            f"minus_one_to_one. Give --colour-order ({' or '.join(COLOUR_ORDERS)}) and --value-range "
            f"({' or '.join(VALUE_RANGES)}); `marginface models probe` on pairs of faces shows which is right."
        )
    return colour_order, value_range  # type: ignore[return-value]


def _check_contract_words(colour_order: str | None, value_range: str | None) -> None:
    for option, value, choices in (
        ("--colour-order", colour_order, COLOUR_ORDERS),
        ("--value-range", value_range, VALUE_RANGES),
    ):
        if value is not None and value not in choices:
            raise InputError(f"{option} {value!r} is unknown; choose from {', '.join(choices)}.")


def _contract(
    file: ForeignFile, found: Recognised, colour_order: str | None, value_range: str | None, notes: list[str]
) -> Contract:
    _check_contract_words(colour_order, value_range)
    known = found.family.contract or _told_beside(file, found, notes)
    if known is None and (colour_order is None or value_range is None):
        raise ContractUnknownError(
            f"{file.path}: recognised as {found.family.title}, whose input contract the file does not tell: "
            f"{found.family.contract_hint}. Give --colour-order ({' or '.join(COLOUR_ORDERS)}) and --value-range "
            f"({' or '.join(VALUE_RANGES)}); `marginface models probe` on pairs of faces shows which is right."
        )
    order, values = known or ("", "")
    chosen = (colour_order or order, value_range or values)
    if known is not None and chosen != known:
        notes.append(
            f"The input contract is {' and '.join(chosen)} as you say; {found.family.title} has {' and '.join(known)}."
        )
    return chosen  # type: ignore[return-value]


def _told_beside(file: ForeignFile, found: Recognised, notes: list[str]) -> Contract | None:
    for path, text in text_beside(file.path, found.family.told_beside):
        told = re.search(r"\bcolor_space\b[\"']?\s*:\s*[\"']?(RGB|BGR)\b", text)
        if told:
            notes.append(f"The colour order is {told[1]}, as {path.name} beside the weights says.")
            return "rgb" if told[1] == "RGB" else "bgr", "minus_one_to_one"
    return None


# -- tensors -----------------------------------------------------------------------------------------------------------


def _load_strictly(backbone: nn.Module, found: Recognised, path: Path) -> None:
    """Copy each tensor to its place; refuse what is missing, left over, of another shape or not finite."""
    own = backbone.state_dict()
    tensors = {name: _shaped(tensor, own.get(name)) for name, tensor in found.tensors.items()}
    counters = [name for name in own if name.endswith(".num_batches_tracked")]
    if not any(name in tensors for name in counters):  # MindSpore and torch before 0.4.1 do not count batches
        tensors.update({name: torch.zeros_like(own[name]) for name in counters})
    shapes = [
        f"{name} is {tuple(tensor.shape)} and not {tuple(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and tensor.shape != own[name].shape
    ]
    faults = [
        f"{len(names)} {what}: {', '.join(sorted(names))}"
        for what, names in (
            ("missing", own.keys() - tensors.keys()),
            ("unexpected", {*found.strangers, *(tensors.keys() - own.keys())}),
            ("of another shape", shapes),
        )
        if names
    ]
    if faults:
        raise InputError(
            f"{path}: recognised as {found.family.title}, {found.layout.title}, but its tensors are not those of the "
            f"network; {'; '.join(faults)}."
        )
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            bad = int((~tensor.isfinite()).sum())
            raise InputError(
                f"{path}: {bad:,} of the {tensor.numel():,} values of {name} are NaN or infinite; the training behind "
                "this file broke down, so take an earlier checkpoint."
            )
    backbone.load_state_dict(tensors)


def _shaped(tensor: Tensor, own: Tensor | None) -> Tensor:
    """A 1x1 convolution on a 1x1 map is a linear layer, and some files keep it as the former."""
    if own is not None and tuple(tensor.shape) == (*own.shape, 1, 1):
        tensor = tensor.reshape(own.shape)
    return tensor.float() if tensor.is_floating_point() else tensor


def _check_same_run(first: ForeignFile, other: ForeignFile, found: Recognised) -> None:
    """Ranks of one run have equal parameters; their running statistics may differ."""
    ours, theirs = (named_tensors(entry_of(file.content, found.family.inside)) for file in (first, other))
    parameters = [n for n in ours.keys() & theirs.keys() if "running_" not in n and "num_batches" not in n]
    if any(not torch.equal(ours[name], theirs[name]) for name in parameters):
        raise InputError(f"{other.path}: its network is not that of {first.path}; take shards of one step of one run.")


def _note_head(head: ForeignHead | None, files: Sequence[ForeignFile], found: Recognised, notes: list[str]) -> None:
    if head is None:
        return
    notes.append(f"The head has {len(head.centres_CD):,} classes; it is kept in head/ for fine-tuning.")
    if found.name == "insightface_resume" and len(files) == 1:
        notes.append(
            "Each rank of arcface_torch saves its own classes only: if the run had several ranks, import "
            "checkpoint_gpu_0.pt, checkpoint_gpu_1.pt and so on together."
        )
