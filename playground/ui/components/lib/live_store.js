/** @import { EngineClient, EngineResult } from "../../../web/engine/engine_client.js" */
/** @import { MapColors } from "../../../web/views/feature_maps.js" */

/**
 * @typedef {object} LiveNetwork A network in the browser engine.
 * @property {EngineClient} client
 * @property {number | null} step of the weights that are loaded; null until then, and after a failure
 * @property {string} failure message of the engine; empty while it works
 */

/**
 * @typedef {object} LiveLayer Values of a layer for the drawing.
 * @property {Float32Array} values
 * @property {readonly number[]} shape
 */

/**
 * @typedef {object} LiveLayers What the feature strip shows while the pen moves.
 * @property {Map<string, LiveLayer>} layers by layer id
 * @property {MapColors} colors
 * @property {{ maxMaps: number, size: number, gap: number }} layout
 * @property {{ className: string, probability: string }} prediction
 */

/**
 * @typedef {object} LiveProblem A failure of the engine, or an answer that is not the server's.
 * @property {string} runId
 * @property {string} message
 */

/**
 * State of live drawing, shared by the components of the page. Dispatches `load` (a network has new weights), `result`
 * (an image was computed), `failure` (LiveProblem), `layers` (LiveLayers) and `end` (the server's answer to the drawing
 * is on the page).
 */
class LiveStore extends EventTarget {
  /** @type {Map<string, LiveNetwork>} networks by the id of their run */
  networks = new Map()
  /** True from pen down until the server's answer to the drawing is on the page. */
  isDrawing = false

  /**
   * Dispatch an event.
   * @param {"load" | "result" | "failure" | "layers" | "end"} name
   * @param {unknown} [detail]
   * @returns {void}
   */
  announce(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }))
  }
}

const STORE_KEY = Symbol.for("cnn-playground.live")

/**
 * Return the store of the page. The code of every component is a module of its own, so the store is a global value.
 * @returns {LiveStore}
 */
export function getLiveStore() {
  const scope = /** @type {Record<symbol, LiveStore | undefined>} */ (/** @type {unknown} */ (globalThis))
  scope[STORE_KEY] ??= new LiveStore()
  return scope[STORE_KEY]
}

/**
 * Return the latest result of a network, as a `result` event carries it.
 * @param {Event} event
 * @returns {{ runId: string, result: EngineResult }}
 */
export function readResultEvent(event) {
  return /** @type {CustomEvent<{ runId: string, result: EngineResult }>} */ (event).detail
}

/**
 * Return the problem that a `failure` event carries.
 * @param {Event} event
 * @returns {LiveProblem}
 */
export function readFailureEvent(event) {
  return /** @type {CustomEvent<LiveProblem>} */ (event).detail
}
