// The JSON API, and its one shape of error.
import { t } from "./i18n";

export class ApiError extends Error {
  constructor(
    readonly type: string,
    message: string,
    readonly status: number,
    readonly retryAfterS: number | undefined,
    readonly fields: Record<string, string>,
    readonly credits?: number,
  ) {
    super(message);
  }
}

// What these scripts read of a task; the server draws the rest.
export interface Task {
  id: string;
  status: "pending" | "queued" | "processing" | "completed" | "failed";
  steps: { id: string; progress: number }[];
  queue: { place: number; estimateS: number | null } | null;
  estimateS: number | null;
  isCancelling: boolean;
  receipt: { available: number } | null;
}

export async function api<T>(
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      headers: {
        Accept: "application/json",
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw offline();
  }
  if (!response.ok) {
    const error = await asError(response);
    // What asks for proof of who one is gets it, and goes on by itself.
    if (error.type !== "reauthentication_required" || !(await provedAgain())) throw error;
    return api(method, path, body, headers);
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function provedAgain(): Promise<boolean> {
  const { proveAgain } = await import("./reauthentication");
  return proveAgain();
}

export function offline(): ApiError {
  return new ApiError("offline", t("We cannot reach the server. Check your connection and try again."), 0, undefined, {});
}

async function asError(response: Response): Promise<ApiError> {
  const answer = await response.json().catch(() => ({}));
  const error = answer.error ?? {};
  return new ApiError(
    error.type ?? "unknown",
    error.message ?? t("Something went wrong. Please try again."),
    response.status,
    error.retryAfter,
    error.fields ?? {},
    error.credits,
  );
}
