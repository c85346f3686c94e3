// What is seen of a run under way: its place in the queue, its progress, how long it takes, and the
// picture as far as it is drawn.
import type { Task } from "../api";
import { locale, t, tn } from "../i18n";

export class Running {
  #timer = 0;
  #beganAt = 0;
  #estimateS: number | null = null;
  #isWaiting = true;

  constructor(private readonly root: HTMLElement) {}

  // `working` is what is said while it runs; null keeps what the server drew.
  begin(working: string | null): void {
    this.stop();
    const time = this.#ref("run-time");
    this.#beganAt = Date.now() - Number(working ? 0 : time.dataset["elapsedS"]) * 1000;
    this.#waits(true);
    this.#estimateS = null;
    if (working) {
      this.#ref("news-running").textContent = working;
      this.progress("run", null);
      time.textContent = "";
      this.#ref("unfinished").hidden = true;
      this.cancelling(false);
    }
    this.#timer = window.setInterval(() => this.#tell(null), 1000);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  // What the server says by now.
  tell(task: Task): void {
    this.#estimateS = task.estimateS ?? null;
    this.#waits(task.status === "pending" || task.status === "queued");
    if (task.isCancelling) this.cancelling(true);
    this.#tell(task);
  }

  started(): void {
    if (this.#isWaiting) this.#beganAt = Date.now();
    this.#waits(false);
    this.#tell(null);
  }

  progress(which: "upload" | "run", percent: number | null): void {
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

  ground(url: string): void {
    const image = this.#ref("unfinished").parentElement!.querySelector<HTMLImageElement>("img[data-preview]")!;
    image.hidden = !url;
    if (url) image.src = url;
  }

  // The unfinished picture fades in over the photo, blurred less the further it is.
  async unfinished(url: string, index: number): Promise<void> {
    const image = this.#ref("unfinished") as HTMLImageElement;
    const next = new Image();
    next.src = url;
    try {
      await next.decode();
    } catch {
      return; // a picture that is gone by now; the next one or the result will come
    }
    image.src = url;
    image.dataset["round"] = String(Math.min(index, 2));
    image.hidden = false;
  }

  cancelling(isOn: boolean): void {
    this.#ref("cancel").hidden = isOn;
    if (isOn) this.#ref("news-running").textContent = t("Stopping…");
  }

  // What stopping the run means depends on it, also while the question is on the screen.
  #waits(isWaiting: boolean): void {
    this.#isWaiting = isWaiting;
    this.#ref("cancel-waiting").hidden = !isWaiting;
    this.#ref("cancel-running").hidden = isWaiting;
  }

  #tell(task: Task | null): void {
    const place = this.#ref("run-time");
    if (this.#isWaiting) {
      if (task?.queue) place.textContent = queueLine(task.queue.place, task.queue.estimateS);
      return;
    }
    const elapsed = duration((Date.now() - this.#beganAt) / 1000);
    place.textContent =
      this.#estimateS === null
        ? t("{time} so far", { time: elapsed })
        : t("{time} so far, usually about {usual}", { time: elapsed, usual: duration(this.#estimateS) });
  }

  #ref(name: string): HTMLElement {
    return this.root.querySelector<HTMLElement>(`[data-ref="${name}"]`)!;
  }
}

function queueLine(ahead: number, estimateS: number | null): string {
  if (ahead === 0) return estimateS ? t("You are next, in about {time}", { time: duration(estimateS) }) : t("You are next");
  if (estimateS === null) return tn("{number} ahead of you", "{number} ahead of you", ahead);
  return tn("{number} ahead of you, about {time}", "{number} ahead of you, about {time}", ahead, {
    time: duration(estimateS),
  });
}

// Seconds up to a minute and a half, minutes from then on, in the reader's language.
function duration(seconds: number): string {
  const unit = seconds < 90 ? "second" : "minute";
  const value = Math.max(0, Math.round(unit === "second" ? seconds : seconds / 60));
  return value.toLocaleString(locale, { style: "unit", unit, unitDisplay: "short" });
}
