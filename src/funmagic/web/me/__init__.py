"""JSON of one's own account: what joins accounts with credits and files."""
