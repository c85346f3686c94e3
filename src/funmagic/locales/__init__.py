"""Catalogs, one ``.po`` a locale. ``python -m funmagic.locales`` brings them up to date."""
