// A 3D model to turn and look at. The viewer is large, so it is loaded only where a model is shown;
// where it cannot be (no WebGL, a file that cannot be had) its picture stays, with words.
import { t } from "../i18n";
import type { Viewer } from "../viewer";

// A relief has a front only: it may be turned this far to each side.
const RELIEF_TURN_DEG = 30;

export class ModelScene extends HTMLElement {
  #viewer: Viewer | null = null;

  connectedCallback(): void {
    if (this.#viewer || this.dataset["state"]) return;
    this.#ref("reset-camera").addEventListener("click", () => void this.#reset());
    this.#ref("again").addEventListener("click", () => void this.#open());
    void this.#open();
  }

  async #open(): Promise<void> {
    if (!hasWebGl()) {
      this.#say("no-webgl", t("This browser cannot show 3D models. You can still download the model and open it elsewhere."));
      return;
    }
    this.#say("loading", "");
    try {
      const { createViewer } = await import("../viewer");
      if (this.isConnected) this.#show(createViewer());
    } catch {
      this.#fail();
    }
  }

  #show(viewer: Viewer): void {
    this.#viewer?.remove();
    this.#viewer = viewer;
    viewer.alt = this.dataset["alt"]!;
    viewer.a11y = JSON.stringify(spoken());
    viewer.cameraControls = true;
    viewer.touchAction = "pan-y";
    viewer.shadowIntensity = 0.9;
    viewer.shadowSoftness = 0.8;
    viewer.interactionPrompt = "none";
    viewer.cameraOrbit = this.#firstOrbit;
    if (this.isRelief) {
      viewer.minCameraOrbit = `-${RELIEF_TURN_DEG}deg ${90 - RELIEF_TURN_DEG}deg auto`;
      viewer.maxCameraOrbit = `${RELIEF_TURN_DEG}deg ${90 + RELIEF_TURN_DEG}deg auto`;
    }
    viewer.autoRotate = this.#mayMove;
    viewer.addEventListener("progress", (event: Event) =>
      this.#loaded((event as CustomEvent<{ totalProgress: number }>).detail.totalProgress),
    );
    viewer.addEventListener("load", () => void this.#painted());
    viewer.addEventListener("error", () => this.#fail());
    // In place of the buttons for glasses, which nobody here can press but a keyboard would reach.
    viewer.append(...["ar-button", "exit-webxr-ar-button"].map(unused));
    viewer.src = this.dataset["src"]!;
    this.#ref("scene").append(viewer);
  }

  get isRelief(): boolean {
    return this.hasAttribute("data-relief");
  }

  get #firstOrbit(): string {
    return this.isRelief ? "0deg 90deg auto" : "-25deg 75deg auto";
  }

  // A relief would turn its empty back; `data-still` on the page is for those who take its picture.
  get #mayMove(): boolean {
    const isStill = matchMedia("(prefers-reduced-motion: reduce)").matches || "still" in document.documentElement.dataset;
    return !isStill && !this.isRelief;
  }

  // The viewer takes note of changes only: it is told where it is before it is told where to go.
  async #reset(): Promise<void> {
    const viewer = this.#viewer;
    if (!viewer) return;
    viewer.resetTurntableRotation(0);
    viewer.cameraOrbit = viewer.getCameraOrbit().toString();
    viewer.cameraTarget = viewer.getCameraTarget().toString();
    viewer.fieldOfView = `${viewer.getFieldOfView()}deg`;
    await viewer.updateComplete;
    viewer.cameraOrbit = this.#firstOrbit;
    viewer.cameraTarget = "auto auto auto";
    viewer.fieldOfView = "auto";
  }

  // The picture gives way to the model only when that has been drawn.
  async #painted(): Promise<void> {
    for (let frame = 0; frame < 2; frame += 1) await new Promise(requestAnimationFrame);
    if (this.#viewer) this.#say("ready", "");
  }

  #loaded(share: number): void {
    this.querySelector("progress")!.value = Math.round(share * 100);
  }

  #fail(): void {
    this.#viewer?.remove();
    this.#viewer = null;
    this.#say("failed", t("The 3D model could not be opened here. You can try again, or download it."));
    this.dispatchEvent(new CustomEvent("model-failed", { bubbles: true }));
  }

  #say(state: "loading" | "ready" | "failed" | "no-webgl", trouble: string): void {
    this.dataset["state"] = state;
    this.setAttribute("aria-busy", String(state === "loading"));
    this.#ref("loading").hidden = state !== "loading";
    this.#ref("trouble").hidden = !trouble;
    this.#ref("trouble-text").textContent = trouble;
    this.#ref("again").hidden = state !== "failed";
    this.#ref("hint").hidden = this.#ref("reset-camera").hidden = state !== "ready";
  }

  #ref(name: string): HTMLElement {
    return this.querySelector<HTMLElement>(`[data-ref="${name}"], [data-act="${name}"]`)!;
  }
}

function unused(slot: string): HTMLElement {
  const nothing = document.createElement("span");
  nothing.slot = slot;
  nothing.hidden = true;
  return nothing;
}

function hasWebGl(): boolean {
  try {
    return Boolean(document.createElement("canvas").getContext("webgl2"));
  } catch {
    return false;
  }
}

// What a screen reader hears of the side one looks at.
function spoken(): Record<string, string> {
  return {
    front: t("Seen from the front"),
    back: t("Seen from the back"),
    left: t("Seen from the left"),
    right: t("Seen from the right"),
    "upper-front": t("Seen from above, in front"),
    "upper-back": t("Seen from above, behind"),
    "upper-left": t("Seen from above, left"),
    "upper-right": t("Seen from above, right"),
    "lower-front": t("Seen from below, in front"),
    "lower-back": t("Seen from below, behind"),
    "lower-left": t("Seen from below, left"),
    "lower-right": t("Seen from below, right"),
    "interaction-prompt": t("Turn it with the mouse, by touch or with the arrow keys."),
  };
}

customElements.define("model-scene", ModelScene);
