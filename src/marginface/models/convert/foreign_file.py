"""A file of somebody else's weights -> plain tensors, without running a line of what is in it.

The container is told by its first bytes, never by the file's name. Pickles go through torch's `weights_only` reader,
which knows tensors and plain containers and nothing else; a pickle that names any other class or function is refused.
The exceptions are a few record classes of training frameworks (`HARMLESS`): an empty shell of ours takes their place.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from marginface.errors import InputError
from marginface.models.convert.mindspore import is_mindspore_checkpoint, read_mindspore_checkpoint

Container = Literal["torch", "safetensors", "mindspore", "onnx"]

MAX_BYTES = 16 << 30
"""Of tensors in one file. The largest published recogniser (ViT-H, with optimiser state) has 9 GB."""
MAX_EXPANSION = 4
"""How many times its own size a zip may unpack to. torch stores tensors uncompressed, so an honest file is at 1."""

HARMLESS = (
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib._local.PosixPath",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.lr_monitor.LearningRateMonitor",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)
"""Names that pickles of published files carry beside the tensors: settings and bookkeeping, none of which we need."""


@dataclass(frozen=True, kw_only=True)
class ForeignFile:
    """What was read: names to tensors, perhaps nested, or one bare tensor."""

    path: Path
    container: Container
    content: Any
    sha256: str


def read_foreign_file(path: str | Path) -> ForeignFile:
    """Return the content of a file of weights.

    Raises:
        InputError: not a file of weights, damaged, cut off, a zip that unpacks to too much, a pickle that wants code.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name the file of weights in it.")
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            head = file.read(512)
    except OSError as error:
        raise InputError(f"{path}: this file cannot be read ({error.strerror}).") from error
    container = _container_of(path, head)
    try:
        content = _READERS[container](path)
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: {_why_refused(str(error))}") from error
    except Exception as error:  # whatever a reader trips over in bytes that somebody else wrote
        raise InputError(f"{path}: the file is damaged or cut off ({_first_line(error)}); get it again.") from error
    _check_tensors(path, content)
    return ForeignFile(path=path, container=container, content=content, sha256=sha256)


def named_tensors(mapping: Any) -> dict[str, Tensor]:
    """Return the tensors of a mapping by name, detached; {} where it is not one. Int8 linear layers become float."""
    if not isinstance(mapping, Mapping):
        return {}
    found = {str(k): v.detach() for k, v in mapping.items() if isinstance(v, Tensor)}
    packed = "._packed_params._packed_params"  # of torch's dynamically quantised nn.Linear: (int8 weight, bias)
    for name, pair in mapping.items():
        if str(name).endswith(packed) and isinstance(pair, tuple) and len(pair) == 2:
            layer = str(name).removesuffix(packed)
            found[f"{layer}.weight"] = pair[0].detach().dequantize()
            if pair[1] is not None:
                found[f"{layer}.bias"] = pair[1].detach()
            for scrap in ("scale", "zero_point"):
                found.pop(f"{layer}.{scrap}", None)
    return found


# -- containers --------------------------------------------------------------------------------------------------------


def _container_of(path: Path, head: bytes) -> Container:
    size = path.stat().st_size
    if head[8:9] == b"{":  # after the length of its header, whose first byte may be any, 0x80 too
        return "safetensors"
    if head[:4] == b"PK\x03\x04" or head[:1] == b"\x80":
        return "torch"
    if is_mindspore_checkpoint(head):
        return "mindspore"
    if size == 0:
        raise InputError(f"{path}: the file is empty; get it again.")
    for start, what in _OTHERS.items():
        if head.lstrip().lower().startswith(start):
            raise InputError(f"{path}: this is {what}.")
    raise InputError(f"{path}: this is no file of weights that we know (torch, safetensors, MindSpore .ckpt).")


_OTHERS = {
    b"<": "a web page, not weights; the download went wrong, so fetch it by hand from its home page",
    b"version https://git-lfs": "a Git LFS pointer, not the weights themselves; run git lfs pull where it comes from",
    b"\x08": "a protocol buffer other than ONNX; import the torch weights that it was made from",
    b"\x89hdf": "an HDF5 file (Keras); only torch, safetensors and MindSpore weights are read",
    b"gguf": "a GGUF file; only torch, safetensors and MindSpore weights are read",
}


def _read_torch(path: Path) -> Any:
    with path.open("rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        _check_zip(path)
    with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):  # type: ignore[no-untyped-call]
        warnings.simplefilter("ignore")  # of old storage and int8 classes, which the reader of a file cannot help
        return torch.load(path, map_location="cpu", weights_only=True)


def _check_zip(path: Path) -> None:
    """Refuse a zip by its table of contents, before anything is unpacked."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    unpacked, size = sum(m.file_size for m in members), path.stat().st_size
    if unpacked > MAX_BYTES or unpacked > MAX_EXPANSION * size:
        raise InputError(
            f"{path}: {size:,} bytes would unpack to {unpacked:,}; the limits are {MAX_EXPANSION} times the file's "
            f"size and {MAX_BYTES:,} bytes, which no honest file of weights comes near."
        )
    names = {m.filename.rpartition("/")[2] for m in members}
    if "constants.pkl" in names:
        raise InputError(f"{path}: this is a TorchScript program, which is code; import its state dict instead.")
    if "data.pkl" not in names:
        raise InputError(f"{path}: this zip holds no torch weights (no data.pkl); unpack it and name the file inside.")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    loaded: dict[str, Tensor] = safetensors.torch.load_file(path)
    return loaded


_READERS = {"torch": _read_torch, "safetensors": _read_safetensors, "mindspore": read_mindspore_checkpoint}


# -- pickles -----------------------------------------------------------------------------------------------------------


class _Shell:
    """Takes the place of a harmless record or of the call that would make one; what it would have held is dropped."""

    def __new__(cls, *args: object) -> _Shell:
        return object.__new__(cls)

    def __setstate__(self, state: object) -> None:
        pass


class _DictShell:
    """The same for records that are dicts: torch's reader puts items into a plain one and nothing else."""

    def __new__(cls, *args: object) -> dict:  # type: ignore[misc]
        return {}


_STAND_INS: list[Any] = [
    (type(name, (_DictShell if name.endswith(".AttributeDict") else _Shell,), {}), name) for name in HARMLESS
]


def _why_refused(message: str) -> str:
    wanted = re.search(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL) (\S+)", message)
    if wanted:
        return (
            f"loading it would run code, for its pickle asks for {wanted[1]}, and weights need none; it was not "
            "loaded. Ask its publisher for a plain state dict or safetensors."
        )
    reason = message.partition("WeightsUnpickler error:")[2].strip() or message
    line = next((line.strip() for line in reason.splitlines() if line.strip()), "unknown")
    return f"its pickle is not one of plain tensors ({line.rstrip('.')}); it was not loaded."


def _first_line(error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    return text.rstrip(". ")[:200] or type(error).__name__


# -- tensors -----------------------------------------------------------------------------------------------------------


def _check_tensors(path: Path, content: Any) -> None:
    """Refuse tensors that are much larger than the bytes behind them (a stride of 0 makes terabytes of four bytes)."""
    total = 0
    for tensor in _tensors_in(content):
        if tensor.layout != torch.strided:
            raise InputError(f"{path}: it holds a {tensor.layout} tensor; weights are dense.")
        num_bytes = tensor.numel() * tensor.element_size()
        total += num_bytes
        if num_bytes > tensor.untyped_storage().nbytes() or total > MAX_BYTES:
            raise InputError(f"{path}: its tensors claim {total:,} bytes or more, which the file does not hold.")


def _tensors_in(content: Any) -> Iterator[Tensor]:
    seen: set[int] = set()
    rest = [content]
    while rest:  # no recursion: a pickle may nest as deep as it likes, and share what it nests
        item = rest.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, Mapping):
            rest.extend(item.values())
        elif isinstance(item, (list, tuple)):
            rest.extend(item)


def text_beside(path: Path, names: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield the small text files of these names in the folder of `path`."""
    for name in names:
        beside = path.parent / name
        if beside.is_file() and beside.stat().st_size < 1 << 20:
            yield beside, beside.read_text(encoding="utf-8", errors="replace")
