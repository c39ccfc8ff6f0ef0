// AssemblyScript, compiled by build.mjs to kernels_wasm.js. The twin of kernels_js.js: the same kernels with SIMD, in
// float32. Offsets are in bytes.

const ROW_BLOCK: usize = 4
const PANEL_WIDTH: usize = 8
const VALUE_BYTES: usize = 4
const PANEL_BYTES: usize = PANEL_WIDTH * VALUE_BYTES

/** Sum of products of one row for 8 positions. */
@inline
function computeOneRow(panel: usize, weights: usize, bias: usize, output: usize, depth: usize): void {
  let left = v128.load32_splat(bias)
  let right = left
  for (const end = weights + depth * VALUE_BYTES; weights < end; weights += VALUE_BYTES) {
    const weight = v128.load32_splat(weights)
    left = f32x4.add(left, f32x4.mul(weight, v128.load(panel)))
    right = f32x4.add(right, f32x4.mul(weight, v128.load(panel, 16)))
    panel += PANEL_BYTES
  }
  v128.store(output, left)
  v128.store(output, right, 16)
}

/** Sums of products of four rows for 8 positions; `rowBytes` lie between the outputs of two rows. */
@inline
function computeFourRows(
  panel: usize,
  weights: usize,
  bias: usize,
  output: usize,
  depth: usize,
  rowBytes: usize,
): void {
  let a0 = v128.load32_splat(bias)
  let b0 = v128.load32_splat(bias, 4)
  let c0 = v128.load32_splat(bias, 8)
  let d0 = v128.load32_splat(bias, 12)
  let a1 = a0
  let b1 = b0
  let c1 = c0
  let d1 = d0
  for (const end = panel + depth * PANEL_BYTES; panel < end; panel += PANEL_BYTES) {
    const left = v128.load(panel)
    const right = v128.load(panel, 16)
    let weight = v128.load32_splat(weights)
    a0 = f32x4.add(a0, f32x4.mul(weight, left))
    a1 = f32x4.add(a1, f32x4.mul(weight, right))
    weight = v128.load32_splat(weights, 4)
    b0 = f32x4.add(b0, f32x4.mul(weight, left))
    b1 = f32x4.add(b1, f32x4.mul(weight, right))
    weight = v128.load32_splat(weights, 8)
    c0 = f32x4.add(c0, f32x4.mul(weight, left))
    c1 = f32x4.add(c1, f32x4.mul(weight, right))
    weight = v128.load32_splat(weights, 12)
    d0 = f32x4.add(d0, f32x4.mul(weight, left))
    d1 = f32x4.add(d1, f32x4.mul(weight, right))
    weights += ROW_BLOCK * VALUE_BYTES
  }
  v128.store(output, a0)
  v128.store(output, a1, 16)
  output += rowBytes
  v128.store(output, b0)
  v128.store(output, b1, 16)
  output += rowBytes
  v128.store(output, c0)
  v128.store(output, c1, 16)
  output += rowBytes
  v128.store(output, d0)
  v128.store(output, d1, 16)
}

/** Copy the inputs of 8 output positions, so that equal kernel cells of all positions lie together. */
function fillPanel(
  input: usize,
  panel: usize,
  first: usize,
  count: usize,
  channels: usize,
  height: usize,
  width: usize,
  outWidth: usize,
  kernelSize: usize,
  stride: usize,
  dilation: usize,
): void {
  const rowBytes = width * VALUE_BYTES
  const mapBytes = height * rowBytes
  const stepBytes = dilation * VALUE_BYTES
  const lineBytes = dilation * rowBytes
  const firstColumn = first % outWidth
  if (stride == 1 && count == PANEL_WIDTH && firstColumn + PANEL_WIDTH <= outWidth) {
    let map = input + (first / outWidth) * rowBytes + firstColumn * VALUE_BYTES
    for (let channel: usize = 0; channel < channels; channel++) {
      let line = map
      for (let y: usize = 0; y < kernelSize; y++) {
        let source = line
        for (let x: usize = 0; x < kernelSize; x++) {
          v128.store(panel, v128.load(source))
          v128.store(panel, v128.load(source, 16), 16)
          panel += PANEL_BYTES
          source += stepBytes
        }
        line += lineBytes
      }
      map += mapBytes
    }
    return
  }
  for (let index: usize = 0; index < PANEL_WIDTH; index++) {
    const position = first + (index < count ? index : count - 1)
    let map = input + (position / outWidth) * stride * rowBytes + (position % outWidth) * stride * VALUE_BYTES
    let target = panel + index * VALUE_BYTES
    for (let channel: usize = 0; channel < channels; channel++) {
      let line = map
      for (let y: usize = 0; y < kernelSize; y++) {
        let source = line
        for (let x: usize = 0; x < kernelSize; x++) {
          store<f32>(target, load<f32>(source))
          target += PANEL_BYTES
          source += stepBytes
        }
        line += lineBytes
      }
      map += mapBytes
    }
  }
}

/** Copy the first values of each row of a block from scratch to the output. */
@inline
function copyRows(source: usize, output: usize, rows: usize, count: usize, rowBytes: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    memory.copy(output + row * rowBytes, source + row * PANEL_BYTES, count * VALUE_BYTES)
  }
}

/** Compute all output channels of a group for the positions of a panel. */
function computeRows(
  panel: usize,
  weights: usize,
  bias: usize,
  output: usize,
  depth: usize,
  rowBytes: usize,
  rows: usize,
  count: usize,
): void {
  const blockedRows = rows - (rows % ROW_BLOCK)
  const spare = panel + depth * PANEL_BYTES
  const isComplete = count == PANEL_WIDTH
  for (let row: usize = 0; row < blockedRows; row += ROW_BLOCK) {
    if (isComplete) {
      computeFourRows(panel, weights, bias, output, depth, rowBytes)
    } else {
      computeFourRows(panel, weights, bias, spare, depth, PANEL_BYTES)
      copyRows(spare, output, ROW_BLOCK, count, rowBytes)
    }
    weights += ROW_BLOCK * depth * VALUE_BYTES
    bias += ROW_BLOCK * VALUE_BYTES
    output += ROW_BLOCK * rowBytes
  }
  for (let row = blockedRows; row < rows; row++) {
    computeOneRow(panel, weights, bias, spare, depth)
    copyRows(spare, output, 1, count, rowBytes)
    weights += depth * VALUE_BYTES
    bias += VALUE_BYTES
    output += rowBytes
  }
}

/** Convolution of padded maps. */
export function convolve(
  input: usize,
  output: usize,
  weights: usize,
  bias: usize,
  panel: usize,
  channels: usize,
  height: usize,
  width: usize,
  outChannels: usize,
  outHeight: usize,
  outWidth: usize,
  kernelSize: usize,
  stride: usize,
  dilation: usize,
  groups: usize,
): void {
  const groupChannels = channels / groups
  const rows = outChannels / groups
  const depth = groupChannels * kernelSize * kernelSize
  const positions = outHeight * outWidth
  const rowBytes = positions * VALUE_BYTES
  for (let group: usize = 0; group < groups; group++) {
    for (let first: usize = 0; first < positions; first += PANEL_WIDTH) {
      const count = min(PANEL_WIDTH, positions - first)
      fillPanel(input, panel, first, count, groupChannels, height, width, outWidth, kernelSize, stride, dilation)
      computeRows(panel, weights, bias, output + first * VALUE_BYTES, depth, rowBytes, rows, count)
    }
    input += groupChannels * height * width * VALUE_BYTES
    weights += rows * depth * VALUE_BYTES
    bias += rows * VALUE_BYTES
    output += rows * rowBytes
  }
}

/** Product of four packed rows and a vector. */
@inline
function multiplyFourRows(input: usize, output: usize, weights: usize, bias: usize, columns: usize): void {
  let a = v128.load(bias)
  let b = f32x4.splat(0)
  let c = b
  let d = b
  const end = input + columns * VALUE_BYTES
  for (const blockEnd = end - (columns % 4) * VALUE_BYTES; input < blockEnd; input += 16) {
    a = f32x4.add(a, f32x4.mul(v128.load32_splat(input), v128.load(weights)))
    b = f32x4.add(b, f32x4.mul(v128.load32_splat(input, 4), v128.load(weights, 16)))
    c = f32x4.add(c, f32x4.mul(v128.load32_splat(input, 8), v128.load(weights, 32)))
    d = f32x4.add(d, f32x4.mul(v128.load32_splat(input, 12), v128.load(weights, 48)))
    weights += 64
  }
  for (; input < end; input += VALUE_BYTES) {
    a = f32x4.add(a, f32x4.mul(v128.load32_splat(input), v128.load(weights)))
    weights += 16
  }
  v128.store(output, f32x4.add(f32x4.add(a, b), f32x4.add(c, d)))
}

/** Product of one row and a vector. */
@inline
function multiplyOneRow(input: usize, output: usize, weights: usize, bias: usize, columns: usize): void {
  let sums = f32x4.splat(0)
  const end = input + columns * VALUE_BYTES
  for (const blockEnd = end - (columns % 4) * VALUE_BYTES; input < blockEnd; input += 16) {
    sums = f32x4.add(sums, f32x4.mul(v128.load(input), v128.load(weights)))
    weights += 16
  }
  let sum =
    load<f32>(bias) +
    f32x4.extract_lane(sums, 0) +
    f32x4.extract_lane(sums, 1) +
    f32x4.extract_lane(sums, 2) +
    f32x4.extract_lane(sums, 3)
  for (; input < end; input += VALUE_BYTES) {
    sum += load<f32>(input) * load<f32>(weights)
    weights += VALUE_BYTES
  }
  store<f32>(output, sum)
}

/** Product of a packed matrix (rows, columns) and a vector, plus the bias. */
export function multiply(
  input: usize,
  output: usize,
  weights: usize,
  bias: usize,
  rows: usize,
  columns: usize,
): void {
  const blockedRows = rows - (rows % ROW_BLOCK)
  for (let row: usize = 0; row < blockedRows; row += ROW_BLOCK) {
    const first = row * VALUE_BYTES
    multiplyFourRows(input, output + first, weights + row * columns * VALUE_BYTES, bias + first, columns)
  }
  for (let row = blockedRows; row < rows; row++) {
    const first = row * VALUE_BYTES
    multiplyOneRow(input, output + first, weights + row * columns * VALUE_BYTES, bias + first, columns)
  }
}
