import { createMessageHandler } from "../../../playground/web/engine/message_handler.js"

/** @import { EngineMessage, EngineReply } from "../../../playground/web/engine/messages.js" */

/**
 * @typedef {object} FakeWorker A worker in this process, which handles its messages when the test says so.
 * @property {(event: { data: EngineReply }) => void} onmessage
 * @property {(event: { preventDefault: () => void }) => void} onerror
 * @property {EngineMessage[]} received
 * @property {boolean} isTerminated
 * @property {(message: EngineMessage, transfer: Transferable[]) => void} postMessage
 * @property {() => void} terminate
 * @property {() => void} work handle the messages that have arrived
 */

/**
 * Create a worker.
 * @returns {FakeWorker}
 */
export function createFakeWorker() {
  const handle = createMessageHandler((data, transfer) => {
    worker.onmessage({ data: structuredClone(data, { transfer }) })
  })
  /** @type {FakeWorker} */
  const worker = {
    onmessage: () => undefined,
    onerror: () => undefined,
    received: [],
    isTerminated: false,
    postMessage: (message, transfer) => {
      worker.received.push(structuredClone(message, { transfer }))
    },
    terminate: () => {
      worker.isTerminated = true
    },
    work: () => {
      for (const message of worker.received.splice(0)) handle(message)
    },
  }
  return worker
}
