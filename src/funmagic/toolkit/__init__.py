"""What a tool plug-in sees, and how plug-ins are found. No tables, no users, no money."""
