"""Credits: the ledger. Hold, capture, release, grant, adjust, take back."""
