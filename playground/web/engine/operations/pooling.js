import { describeOneChannel } from "./channel_source.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * @typedef {object} PoolingSpec Attributes of window pooling.
 * @property {number} kernelSize
 * @property {number} stride
 * @property {[top: number, left: number, bottom: number, right: number]} padding
 */

/**
 * @typedef {object} PoolingWindow The part of a window inside the map.
 * @property {number} top
 * @property {number} bottom exclusive
 * @property {number} left
 * @property {number} right exclusive
 */

/**
 * @callback ReduceWindow
 * @param {Float32Array} heap
 * @param {number} map offset of the map
 * @param {number} width of the map
 * @param {PoolingWindow} window
 * @returns {number}
 */

/**
 * Find the largest value of a window.
 * @type {ReduceWindow}
 */
export function findMaximum(heap, map, width, { top, bottom, left, right }) {
  let largest = Number.NEGATIVE_INFINITY
  for (let row = top; row < bottom; row++) {
    for (let index = map + row * width + left; index < map + row * width + right; index++) {
      if (heap[index] > largest) largest = heap[index]
    }
  }
  return largest
}

/**
 * Add up the values of a window.
 * @type {ReduceWindow}
 */
export function sumWindow(heap, map, width, { top, bottom, left, right }) {
  let sum = 0
  for (let row = top; row < bottom; row++) {
    for (let index = map + row * width + left; index < map + row * width + right; index++) sum += heap[index]
  }
  return sum
}

/**
 * Plan pooling with a sliding window.
 * @param {PlanContext} context
 * @param {ReduceWindow} reduce
 * @param {{ rule: "largest" | "mean", computeDivisor: (kernelSize: number) => number }} kind the padding counts as
 *   zeros in a mean
 * @returns {PlannedOperation}
 */
function planWindowPooling({ spec, input, inputShape, machine, reserveOutput }, reduce, kind) {
  const { kernelSize, stride, padding } = /** @type {PoolingSpec & typeof spec} */ (spec)
  const [channels, height, width] = inputShape
  const [paddingTop, paddingLeft, paddingBottom, paddingRight] = padding
  const outHeight = Math.floor((height + paddingTop + paddingBottom - kernelSize) / stride) + 1
  const outWidth = Math.floor((width + paddingLeft + paddingRight - kernelSize) / stride) + 1
  const output = reserveOutput(channels * outHeight * outWidth)
  const divisor = kind.computeDivisor(kernelSize)
  /** @type {PoolingWindow} */
  const window = { top: 0, bottom: 0, left: 0, right: 0 }
  return {
    outputShape: [channels, outHeight, outWidth],
    output,
    run: () => {
      const { heap } = machine
      let target = output.offset
      for (let channel = 0; channel < channels; channel++) {
        const map = input.offset + channel * height * width
        for (let row = 0; row < outHeight; row++) {
          const top = row * stride - paddingTop
          window.top = Math.max(0, top)
          window.bottom = Math.min(height, top + kernelSize)
          for (let column = 0; column < outWidth; column++) {
            const left = column * stride - paddingLeft
            window.left = Math.max(0, left)
            window.right = Math.min(width, left + kernelSize)
            heap[target++] = reduce(heap, map, width, window) / divisor
          }
        }
      }
    },
    explain: (channel) =>
      describeOneChannel(kind.rule, { input, inputShape }, channel, {
        kernelSize: [kernelSize, kernelSize],
        stride,
        padding: [paddingTop, paddingLeft],
      }),
  }
}

/**
 * Plan max pooling.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planMaxPooling(context) {
  return planWindowPooling(context, findMaximum, { rule: "largest", computeDivisor: () => 1 })
}

/**
 * Plan average pooling.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planAveragePooling(context) {
  return planWindowPooling(context, sumWindow, { rule: "mean", computeDivisor: (size) => size ** 2 })
}

/**
 * Plan the mean of every map.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planGlobalAveragePooling({ input, inputShape, machine, reserveOutput }) {
  const [channels, height, width] = inputShape
  const size = height * width
  const output = reserveOutput(channels)
  return {
    outputShape: [channels, 1, 1],
    output,
    run: () => {
      const { heap } = machine
      for (let channel = 0; channel < channels; channel++) {
        const start = input.offset + channel * size
        let sum = 0
        for (let index = start; index < start + size; index++) sum += heap[index]
        heap[output.offset + channel] = sum / size
      }
    },
    explain: (channel) => describeOneChannel("mean", { input, inputShape }, channel, { kernelSize: [height, width] }),
  }
}
