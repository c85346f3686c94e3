import "./elements/bookmark-button";
import "./elements/image-picker";
import "./elements/model-scene";
import "./elements/rating-stars";
import "./elements/share-button";
import "./elements/tool-executor";
