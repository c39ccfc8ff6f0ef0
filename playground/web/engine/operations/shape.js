/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Plan a change of the shape to a vector, which copies nothing.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planFlatten({ input, inputShape }) {
  return { outputShape: [inputShape.reduce((product, size) => product * size, 1)], output: input }
}

/**
 * Plan a layer that changes nothing at inference.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planIdentity({ input, inputShape }) {
  return { outputShape: inputShape, output: input }
}
