// The chosen photos and choices, kept in this browser only, so that they are still there after
// signing in.
const LIFETIME_MS = 60 * 60 * 1000;
const NAME = "funmagic";

export interface Kept {
  files: Record<string, File>;
  values: Record<string, unknown>;
}

type Stored = Kept & { keptAt: number };

export async function keep(tool: string, kept: Kept): Promise<void> {
  await run("readwrite", (store) => store.put({ ...kept, keptAt: Date.now() } satisfies Stored, tool)).catch(() => undefined);
}

// What is kept for this tool. It stays until it is run or given up: the tab that asked for the
// sign-in link and the tab the link opened may both look for it.
export async function kept(tool: string): Promise<Kept | null> {
  const found = await run<Stored | undefined>("readonly", (store) => store.get(tool)).catch(() => undefined);
  if (!found) return null;
  if (found.files && Date.now() - found.keptAt < LIFETIME_MS) return found;
  await forget(tool);
  return null;
}
export async function forget(tool: string): Promise<void> {
  await run("readwrite", (store) => store.delete(tool)).catch(() => undefined);
}

// Whoever signs out leaves no photo behind.
export function forgetAll(): Promise<unknown> {
  return settled(indexedDB.deleteDatabase(NAME)).catch(() => undefined);
}

async function run<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  const db = await settled(open());
  try {
    return (await settled(work(db.transaction("photos", mode).objectStore("photos")))) as T;
  } finally {
    db.close();
  }
}

function open(): IDBOpenDBRequest {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore("photos");
  return request;
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
