import { decodeBytes, decodeFloats } from "../../../web/base64.js"

/** @import { ChannelExplanation } from "../../../web/engine/types.js" */
/** @import { ColorTables, ShownChannel } from "../../../web/views/arithmetic_view.js" */
/** @import { SizedGrid } from "../../../web/views/map_grid.js" */

/**
 * @typedef {object} EncodedNumbers Arrays in base64, numbers that may be infinite or NaN as text then.
 * @property {string} input
 * @property {string | null} weights
 * @property {number | string | null} bias
 * @property {Record<string, number | string>} statistics
 */

/** @typedef {Omit<ChannelExplanation, keyof EncodedNumbers> & EncodedNumbers} EncodedExplanation */

/** @typedef {NonNullable<ShownChannel["receptiveField"]>} ReceptiveField */

/**
 * @typedef {object} EncodedMaps
 * @property {EncodedExplanation} explanation
 * @property {string} output
 * @property {string} displayed
 * @property {Omit<ReceptiveField, "image"> & { image: string }} receptiveField
 */

/** @typedef {Omit<ShownChannel, keyof EncodedMaps | "layer" | "title" | "activation"> & EncodedMaps} EncodedChannel */

/** @typedef {SizedGrid & { png: string, alt: string, values: string | null }} EncodedGrid */

/**
 * @typedef {object} ArithmeticData What components/arithmetic_view.py sends.
 * @property {string} token changes with the content
 * @property {string} layer
 * @property {number} channel
 * @property {[row: number, column: number]} position
 * @property {EncodedChannel} detail
 * @property {EncodedGrid} grid
 * @property {Record<keyof ColorTables, string>} palettes in base64
 * @property {{ output: string, grid: string, activation: string | null }} titles
 */

/**
 * Decode the server's explanation to what the browser engine gives.
 * @param {EncodedExplanation} explanation
 * @returns {ChannelExplanation}
 */
export function decodeExplanation({ input, weights, bias, statistics, ...facts }) {
  const decoded = Object.entries(statistics).map(([name, value]) => [name, Number(value)])
  return {
    ...facts,
    input: decodeFloats(input),
    weights: weights === null ? null : decodeFloats(weights),
    bias: bias === null ? null : Number(bias),
    statistics: Object.fromEntries(decoded),
  }
}

/**
 * Decode a channel.
 * @param {Pick<ArithmeticData, "layer" | "detail" | "titles">} data
 * @returns {ShownChannel}
 */
export function decodeChannel({ layer, detail, titles }) {
  const { explanation, output, displayed, receptiveField, ...facts } = detail
  return {
    ...facts,
    layer,
    title: titles.output,
    activation: titles.activation,
    explanation: decodeExplanation(explanation),
    output: decodeFloats(output),
    displayed: decodeFloats(displayed),
    receptiveField: { ...receptiveField, image: decodeFloats(receptiveField.image) },
  }
}

/**
 * Decode the color tables.
 * @param {Record<keyof ColorTables, string>} palettes
 * @returns {ColorTables}
 */
export function decodePalettes({ ink, sequential, diverging }) {
  return { ink: decodeBytes(ink), sequential: decodeBytes(sequential), diverging: decodeBytes(diverging) }
}
