import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { decodeChannel, decodeExplanation, decodePalettes } from "../../playground/ui/components/lib/arithmetic_data.js"

const ONE = "AACAPw==" // float32 1

/** @type {Parameters<typeof decodeExplanation>[0]} */
const EXPLANATION = {
  rule: "sum",
  kernelSize: [3, 3],
  stride: 1,
  padding: [1, 1],
  dilation: 2,
  inputShape: [1, 1, 1],
  firstInputChannel: 4,
  input: ONE,
  weights: null,
  bias: "-Infinity",
  statistics: { mean: "NaN", eps: 0.5 },
}

describe("explanation of the server", () => {
  test("numbers that JSON cannot hold are decoded from text", () => {
    const explanation = decodeExplanation(EXPLANATION)
    assert.equal(explanation.bias, Number.NEGATIVE_INFINITY)
    assert.deepEqual(explanation.statistics, { mean: Number.NaN, eps: 0.5 })
    assert.deepEqual(explanation.input, Float32Array.of(1))
  })

  test("weights are decoded; absent weights and bias stay null", () => {
    assert.deepEqual(decodeExplanation({ ...EXPLANATION, weights: ONE }).weights, Float32Array.of(1))
    const explanation = decodeExplanation({ ...EXPLANATION, bias: null })
    assert.equal(explanation.weights, null)
    assert.equal(explanation.bias, null)
  })
})

test("a channel is decoded with its map and the image", () => {
  const source = { title: "Conv", imageChannels: null }
  const scale = /** @type {const} */ ({ palette: "diverging", low: -2, high: 2 })
  const channel = decodeChannel({
    layer: "3",
    titles: { output: "Conv, channel 5", grid: "All maps", activation: "ReLU" },
    detail: {
      explanation: EXPLANATION,
      source,
      shape: [1, 1],
      output: ONE,
      displayed: "AAAAwA==",
      scale,
      receptiveField: { image: ONE, imageShape: [1, 1], rows: [[0, 1]], columns: [[0, 1]] },
    },
  })
  assert.deepEqual(channel, {
    layer: "3",
    title: "Conv, channel 5",
    activation: "ReLU",
    explanation: decodeExplanation(EXPLANATION),
    source,
    shape: [1, 1],
    output: Float32Array.of(1),
    displayed: Float32Array.of(-2),
    scale,
    receptiveField: { image: Float32Array.of(1), imageShape: [1, 1], rows: [[0, 1]], columns: [[0, 1]] },
  })
})

test("color tables are decoded to bytes", () => {
  assert.deepEqual(decodePalettes({ ink: "AQ==", sequential: "Ag==", diverging: "/w==" }), {
    ink: Uint8Array.of(1),
    sequential: Uint8Array.of(2),
    diverging: Uint8Array.of(255),
  })
})
