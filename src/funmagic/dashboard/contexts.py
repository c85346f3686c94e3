"""What the dashboard's templates may read. ``section`` is the entry of the side bar one is in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from funmagic.dashboard.api.providers import ProviderView
from funmagic.dashboard.api.tools import AdminTool
from funmagic.dashboard.api.users import PersonView
from funmagic.dashboard.forms import ToolForm
from funmagic.reports.overview import Overview
from funmagic.web.contexts import Tone


@dataclass(frozen=True, slots=True)
class Status:
    """A badge: its words in the page's language, its colour, its icon."""

    label: str
    tone: Tone
    icon: str


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider in a list. ``message`` says why one does not work, ``warnings`` are sentences;
    ``last_check`` None: never tested."""

    path: str
    label: str
    capabilities: tuple[str, ...]
    status: Status
    message: str
    is_simulated: bool
    last_check: datetime | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OverviewView:
    """Numbers of the last 24 hours, and of now."""

    counts: Overview
    providers: tuple[ProviderRow, ...]
    section: str = "overview"


@dataclass(frozen=True, slots=True)
class ToolRow:
    """A tool in the list. ``prices`` are whole credits, in the order of its steps; a broken tool is
    not offered, active or not."""

    path: str
    api_path: str
    title: str
    slug: str
    type: str
    picture: str | None
    prices: tuple[int, ...]
    usage_count: int
    is_broken: bool
    is_active: bool
    is_featured: bool


@dataclass(frozen=True, slots=True)
class ToolsView:
    rows: tuple[ToolRow, ...]
    q: str
    older_path: str | None
    is_first_page: bool
    section: str = "tools"


@dataclass(frozen=True, slots=True)
class Option:
    """An entry of a selection."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class NewToolView:
    implementations: tuple[Option, ...]
    types: tuple[Option, ...]
    section: str = "tools"


@dataclass(frozen=True, slots=True)
class TranslatedTool:
    """A tool's words in one language: those of its own, and those shown where it has none."""

    locale: str
    language: str
    own: dict[str, str]
    shown: dict[str, str]


@dataclass(frozen=True, slots=True)
class ToolView:
    """A tool and its form. ``models`` is what the browser needs to follow a choice of provider:
    by step, then by provider. ``config`` is what of the stored one can be drawn, by step;
    ``broken`` says why the tool is not offered, be there a form or not."""

    tool: AdminTool
    picture: str | None
    types: tuple[Option, ...]
    translations: tuple[TranslatedTool, ...]
    preview_path: str
    config: dict[str, Any]
    form: ToolForm | None
    models: dict[str, dict[str, Any]]
    broken: str = ""
    section: str = "tools"


@dataclass(frozen=True, slots=True)
class ProvidersView:
    rows: tuple[ProviderRow, ...]
    section: str = "providers"


@dataclass(frozen=True, slots=True)
class ProviderEditView:
    """A provider and its form; ``takes_address`` where a simulator may be named."""

    provider: ProviderView
    status: Status
    capabilities: tuple[str, ...]
    takes_address: bool
    config_text: str
    section: str = "providers"


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person in the list. ``is_leaving``: they asked to be erased."""

    path: str
    email: str
    name: str
    role: str
    tone: Tone
    is_verified: bool
    is_leaving: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class UsersView:
    """``role`` is the one shown alone, "" for all."""

    rows: tuple[PersonRow, ...]
    q: str
    role: str
    roles: tuple[Option, ...]
    newest_path: str
    older_path: str | None
    is_first_page: bool
    section: str = "users"


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task of somebody: what it was and how it went, not what it made."""

    title: str
    status: str
    tone: Tone
    price_credits: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ActLine:
    """An act in words; ``by`` is the address of whoever did it, "" where nobody was signed in."""

    words: str
    icon: str
    detail: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class UserView:
    """A person. ``acts`` happened to the account, ``done`` are the person's to something else;
    ``providers`` are names of accounts elsewhere that sign them in."""

    person: PersonView
    row: PersonRow
    roles: tuple[Option, ...]
    may_change_role: bool
    providers: list[str]
    tasks: tuple[TaskRow, ...]
    sign_ins: tuple[ActLine, ...]
    acts: tuple[ActLine, ...]
    done: tuple[ActLine, ...]
    section: str = "users"


DashboardView = (
    OverviewView
    | ToolsView
    | NewToolView
    | ToolView
    | ProvidersView
    | ProviderEditView
    | UsersView
    | UserView
)
