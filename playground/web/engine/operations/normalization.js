import { describeOneChannel } from "./channel_source.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Count the values of each channel.
 * @param {readonly number[]} shape
 * @returns {number}
 */
function countPerChannel(shape) {
  return shape.slice(1).reduce((product, size) => product * size, 1)
}

/**
 * Plan batch normalization by running statistics; its attribute is `eps`.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planBatchNorm({ spec, input, inputShape, layout, machine, requireTensor, reserveOutput }) {
  const [channels] = inputShape
  const size = countPerChannel(inputShape)
  const getters = ["weight", "bias", "running_mean", "running_var"].map((name) => requireTensor(name, [channels]))
  const scales = layout.reserve(channels)
  const shifts = layout.reserve(channels)
  const output = reserveOutput(channels * size)
  /** @type {Float32Array[]} */
  let loaded = []
  return {
    outputShape: inputShape,
    output,
    load: (tensors) => {
      loaded = getters.map((get) => /** @type {Float32Array} */ (get(tensors)))
      const [scale, shift, mean, variance] = loaded
      for (let channel = 0; channel < channels; channel++) {
        const factor = scale[channel] / Math.sqrt(variance[channel] + Number(spec.eps))
        machine.heap[scales.offset + channel] = factor
        machine.heap[shifts.offset + channel] = shift[channel] - mean[channel] * factor
      }
    },
    run: () => {
      const { heap } = machine
      let target = output.offset
      let source = input.offset
      for (let channel = 0; channel < channels; channel++) {
        const scale = heap[scales.offset + channel]
        const shift = heap[shifts.offset + channel]
        for (const end = source + size; source < end; source++) heap[target++] = heap[source] * scale + shift
      }
    },
    explain: (channel) => {
      const [scale, shift, mean, variance] = loaded.map((values) => values[channel])
      const statistics = { mean, variance, eps: Number(spec.eps), scale, shift }
      return describeOneChannel("scale", { input, inputShape }, channel, { statistics })
    },
  }
}

/**
 * Compute mean and 1 / standard deviation of a range of the heap.
 * @param {Float32Array} heap
 * @param {{ start: number, count: number, eps: number }} range
 * @param {{ mean: number, factor: number }} result
 * @returns {void}
 */
function standardize(heap, { start, count, eps }, result) {
  let sum = 0
  for (let index = start; index < start + count; index++) sum += heap[index]
  const mean = sum / count
  let squares = 0
  for (let index = start; index < start + count; index++) squares += (heap[index] - mean) ** 2
  result.mean = mean
  result.factor = 1 / Math.sqrt(squares / count + eps)
}

/**
 * Plan group normalization by the statistics of the image; its attributes are `groups` and `eps`.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planGroupNorm({ spec, input, inputShape, layout, machine, requireTensor, reserveOutput }) {
  const [channels] = inputShape
  const size = countPerChannel(inputShape)
  const groupChannels = channels / Number(spec.groups)
  const getScale = requireTensor("weight", [channels], true)
  const getShift = requireTensor("bias", [channels], true)
  const scales = layout.reserve(channels)
  const shifts = layout.reserve(channels)
  const output = reserveOutput(channels * size)
  const range = { start: 0, count: groupChannels * size, eps: Number(spec.eps) }
  const statistics = { mean: 0, factor: 0 }
  return {
    outputShape: inputShape,
    output,
    load: (tensors) => {
      machine.heap.set(getScale(tensors) ?? new Float32Array(channels).fill(1), scales.offset)
      machine.heap.set(getShift(tensors) ?? new Float32Array(channels), shifts.offset)
    },
    run: () => {
      const { heap } = machine
      for (let channel = 0; channel < channels; channel++) {
        const start = channel * size
        if (channel % groupChannels === 0) {
          range.start = input.offset + start
          standardize(heap, range, statistics)
        }
        const scale = statistics.factor * heap[scales.offset + channel]
        const shift = heap[shifts.offset + channel] - statistics.mean * scale
        for (let index = start; index < start + size; index++) {
          heap[output.offset + index] = heap[input.offset + index] * scale + shift
        }
      }
    },
    explain: (channel) => {
      range.start = input.offset + Math.floor(channel / groupChannels) * groupChannels * size
      standardize(machine.heap, range, statistics)
      const { mean, factor } = statistics
      const { eps } = range
      const [scale, shift] = [scales, shifts].map(({ offset }) => machine.heap[offset + channel])
      const parameters = { mean, variance: 1 / factor ** 2 - eps, eps, scale, shift }
      return describeOneChannel("scale", { input, inputShape }, channel, { statistics: parameters })
    },
  }
}
