"""FaceModel folders on disk: written whole or not at all, and read strictly.

model/
  model.safetensors    the backbone's tensors, under the published key names; or model.onnx, somebody's graph
  model.json           format, backbone config, input contract, fingerprint, card
  card.md              the card for reading; not read back
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import safetensors
import safetensors.torch

from marginface import config
from marginface.backbones import BACKBONES, BackboneConfig
from marginface.config import by_kind
from marginface.errors import InputError, WorkError
from marginface.images.normalize import InputContract
from marginface.models.card import ModelCard
from marginface.models.exported_model import ExportedModel, is_exported, load_exported, model_of_onnx
from marginface.models.exporting.graph import GraphConfig
from marginface.models.face_model import FaceModel
from marginface.models.runtimes import Runtime

logger = logging.getLogger(__name__)

WEIGHTS, GRAPH, DESCRIPTION, CARD = "model.safetensors", "model.onnx", "model.json", "card.md"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Description:
    """What model.json holds."""

    format: int
    backbone: Annotated[BackboneConfig, by_kind("backbone", {**BACKBONES, "onnx_graph": GraphConfig})]
    contract: InputContract
    fingerprint: str
    card: ModelCard


def save_model(model: FaceModel, folder: str | Path) -> None:
    """Write the folder of `model`; one that is there already is replaced only when the new one is complete.

    Raises:
        InputError: something that is not a model folder is in the way.
        WorkError: the disk refused; what was there before is as it was.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / DESCRIPTION).is_file() and not _is_empty_folder(folder):
        raise InputError(f"{folder}: this is not a model folder and will not be overwritten; choose another one.")
    aside = folder.with_name(f".{folder.name}.writing")
    try:
        shutil.rmtree(aside, ignore_errors=True)  # of a run that was killed while writing
        aside.mkdir(parents=True)
        _write_files(model, aside)
        _put_in_place(aside, folder)
    except (OSError, safetensors.SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        reason = "the disk is full" if _is_disk_full(error) else str(error)
        raise WorkError(
            f"{folder}: the model could not be written ({reason}); an older one there is untouched."
        ) from error


def load_model(folder: str | Path, *, runtime: Runtime = "auto") -> FaceModel:
    """Return the model of a folder, on the CPU and in evaluation mode, checked against its fingerprint.

    Args:
        folder: a model folder; or what `marginface export` wrote, an .onnx file or an OpenVINO folder.
        runtime: what runs it on a CPU, see `FaceModel`; the environment variable MARGINFACE_RUNTIME says what auto is.

    Raises:
        InputError: missing, damaged or edited files, an unknown backbone, a newer format, or a runtime that is unknown
            or not installed.
    """
    folder = _settled(Path(folder))
    if is_exported(folder):
        return _with_terms(load_exported(folder, runtime=runtime))
    if (folder / GRAPH).is_file() and (folder / DESCRIPTION).is_file():
        return _with_terms(_load_graph_folder(folder, runtime=runtime))
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"{folder}: there is no {name}, so this is not a model folder; give one that `train` wrote."
            )
    description = _read_description(folder / DESCRIPTION)
    backbone = description.backbone.build(input_size=description.contract.input_size)
    try:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(
            f"{folder / WEIGHTS}: the weights are damaged or cut off ({error}); copy the model again."
        ) from error
    try:
        backbone.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(
            f"{folder / WEIGHTS}: these are not the weights of the {description.backbone.kind} that {DESCRIPTION} "
            "describes; copy both files again."
        ) from error
    model = FaceModel(backbone, description.backbone, description.contract, description.card, runtime=runtime).eval()
    _check_fingerprint(model, description, folder)
    return _with_terms(model)


def _load_graph_folder(folder: Path, *, runtime: Runtime) -> ExportedModel:
    """Return the model of a folder that holds somebody's ONNX file."""
    description = _read_description(folder / DESCRIPTION)
    takes = cast(GraphConfig, description.backbone)
    model = model_of_onnx(
        (folder / GRAPH).read_bytes(), takes, description.contract, description.card, runtime=runtime, name=str(folder)
    )
    _check_fingerprint(model, description, folder)
    return model


def _check_fingerprint(model: FaceModel, description: Description, folder: Path) -> None:
    if model.fingerprint != description.fingerprint:
        raise InputError(
            f"{folder}: the fingerprint is {model.fingerprint}, but {DESCRIPTION} says {description.fingerprint}: a "
            "file was edited, damaged or belongs to another model; copy the folder again or train anew."
        )


def _with_terms(model: FaceModel) -> FaceModel:
    if model.card.provenance.origin:  # somebody else's weights: their terms are shown to whoever uses them
        logger.info(model.card.terms())
    return model


def save_card(folder: str | Path, card: ModelCard) -> None:
    """Give the model in `folder` another card; its weights, and whatever else lies there, are not touched.

    Raises:
        InputError: it is not a model folder, or its description is damaged.
        WorkError: the disk refused; the old card is as it was.
    """
    folder = _settled(Path(folder))
    _read_description(folder / DESCRIPTION)
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    description["card"] = config.dump(card)
    texts = {DESCRIPTION: json.dumps(description, indent=2, ensure_ascii=False) + "\n", CARD: card.to_markdown()}
    try:
        for name, text in texts.items():
            aside = folder / f".{name}.writing"
            aside.write_text(text, encoding="utf-8")
            _sync(aside)
            os.replace(aside, folder / name)
    except OSError as error:
        raise WorkError(f"{folder}: the card could not be written ({error.strerror}).") from error


def read_description(folder: str | Path) -> Description:
    """Return what a model folder says of itself, without its weights.

    Raises:
        InputError: it is not a model folder, or its description is damaged.
    """
    return _read_description(_settled(Path(folder)) / DESCRIPTION)


def resolve_model_folder(path: str | Path) -> Path:
    """Return the model that `path` means: itself, the `model` folder of a run, or an exported graph.

    Raises:
        InputError: it is neither.
    """
    path = Path(path)
    if is_exported(path):
        return path
    for candidate in (path, path / "model"):
        if (_settled(candidate) / DESCRIPTION).is_file():
            return candidate
    if not path.exists():
        raise InputError(f"{path}: there is no such folder; give a run folder or a model folder.")
    raise InputError(
        f"{path}: this is neither a model folder (there is no {DESCRIPTION}) nor a run folder with a model/ in it."
    )


# -- writing -----------------------------------------------------------------------------------------------------------


def _write_files(model: FaceModel, folder: Path) -> None:
    if isinstance(model, ExportedModel):
        (folder / GRAPH).write_bytes(model.content)
    else:
        tensors = {name: t.detach().cpu().contiguous() for name, t in model.backbone.state_dict().items()}
        safetensors.torch.save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    description = {
        "format": FORMAT,
        "backbone": config.dump(model.backbone_config),
        "contract": asdict(model.contract),
        "fingerprint": model.fingerprint,
        "card": config.dump(model.card),
    }
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD).write_text(model.card.to_markdown(), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        _sync(path)


def _put_in_place(aside: Path, folder: Path) -> None:
    """Rename `aside` to `folder`. A folder cannot be renamed over a full one, so the old one steps aside first; if the
    power fails between the two renames, `_settled` finds it there."""
    previous = _previous(folder)
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
        os.rename(folder, previous)
    try:
        os.rename(aside, folder)
    except OSError:
        if previous.exists():
            os.rename(previous, folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _previous(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.previous")


def _settled(folder: Path) -> Path:
    """Return `folder`, or where its last complete state is if a save was cut off between its two renames."""
    return _previous(folder) if not folder.exists() and _previous(folder).exists() else folder


def _is_empty_folder(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _is_disk_full(error: Exception) -> bool:
    number = getattr(error, "errno", None)
    return number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)


def _sync(path: Path) -> None:
    with _descriptor(path) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


# -- reading -----------------------------------------------------------------------------------------------------------


def _read_description(path: Path) -> Description:
    try:
        mapping: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: this is not valid JSON ({error}); copy the model again.") from error
    if isinstance(mapping, dict) and mapping.get("format") != FORMAT:
        raise InputError(f"{path}: format {mapping.get('format')!r} is unknown to this version; upgrade marginface.")
    try:
        return config.load(Description, mapping)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
