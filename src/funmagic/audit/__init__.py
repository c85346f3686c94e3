"""Who did what to whom: acts of admins, and what touches an account's safety."""
