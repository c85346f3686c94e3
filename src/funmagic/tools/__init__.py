"""Tool plug-ins: each package in this folder exposes ``TOOL``. Nobody imports one by name."""
