"""What the operator says on the pages: banners."""
