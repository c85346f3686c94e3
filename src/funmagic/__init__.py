"""FunMagic: a self-hostable storefront for AI tools."""
