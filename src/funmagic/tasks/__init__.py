"""A task: one user action at one locked price, from the click to the receipt."""
