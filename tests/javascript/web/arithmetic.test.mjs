import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { describe, test } from "node:test"
import { decodeExplanation } from "../../../playground/ui/components/lib/arithmetic_data.js"
import {
  computeContribution,
  computeContributions,
  computeTotal,
  describeEquation,
  sumContributions,
  windowBox,
  windowOrigin,
} from "../../../playground/web/views/arithmetic.js"

/** @import { ChannelArithmetic } from "../../../playground/web/views/arithmetic.js" */

/**
 * Make a channel of one 3 × 3 input channel with the values 1 to 9.
 * @param {Partial<ChannelArithmetic>} changes
 * @returns {ChannelArithmetic}
 */
function makeChannel(changes) {
  return {
    rule: "sum",
    kernelSize: [2, 2],
    stride: 1,
    padding: [0, 0],
    dilation: 1,
    inputShape: [1, 3, 3],
    input: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9),
    weights: null,
    bias: null,
    statistics: {},
    ...changes,
  }
}

const ORIGIN = { row: 0, column: 0 }

describe("window", () => {
  test("begins at position times stride minus padding", () => {
    assert.deepEqual(windowOrigin({ stride: 3, padding: [1, 2] }, { row: 2, column: 1 }), [5, 1])
    assert.deepEqual(windowOrigin({ stride: 1, padding: [1, 2] }, ORIGIN), [-1, -2])
  })

  test("is zero outside of the input", () => {
    const { cells } = computeContribution(makeChannel({ padding: [1, 1] }), ORIGIN, 0)
    assert.deepEqual(
      cells.map((cell) => cell.isInside),
      [false, false, false, true],
    )
    assert.deepEqual(
      cells.map((cell) => cell.value),
      [0, 0, 0, 1],
    )
  })

  test("is outlined without the padding", () => {
    const channel = makeChannel({ kernelSize: [3, 3], padding: [1, 1], dilation: 2, inputShape: [1, 8, 8] })
    assert.deepEqual(windowBox(channel, { row: 0, column: 3 }), [0, 2, 4, 7]) // rows -1 to 3, columns 2 to 6
    assert.deepEqual(windowBox(channel, { row: 5, column: 5 }), [4, 4, 8, 8])
  })

  test("skips values by the dilation", () => {
    const { cells } = computeContribution(makeChannel({ dilation: 2 }), ORIGIN, 0)
    assert.deepEqual(
      cells.map((cell) => cell.value),
      [1, 3, 7, 9],
    )
  })
})

describe("sum of products", () => {
  const weights = Float32Array.of(1, 2, 3, -1)

  test("multiplies each value by its weight", () => {
    const { cells, total, columns } = computeContribution(makeChannel({ weights }), { row: 1, column: 1 }, 0)
    assert.deepEqual(
      cells.map((cell) => cell.product),
      [5, 12, 24, -9],
    )
    assert.equal(total, 32)
    assert.equal(columns, 2)
  })

  test("adds the input channels and the bias", () => {
    const channel = makeChannel({
      kernelSize: [1, 1],
      inputShape: [2, 1, 2],
      input: Float32Array.of(1, 2, 10, 20),
      weights: Float32Array.of(3, 0.5),
      bias: -4,
    })
    const contributions = computeContributions(channel, { row: 0, column: 1 })
    assert.deepEqual(
      contributions.map(({ total }) => total),
      [6, 10],
    )
    assert.equal(sumContributions(contributions), 16)
    assert.equal(computeTotal(channel, contributions), 12)
  })
})

describe("other rules", () => {
  test("maximum ignores the padding, also where all values are negative", () => {
    const input = Float32Array.of(-1, -2, -3, -4, -5, -6, -7, -8, -9)
    const { total, maxIndex } = computeContribution(makeChannel({ rule: "largest", padding: [1, 1], input }), ORIGIN, 0)
    assert.equal(total, -1)
    assert.equal(maxIndex, 3)
  })

  test("mean divides by the kernel size, with the padding counted", () => {
    const channel = makeChannel({ rule: "mean", padding: [1, 1] })
    assert.equal(computeTotal(channel, computeContributions(channel, { row: 0, column: 1 })), (1 + 2) / 4)
  })

  test("normalization subtracts the mean, divides by the deviation, scales and shifts", () => {
    const statistics = { mean: 1, variance: 3, eps: 1, scale: 5, shift: 0.5 }
    const channel = makeChannel({ rule: "scale", kernelSize: [1, 1], statistics })
    assert.equal(computeTotal(channel, computeContributions(channel, { row: 1, column: 2 })), 13) // (6 - 1) / 2 * 5 + 0.5
  })
})

describe("Python's golden file", () => {
  const file = new URL("../../golden/arithmetic-cases.json", import.meta.url)
  for (const { name, explanation, expected } of JSON.parse(readFileSync(file, "utf-8"))) {
    test(`${name}: every position has the same total and contributions`, () => {
      const channel = decodeExplanation(explanation)
      for (const { row, column, contributions, total } of expected) {
        const found = computeContributions(channel, { row, column })
        assert.deepEqual(
          found.map((contribution) => contribution.total),
          contributions,
        )
        assert.equal(computeTotal(channel, found), total)
      }
    })
  }
})

describe("equation", () => {
  /**
   * Join the parts of an equation, numbers with their names.
   * @param {Partial<ChannelArithmetic>} changes
   * @param {string | null} activation
   * @returns {string}
   */
  function equationText(changes, activation = null) {
    const channel = makeChannel(changes)
    const parts = describeEquation(channel, computeContributions(channel, ORIGIN), { output: 7, activation })
    return parts.map((part) => ("text" in part ? part.text : `${part.name}:${part.value}`)).join(" ")
  }

  test("of a convolution with bias and activation", () => {
    const text = equationText({ weights: Float32Array.of(1, 1, 1, 1), bias: 0.5 }, "ReLU")
    assert.equal(text, "Sum of products added:12 + bias bias:0.5 = total:12.5 → ReLU → result:7")
  })

  test("of a convolution without bias has no total", () => {
    const two = { inputShape: /** @type {[number, number, number]} */ ([2, 1, 1]), kernelSize: [1, 1] }
    const text = equationText({ ...two, kernelSize: [1, 1], input: Float32Array.of(1, 2), bias: null })
    assert.equal(text, "Sum of products over 2 channels added:3 → result:7")
  })

  test("of max pooling", () => {
    assert.equal(equationText({ rule: "largest" }), "Maximum of the window total:5 → result:7")
  })

  test("of average pooling", () => {
    assert.equal(equationText({ rule: "mean" }), "Sum of the window added:12 ÷ 4 = total:3 → result:7")
  })

  test("of normalization names every statistic", () => {
    const statistics = { mean: 1, variance: 3, eps: 1, scale: 5, shift: 0.5 }
    assert.equal(
      equationText({ rule: "scale", kernelSize: [1, 1], statistics }),
      "( added:1 − mean mean:1 ) ÷ √(variance variance:3 + ε eps:1 ) × scale scale:5 + shift shift:0.5 = total:0.5 → result:7",
    )
  })

  test("of a residual block adds main branch and shortcut", () => {
    const text = equationText({
      rule: "add",
      kernelSize: [1, 1],
      inputShape: [2, 1, 1],
      input: Float32Array.of(2, 0.25),
    })
    assert.equal(text, "Main branch added:2 + shortcut bias:0.25 = total:2.25 → result:7")
  })

  test("of an activation alone", () => {
    assert.equal(
      equationText({ rule: "function", kernelSize: [1, 1] }, "Tanh"),
      "Input value total:1 → Tanh → result:7",
    )
  })
})
