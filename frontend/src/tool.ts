import "./elements/image-picker";
import "./elements/tool-executor";
