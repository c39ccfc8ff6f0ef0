import assert from "node:assert/strict"
import { test } from "node:test"
import { decodeChannel, nameInputChannel, windowBox } from "../../playground/ui/components/lib/arithmetic_data.js"
import { layOutCells } from "../../playground/web/views/arithmetic_panels.js"

const ONE = "AACAPw==" // float32 1

const DETAIL = /** @type {Parameters<typeof decodeChannel>[0]} */ ({
  rule: "sum",
  kernelSize: [3, 3],
  stride: 1,
  padding: [1, 1],
  dilation: 2,
  inputShape: [1, 8, 8],
  inputNames: null,
  inputTitle: "Conv",
  firstInputChannel: 4,
  isNetworkInput: false,
  shape: [6, 6],
  receptiveRows: [],
  receptiveColumns: [],
  imageShape: [1, 1],
  palette: "sequential",
  low: 0,
  high: 1,
  input: ONE,
  weights: null,
  output: ONE,
  displayed: ONE,
  image: ONE,
  bias: "-Infinity",
  statistics: { mean: "NaN", eps: 0.5 },
})

test("numbers that JSON cannot hold are decoded from text", () => {
  const channel = decodeChannel(DETAIL)
  assert.equal(channel.bias, Number.NEGATIVE_INFINITY)
  assert.deepEqual(channel.statistics, { mean: Number.NaN, eps: 0.5 })
  assert.deepEqual(channel.input, Float32Array.of(1))
})

test("absent weights and bias stay null", () => {
  const channel = decodeChannel({ ...DETAIL, bias: null })
  assert.equal(channel.weights, null)
  assert.equal(channel.bias, null)
})

test("the window's box is cut at the edges of the input", () => {
  const channel = decodeChannel(DETAIL)
  assert.deepEqual(windowBox(channel, { row: 0, column: 3 }), [0, 2, 4, 7]) // rows -1 to 3, columns 2 to 6
  assert.deepEqual(windowBox(channel, { row: 5, column: 5 }), [4, 4, 8, 8])
})

test("input channels are named by layer and number from 1", () => {
  assert.equal(nameInputChannel({ ...DETAIL, inputShape: [2, 8, 8] }, 1), "Conv, channel 6")
  assert.equal(nameInputChannel(DETAIL, 0), "Conv, channel 5")
})

test("names given by the server and the only channel of the image come without a number", () => {
  assert.equal(nameInputChannel({ ...DETAIL, inputNames: ["main branch", "shortcut"] }, 1), "shortcut")
  assert.equal(nameInputChannel({ ...DETAIL, inputTitle: "input", isNetworkInput: true }, 0), "input")
})

test("cells fill the square between 3 and 38 pixels", () => {
  assert.deepEqual(layOutCells(9, 3, 150), { columns: 3, cell: 38 })
  assert.deepEqual(layOutCells(25, 5, 100), { columns: 5, cell: 19 })
  assert.deepEqual(layOutCells(10_000, 100, 150), { columns: 100, cell: 3 })
})

test("a long row of cells is wrapped to a square, a short one is not", () => {
  assert.deepEqual(layOutCells(64, 64, 150), { columns: 8, cell: 17 })
  assert.deepEqual(layOutCells(8, 8, 150), { columns: 8, cell: 17 })
})
