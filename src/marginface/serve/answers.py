"""What the service answers: the schema of the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Why a request was not served."""

    detail: str = Field(description="One sentence that says what is wrong and what to do.")


class Health(BaseModel):
    """Whether the service serves; nothing of who is enrolled."""

    status: Literal["ok"]
    version: str
    keys_needed: bool


class Photograph(BaseModel):
    """One photograph, upright."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    faces_found: int = Field(description="By the detector, of which fewer may have been asked for.")


class Box(BaseModel):
    """In pixels of the upright photograph; it may reach beyond it."""

    left: float
    top: float
    width: float
    height: float


class Face(BaseModel):
    """Where a face is."""

    photograph: int = Field(description="Position in the request, from 0.")
    box: Box | None = Field(description="None where the picture was an aligned crop already.")
    landmarks: list[tuple[float, float]] | None = Field(description="Eyes, nose, mouth corners: x, y in pixels.")
    confidence: float | None = Field(description="Of the detector, 0 to 1.")
    eye_distance: float | None = Field(description="Pixels between the eyes.")


class Detected(BaseModel):
    photographs: list[Photograph]
    faces: list[Face]


class EmbeddedFace(Face):
    vector: list[float] = Field(description="As the model gave it, not normalised.")
    norm: float = Field(description="The vector's length.")


class Embedded(BaseModel):
    model: str
    fingerprint: str = Field(description="Only vectors of one fingerprint and flip policy can be compared.")
    flip: Literal["none", "sum"]
    photographs: list[Photograph]
    faces: list[EmbeddedFace]


class ScoredFace(Face):
    quality: dict[str, float | None] = Field(description="By method, higher is better; None where it has no value.")


class Scored(BaseModel):
    photographs: list[Photograph]
    faces: list[ScoredFace]


class Verified(BaseModel):
    decision: Literal["same", "different", "cannot tell"] | None = Field(
        description="None where the model's card has no threshold: then there is a score and no answer."
    )
    score: float | None = Field(description="Cosine, -1 to 1; None where a photograph shows no face.")
    threshold: float | None
    fmr: float | None = Field(description="False match rate that the threshold was calibrated for.")
    boxes: list[Box | None] = Field(description="Of the two faces that were compared.")
    faces_found: list[int]
    notes: list[str]


class Candidate(BaseModel):
    rank: int
    name: str
    score: float


class FoundFace(Face):
    answer: Literal["known", "unknown", "cannot tell", "not decided"] = Field(
        description="'cannot tell': the face is too small; 'not decided': there is no threshold."
    )
    name: str | None = Field(description="Only where the answer is 'known'.")
    score: float | None = Field(description="Of the best candidate; None in an empty gallery.")
    quality: float | None = Field(description="In the gallery's unit.")
    candidates: list[Candidate]


class Found(BaseModel):
    threshold: float | None
    point: str = Field(description="Where the threshold comes from and what it promises.")
    quality: str = Field(description="The method behind the faces' quality.")
    photographs: list[Photograph]
    faces: list[FoundFace]


class LeftOut(BaseModel):
    photograph: int
    why: str


class Enrolled(BaseModel):
    person_id: str
    name: str
    images_added: int
    images_in_all: int
    left_out: list[LeftOut]


class EnrolledPerson(BaseModel):
    person_id: str = Field(description="32 hex digits, random.")
    name: str
    images: int


class People(BaseModel):
    total: int
    people: list[EnrolledPerson] = Field(description="By name.")


class Removed(BaseModel):
    person_id: str
    images: int
    audit_entry: int
