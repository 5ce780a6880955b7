"""A backbone together with what it expects of its input: uint8 crops in, embeddings out, nothing left to get wrong."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor, nn

from marginface import config
from marginface.backbones import BackboneConfig
from marginface.errors import InputError, one_of
from marginface.images.normalize import InputContract, normalize
from marginface.images.resize import fit
from marginface.models.card import ModelCard
from marginface.models.face_embeddings import FaceEmbeddings, HasCrops
from marginface.models.fast_path import FastPath, chosen_runtime
from marginface.models.fast_path import evaluating as evaluating
from marginface.models.runtimes import RUNTIMES, Runtime

RUNTIME_VARIABLE = "MARGINFACE_RUNTIME"
"""An environment variable that says what `auto` means."""
_FACES_A_STEP = 64


class FaceModel(nn.Module):
    """A backbone, its config, its input contract and its card (without one, a card with no more than a name).

    The backbone is shared, not copied: train it on, and the model follows.

    On a CPU, `embed` does not run the backbone itself but a copy with folded BN (runtime `torch`), or a graph made from
    that (`onnxruntime`, `openvino`). `eager` runs the backbone as it is. `auto` is `torch`, and for jobs of thousands
    of images that were announced by `expect`, OpenVINO if it is installed. On other devices the backbone runs as it is.
    """

    def __init__(
        self,
        backbone: nn.Module,
        backbone_config: BackboneConfig,
        contract: InputContract,
        card: ModelCard | None = None,
        *,
        runtime: Runtime = "torch",
    ) -> None:
        super().__init__()
        self.runtime = checked_runtime(runtime)
        self._num_expected = 0
        self._fast_path = FastPath()
        self.backbone = backbone
        self.backbone_config = backbone_config
        self.contract = contract
        self.card = card if card is not None else ModelCard(name=backbone_config.kind)

    @property
    def name(self) -> str:
        """The name on the card."""
        return self.card.name

    @property
    def embedding_dim(self) -> int:
        """D."""
        return self.backbone_config.embedding_dim

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ as soon as a weight, the contract or the architecture does.

        Embeddings are comparable only within one fingerprint. Computed anew at each call, for weights may have moved:
        some tenths of a second for 40 M parameters.
        """
        digest = hashlib.sha256()
        settings = {"backbone": config.dump(self.backbone_config), "contract": asdict(self.contract)}
        digest.update(json.dumps(settings, sort_keys=True).encode())
        for name, tensor in sorted(self.backbone.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(_bytes(tensor))
        return digest.hexdigest()[:16]

    @overload
    def embed(self, images: Tensor, *, flip: Literal["none", "sum"] = "sum") -> Tensor: ...

    @overload
    def embed(self, images: HasCrops, *, flip: Literal["none", "sum"] = "sum") -> FaceEmbeddings: ...

    @torch.no_grad()
    def embed(self, images: Tensor | HasCrops, *, flip: Literal["none", "sum"] = "sum") -> Tensor | FaceEmbeddings:
        """Return embeddings (B, D) float32, not normalised, on the model's device; of aligned faces, typed ones.

        Runs in evaluation mode and puts every module's own mode back.

        Args:
            images: (B, S, S, 3) uint8 RGB crops, S and the alignment as the contract says; or the faces that
                `detect_and_align` found, whose crops are fitted to S as stored crops are.
            flip: "sum" adds the raw embedding of the mirrored image, as published verification tables do: the norm is
                then about twice that of "none".

        Raises:
            InputError: the crops are not of the contract's size.
        """
        if flip not in ("none", "sum"):
            raise ValueError(f"flip is {flip!r}; it is 'none' or 'sum'")
        if not isinstance(images, Tensor):
            return self._embed_faces(images, flip)
        self._check(images)
        return self._embed_crops(images, flip)

    def expect(self, num_images: int) -> None:
        """Say how many images the next calls of `embed` bring in all, so that `auto` can tell if converting pays."""
        self._num_expected = num_images

    def _embed_crops(self, images: Tensor, flip: Literal["none", "sum"]) -> Tensor:
        first = next(iter((*self.backbone.parameters(), *self.backbone.buffers(), images)))
        # channels_last: convolutions on CPU are 1.2 to 1.3 times faster, and GPUs like it too
        pixels = normalize(images.to(first.device), self.contract, channels_last=True)
        runtime = chosen_runtime(self.runtime, num_images=self._num_expected)
        run = self._fast_path.run_for(self.backbone, pixels, runtime=runtime, may_fall_back=self.runtime == "auto")
        embeddings = run(pixels)
        return embeddings + run(pixels.flip(3)) if flip == "sum" else embeddings

    def _embed_faces(self, faces: HasCrops, flip: Literal["none", "sum"]) -> FaceEmbeddings:
        size = self.contract.input_size
        vectors = np.empty((len(faces.crops), self.embedding_dim), dtype=np.float32)
        for start in range(0, len(vectors), _FACES_A_STEP):
            crops = faces.crops[start : start + _FACES_A_STEP]
            fitted = np.stack([fit(one, size=size, max_side=len(one), name="face") for one in crops])
            vectors[start : start + len(crops)] = self.embed(torch.from_numpy(fitted), flip=flip).cpu().numpy()
        return FaceEmbeddings(vectors=vectors, fingerprint=self.fingerprint, flip=flip)

    def forward(self, images: Tensor) -> Tensor:
        """Return `embed(images)` without gradients; to train, call `backbone` on normalised images."""
        return self.embed(images)

    def _check(self, images: Tensor) -> None:
        if images.dim() != 4 or images.shape[3] != 3 or images.dtype != torch.uint8:
            raise ValueError(f"embed takes (B, H, W, 3) uint8 RGB, not {tuple(images.shape)} {images.dtype}")
        size = self.contract.input_size
        if tuple(images.shape[1:3]) != (size, size):
            raise InputError(
                f"the crops are {images.shape[2]} x {images.shape[1]} pixels, but the model's input contract says "
                f"{size} x {size}, aligned as {self.contract.alignment}; align or resize them first."
            )


def checked_runtime(runtime: str) -> Runtime:
    """Return the runtime of that name; for `auto` what MARGINFACE_RUNTIME says, if anything.

    Raises:
        InputError: there is no such runtime.
    """
    name, said_by = runtime, "runtime"
    if runtime == "auto":
        name, said_by = os.environ.get(RUNTIME_VARIABLE) or "auto", RUNTIME_VARIABLE
    if name not in RUNTIMES:
        raise InputError(f"{said_by}: there is no runtime {name!r}{one_of(name, RUNTIMES)}.")
    return name


def _bytes(tensor: Tensor) -> Any:
    """Return a tensor's values in row-major order, whatever its memory format; bf16 has no numpy type, bytes do."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy()
