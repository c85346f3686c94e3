// The Node side of a queue: hears its events, lists it as BullMQ and as Bull Board do, adds to it.
// Reads one JSON command a line from standard input, answers one JSON line each; what it hears
// comes in between. Ends with its input. SOCKET is Valkey's unix socket.
import { createInterface } from "node:readline";
import { createBullBoard } from "@bull-board/api";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import { Queue, QueueEvents } from "bullmq";

const { SOCKET, PREFIX, QUEUE } = process.env;
const STATES = ["waiting", "active", "delayed", "completed", "failed"];
const options = { connection: { path: SOCKET }, prefix: PREFIX };
const queue = new Queue(QUEUE, options);
const heard = new QueueEvents(QUEUE, options);

// What Bull Board asks of a web framework; ours keeps its routes to be called by name.
class Routes {
  setApiRoutes(routes) {
    this.routes = routes;
    return this;
  }
  setQueues(queues) {
    this.queues = queues;
    return this;
  }
  async call(method, route, query) {
    const found = this.routes.find((one) => [one.method].flat().includes(method) && [one.route].flat().includes(route));
    return found.handler({ queues: this.queues, params: {}, query, body: {}, headers: {} });
  }
}
for (const name of ["setViewsPath", "setStaticPath", "setEntryRoute", "setErrorHandler", "setUIConfig"]) {
  Routes.prototype[name] = function () {
    return this;
  };
}

const board = new Routes();
createBullBoard({ queues: [new BullMQAdapter(queue)], serverAdapter: board, options: { uiBasePath: "." } });

const commands = {
  counts: () => queue.getJobCounts(...STATES),
  jobs: async () => {
    const jobs = await queue.getJobs(STATES);
    return Promise.all(jobs.map(async (job) => ({ ...job.toJSON(), state: await job.getState() })));
  },
  board: async () => (await board.call("get", "/api/queues", { activeQueue: QUEUE, page: "1" })).body,
  add: async ({ name, data, jobId }) => (await queue.add(name, data, { jobId })).id,
};

for (const event of ["added", "waiting", "active", "completed", "failed", "delayed", "stalled"]) {
  heard.on(event, (told) => say({ heard: event, ...told }));
}
await heard.waitUntilReady();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  say({ answer: await commands[command.do](command) });
}
await Promise.all([heard.close(), queue.close()]);

function say(what) {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}
