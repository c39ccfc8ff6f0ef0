import { packRows } from "../packing.js"
import { loadBias } from "./convolution.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Plan a fully connected layer; its attribute is `outFeatures`.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planLinear({ spec, input, inputShape, layout, machine, requireTensor, reserveOutput }) {
  const rows = Number(spec.outFeatures)
  const columns = inputShape.reduce((product, size) => product * size, 1)
  const getWeights = requireTensor("weight", [rows, columns])
  const getBias = requireTensor("bias", [rows], true)
  const weights = layout.reserve(rows * columns)
  const bias = layout.reserve(rows)
  const output = reserveOutput(rows)
  const offsets = { input: 0, output: 0, weights: 0, bias: 0 }
  return {
    outputShape: [rows],
    output,
    load: (tensors) => {
      const { offset, count } = weights
      const values = /** @type {Float32Array} */ (getWeights(tensors))
      packRows(values, rows, columns, machine.heap.subarray(offset, offset + count))
      loadBias(machine.heap, bias, getBias(tensors))
    },
    run: () => {
      offsets.input = input.offset
      offsets.output = output.offset
      offsets.weights = weights.offset
      offsets.bias = bias.offset
      machine.kernels.multiply(offsets, rows, columns)
    },
  }
}
