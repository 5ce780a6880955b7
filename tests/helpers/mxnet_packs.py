"""RecordIO packs as mxnet and insightface write them, byte by byte and on their own: the oracle of the reader."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = struct.pack("<I", 0xCED7230A)


def dmlc_record(payload: bytes) -> bytes:
    """Frame a payload as dmlc-core's `RecordIOWriter::WriteRecord` does."""
    out, start = b"", 0
    for place in range(0, len(payload) // 4 * 4, 4):
        if payload[place : place + 4] == MAGIC:
            part = payload[start:place]
            out += MAGIC + struct.pack("<I", (2 if start else 1) << 29 | len(part)) + part
            start = place + 4
    last = payload[start:]
    return out + MAGIC + struct.pack("<I", (3 if start else 0) << 29 | len(last)) + last + bytes(-len(last) % 4)


def image_payload(label, image: bytes, number: int = 0) -> bytes:
    """IRHeader and image; a list of labels is written as an array."""
    if isinstance(label, (list, tuple)):
        return struct.pack(f"<IfQQ{len(label)}f", len(label), 0.0, number, 0, *label) + image
    return struct.pack("<IfQQ", 0, float(label), number, 0) + image


def write_pack(folder: Path, payloads: list[bytes], *, keys=None, prop: str | None = None, name="train") -> Path:
    """Write `.rec`, `.idx` and perhaps `property`, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = range(len(payloads)) if keys is None else keys
    rec, idx = b"", ""
    for key, payload in zip(keys, payloads, strict=True):
        idx += f"{key}\t{len(rec)}\n"
        rec += dmlc_record(payload)
    (folder / f"{name}.rec").write_bytes(rec)
    (folder / f"{name}.idx").write_text(idx)
    if prop is not None:
        (folder / "property").write_text(prop)
    return folder


def header_pack(people: list[list[bytes]], *, image_label=None) -> list[bytes]:
    """Return the payloads of an insightface pack: header, images by person, identity records."""
    label_of = image_label or (lambda person: person)
    num = sum(map(len, people))
    payloads = [image_payload([num + 1, num + 1 + len(people)], b"")]
    ranges, key = [], 1
    for person, images in enumerate(people):
        payloads += [image_payload(label_of(person), image, key + i) for i, image in enumerate(images)]
        ranges.append([key, key + len(images)])
        key += len(images)
    return payloads + [image_payload(bounds, b"") for bounds in ranges]
