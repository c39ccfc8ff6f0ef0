import assert from "node:assert/strict"
import { afterEach, beforeEach, describe, test } from "node:test"
import { EngineClient } from "../../../playground/web/engine/engine_client.js"
import { createFakeWorker } from "./fake_worker.mjs"
import { writeLinearNetwork, writeNetworkFile } from "./network_files.mjs"

/** @import { EngineResult } from "../../../playground/web/engine/engine_client.js" */
/** @import { FakeWorker } from "./fake_worker.mjs" */

const { Worker: originalWorker } = globalThis
const fake = { worker: createFakeWorker() }

/**
 * Stand in for the browser's Worker, a constructor that returns the current fake worker.
 * @returns {FakeWorker}
 */
function startFakeWorker() {
  return fake.worker
}

/** Stand in for the Worker of a page whose policy forbids workers. */
function rejectWorker() {
  throw new Error("blocked")
}

beforeEach(() => {
  fake.worker = createFakeWorker()
  Object.assign(globalThis, { Worker: startFakeWorker })
})

afterEach(() => {
  Object.assign(globalThis, { Worker: originalWorker })
})

/**
 * Start a client and record what it calls.
 * @returns {{ client: EngineClient, worker: FakeWorker, logits: number[][], results: EngineResult[],
 *   explained: number[][], errors: string[] }}
 */
function startClient() {
  /** @type {number[][]} */
  const logits = []
  /** @type {EngineResult[]} */
  const results = []
  /** @type {number[][]} */
  const explained = []
  /** @type {string[]} */
  const errors = []
  const client = new EngineClient({
    workerSource: "worker",
    onLoad: () => undefined,
    onResult: (result) => {
      results.push(result)
      logits.push([...result.logits])
    },
    onExplanation: ({ explanation }) => explained.push([...explanation.input]),
    onError: (message) => errors.push(message),
  })
  return { client, worker: fake.worker, logits, results, explained, errors }
}

/**
 * The buffer of a network file.
 * @param {Uint8Array} content
 * @returns {ArrayBuffer}
 */
function toBuffer(content) {
  return /** @type {ArrayBuffer} */ (content.buffer)
}

describe("engine client", () => {
  test("while an image is computed, only the latest of the following is kept", () => {
    const { client, worker, logits } = startClient()
    client.load(toBuffer(writeLinearNetwork()))
    worker.work()
    for (let value = 1; value <= 4; value++) client.run(Float32Array.of(value, 0))
    assert.equal(worker.received.length, 1)
    worker.work()
    worker.work()
    assert.deepEqual(logits, [
      [1, 0, 1.5],
      [4, 0, 4.5],
    ])
  })

  test("an image that comes before the network is computed when it is loaded", () => {
    const { client, worker, logits } = startClient()
    client.run(Float32Array.of(1, 2))
    client.load(toBuffer(writeLinearNetwork()))
    worker.work()
    worker.work()
    assert.deepEqual(logits, [[1, 2, 3.5]])
  })

  test("two buffers of results take turns, so none is allocated in the steady state", () => {
    const { client, worker, results } = startClient()
    client.load(toBuffer(writeLinearNetwork()))
    worker.work()
    /** @type {number[]} */
    const sizes = []
    let size = 0
    for (let value = 0; value < 6; value++) {
      client.run(Float32Array.of(value, 0))
      const [message] = worker.received
      if (message.kind === "run") sizes.push(message.results.byteLength)
      worker.work()
      size = /** @type {EngineResult} */ (results.at(-1)).values.byteLength
    }
    assert.ok(size > 0)
    assert.deepEqual(sizes, [0, 0, size, size, size, size])
  })

  test("a channel is explained after its image was computed", () => {
    const { client, worker, explained, errors } = startClient()
    client.explain(0, 1)
    worker.work()
    assert.deepEqual(errors, ["No network is loaded."])
    client.load(toBuffer(writeLinearNetwork()))
    client.run(Float32Array.of(4, 5))
    worker.work()
    worker.work()
    client.explain(0, 1)
    worker.work()
    assert.deepEqual(explained, [[4, 5]])
  })

  test("probabilities are computed", () => {
    const { client, worker, results } = startClient()
    client.load(toBuffer(writeLinearNetwork()))
    client.run(Float32Array.of(0, 0))
    worker.work()
    worker.work()
    const total = results[0].probabilities.reduce((sum, value) => sum + value, 0)
    assert.ok(Math.abs(total - 1) < 1e-12)
    assert.ok(results[0].probabilities[2] > results[0].probabilities[0])
  })
})

describe("engine client with errors", () => {
  test("the page computes after the worker crashed", async () => {
    const { client, worker, logits } = startClient()
    client.load(toBuffer(writeLinearNetwork()))
    worker.work()
    client.run(Float32Array.of(1, 0))
    client.run(Float32Array.of(2, 0))
    worker.onerror({ preventDefault: () => undefined })
    await new Promise(setImmediate)
    assert.equal(worker.isTerminated, true)
    assert.equal(client.mode, "page")
    assert.deepEqual(logits, [[2, 0, 2.5]])
  })

  test("the page computes where a policy forbids workers", async () => {
    Object.assign(globalThis, { Worker: rejectWorker })
    const { client, logits } = startClient()
    client.load(toBuffer(writeLinearNetwork()))
    client.run(Float32Array.of(3, 0))
    await new Promise(setImmediate)
    assert.equal(client.mode, "page")
    assert.deepEqual(logits, [[3, 0, 3.5]])
  })

  test("a file that cannot be used is an error, and the client goes on", () => {
    const { client, worker, logits, errors } = startClient()
    client.load(new ArrayBuffer(3))
    worker.work()
    assert.ok(errors[0].includes("damaged"))
    client.load(toBuffer(writeLinearNetwork()))
    client.run(Float32Array.of(1, 0))
    worker.work()
    worker.work()
    assert.deepEqual(logits, [[1, 0, 1.5]])
  })

  test("another network replaces the one before", () => {
    const { client, worker, results } = startClient()
    client.load(toBuffer(writeLinearNetwork()))
    client.run(Float32Array.of(1, 0))
    worker.work()
    worker.work()
    const layer = {
      index: 0,
      kind: "output",
      title: "Output",
      outputShape: [1],
      activation: "none",
      explainedOperation: 0,
      operations: [{ name: "linear", module: "0", outFeatures: 1 }],
    }
    const tensors = { "0.weight": { shape: [1, 1], values: [0] } }
    client.load(toBuffer(writeNetworkFile({ inputShape: [1], classes: 2, layers: [layer] }, tensors)))
    worker.work()
    client.run(Float32Array.of(1))
    worker.work()
    assert.deepEqual([...results[1].probabilities], [0.5, 0.5])
  })
})
