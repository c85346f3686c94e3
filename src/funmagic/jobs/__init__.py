"""Jobs: the outbox, the relay, the queue and the schedules. The queue dispatches; it knows nothing.

PostgreSQL holds what is to be done. A job names it by id, may come twice, late or never, and losing
all of them loses nothing.
"""
