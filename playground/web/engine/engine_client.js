import { createMessageHandler } from "./message_handler.js"
import { computeProbabilities } from "./probabilities.js"

/** @import { EngineMessage, EngineReply, ExplanationReply, ResultReply } from "./messages.js" */
/** @import { NetworkDescription } from "./types.js" */

/**
 * @typedef {object} EngineResult Values of all layers for one image; valid until the next result.
 * @property {Float32Array} values results, laid out as `description.layers` says
 * @property {Float32Array} logits
 * @property {Float64Array} probabilities one per class
 * @property {Float32Array} image
 * @property {number} elapsedMs time of the computation
 */

/**
 * @typedef {object} EngineOptions
 * @property {(description: NetworkDescription) => void} onLoad a network, or new weights of it, can be used
 * @property {(result: EngineResult) => void} onResult
 * @property {(reply: ExplanationReply) => void} [onExplanation]
 * @property {(message: string) => void} onError
 * @property {boolean} [mayUseWorker] false: everything runs on the page
 * @property {boolean} [mayUseWebAssembly]
 * @property {string} [workerSource] JavaScript of the worker
 */

/**
 * Runs networks in a worker. While an image is computed, only the latest of the following images is kept. Where no
 * worker can be started, the page itself computes.
 */
export class EngineClient {
  /** Place of the computation. */
  mode = "worker"
  /** @type {NetworkDescription | null} */
  description = null
  /** @type {EngineOptions} */
  #options
  /** @type {Worker | null} */
  #worker = null
  /** @type {((message: EngineMessage) => void) | null} */
  #handler = null
  /** @type {ArrayBuffer[]} buffers of images that are not in use */
  #images = []
  /** @type {ArrayBuffer[]} buffers of results that are not in use */
  #results = []
  /** @type {ArrayBuffer | null} the latest image, waiting for the one that is computed */
  #waiting = null
  #runningCount = 0
  /** @type {ArrayBuffer | null} network file that a failed worker has not loaded */
  #content = null
  /** @type {EngineResult | null} */
  #current = null

  /** @param {EngineOptions} options */
  constructor(options) {
    this.#options = options
    const { mayUseWorker = true, workerSource = "" } = options
    if (mayUseWorker && workerSource) this.#startWorker(workerSource)
    else this.#replaceWorker()
  }

  /**
   * Load a network file; `onLoad` follows, or `onError`.
   * @param {ArrayBuffer} content
   * @returns {void}
   */
  load(content) {
    this.#content = content
    this.#send({ kind: "load", content, mayUseWebAssembly: this.#options.mayUseWebAssembly ?? true }, [])
  }

  /**
   * Compute all layers for an image (channels, height, width); `onResult` follows unless a later image replaces it.
   * @param {Float32Array} image copied
   * @returns {void}
   */
  run(image) {
    const buffer = this.#waiting ?? this.#images.pop() ?? new ArrayBuffer(image.byteLength)
    const fitting = buffer.byteLength === image.byteLength ? buffer : new ArrayBuffer(image.byteLength)
    new Float32Array(fitting).set(image)
    this.#waiting = fitting
    this.#runWaiting()
  }

  /**
   * Explain a channel of a layer for the image that was computed last; `onExplanation` follows.
   * @param {number} layerIndex index among all layers of the architecture
   * @param {number} channel
   * @returns {void}
   */
  explain(layerIndex, channel) {
    this.#send({ kind: "explain", layerIndex, channel }, [])
  }

  /** End the worker. */
  stop() {
    this.#worker?.terminate()
    this.#worker = null
    this.#handler = null
    this.#waiting = null
  }

  /**
   * Start a worker from its source, which needs no file and so works from file:// too.
   * @param {string} source
   * @returns {void}
   */
  #startWorker(source) {
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }))
    try {
      this.#worker = new Worker(url)
    } catch {
      this.#replaceWorker() // some browsers throw where a policy forbids workers, others send an error
      return
    }
    this.#worker.onmessage = ({ data }) => {
      URL.revokeObjectURL(url)
      this.#receive(data)
    }
    this.#worker.onerror = (event) => {
      event.preventDefault()
      this.#replaceWorker()
    }
  }

  /** Compute on the page, because the worker cannot be started or has crashed. */
  #replaceWorker() {
    this.#worker?.terminate()
    this.#worker = null
    this.mode = "page"
    this.#runningCount = 0
    this.#handler = createMessageHandler((reply) => this.#receive(reply))
    if (this.#content !== null) this.load(this.#content)
    this.#runWaiting()
  }

  /** Send the waiting image if nothing is computed. */
  #runWaiting() {
    if (this.#runningCount > 0 || this.#waiting === null || this.description === null) return
    const image = this.#waiting
    this.#waiting = null
    this.#runningCount = 1
    const results = this.#results.pop() ?? new ArrayBuffer(0)
    this.#send({ kind: "run", image, results }, [image, results])
  }

  /**
   * Send a message to the worker, or handle it after this task.
   * @param {EngineMessage} message
   * @param {Transferable[]} transfer
   * @returns {void}
   */
  #send(message, transfer) {
    if (this.#worker === null) queueMicrotask(() => this.#handler?.(message))
    else this.#worker.postMessage(message, transfer)
  }

  /**
   * Receive a reply.
   * @param {EngineReply} reply
   * @returns {void}
   */
  #receive(reply) {
    if (reply.kind === "loaded") {
      this.description = reply.description
      this.#options.onLoad(reply.description)
    } else if (reply.kind === "explanation") {
      this.#options.onExplanation?.(reply)
    } else {
      this.#runningCount = 0
      if (reply.kind === "failed") this.#options.onError(reply.message)
      else this.#options.onResult(this.#createResult(reply))
    }
    this.#runWaiting()
  }

  /**
   * Wrap the buffers of a result, and free those of the one before.
   * @param {ResultReply} reply
   * @returns {EngineResult}
   */
  #createResult({ image, results, elapsedMs }) {
    const description = /** @type {NetworkDescription} */ (this.description)
    if (this.#current !== null) {
      this.#images.push(/** @type {ArrayBuffer} */ (this.#current.image.buffer))
      this.#results.push(/** @type {ArrayBuffer} */ (this.#current.values.buffer))
    }
    const values = new Float32Array(results)
    const { outputOffset, outputShape } = /** @type {import("./types.js").LayerLayout} */ (description.layers.at(-1))
    const logits = values.subarray(outputOffset, outputOffset + outputShape[0])
    let probabilities = this.#current?.probabilities
    if (probabilities?.length !== description.classes) probabilities = new Float64Array(description.classes)
    computeProbabilities(logits, probabilities)
    this.#current = { values, logits, probabilities, image: new Float32Array(image), elapsedMs }
    return this.#current
  }
}
