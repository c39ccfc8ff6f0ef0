import { EngineError } from "../engine_error.js"
import { describeOneChannel } from "./channel_source.js"

/** @import { PlanContext, PlannedOperation } from "../types.js" */

/**
 * Compute the error function; the absolute error is below 1.5e-7. Source: Abramowitz and Stegun, 7.1.26.
 * @param {number} value
 * @returns {number}
 */
function erf(value) {
  const size = Math.abs(value)
  const t = 1 / (1 + 0.327_591_1 * size)
  const series =
    ((((1.061_405_429 * t - 1.453_152_027) * t + 1.421_413_741) * t - 0.284_496_736) * t + 0.254_829_592) * t
  return Math.sign(value) * (1 - series * Math.exp(-size * size))
}

/**
 * Activation functions by PyTorch's names, with PyTorch's default arguments; leaky ReLU can have another slope.
 * @type {Record<string, (value: number, negativeSlope?: number) => number>}
 */
export const ACTIVATION_FUNCTIONS = {
  relu: (value) => Math.max(value, 0),
  leaky_relu: (value, negativeSlope = 0.01) => (value > 0 ? value : negativeSlope * value),
  elu: (value) => (value > 0 ? value : Math.expm1(value)),
  gelu: (value) => 0.5 * value * (1 + erf(value * Math.SQRT1_2)),
  silu: (value) => value / (1 + Math.exp(-value)),
  sigmoid: (value) => 1 / (1 + Math.exp(-value)),
  tanh: Math.tanh,
}

/**
 * Find an activation function; throws an EngineError for an unknown name.
 * @param {string} name
 * @returns {(value: number, negativeSlope?: number) => number}
 */
export function getActivationFunction(name) {
  if (!Object.hasOwn(ACTIVATION_FUNCTIONS, name)) {
    const known = Object.keys(ACTIVATION_FUNCTIONS).join(", ")
    throw new EngineError(`The activation function "${name}" is unknown.`, {
      expected: `one of ${known}.`,
      fix: "Reload the page.",
    })
  }
  return ACTIVATION_FUNCTIONS[name]
}

/**
 * Plan an activation function; its attributes are `function` and, for a leaky ReLU, `negativeSlope`.
 * @param {PlanContext} context
 * @returns {PlannedOperation}
 */
export function planActivation({ spec, input, inputShape, machine, reserveOutput }) {
  const apply = getActivationFunction(String(spec.function))
  const slope = spec.negativeSlope === undefined ? undefined : Number(spec.negativeSlope)
  const count = inputShape.reduce((product, size) => product * size, 1)
  const output = reserveOutput(count)
  return {
    outputShape: inputShape,
    output,
    run: () => {
      const { heap } = machine
      const { offset: source } = input
      const { offset: target } = output
      for (let index = 0; index < count; index++) heap[target + index] = apply(heap[source + index], slope)
    },
    explain: (channel) => describeOneChannel("function", { input, inputShape }, channel),
  }
}
