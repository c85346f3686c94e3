"""What may be set for each of Tripo's models. An option a model does not take is not in its form.

``quad`` is nobody's: with it Tripo makes an FBX, and what we promise is a GLB.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from funmagic.core.i18n import N_
from funmagic.providers.contract import Options

LEAST_FACES = 50
LOW_POLY_FACES = (500, 20_000)


def _faces(most: int) -> Any:
    """The limit of faces a model can be given."""
    return Field(
        default=None,
        ge=LEAST_FACES,
        le=most,
        title=N_("Faces at most"),
        description=N_("Fewer faces make a smaller file. Without a number the model decides."),
    )


class ModelOptions(Options):
    """What every model takes."""

    texture: bool = Field(
        default=True,
        title=N_("Texture"),
        description=N_("Colour the model. Without a texture it is plain, and cheaper."),
    )
    pbr: bool = Field(
        default=True,
        title=N_("Materials that react to light"),
        description=N_("Physically based rendering. Needs a texture."),
    )
    face_limit: int | None = _faces(2_000_000)
    texture_alignment: Literal["original_image", "geometry"] = Field(
        default="original_image",
        title=N_("Texture follows"),
        description=N_("The original image looks like the photo; the geometry fits the shape."),
    )
    orientation: Literal["default", "align_image"] = Field(
        default="default",
        title=N_("Orientation"),
        description=N_("Turn the model as the subject is turned in the picture."),
    )
    enable_image_autofix: bool = Field(
        default=False,
        title=N_("Improve the picture first"),
        description=N_("Slower; helps with poor pictures."),
    )

    def parameters(self) -> dict[str, Any]:
        """As Tripo's SDK wants them. Materials would bring a texture back that is not wanted."""
        given = self.model_dump(exclude_none=True)
        given["pbr"] = self.pbr and self.texture
        return given


class V25Options(ModelOptions):
    face_limit: int | None = _faces(500_000)


class SmallModelOptions(ModelOptions):
    """What the models of the P series take as well."""

    texture_quality: Literal["standard", "detailed", "extreme"] = Field(
        default="standard",
        title=N_("Texture quality"),
        description=N_("Better textures cost more and make larger files."),
    )
    auto_size: bool = Field(
        default=False,
        title=N_("Real size"),
        description=N_("Scale the model to the size of its subject in metres."),
    )


class P1Options(SmallModelOptions):
    face_limit: int | None = _faces(20_000)


class P2Options(SmallModelOptions):
    face_limit: int | None = _faces(50_000)


class V30Options(SmallModelOptions):
    face_limit: int | None = _faces(1_000_000)
    geometry_quality: Literal["standard", "detailed"] = Field(
        default="standard",
        title=N_("Geometry quality"),
        description=N_("A finer shape costs more."),
    )
    smart_low_poly: bool = Field(
        default=False,
        title=N_("Few, well-placed faces"),
        description=N_("For games and slow devices, with 500 to 20,000 faces. Costs more."),
    )

    @model_validator(mode="after")
    def _few_faces_are_few(self) -> V30Options:
        least, most = LOW_POLY_FACES
        if self.smart_low_poly and not least <= (self.face_limit or least) <= most:
            raise ValueError(f"with few, well-placed faces, faces at most is {least} to {most}")
        return self


class V31Options(V30Options):
    face_limit: int | None = _faces(1_500_000)
