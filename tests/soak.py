"""How often the tests that repeat themselves do so: a round in ``bin/test``, all in ``bin/soak``.

``FUNMAGIC_SOAK`` is the share of the whole that is wanted: unset for a round, 1 for all of it,
0.05 for a twentieth. ``FUNMAGIC_SEED`` makes tests that draw lots draw the same ones again; they
name theirs where they fail. Both are read here and nowhere else.
"""

from __future__ import annotations

import os
import secrets
from typing import Final

SHARE: Final = float(os.environ.get("FUNMAGIC_SOAK") or 0)
SEED: Final = int(os.environ.get("FUNMAGIC_SEED") or secrets.randbits(32))


def rounds(test: int, soak: int) -> int:
    """``test`` repeats in ``bin/test``; the wanted share of ``soak``, and no fewer, in a soak.

    For times as well: a test that needs long says ``@pytest.mark.timeout(rounds(300, 36_000))``.
    """
    return max(test, round(soak * SHARE))
