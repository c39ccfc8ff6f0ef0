import { PANEL_WIDTH, ROW_BLOCK } from "./packing.js"

/** @import { ConvolutionOffsets, ConvolutionSizes, Kernels, MultiplicationOffsets } from "./types.js" */

/**
 * @typedef {object} Tile Rows of a packed matrix, and the panel of positions that they are multiplied by.
 * @property {number} panel
 * @property {number} weights
 * @property {number} bias
 * @property {number} output
 * @property {number} depth number of products in each sum
 * @property {number} positions number of positions in a map
 * @property {number} count positions of this panel
 */

/**
 * Copy the inputs of up to 8 output positions, so that equal kernel cells of all positions lie together.
 * @param {Float32Array} heap
 * @param {{ input: number, panel: number }} offsets
 * @param {ConvolutionSizes} sizes
 * @param {{ first: number, count: number }} range positions
 * @returns {void}
 */
function fillPanel(heap, { input, panel }, sizes, { first, count }) {
  const { height, width, outWidth, kernelSize, stride, dilation } = sizes
  const channels = sizes.channels / sizes.groups
  for (let index = 0; index < PANEL_WIDTH; index++) {
    const position = first + Math.min(index, count - 1)
    const column = position % outWidth
    const row = (position - column) / outWidth
    const start = input + row * stride * width + column * stride
    let target = panel + index
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < kernelSize; y++) {
        let source = start + (channel * height + y * dilation) * width
        for (let x = 0; x < kernelSize; x++) {
          heap[target] = heap[source]
          target += PANEL_WIDTH
          source += dilation
        }
      }
    }
  }
}

/**
 * Compute four rows for the positions of a panel, two positions at a time.
 * @param {Float32Array} heap
 * @param {Tile} tile
 * @returns {void}
 */
function computeFourRows(heap, { panel, weights, bias, output, depth, positions, count }) {
  for (let index = 0; index < count; index += 2) {
    let a0 = heap[bias]
    let b0 = heap[bias + 1]
    let c0 = heap[bias + 2]
    let d0 = heap[bias + 3]
    let a1 = a0
    let b1 = b0
    let c1 = c0
    let d1 = d0
    let source = panel + index
    let weight = weights
    for (let step = 0; step < depth; step++) {
      const left = heap[source]
      const right = heap[source + 1]
      const a = heap[weight]
      const b = heap[weight + 1]
      const c = heap[weight + 2]
      const d = heap[weight + 3]
      a0 += a * left
      a1 += a * right
      b0 += b * left
      b1 += b * right
      c0 += c * left
      c1 += c * right
      d0 += d * left
      d1 += d * right
      source += PANEL_WIDTH
      weight += ROW_BLOCK
    }
    let target = output + index
    const hasRight = index + 1 < count
    heap[target] = a0
    if (hasRight) heap[target + 1] = a1
    target += positions
    heap[target] = b0
    if (hasRight) heap[target + 1] = b1
    target += positions
    heap[target] = c0
    if (hasRight) heap[target + 1] = c1
    target += positions
    heap[target] = d0
    if (hasRight) heap[target + 1] = d1
  }
}

/**
 * Compute one row for the positions of a panel.
 * @param {Float32Array} heap
 * @param {Tile} tile
 * @returns {void}
 */
function computeOneRow(heap, { panel, weights, bias, output, depth, count }) {
  for (let index = 0; index < count; index++) {
    let sum = heap[bias]
    let source = panel + index
    for (let step = 0; step < depth; step++) {
      sum += heap[weights + step] * heap[source]
      source += PANEL_WIDTH
    }
    heap[output + index] = sum
  }
}

/**
 * Compute all output channels of a group for the positions of a panel.
 * @param {Float32Array} heap
 * @param {Tile} tile moved from row to row
 * @param {number} rows
 * @returns {void}
 */
function computeRows(heap, tile, rows) {
  const blockedRows = rows - (rows % ROW_BLOCK)
  for (let row = 0; row < blockedRows; row += ROW_BLOCK) {
    computeFourRows(heap, tile)
    tile.weights += ROW_BLOCK * tile.depth
    tile.bias += ROW_BLOCK
    tile.output += ROW_BLOCK * tile.positions
  }
  for (let row = blockedRows; row < rows; row++) {
    computeOneRow(heap, tile)
    tile.weights += tile.depth
    tile.bias++
    tile.output += tile.positions
  }
}

/**
 * Multiply four packed rows by a vector.
 * @param {Float32Array} heap
 * @param {MultiplicationOffsets} offsets
 * @param {number} columns
 * @returns {void}
 */
function multiplyFourRows(heap, { input, output, weights, bias }, columns) {
  let a = heap[bias]
  let b = heap[bias + 1]
  let c = heap[bias + 2]
  let d = heap[bias + 3]
  let weight = weights
  for (let column = 0; column < columns; column++) {
    const value = heap[input + column]
    a += heap[weight] * value
    b += heap[weight + 1] * value
    c += heap[weight + 2] * value
    d += heap[weight + 3] * value
    weight += ROW_BLOCK
  }
  heap[output] = a
  heap[output + 1] = b
  heap[output + 2] = c
  heap[output + 3] = d
}

/**
 * Create the kernels in plain JavaScript; sums are computed in float64.
 * @param {Float32Array} heap
 * @returns {Kernels}
 */
export function createJsKernels(heap) {
  /** @type {Tile} */
  const tile = { panel: 0, weights: 0, bias: 0, output: 0, depth: 0, positions: 0, count: 0 }
  const range = { first: 0, count: 0 }
  const source = { input: 0, panel: 0 }
  const rowOffsets = { input: 0, output: 0, weights: 0, bias: 0 }
  return {
    convolve: (/** @type {ConvolutionOffsets} */ offsets, /** @type {ConvolutionSizes} */ sizes) => {
      const { groups } = sizes
      const rows = sizes.outChannels / groups
      tile.panel = offsets.panel
      tile.depth = (sizes.channels / groups) * sizes.kernelSize ** 2
      tile.positions = sizes.outHeight * sizes.outWidth
      source.panel = offsets.panel
      for (let group = 0; group < groups; group++) {
        source.input = offsets.input + ((group * sizes.channels) / groups) * sizes.height * sizes.width
        for (let first = 0; first < tile.positions; first += PANEL_WIDTH) {
          range.first = first
          range.count = Math.min(PANEL_WIDTH, tile.positions - first)
          fillPanel(heap, source, sizes, range)
          tile.count = range.count
          tile.weights = offsets.weights + group * rows * tile.depth
          tile.bias = offsets.bias + group * rows
          tile.output = offsets.output + group * rows * tile.positions + first
          computeRows(heap, tile, rows)
        }
      }
    },
    multiply: (/** @type {MultiplicationOffsets} */ offsets, rows, columns) => {
      const blockedRows = rows - (rows % ROW_BLOCK)
      rowOffsets.input = offsets.input
      for (let row = 0; row < blockedRows; row += ROW_BLOCK) {
        rowOffsets.output = offsets.output + row
        rowOffsets.weights = offsets.weights + row * columns
        rowOffsets.bias = offsets.bias + row
        multiplyFourRows(heap, rowOffsets, columns)
      }
      for (let row = blockedRows; row < rows; row++) {
        let sum = heap[offsets.bias + row]
        const weights = offsets.weights + row * columns
        for (let column = 0; column < columns; column++) sum += heap[weights + column] * heap[offsets.input + column]
        heap[offsets.output + row] = sum
      }
    },
  }
}
