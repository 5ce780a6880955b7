"""MindSpore's `.ckpt`, read without MindSpore: a protocol buffer, of which three messages matter.

    Checkpoint   repeated Value value = 1
    Value        string tag = 1, TensorProto tensor = 2
    TensorProto  repeated int64 dims = 1, string tensor_type = 2, bytes tensor_content = 3

Protocol buffers are sequences of (field number, wire type) and a value; see protobuf.dev/programming-guides/encoding.
A large tensor comes as several values of one tag, whose contents follow one another.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from marginface.errors import InputError

_TYPES = {
    "Float16": torch.float16,
    "Float32": torch.float32,
    "Float64": torch.float64,
    "BFloat16": torch.bfloat16,
    "Int8": torch.int8,
    "Int16": torch.int16,
    "Int32": torch.int32,
    "Int64": torch.int64,
    "UInt8": torch.uint8,
    "Bool": torch.bool,
}
_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_VALUE, _TAG, _TENSOR, _DIMS, _TYPE, _CONTENT = 1, 1, 2, 1, 2, 3


def is_mindspore_checkpoint(head: bytes) -> bool:
    """Return whether a file that begins so can be one: a length-delimited field 1 with a field 1 of text in it."""
    if head[:1] != b"\x0a":
        return False
    try:
        start = _varint(head, 1, len(head))[1]
        return head[start : start + 1] == b"\x0a" and _varint(head, start + 1, len(head))[0] < 1024
    except ValueError:
        return False


def read_mindspore_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by their names in the file.

    Raises:
        InputError: a tensor type that torch lacks, or contents that do not fill their shape.
        ValueError: bytes that are not such a protocol buffer, or end too early.
    """
    pieces: dict[str, tuple[str, tuple[int, ...], list[tuple[int, int]]]] = {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        for number, _, (start, end) in _fields(buffer, 0, len(buffer)):
            if number != _VALUE:
                continue
            tag, tensor = "", None
            for inner, _, (first, last) in _fields(buffer, start, end):
                if inner == _TAG:
                    tag = buffer[first:last].decode("utf-8")
                elif inner == _TENSOR:
                    tensor = _tensor(buffer, first, last)
            if tensor is not None:
                kind, dims, span = tensor
                pieces.setdefault(tag, (kind, dims, []))[2].append(span)
        return {tag: _joined(path, tag, buffer, *piece) for tag, piece in pieces.items()}


def _tensor(buffer: mmap.mmap, start: int, end: int) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    kind, dims, content = "", [], (start, start)
    for number, wire, (first, last) in _fields(buffer, start, end):
        if number == _DIMS and wire == _VARINT:
            dims.append(_varint(buffer, first, last)[0])
        elif number == _DIMS:  # packed
            while first < last:
                value, first = _varint(buffer, first, last)
                dims.append(value)
        elif number == _TYPE:
            kind = buffer[first:last].decode("utf-8")
        elif number == _CONTENT:
            content = (first, last)
    return kind, tuple(dims), content


def _joined(
    path: Path, tag: str, buffer: mmap.mmap, kind: str, dims: tuple[int, ...], spans: list[tuple[int, int]]
) -> Tensor:
    dtype = _TYPES.get(kind.removeprefix("mindspore.").replace("float", "Float").replace("int", "Int"))
    if dtype is None:
        raise InputError(f"{path}: {tag} is of type {kind!r}, which is not read; save it as Float32.")
    content = bytearray().join(buffer[first:last] for first, last in spans)
    if len(content) != math.prod(dims) * dtype.itemsize:
        raise InputError(f"{path}: {tag} has {len(content):,} bytes, which do not fill {dims} of {kind}; get it again.")
    return torch.frombuffer(content, dtype=dtype).reshape(dims) if content else torch.empty(dims, dtype=dtype)


def _fields(buffer: bytes | mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Yield (field number, wire type, where its value begins and ends)."""
    while start < end:
        key, start = _varint(buffer, start, end)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            first, (_, last) = start, _varint(buffer, start, end)
        elif wire == _LENGTH:
            length, first = _varint(buffer, start, end)
            last = first + length
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            first, last = start, start + (8 if wire == _EIGHT_BYTES else 4)
        else:
            raise ValueError(f"no protocol buffer has a wire type {wire}")
        if last > end or number == 0:
            raise ValueError("a field ends after what holds it")
        yield number, wire, (first, last)
        start = last


def _varint(buffer: bytes | mmap.mmap, start: int, end: int) -> tuple[int, int]:
    """Return the number at `start`, seven bits a byte with the lowest first, and where it ends."""
    value = 0
    for i in range(10):
        if start + i >= end:
            raise ValueError("the file ends within a number")
        byte = buffer[start + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, start + i + 1
    raise ValueError("a number of more than 64 bits")
