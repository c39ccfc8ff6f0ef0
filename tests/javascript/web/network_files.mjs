/** @import { LayerSpec } from "../../../playground/web/engine/types.js" */

/** @typedef {{ shape: number[], values: number[] }} TensorSource */

/**
 * Write a network file, as web/network_file.py does.
 * @param {{ inputShape: number[], classes: number, layers: LayerSpec[] }} program
 * @param {Record<string, TensorSource>} tensors
 * @param {Record<string, string>} [metadata]
 * @returns {Uint8Array}
 */
export function writeNetworkFile(program, tensors, metadata = {}) {
  /** @type {Record<string, unknown>} */
  const header = { __metadata__: { schema: "1", architecture: "{}", program: JSON.stringify(program), ...metadata } }
  /** @type {number[]} */
  const values = []
  for (const [name, tensor] of Object.entries(tensors)) {
    const start = values.length * 4
    values.push(...tensor.values)
    header[name] = { dtype: "F32", shape: tensor.shape, data_offsets: [start, values.length * 4] }
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const content = new Uint8Array(8 + text.length + values.length * 4)
  new DataView(content.buffer).setBigUint64(0, BigInt(text.length), true)
  content.set(text, 8)
  content.set(new Uint8Array(Float32Array.from(values).buffer), 8 + text.length)
  return content
}

/** A network of one linear layer, two inputs and three classes. */
export const LINEAR_PROGRAM = {
  inputShape: [2],
  classes: 3,
  layers: [
    {
      index: 0,
      kind: "output",
      title: "Output",
      outputShape: [3],
      activation: "none",
      explainedOperation: 0,
      operations: [{ name: "linear", module: "0", outFeatures: 3 }],
    },
  ],
}

/** @type {Record<string, TensorSource>} */
export const LINEAR_TENSORS = {
  "0.weight": { shape: [3, 2], values: [1, 0, 0, 1, 1, 1] },
  "0.bias": { shape: [3], values: [0, 0, 0.5] },
}

/**
 * Write the file of the linear network.
 * @param {Record<string, TensorSource>} [tensors] that replace those of the network
 * @returns {Uint8Array}
 */
export function writeLinearNetwork(tensors = {}) {
  return writeNetworkFile(LINEAR_PROGRAM, { ...LINEAR_TENSORS, ...tensors })
}
