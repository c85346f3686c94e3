// Where a build works, and how it takes the place of the last one. Several may run at once: each has
// a folder of its own beside the built one, named by its process, and the last to end is what stays.
import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

const ATTEMPTS = 100; // each is lost to another build that ended in the same instant

// A new folder for this build; those of builds that were killed are cleared away.
export function ownFolder(built) {
  const beside = dirname(built);
  const owned = `${basename(built)}.`;
  for (const name of readdirSync(beside)) {
    const pid = name.startsWith(owned) ? Number.parseInt(name.slice(owned.length), 10) : NaN;
    if (pid === process.pid || (pid > 0 && hasEnded(pid))) rmSync(join(beside, name), { recursive: true, force: true });
  }
  return mkdtempSync(`${built}.${process.pid}-`);
}

// Moves a whole build out of its own folder to `built`, and the last one from there into it. At any
// time a whole build stands there, but for the instant between two renames: a folder cannot be
// renamed onto another that is not empty.
export function takePlace(whole, built) {
  const last = `${whole}.last`;
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    if (moved(whole, built, ["ENOTEMPTY", "EEXIST"])) return;
    rmSync(last, { recursive: true, force: true });
    moved(built, last, ["ENOENT"]);
  }
  throw new Error(`Other builds kept taking ${built}.`);
}

// Whether it was; not where that failed for one of these reasons.
function moved(from, to, reasons) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (reasons.includes(error.code)) return false;
    throw error;
  }
}

function hasEnded(pid) {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}
