"""One module a vendor; each exposes ``ADAPTER``, a subclass of ``providers.contract.Adapter``."""
