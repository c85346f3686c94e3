"""Reports: what joins domains and only reads."""
