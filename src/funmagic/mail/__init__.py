"""Mail that leaves if its transaction commits, sent by a job until it is accepted."""
