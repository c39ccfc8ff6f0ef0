import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { createJsKernels } from "../../../playground/web/engine/kernels_js.js"
import { createWasmMachine } from "../../../playground/web/engine/kernels_wasm.js"
import { PANEL_EXTRA, PANEL_WIDTH, packRows } from "../../../playground/web/engine/packing.js"

/** @import { ConvolutionSizes, Kernels } from "../../../playground/web/engine/types.js" */

const OFFSETS = { input: 1024, output: 20_480, weights: 40_960, bias: 61_440, panel: 65_536 }
const HEAP_SIZE = 131_072

/**
 * Numbers in an order without symmetry, -1 to 1.
 * @param {number} count
 * @param {number} start
 * @returns {Float32Array}
 */
function ramp(count, start) {
  return Float32Array.from({ length: count }, (_, index) => ((((index + start) * 37) % 101) - 50) / 50)
}

/**
 * Both implementations, each on a heap of its own with the same content.
 * @returns {{ heap: Float32Array, kernels: Kernels }[]}
 */
function createMachines() {
  const heap = new Float32Array(HEAP_SIZE)
  const machines = [createWasmMachine(HEAP_SIZE), { heap, kernels: createJsKernels(heap) }]
  for (const machine of machines) {
    machine.heap.set(ramp(HEAP_SIZE - OFFSETS.input, 3), OFFSETS.input)
  }
  return machines
}

/**
 * Compute a convolution from its definition.
 * @param {Float32Array} maps
 * @param {Float32Array} weights not packed
 * @param {Float32Array} bias
 * @param {ConvolutionSizes} sizes
 * @returns {number[]}
 */
function convolveByDefinition(maps, weights, bias, sizes) {
  const { channels, height, width, outChannels, outHeight, outWidth, kernelSize, stride, dilation, groups } = sizes
  const groupChannels = channels / groups
  const outputs = []
  for (let out = 0; out < outChannels; out++) {
    const group = Math.floor(out / (outChannels / groups))
    for (let position = 0; position < outHeight * outWidth; position++) {
      const top = Math.floor(position / outWidth) * stride
      const left = (position % outWidth) * stride
      let sum = bias[out]
      for (let cell = 0; cell < groupChannels * kernelSize ** 2; cell++) {
        const channel = group * groupChannels + Math.floor(cell / kernelSize ** 2)
        const row = top + Math.floor((cell % kernelSize ** 2) / kernelSize) * dilation
        const column = left + (cell % kernelSize) * dilation
        sum += weights[out * groupChannels * kernelSize ** 2 + cell] * maps[(channel * height + row) * width + column]
      }
      outputs.push(sum)
    }
  }
  return outputs
}

/** @type {[name: string, sizes: Omit<ConvolutionSizes, "outHeight" | "outWidth">][]} */
const CONVOLUTIONS = [
  ["3×3", { channels: 3, height: 12, width: 13, outChannels: 9, kernelSize: 3, stride: 1, dilation: 1, groups: 1 }],
  ["1×1", { channels: 5, height: 7, width: 9, outChannels: 6, kernelSize: 1, stride: 1, dilation: 1, groups: 1 }],
  ["strided", { channels: 2, height: 19, width: 17, outChannels: 5, kernelSize: 5, stride: 3, dilation: 1, groups: 1 }],
  ["dilated", { channels: 2, height: 15, width: 20, outChannels: 4, kernelSize: 3, stride: 1, dilation: 3, groups: 1 }],
  ["grouped", { channels: 6, height: 9, width: 9, outChannels: 18, kernelSize: 2, stride: 2, dilation: 2, groups: 3 }],
  [
    "depthwise",
    { channels: 4, height: 10, width: 12, outChannels: 4, kernelSize: 3, stride: 1, dilation: 1, groups: 4 },
  ],
  ["one pixel", { channels: 3, height: 4, width: 4, outChannels: 3, kernelSize: 4, stride: 1, dilation: 1, groups: 1 }],
]

describe("kernels", () => {
  for (const [name, partial] of CONVOLUTIONS) {
    test(`a convolution has the values of its definition: ${name}`, () => {
      const { channels, height, width, outChannels, kernelSize, stride, dilation, groups } = partial
      const extent = dilation * (kernelSize - 1) + 1
      const outHeight = Math.floor((height - extent) / stride) + 1
      const outWidth = Math.floor((width - extent) / stride) + 1
      const sizes = { ...partial, outHeight, outWidth }
      const depth = (channels / groups) * kernelSize ** 2
      const rows = outChannels / groups
      const weights = ramp(outChannels * depth, 11)
      assert.ok(depth * PANEL_WIDTH + PANEL_EXTRA < HEAP_SIZE - OFFSETS.panel)
      for (const { heap, kernels } of createMachines()) {
        const maps = heap.slice(OFFSETS.input, OFFSETS.input + channels * height * width)
        const bias = heap.slice(OFFSETS.bias, OFFSETS.bias + outChannels)
        for (let group = 0; group < groups; group++) {
          const start = OFFSETS.weights + group * rows * depth
          packRows(weights.subarray(group * rows * depth), rows, depth, heap.subarray(start, start + rows * depth))
        }
        const end = OFFSETS.output + outChannels * outHeight * outWidth
        const behind = heap[end]
        kernels.convolve(OFFSETS, sizes)
        const expected = convolveByDefinition(maps, weights, bias, sizes)
        heap.subarray(OFFSETS.output, end).forEach((value, index) => {
          assert.ok(Math.abs(value - expected[index]) < 1e-5, `${index}: ${value}, ${expected[index]}`)
        })
        assert.equal(heap[end], behind)
      }
    })
  }

  for (const [rows, columns] of [
    [10, 64],
    [4, 7],
    [3, 5],
    [1, 1],
    [17, 130],
  ]) {
    test(`a matrix of ${rows}×${columns} times a vector has the values of its definition`, () => {
      const matrix = ramp(rows * columns, 5)
      for (const { heap, kernels } of createMachines()) {
        const { input, output, bias, weights } = OFFSETS
        packRows(matrix, rows, columns, heap.subarray(weights, weights + rows * columns))
        const behind = heap[output + rows]
        kernels.multiply(OFFSETS, rows, columns)
        for (let row = 0; row < rows; row++) {
          let sum = heap[bias + row]
          for (let column = 0; column < columns; column++) sum += matrix[row * columns + column] * heap[input + column]
          assert.ok(Math.abs(heap[output + row] - sum) < 1e-5)
        }
        assert.equal(heap[output + rows], behind)
      }
    })
  }
})
