"""Which providers of identities are on: those whose keys are set."""

from __future__ import annotations

from functools import cached_property

from funmagic.accounts.oauth.apple import Apple
from funmagic.accounts.oauth.contract import Way
from funmagic.accounts.oauth.facebook import Facebook
from funmagic.accounts.oauth.google import Google
from funmagic.accounts.oauth.wire import Wire
from funmagic.core.errors import NotFound
from funmagic.core.settings import Settings


def methods(settings: Settings) -> tuple[str, ...]:
    """The providers people may choose from here, in the order they are shown."""
    clients = {
        "google": settings.google_client_id,
        "facebook": settings.facebook_client_id,
        "apple": settings.apple_client_id,
    }
    return tuple(name for name, client_id in clients.items() if client_id)


class Ways:
    """The providers that are on, each made once with what it remembers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.names = methods(settings)

    def named(self, name: str) -> Way:
        """Raises :class:`NotFound` for one that is unknown or off."""
        if name not in self._open:
            raise NotFound
        return self._open[name]

    @cached_property
    def _open(self) -> dict[str, Way]:
        given, ways, wire = self._settings, list[Way](), Wire(self._settings)
        if given.google_client_id and given.google_client_secret:
            ways.append(
                Google(
                    wire,
                    given.google_issuer,
                    client_id=given.google_client_id,
                    secret=given.google_client_secret,
                )
            )
        if given.facebook_client_id and given.facebook_client_secret:
            ways.append(
                Facebook(
                    wire,
                    url=given.facebook_url,
                    graph_url=given.facebook_graph_url,
                    version=given.facebook_graph_version,
                    client_id=given.facebook_client_id,
                    secret=given.facebook_client_secret,
                )
            )
        if given.apple_client_id and given.apple_private_key:
            ways.append(
                Apple(
                    wire,
                    given.apple_issuer,
                    client_id=given.apple_client_id,
                    team_id=given.apple_team_id,
                    key_id=given.apple_key_id,
                    private_key=given.apple_private_key,
                )
            )
        return {way.name: way for way in ways}
