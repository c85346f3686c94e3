"""What a person is told about a field that pydantic refused, in our own words."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from funmagic.core.i18n import N_

NOT_VALID: Final = N_("This value is not valid.")

# By pydantic's types of errors.
MESSAGES: Final = {
    "missing": N_("This is required."),
    "string_too_short": N_("This is required."),
    "string_too_long": N_("This text is too long."),
    "string_pattern_mismatch": N_("Lower-case letters, digits and single hyphens only."),
    "too_short": N_("Add at least one."),
    "too_long": N_("This is one too many."),
    "extra_forbidden": N_("There is no such setting."),
    "literal_error": N_("This is not one of the choices."),
    "enum": N_("This is not one of the choices."),
    "greater_than_equal": N_("This number is too small."),
    "greater_than": N_("This number is too small."),
    "less_than_equal": N_("This number is too large."),
    "less_than": N_("This number is too large."),
    "int_type": N_("This must be a whole number."),
    "int_parsing": N_("This must be a whole number."),
    "int_from_float": N_("This must be a whole number."),
    "float_type": N_("This must be a number."),
    "float_parsing": N_("This must be a number."),
}


def fields_of(
    error: ValidationError, place: str = "", *, quotes_nothing: bool = False
) -> dict[str, str]:
    """Message ids by place in the JSON; what a list says beside its own wrong items is left out.

    A list that is too long errs in its first item too many. What a model's own validators say are
    message ids. With ``quotes_nothing`` neither those nor unknown names get out: for secrets.
    """
    found = dict(_field_of(item, quotes_nothing) for item in error.errors(include_input=False))
    fields = {".".join(filter(None, (place, name))): text for name, text in found.items()}
    return {
        name: text
        for name, text in fields.items()
        if not any(other.startswith(f"{name}.") for other in fields)
    }


def _field_of(item: ErrorDetails, quotes_nothing: bool) -> tuple[str, str]:
    place = ".".join(str(part) for part in item["loc"])
    kind, about = item["type"], item.get("ctx", {})
    if quotes_nothing and kind == "extra_forbidden":
        return place.rpartition(".")[0], MESSAGES[kind]
    if kind == "too_long" and "max_length" in about:
        return f"{place}.{about['max_length']}", MESSAGES[kind]
    if kind == "value_error" and not quotes_nothing:
        return place, str(about["error"])
    return place, MESSAGES.get(kind, NOT_VALID)
