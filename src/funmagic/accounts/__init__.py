"""Users, their sessions, and the ways in."""
