import { packRows } from "../packing.js"
import { describeChannels, listOffsets } from "./channel_source.js"
import { loadBias } from "./convolution.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Plan a fully connected layer; its attribute is `outFeatures`.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planLinear({ spec, input, inputShape, mapShape, layout, machine, requireTensor, reserveOutput }) {
  const rows = Number(spec.outFeatures)
  const columns = inputShape.reduce((product, size) => product * size, 1)
  const getWeights = requireTensor("weight", [rows, columns])
  const getBias = requireTensor("bias", [rows], true)
  const weights = layout.reserve(rows * columns)
  const bias = layout.reserve(rows)
  const output = reserveOutput(rows)
  const offsets = { input: 0, output: 0, weights: 0, bias: 0 }
  /** @type {Float32Array} */
  let loadedWeights
  /** @type {Float32Array | null} */
  let loadedBias
  return {
    outputShape: [rows],
    output,
    load: (tensors) => {
      const { offset, count } = weights
      const values = /** @type {Float32Array} */ (getWeights(tensors))
      loadedWeights = values
      loadedBias = getBias(tensors)
      packRows(values, rows, columns, machine.heap.subarray(offset, offset + count))
      loadBias(machine.heap, bias, loadedBias)
    },
    run: () => {
      offsets.input = input.offset
      offsets.output = output.offset
      offsets.weights = weights.offset
      offsets.bias = bias.offset
      machine.kernels.multiply(offsets, rows, columns)
    },
    explain: (row) => {
      const [mapCount, height, width] = mapShape.length === 3 ? mapShape : [1, 1, columns]
      return describeChannels({
        inputOffsets: listOffsets(input.offset, mapCount, height * width),
        inputShape: [mapCount, height, width],
        kernelSize: [height, width],
        weights: loadedWeights.slice(row * columns, (row + 1) * columns),
        bias: loadedBias?.[row] ?? null,
      })
    },
  }
}
