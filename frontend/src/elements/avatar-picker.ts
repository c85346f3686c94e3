// One's own picture: chosen, looked at as it will be cut, then sent; or taken away.
import { type ApiError, api } from "../api";
import { t } from "../i18n";
import { submitUpload } from "../submit-upload";
import { toast } from "../toast";
import { ImagePicker, withTrueType } from "./image-picker";

export class AvatarPicker extends HTMLElement {
  #abort: AbortController | null = null;

  connectedCallback(): void {
    this.addEventListener("image-chosen", () => this.#show("chosen"));
    this.addEventListener("image-refused", (event) => this.#complain((event as CustomEvent<string>).detail));
    this.addEventListener("click", (event) => {
      const act = (event.target as Element).closest<HTMLElement>("[data-act]")?.dataset["act"];
      if (act === "choose") this.#picker.open();
      if (act === "save") void this.#save();
      if (act === "give-up") this.#giveUp();
      if (act === "remove") void this.#remove();
    });
  }

  get #picker(): ImagePicker {
    return this.querySelector<ImagePicker>("image-picker")!;
  }

  async #save(): Promise<void> {
    const file = this.#picker.file;
    if (!file || this.#abort) return;
    this.#complain("");
    this.#abort = new AbortController();
    const bar = this.querySelector("progress")!;
    this.#show("sending");
    try {
      const assetId = await submitUpload(
        await withTrueType(file),
        "avatar",
        (share) => (bar.value = share * 100),
        this.#abort.signal,
      );
      const { avatarUrl } = await api<{ avatarUrl: string }>("PUT", "/api/me/avatar", { assetId });
      this.#picker.clear();
      this.#shown(avatarUrl);
      toast("success", t("Your picture is saved"));
    } catch (error) {
      this.#show("chosen");
      if ((error as ApiError).type !== "aborted") this.#complain(said(error as ApiError));
    } finally {
      this.#abort = null;
    }
  }

  async #remove(): Promise<void> {
    this.#complain("");
    try {
      await api("DELETE", "/api/me/avatar");
      this.#shown(null);
      toast("success", t("Your picture is removed"));
    } catch (error) {
      this.#complain(said(error as ApiError));
    }
  }

  #giveUp(): void {
    this.#abort?.abort();
    this.#picker.clear();
    this.#complain("");
    this.#show(this.dataset["kept"] as "none" | "some");
    this.#focus("choose");
  }

  // Everywhere on the page, the header included.
  #shown(url: string | null): void {
    for (const place of document.querySelectorAll<HTMLElement>("[data-avatar]")) {
      const image = place.querySelector("img")!;
      image.hidden = url === null;
      if (url !== null) image.src = url;
      place.querySelector<HTMLElement>("[data-initial]")!.hidden = url !== null;
    }
    this.dataset["kept"] = url === null ? "none" : "some";
    this.#show(url === null ? "none" : "some");
    this.#focus("choose");
  }

  #show(stage: "none" | "some" | "chosen" | "sending"): void {
    if (stage === "chosen") this.#complain("");
    for (const part of this.querySelectorAll<HTMLElement>("[data-stages]")) {
      part.hidden = !part.dataset["stages"]!.split(" ").includes(stage);
    }
    if (stage === "chosen") this.#focus("save");
  }

  #focus(act: string): void {
    [...this.querySelectorAll<HTMLElement>(`[data-act="${act}"]`)].find((each) => each.offsetParent)?.focus();
  }

  #complain(text: string): void {
    const place = this.querySelector<HTMLElement>("[data-complaint]")!;
    place.textContent = text;
    place.hidden = !text;
  }
}

function said(error: ApiError): string {
  return Object.values(error.fields)[0] ?? error.message;
}

customElements.define("avatar-picker", AvatarPicker);
