"""The pages: handlers, the typed contexts their templates read, and the built front end."""
