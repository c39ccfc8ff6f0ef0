import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { Network } from "../../../playground/web/engine/network.js"
import { decodeHalf, readNetworkFile } from "../../../playground/web/engine/network_file.js"
import { computeProbabilities } from "../../../playground/web/engine/probabilities.js"
import { LINEAR_PROGRAM, LINEAR_TENSORS, writeLinearNetwork, writeNetworkFile } from "./network_files.mjs"

describe("network file", () => {
  test("half-precision numbers are decoded exactly", () => {
    const cases = /** @type {const} */ ([
      [0x00_00, 0],
      [0x3c_00, 1],
      [0xc0_00, -2],
      [0x7b_ff, 65_504],
      [0x35_55, 0.333_251_953_125],
      [0x00_01, 2 ** -24],
      [0x83_ff, -1023 * 2 ** -24],
      [0x7c_00, Number.POSITIVE_INFINITY],
      [0xfc_00, Number.NEGATIVE_INFINITY],
      [0x7e_00, Number.NaN],
    ])
    for (const [bits, value] of cases) assert.equal(decodeHalf(bits), value)
  })

  test("weights keep their names, shapes and values", () => {
    const { tensors } = readNetworkFile(writeLinearNetwork())
    assert.deepEqual(tensors.get("0.weight"), { shape: [3, 2], values: Float32Array.of(1, 0, 0, 1, 1, 1) })
  })

  test("a file that is cut off anywhere is reported as damaged", () => {
    const content = writeLinearNetwork()
    for (const length of [0, 7, 100, content.length - 1]) {
      assert.throws(() => readNetworkFile(content.subarray(0, length)), /damaged/u)
    }
  })

  test("a header that is not JSON is reported as damaged", () => {
    const content = writeLinearNetwork()
    content[8] = 0x7d
    assert.throws(() => readNetworkFile(content), /damaged: its header is not JSON/u)
  })

  test("another schema is reported", () => {
    assert.throws(
      () => readNetworkFile(writeNetworkFile(LINEAR_PROGRAM, LINEAR_TENSORS, { schema: "2" })),
      /has schema 2\. Expected: schema 1\./u,
    )
  })

  test("NaN and infinity in the weights are reported with the name of the tensor", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const content = writeLinearNetwork({ "0.bias": { shape: [3], values: [0, value, 0] } })
      assert.throws(() => readNetworkFile(content), /"0\.bias" contain NaN or infinity/u)
    }
  })
})

describe("network", () => {
  test("the values of all layers are computed", () => {
    for (const mayUseWebAssembly of [true, false]) {
      const network = new Network(writeLinearNetwork(), { mayUseWebAssembly })
      const [layer] = network.description.layers
      const results = network.forward(Float32Array.of(2, 3))
      assert.deepEqual([...results.subarray(layer.outputOffset, layer.outputOffset + 3)], [2, 3, 5.5])
      assert.equal(network.description.hasWebAssembly, mayUseWebAssembly)
    }
  })

  test("the results lie in the same memory for every image", () => {
    const network = new Network(writeLinearNetwork())
    assert.equal(network.forward(Float32Array.of(2, 3)), network.forward(Float32Array.of(1, 1)))
  })

  test("plain JavaScript computes where WebAssembly is missing", () => {
    const { Memory } = WebAssembly
    Object.assign(WebAssembly, { Memory: undefined })
    const { description } = new Network(writeLinearNetwork())
    Object.assign(WebAssembly, { Memory })
    assert.equal(description.hasWebAssembly, false)
  })

  test("weights that do not fit are reported, and those before are kept", () => {
    const network = new Network(writeLinearNetwork())
    const wrongShape = writeLinearNetwork({ "0.weight": { shape: [2, 3], values: [1, 0, 0, 1, 1, 1] } })
    assert.throws(() => network.replaceWeights(wrongShape), /"0\.weight" have the shape 2×3\. Expected: 3×2\./u)
    const withoutWeight = writeNetworkFile(LINEAR_PROGRAM, { "0.bias": LINEAR_TENSORS["0.bias"] })
    assert.throws(() => network.replaceWeights(withoutWeight), /"0\.weight" are missing/u)
    const unknown = writeLinearNetwork({ "1.bias": LINEAR_TENSORS["0.bias"] })
    assert.throws(() => network.replaceWeights(unknown), /"1\.bias" belong to no layer/u)
    const { outputOffset } = network.description.layers[0]
    assert.equal(network.forward(Float32Array.of(2, 3))[outputOffset], 2)
  })

  test("weights of another step replace those before", () => {
    const network = new Network(writeLinearNetwork())
    const other = writeLinearNetwork({ "0.bias": { shape: [3], values: [10, 0, 0] } })
    assert.equal(network.replaceWeights(other), true)
    assert.equal(network.forward(Float32Array.of(2, 3))[network.description.layers[0].outputOffset], 12)
  })

  test("the weights of another network are not taken", () => {
    const network = new Network(writeLinearNetwork())
    const other = writeNetworkFile({ ...LINEAR_PROGRAM, classes: 4 }, LINEAR_TENSORS)
    assert.equal(network.replaceWeights(other), false)
  })

  test("an image of another size is reported", () => {
    const network = new Network(writeLinearNetwork())
    assert.throws(() => network.forward(new Float32Array(3)), /has 3 values\. Expected: 2, 2 values\./u)
  })

  test("a network that needs too much memory is reported", () => {
    const layers = [{ ...LINEAR_PROGRAM.layers[0], outputShape: [2 ** 28] }]
    layers[0].operations = [{ name: "linear", module: "0", outFeatures: 2 ** 28 }]
    const content = writeNetworkFile({ ...LINEAR_PROGRAM, layers }, LINEAR_TENSORS)
    assert.throws(() => new Network(content), /needs \d+ MB in the browser/u)
  })

  test("an unknown operation is reported", () => {
    const layers = [{ ...LINEAR_PROGRAM.layers[0], operations: [{ name: "wavelet", module: "0", outFeatures: 3 }] }]
    const content = writeNetworkFile({ ...LINEAR_PROGRAM, layers }, LINEAR_TENSORS)
    assert.throws(() => new Network(content), /operation "wavelet" is unknown/u)
  })

  test("a layer whose shape differs from the architecture's is reported", () => {
    const layers = [{ ...LINEAR_PROGRAM.layers[0], outputShape: [4] }]
    const content = writeNetworkFile({ ...LINEAR_PROGRAM, layers }, LINEAR_TENSORS)
    assert.throws(() => new Network(content), /Layer 1 \(Output\) gives 3 values\. Expected: 4\./u)
  })
})

describe("explanations", () => {
  test("a channel is explained for the last image", () => {
    const network = new Network(writeLinearNetwork())
    network.forward(Float32Array.of(2, 3))
    const { input, weights, bias, rule } = network.explainChannel(0, 2)
    assert.deepEqual([rule, [...input], [...(weights ?? [])], bias], ["sum", [2, 3], [1, 1], 0.5])
  })

  test("a missing channel or layer is reported", () => {
    const network = new Network(writeLinearNetwork())
    assert.throws(() => network.explainChannel(0, 3), /Layer 1 has no channel 4/u)
    assert.throws(() => network.explainChannel(1, 0), /Layer 2 has no channel 1/u)
  })
})

describe("probabilities", () => {
  test("large logits do not overflow", () => {
    const probabilities = new Float64Array(2)
    computeProbabilities(Float32Array.of(1000, 1000), probabilities)
    assert.deepEqual([...probabilities], [0.5, 0.5])
  })

  test("a single logit is that of the second class", () => {
    const probabilities = new Float64Array(2)
    computeProbabilities(Float32Array.of(Math.log(3)), probabilities)
    assert.ok(Math.abs(probabilities[0] - 0.25) < 1e-7 && Math.abs(probabilities[1] - 0.75) < 1e-7)
  })
})
