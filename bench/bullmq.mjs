// BullMQ as Node has it: `work` runs empty jobs until SIGTERM, `add` adds JOBS of them and ends.
import { createRequire } from "node:module";

const { SOCKET, PACKAGES, QUEUE, CLIENTS, JOBS } = process.env;
const { Queue, Worker } = createRequire(`${PACKAGES}/`)("bullmq");
const connection = { path: SOCKET, maxRetriesPerRequest: null };

if (process.argv[2] === "work") {
  const worker = new Worker(QUEUE, async () => {}, { connection, concurrency: Number(CLIENTS) });
  process.once("SIGTERM", async () => {
    await worker.close();
    process.exit(0);
  });
} else {
  const queue = new Queue(QUEUE, { connection });
  let left = Number(JOBS);
  const client = async () => {
    while (left-- > 0) await queue.add("job", { n: left });
  };
  await Promise.all(Array.from({ length: Number(CLIENTS) }, client));
  await queue.close();
}
