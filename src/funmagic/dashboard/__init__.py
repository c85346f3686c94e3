"""The back office: pages and JSON for admins. All of it is behind ``guards.admin``."""
