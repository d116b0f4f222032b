"""The types of what a run records: rows of metrics, the manifest, and the provenance inside the picture.

Other fields are kept as they are, such as a fact that a later version adds. The terms of the loss are a row's other fields.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(ge=0, lt=1e12)]
Name = Annotated[str, Field(max_length=4096)]
Term = float | None  # null where it is not finite
MAX_TERMS = 100  # of a row: each is a curve on the page of the run
Facts = dict[Name, Name | bool | Count | None]


class _Record(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class Row(_Record):
    """A line of metrics.jsonl: the state after one step. Further fields are the weighted terms of the loss."""

    __pydantic_extra__: dict[Name, Term] = Field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]
    step: Count
    scale: Count
    size: Count
    seconds: Seconds
    loss: Term
    frame: Count = 0

    @model_validator(mode="after")
    def _check_terms(self) -> "Row":
        if len(self.__pydantic_extra__) > MAX_TERMS:
            raise ValueError(f"a row of at most {MAX_TERMS} terms")
        return self


class Input(_Record):
    """A picture that the run was given."""

    source: str = ""
    sha256: Name | None = None


class Params(_Record):
    """The parameters of the network."""

    name: Name | None = None
    sha256: Name | None = None


class Format(_Record):
    """The field that is looked at first: what the others are depends on it."""

    format: int | None = None


class Manifest(_Record):
    """manifest.json: see `nst_jax.runs.manifest`."""

    format: int
    status: Literal["running", "finished", "interrupted", "failed"]
    started: Name | None = None
    error: str | None = None
    command: list[str] = []
    directory: str | None = None
    versions: dict[Name, Name | None] = {}
    device: Facts = {}
    git: Facts | None = None
    seed: int | None = None
    inputs: dict[Name, Input] = {}
    params: Params = Params()
    notices: list[str] = []
    steps: Count | None = None
    seconds: dict[Name, Seconds] = {}
    recoveries: Count | None = None
    peak_memory_bytes: dict[Name, Count | None] = {}
    peak_bytes_per_pixel: dict[Name, Count | None] = {}
    scores: dict[Name, Term] = {}


class _Hashed(_Record):
    """A file by its hash; None for what is in no file."""

    sha256: Name | None


class Begun(_Record):
    """What a run began with, which the manifest of a run to be resumed must say besides."""

    started: Name
    versions: dict[Name, Name | None]
    device: Facts
    settings: dict[Name, Any]
    inputs: dict[Name, _Hashed]
    params: _Hashed


class Provenance(_Record):
    """The record in the text of result.png, beside the settings."""

    format: int
    versions: dict[Name, Name | None]
    device: Facts
    seed: int
    steps: Annotated[int, Field(ge=1, lt=2**53)]
    inputs: dict[Name, Name]
    params: Name | None
