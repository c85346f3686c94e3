"""The operator's page says what is true."""

from __future__ import annotations

import re
from pathlib import Path

from funmagic.cli import main
from funmagic.core.settings import SECRET_NAMES, Settings

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| `([A-Z0-9_]+)`( \*secret\*)? \| (.+?) \|", re.MULTILINE)


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = {name: (bool(secret), default) for name, secret, default in ROW.findall(PAGE)}
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    assert set(rows) == set(fields)
    assert {name for name, (is_secret, _) in rows.items() if is_secret} == set(SECRET_NAMES)
    for name, field in fields.items():
        default = rows[name][1]
        if field.is_required():
            assert default == "required", name
        elif field.default in (None, ""):
            assert default in {"none", "the endpoint"}, name
        else:
            shown = field.default
            expected = f"{shown:g}" if isinstance(shown, float) else str(shown)
            assert default == f"`{expected}`", name


def test_every_command_named_exists() -> None:
    named = set(re.findall(r"`?funmagic ([a-z]+)", PAGE))
    assert named - {"up"} <= set(main.commands), named
    assert {"web", "worker", "migrate", "seed", "doctor", "reconcile"} <= named
