// Follows one task to its end: events while the stream lives, questions every few seconds where it
// does not. Both ways end in the task as the server tells it, so neither can be out of step.
import { type Task, ApiError, api } from "./api";

const ASK_EVERY_MS = 2500;
const QUIET_AFTER_MS = 12_000;
const QUIET_IN_QUEUE_AFTER_MS = 4000; // nothing is sent of those ahead

export interface Following {
  onTask(task: Task): void;
  onStarted(): void;
  onProgress(progress: number | null): void;
  onUnfinished(url: string, index: number): void;
  onEnd(task: Task): void;
  onLost(error: ApiError): void;
}

interface Frame {
  type: string;
  stepId?: string;
  progress?: number;
  data?: { url?: string; index?: number };
}

export class TaskStream {
  #source: EventSource | null = null;
  #timer = 0;
  #heardAt = 0;
  #stopped = false;
  #isWaiting = true;

  constructor(
    private readonly id: string,
    private readonly following: Following,
  ) {
    this.#listen();
    void this.#ask();
    this.#timer = window.setInterval(() => void this.#askIfQuiet(), ASK_EVERY_MS);
  }

  stop(): void {
    this.#stopped = true;
    this.#source?.close();
    clearInterval(this.#timer);
  }

  #listen(): void {
    if (!("EventSource" in window)) return;
    this.#source = new EventSource(`/api/tasks/${this.id}/stream`);
    this.#source.onmessage = (message) => this.#hear(JSON.parse(message.data) as Frame);
  }

  #hear(frame: Frame): void {
    this.#heardAt = Date.now();
    if (frame.type === "completed" || frame.type === "failed") {
      this.#source?.close();
      void this.#ask();
    } else if (frame.type === "step_started") {
      this.#isWaiting = false;
      this.following.onStarted();
      void this.#ask();
    } else if (frame.type === "progress") {
      this.following.onProgress(frame.progress ?? null);
    } else if (frame.type === "partial_result" && frame.data?.url) {
      this.following.onUnfinished(frame.data.url, frame.data.index ?? 0);
    }
  }

  async #askIfQuiet(): Promise<void> {
    const isLive = this.#source?.readyState === EventSource.OPEN;
    const quiet = this.#isWaiting ? QUIET_IN_QUEUE_AFTER_MS : QUIET_AFTER_MS;
    if (isLive && Date.now() - this.#heardAt < quiet) return;
    if (!document.hidden) await this.#ask();
  }

  async #ask(): Promise<void> {
    if (this.#stopped) return;
    try {
      const task = await api<Task>("GET", `/api/tasks/${this.id}`);
      if (this.#stopped) return;
      this.#heardAt = Date.now();
      this.#isWaiting = task.status === "pending" || task.status === "queued";
      if (task.status === "completed" || task.status === "failed") {
        this.stop();
        this.following.onEnd(task);
      } else this.following.onTask(task);
    } catch (error) {
      // Away for a moment: the next question will tell. Gone or signed out: nothing will.
      if (error instanceof ApiError && (error.status === 401 || error.status === 404) && !this.#stopped) {
        this.stop();
        this.following.onLost(error);
      }
    }
  }
}
