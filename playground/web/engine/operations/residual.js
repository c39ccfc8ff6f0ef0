import { EngineError } from "../engine_error.js"
import { describeChannels } from "./channel_source.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Plan the sum of `body` and `shortcut`, which both read the input; an empty shortcut is the identity.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planSum({ spec, input, inputShape, machine, reserveOutput, planSequence }) {
  const body = planSequence(spec.body ?? [], input, inputShape)
  const shortcut = planSequence(spec.shortcut ?? [], input, inputShape)
  if (body.outputShape.join() !== shortcut.outputShape.join()) {
    const shapes = [body, shortcut].map(({ outputShape }) => outputShape.join("×"))
    throw new EngineError(`The branches of a residual block have the shapes ${shapes.join(" and ")}.`, {
      expected: "equal shapes.",
    })
  }
  const count = body.outputShape.reduce((product, size) => product * size, 1)
  const output = reserveOutput(count)
  return {
    outputShape: body.outputShape,
    output,
    load: (tensors) => {
      body.load(tensors)
      shortcut.load(tensors)
    },
    run: () => {
      body.run()
      shortcut.run()
      const { heap } = machine
      for (let index = 0; index < count; index++) {
        heap[output.offset + index] = heap[body.output.offset + index] + heap[shortcut.output.offset + index]
      }
    },
    explain: (channel) => {
      const [, height, width] = body.outputShape
      return describeChannels({
        rule: "add",
        inputOffsets: [body, shortcut].map((branch) => branch.output.offset + channel * height * width),
        inputShape: [2, height, width],
      })
    },
  }
}
