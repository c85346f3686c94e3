"""FunMagic: a self-hostable storefront for AI tools."""

from importlib.metadata import version

__version__ = version("funmagic")
