import { EngineError } from "./engine_error.js"
import { createJsKernels } from "./kernels_js.js"
import { createWasmMachine } from "./kernels_wasm.js"
import { readNetworkFile } from "./network_file.js"
import { buildPlan } from "./plan.js"

/** @import { ChannelExplanation, Machine, NetworkDescription, NetworkFile } from "./types.js" */
/** @import { Plan } from "./plan.js" */

/**
 * Create a heap with the kernels in WebAssembly, or in plain JavaScript where WebAssembly is missing or not wanted.
 * @param {number} size in values
 * @param {boolean} mayUseWebAssembly
 * @returns {Machine & { hasWebAssembly: boolean }}
 */
function createMachine(size, mayUseWebAssembly) {
  if (mayUseWebAssembly) {
    try {
      return { ...createWasmMachine(size), hasWebAssembly: true }
    } catch {
      // Not supported, or blocked by a policy of the page: plain JavaScript computes the same.
    }
  }
  const heap = new Float32Array(size)
  return { heap, kernels: createJsKernels(heap), hasWebAssembly: false }
}

/** A network with its weights, ready to compute all layers for one image after another. */
export class Network {
  /** @type {NetworkDescription} */
  description
  /** @type {string} */
  #programText
  /** @type {Plan} */
  #plan
  /** @type {Machine} */
  #machine
  /** @type {Float32Array} */
  #results

  /**
   * Prepare a network; throws an EngineError for a file that cannot be used.
   * @param {ArrayBuffer | Uint8Array} content of a network file
   * @param {{ mayUseWebAssembly?: boolean }} [options]
   */
  constructor(content, { mayUseWebAssembly = true } = {}) {
    const file = readNetworkFile(content)
    const unused = new Float32Array()
    /** @type {Machine} */
    const machine = { heap: unused, kernels: createJsKernels(unused) }
    const plan = buildPlan(file.program, machine)
    const { heap, kernels, hasWebAssembly } = createMachine(plan.heapSize, mayUseWebAssembly)
    machine.heap = heap
    machine.kernels = kernels
    plan.load(file.tensors)
    this.#machine = machine
    this.#plan = plan
    this.#results = heap.subarray(plan.resultStart, plan.resultStart + plan.resultCount)
    this.#programText = file.programText
    const { inputShape, classes } = file.program
    this.description = {
      architecture: file.architecture,
      inputShape,
      classes,
      layers: plan.layers,
      resultCount: plan.resultCount,
      hasWebAssembly,
    }
  }

  /**
   * Replace the weights by those of another file of the same network; false if the file has another network.
   * @param {ArrayBuffer | Uint8Array} content
   * @returns {boolean}
   */
  replaceWeights(content) {
    /** @type {NetworkFile} */
    const file = readNetworkFile(content)
    if (file.programText !== this.#programText) return false
    this.#plan.load(file.tensors)
    return true
  }

  /**
   * Compute all layers for an image (channels, height, width), values 0 to 1.
   * @param {Float32Array} image
   * @returns {Float32Array} the results, valid until the next call; `description.layers` says what lies where
   */
  forward(image) {
    const { input } = this.#plan
    if (image.length !== input.count) {
      throw new EngineError(`The image has ${image.length} values.`, {
        expected: `${this.description.inputShape.join("×")}, ${input.count} values.`,
      })
    }
    this.#machine.heap.set(image, input.offset)
    this.#plan.run()
    return this.#results
  }

  /**
   * Explain a channel of a layer for the last image: the inputs, weights and window of its values.
   * @param {number} layerIndex index among all layers of the architecture
   * @param {number} channel channel, or value of a vector
   * @returns {ChannelExplanation}
   */
  explainChannel(layerIndex, channel) {
    const { inputOffsets, ...source } = this.#plan.explain(layerIndex, channel)
    const [count, height, width] = source.inputShape
    const input = new Float32Array(count * height * width)
    inputOffsets.forEach((offset, index) => {
      input.set(this.#machine.heap.subarray(offset, offset + height * width), index * height * width)
    })
    return { ...source, input }
  }
}
