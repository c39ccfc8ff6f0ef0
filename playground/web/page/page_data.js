import { decodeBytes } from "../base64.js"
import { findElement } from "./elements.js"

/** @typedef {[start: number, stop: number]} Span Pixels of the image along one axis. */

/**
 * @typedef {object} LayerFacts Facts of an enabled layer.
 * @property {number} index among all layers of the architecture
 * @property {string} title
 * @property {string} arguments the main ones, like "32 · 3×3 · ReLU"
 * @property {string} activation title of the activation function, "" without one
 * @property {string} inputName name of the values that the arithmetic reads
 * @property {boolean} readsImage these values are the image
 * @property {{ rows: Span[], columns: Span[] }} receptiveField pixels that each row and column of a map depends on
 * @property {boolean} isPassthrough the values are those of the layer before, at most in another shape
 */

/**
 * @typedef {object} PageData What export/web_page writes into the page.
 * @property {string[]} classNames
 * @property {boolean} hasStrokes drawings are preprocessed as MNIST's; else strokes are painted over an image
 * @property {LayerFacts[]} layers in order
 * @property {number[]} exampleLabels class of every test image
 * @property {Uint8Array} examplePixels test images of the network's input shape, one after the other
 * @property {Record<"ink" | "sequential" | "diverging" | "diverging_dark", Uint8Array>} colors 256 × 3 bytes each
 * @property {Record<"light" | "dark", number[]>} gapColors red, green and blue between feature maps
 */

const BRIGHTEST = 255

/**
 * Read the text of a script element.
 * @param {string} id
 * @returns {string}
 */
function readText(id) {
  return findElement(id).textContent.trim()
}

/**
 * Read the data of the page.
 * @returns {PageData}
 */
export function readPageData() {
  const data = JSON.parse(readText("page-data"))
  const colors = Object.entries(data.colors).map(([name, table]) => [name, decodeBytes(String(table))])
  return { ...data, examplePixels: decodeBytes(data.examplePixels), colors: Object.fromEntries(colors) }
}

/**
 * Read the network file.
 * @returns {ArrayBuffer}
 */
export function readNetwork() {
  return decodeBytes(readText("network-file")).buffer
}

/**
 * Get a test image, values 0 to 1.
 * @param {PageData} data
 * @param {number} index
 * @returns {Float32Array}
 */
export function getExample({ exampleLabels, examplePixels }, index) {
  const size = examplePixels.length / exampleLabels.length
  return Float32Array.from(examplePixels.subarray(index * size, (index + 1) * size), (byte) => byte / BRIGHTEST)
}
