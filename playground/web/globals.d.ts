/** JavaScript of the bundled worker (engine/worker.js), which build.mjs inserts. */
declare const WORKER_SOURCE: string
