// The home page and the catalog.
import "./elements/banner-carousel";
import "./elements/catalog-filters";
