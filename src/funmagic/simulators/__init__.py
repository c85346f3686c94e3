"""Servers that speak the wire protocols of AI vendors, for tests and demonstrations without a key.

They are servers and not mocks: a client finds them at an address, over HTTP or HTTPS, and meets
whatever trouble it was told to meet by their control routes. They share no code with the adapters,
so that both cannot be wrong in the same way, and they reach out to nobody.
"""
