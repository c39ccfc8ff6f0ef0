"""Base class of augmentations: random changes of training images."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["intensity", "affine", "displacement", "pixels"]
"""Order of application: ``intensity`` first, then all geometric augmentations in one resampling (``affine`` ones as one
matrix, then ``displacement`` of its grid), ``pixels`` last; within a stage in the recipe's order."""

Probability = Annotated[
    float, Field(ge=0, le=1, description="Probability for each image.", json_schema_extra={"step": 0.05})
]


class Augmentation(BaseModel):
    """Parameters of an augmentation, and its code for exported PyTorch programs.

    The code is a Jinja2 template of the fields. The engine computes each augmentation in ``engine/data/augment.py``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str

    title: ClassVar[str]
    stage: ClassVar[Stage]
    torch_code: ClassVar[str]
    """Statements that change ``images`` (``move`` where the stage is affine, ``grid`` where it is displacement)."""
    keras_remark: ClassVar[str] = "this program leaves it out"
    """Remark of an exported Keras program on the missing augmentation."""
