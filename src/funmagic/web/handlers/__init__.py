"""One module a page: parse, ask the services, draw."""
