"""What vendors can do for us: the contract, their credentials, and the record of every call."""
