// A tool's workplace: choose, submit, follow, see and keep the result, take it on to the next step.
// The server draws every part that depends on a task; this element moves between the stages
// idle → ready → uploading → running → completed | failed.
import { type ApiError, type Task, api } from "../api";
import { t } from "../i18n";
import { forget, keep, kept } from "../kept-photo";
import { TaskStream } from "../task-stream";
import { toast } from "../toast";
import { StepForm, follow } from "../tool/form";
import { toggleSaved } from "../tool/keeping";
import { Fresh, addressOf } from "../tool/parts";
import { priceOf, setPrice } from "../tool/prices";
import { Running } from "../tool/running";
import { type Created, Press, newKey, runAgain } from "../tool/starting";
import { ImagePicker } from "./image-picker";
import { SignInDialog } from "./sign-in-dialog";

type Stage = "idle" | "ready" | "uploading" | "running" | "completed" | "failed";

const OPEN_TRIES = 5;

export class ToolExecutor extends HTMLElement {
  #press: Press | null = null;
  #again: { task: string; price: number; key: string } | null = null;
  #busy = false;
  #abort: AbortController | null = null;
  #stream: TaskStream | null = null;
  #running = new Running(this);
  #renewed = "";
  #opening = 0;

  connectedCallback(): void {
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("input", follow);
    this.addEventListener("change", follow);
    this.addEventListener("image-chosen", (event) => this.#chosen(event.target as ImagePicker));
    this.addEventListener("image-refused", (event) => this.#refuse((event as CustomEvent<string>).detail));
    this.addEventListener("model-failed", () => void this.#renewAddresses());
    this.addEventListener("error", (event) => this.#brokenPicture(event), true);
    document.addEventListener("fm-leaving", () => void keep(this.tool, this.form.kept()));
    document.addEventListener("paste", (event) => this.#paste(event));
    document.addEventListener("click", (event) => void this.#moreRuns(event));
    addEventListener("popstate", () => void this.#open(addressOf(new URL(location.href).searchParams.get("task"))));
    void this.#begin();
  }

  disconnectedCallback(): void {
    this.#stream?.stop();
    this.#running.stop();
  }

  get stage(): Stage {
    return this.dataset["stage"] as Stage;
  }

  get tool(): string {
    return this.dataset["tool"]!;
  }

  get isSignedIn(): boolean {
    return this.hasAttribute("data-signed-in");
  }

  // The form a person begins with.
  get form(): StepForm {
    return new StepForm(this.querySelector<HTMLElement>("[data-form]")!);
  }

  async #begin(): Promise<void> {
    if (this.stage === "running") this.#follow(this.dataset["task"]!, null);
    // An address that names a task shows that task; a kept photo waits for the form.
    const named = new URL(location.href).searchParams.get("task");
    const found = named === null || named === "new" ? await kept(this.tool) : null;
    if (!found || this.stage === "running") return;
    await this.form.restore(found);
    if (!this.form.hasPhotos) return;
    if (this.stage !== "ready") this.#show("ready");
    if (this.isSignedIn) {
      toast("success", t("You are signed in"), t("Your photo is still here. Press the button to go on."));
      this.#ref("submit").focus();
    }
  }

  // Choosing

  #clicked(event: Event): void {
    const at = (event.target as Element).closest<HTMLElement>("[data-act], a[data-open]");
    if (!at) return;
    if (at instanceof HTMLAnchorElement) {
      const click = event as MouseEvent;
      if (click.metaKey || click.ctrlKey || click.shiftKey) return;
      event.preventDefault();
      history.pushState(history.state, "", at.href);
      void this.#open(at.href);
      return;
    }
    const picker = at.closest("image-picker") ?? this.form.pickers[0];
    const acts: Record<string, () => void> = {
      submit: () => void this.#submit(this.form, null),
      "submit-next": () => void this.#submit(new StepForm(at.closest<HTMLElement>("[data-form]")!), this.dataset["task"]!),
      again: () => void this.#runAgain(at),
      other: () => (picker as ImagePicker).open(),
      clear: () => this.#cleared(picker as ImagePicker),
      "start-over": () => this.#startOver(),
      "cancel-upload": () => this.#abort?.abort(),
      "ask-to-cancel": () => this.#cancelDialog.showModal(),
      "keep-going": () => this.#cancelDialog.close(),
      "cancel-run": () => void this.#cancel(),
      save: () => void toggleSaved(at as HTMLButtonElement),
    };
    if (at.closest("model-scene")) return;
    acts[at.dataset["act"]!]?.();
  }

  #chosen(picker: ImagePicker): void {
    if (this.#busy) return;
    picker.querySelector("[data-complaint]")?.toggleAttribute("hidden", true);
    this.#complain("");
    if (!this.form.element.contains(picker)) return;
    this.#stream?.stop();
    addressIs(null);
    this.#show(this.form.hasPhotos ? "ready" : "idle");
    const isWhole = this.form.element.querySelector("[required]:checked") || !this.form.element.querySelector("[required]");
    const next = this.form.hasPhotos && isWhole ? this.#ref("submit") : picker.querySelector<HTMLElement>('[data-act="other"]');
    next?.focus({ preventScroll: true });
  }

  #refuse(reason: string): void {
    if (this.#busy) return;
    if (this.stage === "failed") this.#show("idle");
    this.#complain(reason);
  }

  #cleared(picker: ImagePicker): void {
    picker.clear();
    void forget(this.tool);
    if (this.form.element.contains(picker) && this.stage === "ready") this.#show(this.dataset["emptyStage"] as Stage);
    picker.input.focus();
  }

  #paste(event: ClipboardEvent): void {
    const inField = event.target instanceof HTMLElement && event.target.matches("input:not([type=file]):not([type=radio]), textarea");
    const file = event.clipboardData?.files[0];
    const picker = this.form.pickers[0];
    if (!file || !picker || inField || this.#busy || this.stage === "running") return;
    event.preventDefault();
    void picker.choose(file);
  }

  #startOver(): void {
    this.#stream?.stop();
    this.#press = null;
    this.form.clearPhotos();
    void forget(this.tool);
    this.#complain("");
    addressIs("new");
    this.#show(this.dataset["emptyStage"] as Stage);
    (this.form.pickers[0]?.input ?? this.#ref("submit")).focus();
    void this.#draw(addressOf("new"));
  }

  // Starting

  async #submit(form: StepForm, parent: string | null): Promise<void> {
    if (this.#busy) return;
    this.#complain("");
    if (!form.check()) return;
    const press = new Press(this.tool, form.step, form.values(), form.photos(), parent);
    this.#press = this.#press?.isLike(press) ? this.#press : press;
    await this.#start(form, async () => {
      const pressed = this.#press!;
      if (pressed.hasUploads) {
        this.#abort = new AbortController();
        this.#ground();
        this.#running.progress("upload", 0);
        this.#show("uploading");
        await pressed.upload((share) => this.#running.progress("upload", share * 100), this.#abort.signal);
      }
      return pressed.create(priceOf(this, form.step));
    });
  }

  async #runAgain(button: HTMLElement): Promise<void> {
    const label = button.querySelector<HTMLElement>("[data-price-label]")!;
    const price = Number(label.dataset["price"]);
    const task = this.dataset["task"]!;
    if (this.#busy) return;
    this.#complain("");
    if (this.#again?.task !== task || this.#again.price !== price) this.#again = { task, price, key: newKey() };
    await this.#start(null, () => runAgain(task, price, this.#again!.key));
  }

  // Runs `create`, then follows what it made. `form` is where complaints of single fields belong.
  async #start(form: StepForm | null, create: () => Promise<Created>): Promise<void> {
    const from = this.stage;
    this.#busy = true;
    try {
      if (!this.isSignedIn) {
        await this.#askToSignIn(form);
        return;
      }
      const made = await create();
      this.#press = this.#again = null;
      void forget(this.tool);
      if (from !== "ready") this.#ground();
      addressIs(made.taskId);
      this.#follow(made.taskId, form?.working ?? "");
      if (form?.step !== this.form.step) void this.#draw(addressOf(made.taskId));
    } catch (error) {
      await this.#failedToStart(error as ApiError, form, from);
    } finally {
      this.#busy = false;
    }
  }

  async #failedToStart(error: ApiError, form: StepForm | null, back: Stage): Promise<void> {
    if (this.stage !== back) this.#show(back);
    if (error.status === 401) {
      this.removeAttribute("data-signed-in");
      await this.#askToSignIn(form);
      return;
    }
    // A refusal is final for this press; only a lost answer is worth repeating with the same key.
    if (error.type !== "offline" && error.status < 500) this.#press = this.#again = null;
    if (error.type === "aborted") return;
    if (error.credits !== undefined) setPrice(this, form?.step ?? this.dataset["step"]!, error.credits);
    const beside = form?.complain(error.fields) ?? Object.values(error.fields);
    const said = Object.keys(error.fields).length > beside.length ? t("Please look at what is marked above.") : error.message;
    const wait = error.retryAfterS ? t("Please wait {seconds} seconds.", { seconds: error.retryAfterS }) : "";
    this.#complain(sentences([beside[0] ?? said, wait, t("You were not charged.")]));
  }

  async #askToSignIn(form: StepForm | null): Promise<void> {
    if (form?.step === this.form.step) await keep(this.tool, form.kept());
    const dialog = document.querySelector<SignInDialog>("sign-in-dialog");
    if (!dialog) return location.reload(); // it was a signed-in page until now
    dialog.open(location.pathname, t("Your photo stays in this browser until you are back."));
  }

  // Running

  // `working` is what is said meanwhile; null where the server has drawn this run already.
  #follow(taskId: string, working: string | null): void {
    this.dataset["task"] = taskId;
    if (this.stage !== "running") this.#show("running");
    this.#running.begin(working === "" ? t("Starting…") : working);
    this.#listen(taskId);
  }

  #listen(taskId: string): void {
    this.#stream?.stop();
    this.#stream = new TaskStream(taskId, {
      onTask: (task) => this.#running.tell(task),
      onStarted: () => this.#running.started(),
      onProgress: (progress) => this.#running.progress("run", progress),
      onUnfinished: (url, index) => void this.#running.unfinished(url, index),
      onEnd: (task) => void this.#end(task),
      onLost: (error) => {
        if (error.status === 401) location.reload();
        else this.#startOver();
      },
    });
  }

  async #cancel(): Promise<void> {
    this.#cancelDialog.close();
    this.#running.cancelling(true);
    try {
      await api("POST", `/api/tasks/${this.dataset["task"]}/cancellation`);
    } catch (error) {
      // One that has just ended says so by its own end.
      if ((error as ApiError).type === "already_ended") return;
      this.#running.cancelling(false);
      this.#complain((error as ApiError).message);
    }
  }

  get #cancelDialog(): HTMLDialogElement {
    return this.#ref("cancel-dialog") as HTMLDialogElement;
  }

  // The end, and other tasks

  async #end(task: Task): Promise<void> {
    this.#running.stop();
    if (task.receipt) document.dispatchEvent(new CustomEvent("fm-credits", { detail: task.receipt.available }));
    if (this.#cancelDialog.open) this.#cancelDialog.close();
    await this.#open(addressOf(task.id));
  }

  // Shows what the server draws at an address of this page.
  async #open(address: string): Promise<void> {
    this.#stream?.stop();
    this.setAttribute("aria-busy", "true");
    const fresh = await this.#draw(address);
    if (!fresh) return;
    this.#complain("");
    const stage = fresh.executor.dataset["stage"] as Stage;
    this.#show(stage === this.dataset["emptyStage"] && this.form.hasPhotos ? "ready" : stage);
    if (stage === "running") this.#follow(this.dataset["task"]!, null);
  }

  // Puts what the server draws in its places. Null where something else was opened meanwhile.
  async #draw(address: string): Promise<Fresh | null> {
    const turn = ++this.#opening;
    for (let attempt = 1; attempt <= OPEN_TRIES; attempt += 1) {
      const fresh = await Fresh.at(address);
      await fresh?.paintable();
      if (turn !== this.#opening) return null;
      if (fresh) {
        this.#place(fresh);
        return fresh;
      }
      await new Promise((resolve) => setTimeout(resolve, 1000 * attempt));
      if (turn !== this.#opening) return null;
    }
    location.assign(address);
    return null;
  }

  #place(fresh: Fresh): void {
    // A photo that is still here need not be fetched again to be compared with.
    const own = this.form.pickers[0]?.previewUrl;
    const before = fresh.part("result")?.querySelector<HTMLImageElement>("img[data-before]");
    if (own && before && this.dataset["task"] === fresh.executor.dataset["task"]) before.src = own;
    fresh.into(this);
    this.removeAttribute("aria-busy");
    this.#hideOtherStages();
    if (this.stage === "running" && fresh.executor.dataset["stage"] === "running") this.#running.begin(null);
  }

  // Signed addresses end after a while; a page left open asks for new ones, once a task.
  async #renewAddresses(): Promise<void> {
    const task = this.dataset["task"];
    if (!task || this.#renewed === task || this.stage !== "completed") return;
    this.#renewed = task;
    await this.#draw(addressOf(task));
  }

  #brokenPicture(event: Event): void {
    const image = event.target;
    if (image instanceof HTMLImageElement && image.closest('[data-part="result"]')) void this.#renewAddresses();
  }

  async #moreRuns(event: Event): Promise<void> {
    const link = (event.target as Element).closest<HTMLAnchorElement>("a[data-more]");
    if (!link) return;
    event.preventDefault();
    const runs = link.closest("[data-runs]")!;
    if (runs.hasAttribute("aria-busy")) return; // the same ones twice are of no use
    runs.setAttribute("aria-busy", "true");
    (await Fresh.at(link.href))?.moreRuns();
    runs.removeAttribute("aria-busy");
  }

  // What is seen

  #show(stage: Stage): void {
    const hadFocus = this.contains(document.activeElement);
    this.dataset["stage"] = stage;
    this.#hideOtherStages();
    this.#ref("news").textContent = this.#ref(`news-${stage}`, true)?.textContent ?? "";
    const title = this.#ref(`title-${stage}`, true);
    if (!title || !(hadFocus || document.activeElement === document.body)) return;
    title.focus({ preventScroll: true });
    title.closest(".bar-below")?.scrollIntoView({ block: "nearest" });
  }

  #hideOtherStages(): void {
    for (const part of this.querySelectorAll<HTMLElement>("[data-stages]")) {
      part.hidden = !part.dataset["stages"]!.split(" ").includes(this.stage);
    }
  }

  // Behind the progress: one's own photo, else the result the next step begins with.
  #ground(): void {
    const result = this.querySelector<HTMLImageElement>('[data-part="result"] img[data-main], [data-part="result"] img[data-after]');
    const own = this.form.pickers[0]?.previewUrl ?? "";
    this.#running.ground(this.stage === "completed" && result ? result.src : own);
  }

  #complain(text: string): void {
    this.#ref("complaint-text").textContent = text;
    this.#ref("complaint").hidden = !text;
  }

  #ref(name: string): HTMLElement;
  #ref(name: string, optional: true): HTMLElement | null;
  #ref(name: string): HTMLElement | null {
    return this.querySelector<HTMLElement>(`[data-ref="${name}"]`);
  }
}

function addressIs(task: string | null): void {
  history.replaceState(history.state, "", addressOf(task));
}

// Joins what is to be said, each part once.
function sentences(parts: string[]): string {
  return [...new Set(parts.filter(Boolean))].join(" ");
}

customElements.define("tool-executor", ToolExecutor);
