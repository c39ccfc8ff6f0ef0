import { PANEL_EXTRA, PANEL_WIDTH, packRows } from "../packing.js"
import { describeChannels, listOffsets } from "./channel_source.js"

/** @import { ConvolutionSizes, PlanContext, PlannedOperation, Shape, Slot } from "../types.js" */

/**
 * @typedef {object} ConvolutionSpec Attributes of "conv2d".
 * @property {number} outChannels
 * @property {number} kernelSize
 * @property {number} stride
 * @property {[before: number, after: number]} padding zeros before the first and after the last pixel of both axes
 * @property {number} dilation
 * @property {number} groups
 */

/**
 * Compute the sizes of a convolution after padding.
 * @param {ConvolutionSpec} spec
 * @param {Shape} inputShape
 * @returns {ConvolutionSizes}
 */
function computeSizes({ outChannels, kernelSize, stride, padding, dilation, groups }, [channels, rows, columns]) {
  const [before, after] = padding
  const height = rows + before + after
  const width = columns + before + after
  const extent = dilation * (kernelSize - 1)
  const outHeight = Math.floor((height - extent - 1) / stride) + 1
  const outWidth = Math.floor((width - extent - 1) / stride) + 1
  return { channels, height, width, outChannels, outHeight, outWidth, kernelSize, stride, dilation, groups }
}

/**
 * Copy maps into larger maps with a border of zeros.
 * @param {Float32Array} heap
 * @param {{ source: number, target: number }} offsets
 * @param {Shape} shape of the source
 * @param {[before: number, after: number]} padding
 * @returns {void}
 */
export function pad(heap, { source, target }, [channels, rows, columns], [before, after]) {
  const width = columns + before + after
  const height = rows + before + after
  heap.fill(0, target, target + channels * height * width)
  for (let channel = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      const start = source + (channel * rows + row) * columns
      heap.copyWithin(target + (channel * height + row + before) * width + before, start, start + columns)
    }
  }
}

/**
 * Plan a convolution. Weights of every group are packed for the kernels.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planConvolution({ spec, input, inputShape, layout, machine, requireTensor, reserveOutput }) {
  const attributes = /** @type {ConvolutionSpec & typeof spec} */ (spec)
  const { padding, groups } = attributes
  const sizes = computeSizes(attributes, inputShape)
  const { channels, height, width, outChannels, outHeight, outWidth, kernelSize } = sizes
  const rows = outChannels / groups
  const depth = (channels / groups) * kernelSize ** 2
  const getWeights = requireTensor("weight", [outChannels, channels / groups, kernelSize, kernelSize])
  const getBias = requireTensor("bias", [outChannels], true)
  const weights = layout.reserve(outChannels * depth)
  const bias = layout.reserve(outChannels)
  const output = reserveOutput(outChannels * outHeight * outWidth)
  const isPadded = padding[0] + padding[1] > 0
  const panelCount = depth * PANEL_WIDTH + PANEL_EXTRA
  const scratch = layout.reserveScratch(panelCount + (isPadded ? channels * height * width : 0))
  const offsets = { input: 0, output: 0, weights: 0, bias: 0, panel: 0 }
  const copied = { source: 0, target: 0 }
  /** @type {Float32Array} */
  let loadedWeights
  /** @type {Float32Array | null} */
  let loadedBias
  return {
    outputShape: [outChannels, outHeight, outWidth],
    output,
    load: (tensors) => {
      const values = /** @type {Float32Array} */ (getWeights(tensors))
      loadedWeights = values
      loadedBias = getBias(tensors)
      const size = rows * depth
      for (let group = 0; group < groups; group++) {
        const start = weights.offset + group * size
        packRows(values.subarray(group * size), rows, depth, machine.heap.subarray(start, start + size))
      }
      loadBias(machine.heap, bias, loadedBias)
    },
    run: () => {
      copied.source = input.offset
      copied.target = scratch.offset + panelCount
      if (isPadded) pad(machine.heap, copied, inputShape, padding)
      offsets.input = isPadded ? copied.target : input.offset
      offsets.output = output.offset
      offsets.weights = weights.offset
      offsets.bias = bias.offset
      offsets.panel = scratch.offset
      machine.kernels.convolve(offsets, sizes)
    },
    explain: (channel) => {
      const [, rowCount, columnCount] = inputShape
      const size = rowCount * columnCount
      const firstInputChannel = Math.floor(channel / rows) * (channels / groups)
      return describeChannels({
        inputOffsets: listOffsets(input.offset + firstInputChannel * size, channels / groups, size),
        inputShape: [channels / groups, rowCount, columnCount],
        firstInputChannel,
        kernelSize: [kernelSize, kernelSize],
        stride: sizes.stride,
        padding: [padding[0], padding[0]],
        dilation: sizes.dilation,
        weights: loadedWeights.slice(channel * depth, (channel + 1) * depth),
        bias: loadedBias?.[channel] ?? null,
      })
    },
  }
}

/**
 * Write a bias, zeros without one.
 * @param {Float32Array} heap
 * @param {Slot} slot
 * @param {Float32Array | null} values
 * @returns {void}
 */
export function loadBias(heap, { offset, count }, values) {
  if (values) heap.set(values, offset)
  else heap.fill(0, offset, offset + count)
}
