"""What the owner of a failed task is told, by type of error. English message ids."""

from __future__ import annotations

from typing import Final

from funmagic.core.i18n import N_
from funmagic.providers.contract import Trouble

PROVIDER_TIMEOUT: Final = N_("AI service timed out. Credits refunded.")
PROVIDER_ERROR: Final = N_("AI service error. Please try again.")
INVALID_INPUT: Final = N_("Invalid input. Please check your settings.")
REFUSED: Final = N_("The AI service declined this content. Credits refunded.")
INTERNAL: Final = N_("Something went wrong on our side. Credits refunded.")
CANCELLED: Final = ("cancelled", N_("You cancelled this. Credits refunded."))

BY_TROUBLE: Final[dict[Trouble, tuple[str, str]]] = {
    Trouble.BUSY: ("provider_error", PROVIDER_ERROR),
    Trouble.BROKEN: ("provider_error", PROVIDER_ERROR),
    Trouble.UNAUTHORISED: ("provider_error", PROVIDER_ERROR),
    Trouble.TIMEOUT: ("provider_timeout", PROVIDER_TIMEOUT),
    Trouble.REFUSED: ("refused", REFUSED),
    Trouble.INVALID: ("invalid_input", INVALID_INPUT),
}
