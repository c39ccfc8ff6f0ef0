import { Network } from "./network.js"

/** @import { EngineMessage, EngineReply } from "./messages.js" */

const NOT_LOADED = "No network is loaded."

/**
 * Create the handler of the engine's messages, which runs in a worker, or on the page where there is none.
 * @param {(reply: EngineReply, transfer: Transferable[]) => void} reply
 * @returns {(message: EngineMessage) => void}
 */
export function createMessageHandler(reply) {
  /** @type {Network | null} */
  let network = null

  /**
   * Load a network, or the weights of another step of the same network.
   * @param {import("./messages.js").LoadMessage} message
   * @returns {void}
   */
  function load({ content, mayUseWebAssembly }) {
    if (!network?.replaceWeights(content)) {
      network = null // frees the heap before the next one is made
      network = new Network(content, { mayUseWebAssembly })
    }
    reply({ kind: "loaded", description: network.description }, [])
  }

  /**
   * Compute all layers.
   * @param {import("./messages.js").RunMessage} message
   * @returns {void}
   */
  function run({ image, results }) {
    if (!network) {
      reply({ kind: "failed", message: NOT_LOADED }, [])
      return
    }
    const startedAt = performance.now()
    const values = network.forward(new Float32Array(image))
    const buffer = results.byteLength === values.byteLength ? results : new ArrayBuffer(values.byteLength)
    new Float32Array(buffer).set(values)
    reply({ kind: "result", image, results: buffer, elapsedMs: performance.now() - startedAt }, [image, buffer])
  }

  /**
   * Explain a channel for the last image.
   * @param {import("./messages.js").ExplainMessage} message
   * @returns {void}
   */
  function explain({ layerIndex, channel }) {
    const explanation = network?.explainChannel(layerIndex, channel)
    if (explanation) reply({ kind: "explanation", layerIndex, channel, explanation }, [])
    else reply({ kind: "failed", message: NOT_LOADED }, [])
  }

  return (message) => {
    try {
      if (message.kind === "load") load(message)
      else if (message.kind === "run") run(message)
      else explain(message)
    } catch (error) {
      reply({ kind: "failed", message: error instanceof Error ? error.message : String(error) }, [])
    }
  }
}
