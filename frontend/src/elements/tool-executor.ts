// A tool's workplace: choose, submit, follow, see and keep the result. The server draws the stage the
// page opens with; from there this element moves through
// idle → ready → uploading → running → completed | failed.
import { ApiError, type Receipt, type Task, api } from "../api";
import { locale, t, tn } from "../i18n";
import { forget, keep, kept } from "../kept-photo";
import { showLocalTimes } from "../local-times";
import { submitUpload } from "../submit-upload";
import { TaskStream } from "../task-stream";
import { toast } from "../toast";
import { BeforeAfter } from "./before-after";
import { ImagePicker, megabytes, withTrueType } from "./image-picker";
import { SignInDialog } from "./sign-in-dialog";

type Stage = "idle" | "ready" | "uploading" | "running" | "completed" | "failed";

// One press of the button: its key and what it already has, so that a press repeated after a lost
// answer neither uploads nor pays twice.
interface Submit {
  key: string;
  file: File;
  assetId: string | null;
}

export class ToolExecutor extends HTMLElement {
  #submit: Submit | null = null;
  #busy = false;
  #abort: AbortController | null = null;
  #stream: TaskStream | null = null;
  #freshUrls = false;

  connectedCallback(): void {
    this.addEventListener("image-chosen", () => this.#chosen());
    this.addEventListener("image-refused", (event) => this.#refuse((event as CustomEvent<string>).detail));
    this.#on("submit", () => void this.#run());
    this.#on("retry", () => void this.#retry());
    this.#on("other", () => this.picker.open());
    this.#on("clear", () => this.#startOver());
    this.#on("start-over", () => this.#startOver());
    this.#on("cancel-upload", () => this.#abort?.abort());
    document.addEventListener("paste", (event) => this.#paste(event));
    for (const image of this.querySelectorAll<HTMLImageElement>("before-after img")) {
      image.addEventListener("error", () => void this.#refreshUrls());
    }
    void this.#begin();
  }

  disconnectedCallback(): void {
    this.#stream?.stop();
  }

  get picker(): ImagePicker {
    return this.querySelector("image-picker") as ImagePicker;
  }

  get stage(): Stage {
    return this.dataset["stage"] as Stage;
  }

  get field(): string {
    return this.dataset["field"]!;
  }

  get isSignedIn(): boolean {
    return this.hasAttribute("data-signed-in");
  }

  async #begin(): Promise<void> {
    if (this.stage === "running") this.#follow(this.dataset["task"]!);
    const photo = await kept(this.dataset["tool"]!);
    if (!photo || this.stage === "running") return;
    await this.picker.choose(photo);
    if (this.isSignedIn && this.stage === "ready") {
      toast("success", t("You are signed in"), t("Your photo is still here. Press the button to go on."));
      this.#ref("submit").focus();
    }
  }

  // Choosing

  #chosen(): void {
    if (this.#busy) return;
    this.#stream?.stop();
    this.#submit = null;
    this.#complain("");
    const file = this.picker.file!;
    this.#ref("file-name").textContent = file.name;
    this.#ref("file-size").textContent = megabytes(file.size);
    this.#preview(this.picker.previewUrl);
    this.#setUrl(null);
    this.#show("ready");
    this.#ref("submit").focus({ preventScroll: true });
  }

  #refuse(reason: string): void {
    if (this.#busy) return;
    if (this.stage !== "ready") this.#show("idle");
    this.#complain(reason);
  }

  #paste(event: ClipboardEvent): void {
    const inField = event.target instanceof HTMLInputElement && event.target.type !== "file";
    const file = event.clipboardData?.files[0];
    if (!file || inField || this.#busy || this.stage === "running") return;
    event.preventDefault();
    void this.picker.choose(file);
  }

  #startOver(): void {
    this.#stream?.stop();
    this.#submit = null;
    this.picker.clear();
    void forget(this.dataset["tool"]!);
    this.#complain("");
    this.#setUrl("new");
    this.#show("idle");
    this.picker.input.focus();
  }

  // Running

  async #run(): Promise<void> {
    const file = this.picker.file;
    if (this.#busy || !file) return;
    this.#complain("");
    this.#busy = true;
    try {
      if (!this.isSignedIn) {
        await this.#askToSignIn();
        return;
      }
      if (this.#submit?.file !== file) this.#submit = { key: newKey(), file, assetId: null };
      const task = await this.#create(this.#submit);
      this.#submit = null;
      void forget(this.dataset["tool"]!);
      this.#setUrl(task.taskId);
      this.#show("running");
      this.#follow(task.taskId);
    } catch (error) {
      await this.#failedToStart(error as ApiError);
    } finally {
      this.#busy = false;
    }
  }

  async #create(submit: Submit): Promise<{ taskId: string }> {
    if (!submit.assetId) {
      this.#abort = new AbortController();
      this.#progress("upload", 0);
      this.#show("uploading");
      const file = await withTrueType(submit.file);
      submit.assetId = await submitUpload(
        file,
        this.dataset["route"]!,
        (share) => this.#progress("upload", share * 100),
        this.#abort.signal,
      );
    }
    return api(
      "POST",
      "/api/tasks",
      {
        tool: this.dataset["tool"],
        step: this.dataset["step"],
        input: { [this.field]: submit.assetId },
        expectedCredits: Number(this.dataset["price"]),
      },
      { "Idempotency-Key": submit.key },
    );
  }

  async #failedToStart(error: ApiError): Promise<void> {
    this.#show("ready");
    if (error.status === 401) {
      this.removeAttribute("data-signed-in");
      await this.#askToSignIn();
      return;
    }
    if (error.type === "aborted") {
      this.#submit = null;
      return;
    }
    if (error.type === "price_changed") await this.#refresh();
    // A refusal is final for this press; only a lost answer is worth repeating with the same key.
    if (error.type !== "offline" && error.status < 500) this.#submit = null;
    const wait = error.retryAfterS
      ? t("Please wait {seconds} seconds.", { seconds: error.retryAfterS })
      : "";
    const parts = [Object.values(error.fields)[0] ?? error.message, wait, t("You were not charged.")];
    this.#complain(sentences(parts));
  }

  async #askToSignIn(): Promise<void> {
    await keep(this.dataset["tool"]!, this.picker.file!);
    const dialog = document.querySelector("sign-in-dialog") as SignInDialog;
    dialog.open(location.pathname, t("Your photo stays in this browser until you are back."));
  }

  #follow(taskId: string): void {
    this.dataset["task"] = taskId;
    if (this.stage !== "running") this.#show("running");
    this.#stream?.stop();
    this.#stream = new TaskStream(taskId, {
      onProgress: (progress) => this.#progress("run", progress),
      onEnd: (task) => this.#end(task),
      onLost: (error) => {
        if (error.status === 401) location.reload();
        else this.#startOver();
      },
    });
  }

  // The end

  #end(task: Task): void {
    if (task.receipt) {
      document.dispatchEvent(new CustomEvent("fm-credits", { detail: task.receipt.available }));
    }
    if (task.status === "completed") this.#showResult(task);
    else this.#showFailure(task);
    void this.#refresh();
  }

  #showResult(task: Task): void {
    const result = task.output!.assets[0]!;
    const before = task.input[this.field];
    this.#image("before", this.picker.previewUrl || before?.url || result.url, result.width, result.height);
    this.#image("after", result.url, result.width, result.height);
    (this.#ref("download") as HTMLAnchorElement).href = result.downloadUrl;
    this.#ref("receipt").textContent = receiptLine(task.receipt);
    (this.querySelector("before-after") as BeforeAfter | null)?.reset();
    this.#show("completed", t("Your picture is ready."));
  }

  #showFailure(task: Task): void {
    this.#ref("failure").textContent = task.error?.message ?? t("Something went wrong. Please try again.");
    this.#ref("failure-credits").textContent = failureLine(task.receipt);
    this.#ref("retry").toggleAttribute("hidden", !this.picker.file);
    this.#show("failed", t("This did not work."));
  }

  async #retry(): Promise<void> {
    this.#setUrl(null);
    this.#show("ready");
    await this.#run();
  }

  // Signed addresses end after a while; a page left open asks for new ones, once.
  async #refreshUrls(): Promise<void> {
    const id = this.dataset["task"];
    if (!id || this.#freshUrls) return;
    this.#freshUrls = true;
    const task = await api<Task>("GET", `/api/tasks/${id}`).catch(() => null);
    if (task?.status === "completed") this.#showResult(task);
  }

  // Takes over what the server says about this page by now: the price, the list of runs.
  async #refresh(): Promise<void> {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const label = fresh.querySelector("[data-price-label]");
    for (const shown of label ? this.querySelectorAll("[data-price-label]") : []) shown.textContent = label!.textContent;
    this.dataset["price"] = fresh.querySelector<HTMLElement>("tool-executor")?.dataset["price"] ?? this.dataset["price"]!;
    const runs = fresh.querySelector("[data-runs]");
    if (!runs) return;
    showLocalTimes(runs);
    document.querySelector("[data-runs]")?.replaceWith(runs);
  }

  // What is seen

  #show(stage: Stage, news = ""): void {
    const hadFocus = this.contains(document.activeElement);
    this.dataset["stage"] = stage;
    for (const part of this.querySelectorAll<HTMLElement>("[data-stages]")) {
      part.hidden = !part.dataset["stages"]!.split(" ").includes(stage);
    }
    if (stage === "running") this.#progress("run", null);
    this.#ref("news").textContent = news || this.#ref(`news-${stage}`, true)?.textContent || "";
    const title = this.#ref(`title-${stage}`, true);
    if (title && (hadFocus || document.activeElement === document.body)) title.focus({ preventScroll: true });
  }

  #progress(which: "upload" | "run", percent: number | null): void {
    const bar = this.#ref(`${which}-bar`) as HTMLProgressElement;
    const text = this.#ref(`${which}-percent`);
    if (percent === null) {
      bar.removeAttribute("value");
      text.textContent = "";
      return;
    }
    const whole = Math.round(percent);
    bar.value = whole;
    text.textContent = (whole / 100).toLocaleString(locale, { style: "percent" });
  }

  #preview(url: string): void {
    for (const image of this.querySelectorAll<HTMLImageElement>("img[data-preview]")) image.src = url;
  }

  #image(which: "before" | "after", url: string, width: number, height: number): void {
    const image = this.querySelector<HTMLImageElement>(`before-after img[data-${which}]`)!;
    image.width = width;
    image.height = height;
    image.src = url;
  }

  #complain(text: string): void {
    this.#ref("complaint-text").textContent = text;
    this.#ref("complaint").hidden = !text;
  }

  #setUrl(taskId: string | null): void {
    const url = new URL(location.href);
    if (taskId) url.searchParams.set("task", taskId);
    else url.searchParams.delete("task");
    history.replaceState(history.state, "", url);
  }

  #on(name: string, act: () => void): void {
    for (const button of this.querySelectorAll(`[data-act="${name}"]`)) button.addEventListener("click", act);
  }

  #ref(name: string): HTMLElement;
  #ref(name: string, optional: true): HTMLElement | null;
  #ref(name: string): HTMLElement | null {
    return this.querySelector<HTMLElement>(`[data-ref="${name}"]`);
  }
}

function receiptLine(receipt: Receipt | null): string {
  if (!receipt) return "";
  return [
    tn("{number} credit charged.", "{number} credits charged.", receipt.charged),
    t("{number} left.", { number: receipt.available.toLocaleString(locale) }),
  ].join(" ");
}

function failureLine(receipt: Receipt | null): string {
  if (!receipt) return t("You were not charged.");
  return [
    tn("{number} credit is back in your account.", "{number} credits are back in your account.", receipt.released),
    t("You have {number}.", { number: receipt.available.toLocaleString(locale) }),
  ].join(" ");
}

// Joins what is to be said, each part once.
function sentences(parts: string[]): string {
  return [...new Set(parts.filter(Boolean))].join(" ");
}

// Random in any context: crypto.randomUUID is missing on plain http.
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

customElements.define("tool-executor", ToolExecutor);
