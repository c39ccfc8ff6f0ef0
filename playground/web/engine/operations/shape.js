import { describeOneChannel } from "./channel_source.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Plan a change of the shape to a vector, which copies nothing.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planFlatten({ input, inputShape, mapShape }) {
  const [, height = 1, width = 1] = inputShape
  return {
    outputShape: [inputShape.reduce((product, size) => product * size, 1)],
    output: input,
    mapShape,
    explain: (index) => {
      const channel = Math.floor(index / (height * width))
      const row = Math.floor(index / width) % height
      return describeOneChannel("same", { input, inputShape }, channel, { padding: [-row, -(index % width)] })
    },
  }
}

/**
 * Plan a layer that changes nothing at inference.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planIdentity({ input, inputShape, mapShape }) {
  return {
    outputShape: inputShape,
    output: input,
    mapShape,
    explain: (channel) => describeOneChannel("same", { input, inputShape }, channel),
  }
}

/** @typedef {{ left: number, right: number, top: number, bottom: number }} ZeroPaddingSpec Attributes of "zeroPad2d". */

/**
 * Plan rows and columns of zeros around the maps.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planZeroPadding({ spec, input, inputShape, machine, reserveOutput }) {
  const { left, right, top, bottom } = /** @type {ZeroPaddingSpec & typeof spec} */ (spec)
  const [channels, height, width] = inputShape
  const outHeight = top + height + bottom
  const outWidth = left + width + right
  const output = reserveOutput(channels * outHeight * outWidth)
  return {
    outputShape: [channels, outHeight, outWidth],
    output,
    run: () => {
      const { heap } = machine
      heap.fill(0, output.offset, output.offset + channels * outHeight * outWidth)
      for (let channel = 0; channel < channels; channel++) {
        for (let row = 0; row < height; row++) {
          const start = input.offset + (channel * height + row) * width
          const target = output.offset + (channel * outHeight + top + row) * outWidth + left
          heap.copyWithin(target, start, start + width)
        }
      }
    },
    explain: (channel) => describeOneChannel("same", { input, inputShape }, channel, { padding: [top, left] }),
  }
}
