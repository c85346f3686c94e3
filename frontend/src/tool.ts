import "./elements/image-picker";
import "./elements/model-scene";
import "./elements/tool-executor";
