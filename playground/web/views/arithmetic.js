/**
 * @typedef {object} Position Row and column of a value in its feature map, from 0.
 * @property {number} row
 * @property {number} column
 */

/**
 * @typedef {object} ChannelArithmetic One output channel and all that its values are computed from
 *   (`Channel` in interpret/activations/arithmetic.py).
 * @property {"sum" | "largest" | "mean" | "scale" | "function" | "same" | "add"} rule
 * @property {[rows: number, columns: number]} kernelSize
 * @property {number} stride
 * @property {[rows: number, columns: number]} padding
 * @property {number} dilation
 * @property {[channels: number, height: number, width: number]} inputShape
 * @property {Float32Array} input of `inputShape`
 * @property {Float32Array | null} weights channels × kernel rows × kernel columns
 * @property {number | null} bias
 * @property {Record<string, number>} statistics mean, variance, eps, scale and shift of a normalization layer
 */

/**
 * @typedef {object} Cell One input value under the kernel.
 * @property {number} value 0 in the padding
 * @property {number} weight 1 for a layer without weights
 * @property {number} product
 * @property {boolean} isInside false in the padding
 */

/**
 * @typedef {object} Contribution What one input channel adds to a value.
 * @property {Cell[]} cells row by row
 * @property {number} columns cells per row
 * @property {number} total sum of the products, or the maximum for max pooling
 * @property {number} maxIndex index of the largest cell outside the padding, -1 if there is none
 */

/** @typedef {{ text: string } | { name: string, value: number }} EquationPart */

/**
 * Compute the input position of the kernel's first cell; negative in the padding.
 * @param {Pick<ChannelArithmetic, "stride" | "padding">} channel
 * @param {Position} position
 * @returns {[top: number, left: number]}
 */
export function windowOrigin({ stride, padding }, { row, column }) {
  return [row * stride - padding[0], column * stride - padding[1]]
}

/**
 * Compute the part of the input that the window at a position covers, without padding.
 * @param {Pick<ChannelArithmetic, "kernelSize" | "stride" | "padding" | "dilation" | "inputShape">} channel
 * @param {Position} position
 * @returns {[top: number, left: number, bottom: number, right: number]} bottom and right are exclusive
 */
export function windowBox(channel, position) {
  const [, height, width] = channel.inputShape
  const [top, left] = windowOrigin(channel, position)
  const [rows, columns] = channel.kernelSize.map((size) => channel.dilation * (size - 1) + 1)
  return [Math.max(0, top), Math.max(0, left), Math.min(height, top + rows), Math.min(width, left + columns)]
}

/**
 * Compute the contribution of one input channel to the value at a position.
 * @param {ChannelArithmetic} channel
 * @param {Position} position
 * @param {number} inputChannel
 * @returns {Contribution}
 */
export function computeContribution(channel, position, inputChannel) {
  const [, height, width] = channel.inputShape
  const [rows, columns] = channel.kernelSize
  const [top, left] = windowOrigin(channel, position)
  /** @type {Cell[]} */
  const cells = []
  let sum = 0
  let max = Number.NEGATIVE_INFINITY
  let maxIndex = -1
  for (let index = 0; index < rows * columns; index++) {
    const y = top + Math.floor(index / columns) * channel.dilation
    const x = left + (index % columns) * channel.dilation
    const isInside = y >= 0 && y < height && x >= 0 && x < width
    const value = isInside ? channel.input[(inputChannel * height + y) * width + x] : 0
    const weight = channel.weights ? channel.weights[inputChannel * rows * columns + index] : 1
    if (isInside && value > max) {
      max = value
      maxIndex = index
    }
    sum += value * weight
    cells.push({ value, weight, product: value * weight, isInside })
  }
  return { cells, columns, total: channel.rule === "largest" ? max : sum, maxIndex }
}

/**
 * Compute the contributions of all input channels to the value at a position.
 * @param {ChannelArithmetic} channel
 * @param {Position} position
 * @returns {Contribution[]}
 */
export function computeContributions(channel, position) {
  return Array.from({ length: channel.inputShape[0] }, (_, index) => computeContribution(channel, position, index))
}

/**
 * Add up contributions.
 * @param {Contribution[]} contributions
 * @returns {number}
 */
export function sumContributions(contributions) {
  return contributions.reduce((sum, { total }) => sum + total, 0)
}

/**
 * Compute the value before the activation function from its contributions.
 * @param {Pick<ChannelArithmetic, "rule" | "kernelSize" | "bias" | "statistics">} channel
 * @param {Contribution[]} contributions
 * @returns {number}
 */
export function computeTotal({ rule, kernelSize, bias, statistics }, contributions) {
  const sum = sumContributions(contributions)
  if (rule === "mean") return sum / (kernelSize[0] * kernelSize[1])
  if (rule === "scale") {
    const { mean, variance, eps, scale, shift } = statistics
    return ((sum - mean) / Math.sqrt(variance + eps)) * scale + shift
  }
  return sum + (bias ?? 0)
}

/**
 * List the parts of the equation before the activation function, from left to right.
 * @param {ChannelArithmetic} channel
 * @param {Contribution[]} contributions
 * @returns {EquationPart[]}
 */
function describeTotal(channel, contributions) {
  const sum = { name: "added", value: sumContributions(contributions) }
  const total = { name: "total", value: computeTotal(channel, contributions) }
  const { rule, kernelSize, bias, statistics } = channel
  switch (rule) {
    case "sum": {
      const label =
        contributions.length > 1 ? `Sum of products over ${contributions.length} channels` : "Sum of products"
      if (bias === null) return [{ text: label }, sum]
      return [{ text: label }, sum, { text: "+ bias" }, { name: "bias", value: bias }, { text: "=" }, total]
    }
    case "largest":
      return [{ text: "Maximum of the window" }, total]
    case "mean":
      return [{ text: "Sum of the window" }, sum, { text: `÷ ${kernelSize[0] * kernelSize[1]} =` }, total]
    case "scale": {
      const { mean, variance, eps, scale, shift } = statistics
      return [
        ...[{ text: "(" }, sum, { text: "− mean" }, { name: "mean", value: mean }],
        ...[{ text: ") ÷ √(variance" }, { name: "variance", value: variance }, { text: "+ ε" }],
        ...[{ name: "eps", value: eps }, { text: ") × scale" }, { name: "scale", value: scale }],
        ...[{ text: "+ shift" }, { name: "shift", value: shift }, { text: "=" }, total],
      ]
    }
    case "add": {
      const [branch, shortcut] = contributions
      return [
        ...[{ text: "Main branch" }, { name: "added", value: branch.total }],
        ...[{ text: "+ shortcut" }, { name: "bias", value: shortcut.total }, { text: "=" }, total],
      ]
    }
    default:
      return [{ text: "Input value" }, total]
  }
}

/**
 * List the parts of the equation of a value, from left to right.
 * @param {ChannelArithmetic} channel
 * @param {Contribution[]} contributions
 * @param {{ output: number, activation: string | null }} result the layer's value, the activation's title
 * @returns {EquationPart[]}
 */
export function describeEquation(channel, contributions, { output, activation }) {
  const arrow = activation === null ? "→" : `→ ${activation} →`
  return [...describeTotal(channel, contributions), { text: arrow }, { name: "result", value: output }]
}
