"""The built front end: names by content, served from memory and cached for ever.

``npm run build`` in ``frontend/`` writes the folder ``dist`` with a manifest from plain names to
built ones. A file's name changes with its content, so a browser never has to ask again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import CacheControlHeader
from litestar.params import FromPath

from funmagic.core.compression import best_encoding
from funmagic.core.errors import NotFound

DIST = Path(__file__).parent / "dist"
PREFIX = "/static"
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".woff2": "font/woff2",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
ONE_YEAR_S = 31_536_000


class NotBuilt(RuntimeError):
    """The front end has not been built."""

    def __init__(self) -> None:
        super().__init__("The front end is not built: run `npm ci && npm run build` in frontend/.")


@dataclass(frozen=True, slots=True)
class BuiltFile:
    """One file in every encoding it was built in."""

    media_type: str
    plain: bytes = field(repr=False)
    encoded: dict[str, bytes] = field(default_factory=dict, repr=False)

    def best_for(self, accept_encoding: str) -> tuple[bytes, str | None]:
        """The smallest form a client takes, with its ``Content-Encoding``."""
        encoding = best_encoding(accept_encoding.encode("latin-1"))
        if encoding in self.encoded:
            return self.encoded[encoding], encoding
        return self.plain, None


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """Everything the build wrote, read once."""

    manifest: dict[str, str]
    imports: dict[str, list[str]]
    icons: dict[str, str]
    files: dict[str, BuiltFile]

    def url(self, name: str) -> str:
        """The address of a built file by its plain name. Raises KeyError for an unknown one."""
        return f"{PREFIX}/{self.manifest[name]}"

    def has(self, name: str) -> bool:
        return name in self.manifest

    def preloads(self, name: str) -> list[str]:
        """The addresses of what a script imports, so that a browser can fetch them at once."""
        return [f"{PREFIX}/{built}" for built in self.imports.get(name, [])]


@cache
def front_end() -> FrontEnd:
    """The built front end. Raises :class:`NotBuilt`."""
    try:
        entries = json.loads((DIST / "manifest.json").read_text())
        icons = json.loads((DIST / "icons.json").read_text())
    except FileNotFoundError:
        raise NotBuilt from None
    manifest = {name: built for name, built in entries.items() if isinstance(built, str)}
    imports = {
        name.removesuffix(":imports"): built
        for name, built in entries.items()
        if name.endswith(":imports")
    }
    files = {
        path.name: _read(path)
        for path in DIST.iterdir()
        if path.suffix in MEDIA_TYPES and path.is_file()
    }
    return FrontEnd(manifest, imports, icons, files)


def _read(path: Path) -> BuiltFile:
    encoded = {}
    for suffix, encoding in ((".br", "br"), (".gz", "gzip")):
        twin = path.with_name(path.name + suffix)
        if twin.exists():
            encoded[encoding] = twin.read_bytes()
    return BuiltFile(MEDIA_TYPES[path.suffix], path.read_bytes(), encoded)


@get(f"{PREFIX}/{{name:str}}", cache_control=CacheControlHeader(public=True, max_age=ONE_YEAR_S))
async def serve_static(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
    """A built file, in the smallest encoding the browser takes."""
    file = front_end().files.get(name)
    if file is None:
        raise NotFound
    content, encoding = file.best_for(request.headers.get("accept-encoding", ""))
    headers = {"Vary": "Accept-Encoding"}
    if encoding:
        headers["Content-Encoding"] = encoding
    return Response(content, media_type=file.media_type, headers=headers)
