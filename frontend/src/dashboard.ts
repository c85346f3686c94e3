// The back office: forms that become JSON, and switches with immediate effect.
import "./dashboard/switches";
import "./elements/config-form";
import "./elements/json-form";
