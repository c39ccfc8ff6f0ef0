import { decodeFloats } from "../../../web/base64.js"
import { windowOrigin } from "../../../web/views/arithmetic.js"

/** @import { ChannelArithmetic, Position } from "../../../web/views/arithmetic.js" */
/** @import { GridLayout } from "../../../web/views/map_positions.js" */

/**
 * @typedef {object} ChannelFacts Facts of a channel that travel as JSON.
 * @property {ChannelArithmetic["rule"]} rule
 * @property {[number, number]} kernelSize
 * @property {number} stride
 * @property {[number, number]} padding
 * @property {number} dilation
 * @property {[channels: number, height: number, width: number]} inputShape
 * @property {string[] | null} inputNames one per input channel, where channels have names
 * @property {string} inputTitle title of the layer that gives the input
 * @property {number} firstInputChannel channel of that layer at which the input begins
 * @property {boolean} isNetworkInput the layer's input is the image
 * @property {[height: number, width: number]} shape
 * @property {[start: number, stop: number][]} receptiveRows rows of the image that a row of the map depends on
 * @property {[start: number, stop: number][]} receptiveColumns
 * @property {[height: number, width: number]} imageShape
 * @property {"sequential" | "diverging"} palette
 * @property {number} low
 * @property {number} high
 */

/**
 * @typedef {object} EncodedArrays Arrays in base64; numbers that may be infinite or NaN, as text then.
 * @property {string} input
 * @property {string | null} weights
 * @property {string} output
 * @property {string} displayed values of the map: `output`, or the values before the activation
 * @property {string} image
 * @property {number | string | null} bias
 * @property {Record<string, number | string>} statistics
 */

/** @typedef {ChannelFacts & ChannelArithmetic & Record<"output" | "displayed" | "image", Float32Array>} Channel */

/** @typedef {GridLayout & { png: string, alt: string, width: number, height: number, values: string | null }} Grid */

/** @typedef {Record<"ink" | "sequential" | "diverging", Uint8Array>} Tables 256 × 3 bytes of color each. */

/**
 * @typedef {object} ArithmeticData What components/arithmetic_view.py sends.
 * @property {string} token changes with the content
 * @property {string} layer
 * @property {number} channel
 * @property {[row: number, column: number]} position
 * @property {ChannelFacts & EncodedArrays} detail
 * @property {Grid} grid
 * @property {Record<keyof Tables, string>} palettes in base64
 * @property {{ output: string, grid: string, activation: string | null }} titles
 */

/**
 * Decode the arrays and numbers of a channel.
 * @param {ChannelFacts & EncodedArrays} detail
 * @returns {Channel}
 */
export function decodeChannel(detail) {
  const statistics = Object.entries(detail.statistics).map(([name, value]) => [name, Number(value)])
  return {
    ...detail,
    input: decodeFloats(detail.input),
    weights: detail.weights === null ? null : decodeFloats(detail.weights),
    output: decodeFloats(detail.output),
    displayed: decodeFloats(detail.displayed),
    image: decodeFloats(detail.image),
    bias: detail.bias === null ? null : Number(detail.bias),
    statistics: Object.fromEntries(statistics),
  }
}

/**
 * Compute the part of a layer's input that the window at a position covers, without padding.
 * @param {ChannelArithmetic} channel
 * @param {Position} position
 * @returns {[top: number, left: number, bottom: number, right: number]}
 */
export function windowBox(channel, position) {
  const [, height, width] = channel.inputShape
  const [top, left] = windowOrigin(channel, position)
  const [rows, columns] = channel.kernelSize.map((size) => channel.dilation * (size - 1) + 1)
  return [Math.max(0, top), Math.max(0, left), Math.min(height, top + rows), Math.min(width, left + columns)]
}

/**
 * Name an input channel.
 * @param {Pick<ChannelFacts, "inputNames" | "inputTitle" | "firstInputChannel" | "isNetworkInput" | "inputShape">} channel
 * @param {number} index
 * @returns {string}
 */
export function nameInputChannel({ inputNames, inputTitle, firstInputChannel, isNetworkInput, inputShape }, index) {
  if (inputNames) return inputNames[index]
  if (isNetworkInput && inputShape[0] === 1) return inputTitle
  return `${inputTitle}, channel ${firstInputChannel + index + 1}`
}
