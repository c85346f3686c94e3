"""What Tripo's image-to-model takes, by model, and what it costs in credits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal


class Refusal(Exception):
    """Tripo's "no": an HTTP status, its own code, and words for a person."""

    def __init__(self, status: int, code: int, message: str, suggestion: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Model:
    """``series`` decides how many tasks run at once; ``takes`` are fields beyond everybody's."""

    series: Literal["H", "P"]
    least_faces: int
    most_faces: int
    bare_credits: int
    textured_credits: int
    takes: frozenset[str]


SWITCHES: Final = frozenset(
    {
        *("texture", "pbr", "auto_size", "quad", "smart_low_poly", "generate_parts"),
        *("enable_image_autofix", "export_uv"),
    }
)
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "texture_quality": ("standard", "detailed", "extreme"),
    "geometry_quality": ("standard", "detailed"),
    "texture_alignment": ("original_image", "geometry"),
    "orientation": ("default", "align_image"),
    "compress": ("geometry",),
}
NUMBERS: Final = frozenset({"face_limit", "model_seed", "texture_seed"})
EVERYBODYS: Final = frozenset(
    {
        *("input", "model", "texture", "pbr", "face_limit", "model_seed", "texture_seed"),
        *("texture_alignment", "orientation", "enable_image_autofix", "export_uv"),
    }
)
OF_V3: Final = frozenset(
    {
        *("texture_quality", "geometry_quality", "auto_size", "quad", "smart_low_poly"),
        *("generate_parts", "compress"),
    }
)
OF_P: Final = frozenset({"texture_quality", "auto_size", "compress"})
MODELS: Final[Mapping[str, Model]] = {
    "v3.1-20260211": Model("H", 1, 1_500_000, 20, 30, OF_V3),
    "v3.0-20250812": Model("H", 1, 1_000_000, 20, 30, OF_V3),
    "v2.5-20250123": Model("H", 1, 500_000, 20, 30, frozenset()),
    "P1-20260311": Model("P", 48, 20_000, 40, 50, OF_P),
    "P2-20260801": Model("P", 48, 50_000, 100, 110, OF_P),
}
LOW_POLY_FACES: Final = (500, 20_000)
QUAD_FACES: Final = 150_000
SURCHARGES: Final[Mapping[tuple[str, Any], int]] = {
    ("texture_quality", "detailed"): 10,
    ("texture_quality", "extreme"): 20,
    ("geometry_quality", "detailed"): 20,
    ("quad", True): 5,
    ("smart_low_poly", True): 10,
    ("generate_parts", True): 20,
}


def check(given: Mapping[str, Any]) -> Model:
    """The model asked for, where everything given is right for it. Raises :class:`Refusal`."""
    model = _model(given)
    for name, value in given.items():
        if name not in EVERYBODYS | model.takes:
            raise _bad(name, f"is not a parameter of {given['model']}")
        _check_value(name, value)
    faces = given.get("face_limit")
    if faces is not None:
        least, most = _face_limits(model, given)
        if not least <= faces <= most:
            raise _bad("face_limit", f"must be between {least} and {most}")
    wears = [name for name in ("texture", "pbr", "quad") if given.get(name, name != "quad")]
    if given.get("generate_parts") and wears:
        raise _bad("generate_parts", f"needs {', '.join(wears)} to be false")
    return model


def is_textured(given: Mapping[str, Any]) -> bool:
    """Whether the mesh has a texture: pbr asks for one, whatever ``texture`` says."""
    return bool(given.get("texture", True) or given.get("pbr", True))


def price_credits(model: Model, given: Mapping[str, Any]) -> int:
    """What Tripo freezes for this task and, where it succeeds, keeps."""
    base = model.textured_credits if is_textured(given) else model.bare_credits
    return base + sum(
        more for (name, value), more in SURCHARGES.items() if given.get(name) == value
    )


def _model(given: Mapping[str, Any]) -> Model:
    name = given.get("model")
    if name is None:
        raise _bad("model", "is required")
    if not isinstance(name, str) or name not in MODELS:
        raise _bad("model", f"must be one of {', '.join(MODELS)}")
    return MODELS[name]


def _check_value(name: str, value: Any) -> None:
    if name in SWITCHES and not isinstance(value, bool):
        raise _bad(name, "must be true or false")
    if name in CHOICES and value not in CHOICES[name]:
        raise _bad(name, f"must be one of {', '.join(CHOICES[name])}")
    if name in NUMBERS and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise _bad(name, "must be a whole number")
    if name == "input" and not isinstance(value, str):
        raise _bad(name, "must be a string")


def _face_limits(model: Model, given: Mapping[str, Any]) -> tuple[int, int]:
    if given.get("smart_low_poly"):
        return LOW_POLY_FACES
    if given.get("quad"):
        return model.least_faces, min(model.most_faces, QUAD_FACES)
    return model.least_faces, model.most_faces


def _bad(name: str, why: str) -> Refusal:
    return Refusal(400, 1004, f"Parameter '{name}' {why}.", "Check the parameters and try again.")
