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
