import { createMessageHandler } from "./message_handler.js"

/** @import { EngineMessage } from "./messages.js" */

const scope = /** @type {{ postMessage: typeof postMessage, onmessage: unknown }} */ (
  /** @type {unknown} */ (globalThis)
)

const handle = createMessageHandler((reply, transfer) => scope.postMessage(reply, { transfer }))
scope.onmessage = (/** @type {MessageEvent<EngineMessage>} */ { data }) => handle(data)
