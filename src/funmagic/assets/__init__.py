"""Files: who owns them, where they lie, how they come in and go out."""
