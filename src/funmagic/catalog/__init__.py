"""The storefront's shelf: which tools are offered, at what price, by which provider."""
