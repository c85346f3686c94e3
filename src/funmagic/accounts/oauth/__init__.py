"""Signing in by an account elsewhere: Google, Facebook, Apple.

``ways`` says which are on; each is a module of its own that knows where people are sent and who an
answer says they are. ``attempts`` keeps what must survive the round trip, ``service`` decides what
an answer means for accounts here, ``api`` is the way there and back.
"""
