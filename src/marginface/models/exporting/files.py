"""Exported graphs on disk: the graph, and in the same file what it expects, its card and its fingerprint.

onnx      one .onnx file; in its metadata the keys of `_properties`
openvino  a folder with model.xml and model.bin; the same in the runtime information (rt_info) of model.xml
torch     one .pt2 archive of torch.export; the description as its extra file description.json

A digest over the whole stands in ONNX and OpenVINO files, so that a damaged one is noticed; a .pt2 is a zip with sums
of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from marginface import config
from marginface.errors import InputError
from marginface.images.normalize import InputContract
from marginface.models.card import ModelCard
from marginface.models.exporting.graph import GraphConfig
from marginface.models.exporting.onnx_graph import metadata_of, read_onnx, with_metadata
from marginface.models.runtimes import first_line, require

FORMAT = 1
XML, BIN = "model.xml", "model.bin"
DESCRIPTION, DIGEST = "marginface", "marginface_digest"
_EMPTY_DIGEST = "sha256:" + "0" * 64


@dataclass(frozen=True, kw_only=True)
class GraphDescription:
    """What an exported graph says of itself."""

    format: int
    backbone: GraphConfig
    contract: InputContract
    fingerprint: str
    """Of the model it was exported from where its embeddings are the same but for rounding; int8 has one of its own."""
    card: ModelCard

    def to_json(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(config.dump(self), ensure_ascii=True)

    @classmethod
    def from_json(cls, text: str, *, name: str) -> GraphDescription:
        """Return the description in `text`.

        Raises:
            InputError: not JSON, not a description, or of a newer format.
        """
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{name}: its description is not valid JSON ({error}); export the model again.") from error
        if isinstance(mapping, dict) and mapping.get("format") != FORMAT:
            raise InputError(f"{name}: format {mapping.get('format')!r} is unknown; upgrade marginface.")
        try:
            return config.load(cls, mapping)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error


# -- writing -----------------------------------------------------------------------------------------------------------


def write_onnx(model: Any, description: GraphDescription, path: Path) -> None:
    """Write a ModelProto with its description."""
    content = with_metadata(model, _properties(description)).SerializeToString()
    path.write_bytes(_replaced(content, _EMPTY_DIGEST, _digest_of(content)))


def write_openvino(model: Any, description: GraphDescription, folder: Path) -> None:
    """Write a ModelProto as OpenVINO's model.xml and model.bin, in float32, with its description."""
    require("openvino", purpose="exporting to OpenVINO")
    import openvino

    graph = openvino.Core().read_model(model.SerializeToString())
    for key, value in _properties(description).items():
        graph.set_rt_info(value, [key])
    folder.mkdir(parents=True)
    openvino.save_model(graph, folder / XML, compress_to_fp16=False)
    content = (folder / XML).read_bytes()
    digest = _digest_of(content + (folder / BIN).read_bytes())
    (folder / XML).write_bytes(_replaced(content, _EMPTY_DIGEST, digest))


def write_torch(program: torch.export.ExportedProgram, description: GraphDescription, path: Path) -> None:
    """Write a torch program with its description."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of weights that share memory with the backbone's
        torch.export.save(program, path, extra_files={"description.json": description.to_json()})


def _properties(description: GraphDescription) -> dict[str, str]:
    """Return the description for programs, and what people look for in a viewer."""
    contract, card = description.contract, description.card
    return {
        DESCRIPTION: description.to_json(),
        DIGEST: _EMPTY_DIGEST,
        "name": card.name,
        "licence": card.licence or "not stated",
        "commercial_use": card.commercial_use,
        "fingerprint": description.fingerprint,
        "takes": description.backbone.takes,
        "input_size": str(contract.input_size),
        "colour_order": contract.colour_order,
        "value_range": contract.value_range,
        "alignment": contract.alignment,
    }


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _replaced(content: bytes, old: str, new: str) -> bytes:
    assert content.count(old.encode()) == 1
    return content.replace(old.encode(), new.encode())


# -- reading -----------------------------------------------------------------------------------------------------------


def read_onnx_file(path: Path) -> tuple[bytes, GraphDescription | None]:
    """Return the bytes of an ONNX file, and what it says of itself if marginface wrote it.

    Raises:
        InputError: damaged or cut off.
    """
    content = path.read_bytes()
    properties = metadata_of(read_onnx(content, name=str(path)))
    if DESCRIPTION not in properties:
        return content, None
    _check_digest(content, properties.get(DIGEST, ""), path)
    return content, GraphDescription.from_json(properties[DESCRIPTION], name=str(path))


def read_openvino_folder(folder: Path) -> GraphDescription:
    """Return what an OpenVINO folder says of itself.

    Raises:
        InputError: files that are missing, damaged, or not written by marginface.
    """
    require("openvino", purpose="reading an OpenVINO folder")
    import openvino

    if not (folder / BIN).is_file():
        raise InputError(f"{folder}: there is no {BIN} beside {XML}; copy both.")
    xml = (folder / XML).read_bytes()
    digest = re.search(rb"sha256:[0-9a-f]{64}", xml)
    if digest is None:
        raise InputError(f"{folder / XML}: marginface did not write this graph, or it is cut off; export it again.")
    _check_digest(xml + (folder / BIN).read_bytes(), digest[0].decode(), folder)
    try:
        graph = openvino.Core().read_model(folder / XML)
        text = graph.get_rt_info([DESCRIPTION]).astype(str)
    except RuntimeError as error:
        raise InputError(f"{folder / XML}: OpenVINO cannot read it ({first_line(error)}); export it again.") from error
    return GraphDescription.from_json(text, name=str(folder / XML))


def read_torch_file(path: Path) -> tuple[torch.export.ExportedProgram, GraphDescription]:
    """Return the program in a .pt2 that this process has just written: reading runs what is in it."""
    extra = {"description.json": ""}
    program = torch.export.load(path, extra_files=extra)
    return program, GraphDescription.from_json(extra["description.json"], name=str(path))


def _check_digest(content: bytes, digest: str, path: Path) -> None:
    if not digest or _digest_of(content.replace(digest.encode(), _EMPTY_DIGEST.encode())) != digest:
        raise InputError(f"{path}: it was edited, damaged or cut off since it was written; copy it again.")
