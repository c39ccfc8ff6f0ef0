import { startEngine } from "../../web/index.js"
import { getLiveStore } from "./lib/live_store.js"

/** @import { LiveNetwork } from "./lib/live_store.js" */
/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** @typedef {{ runId: string, step: number }} NetworkIdentity */

const LENGTH_BYTES = 8

/** @type {WeakMap<Node, { content: Uint8Array, runId: string }>} the network file of every component */
const loaded = new WeakMap()

/**
 * Read the run and the step of a network file from its safetensors header.
 * @param {Uint8Array} content
 * @returns {NetworkIdentity}
 */
export function readIdentity(content) {
  const length = Number(new DataView(content.buffer, content.byteOffset).getBigUint64(0, true))
  const header = new TextDecoder().decode(content.subarray(LENGTH_BYTES, LENGTH_BYTES + length))
  const metadata = JSON.parse(header).__metadata__
  return { runId: metadata.run_id, step: Number(metadata.step) }
}

/**
 * Start an engine for the networks of a run.
 * @param {string} runId
 * @returns {LiveNetwork}
 */
function startNetwork(runId) {
  const store = getLiveStore()
  const client = startEngine({
    onLoad: () => {
      network.step = network.loadingStep
      network.failure = ""
      store.announce("load")
    },
    onResult: (result) => store.announce("result", { runId, result }),
    onError: (message) => {
      network.step = null
      network.failure = message
      store.announce("failure", { runId, message: `The browser engine failed: ${message}` })
    },
  })
  /** @type {LiveNetwork & { loadingStep: number | null }} */
  const network = { client, step: null, failure: "", loadingStep: null }
  store.networks.set(runId, network)
  return network
}

/**
 * Load the network file into an engine; a new step of the same run replaces the weights.
 * @param {ComponentArgs<Uint8Array>} args
 * @returns {() => void}
 */
export default function renderLiveNetwork({ data, parentElement }) {
  const store = getLiveStore()
  const previous = loaded.get(parentElement)
  if (!(previous && haveEqualBytes(previous.content, data))) {
    const { runId, step } = readIdentity(data)
    if (previous && previous.runId !== runId) stopNetwork(previous.runId)
    const network = /** @type {LiveNetwork & { loadingStep: number | null }} */ (
      store.networks.get(runId) ?? startNetwork(runId)
    )
    network.loadingStep = step
    network.client.load(/** @type {ArrayBuffer} */ (data.slice().buffer))
    loaded.set(parentElement, { content: data, runId })
  }
  return () => {
    const current = loaded.get(parentElement)
    if (current) stopNetwork(current.runId)
    loaded.delete(parentElement)
  }
}

/**
 * Compare network files; the server sends an unchanged one again.
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 * @returns {boolean}
 */
function haveEqualBytes(first, second) {
  if (first === second) return true
  return first.length === second.length && first.every((byte, index) => byte === second[index])
}

/**
 * End the engine of a run.
 * @param {string} runId
 * @returns {void}
 */
function stopNetwork(runId) {
  const store = getLiveStore()
  store.networks.get(runId)?.client.stop()
  store.networks.delete(runId)
}
