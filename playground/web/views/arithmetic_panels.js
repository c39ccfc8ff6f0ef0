import { cssColor, lookupColor, maxMagnitude, textColorOn } from "./color_map.js"
import { addElement, joinClasses } from "./dom.js"
import { paintSingleMap } from "./feature_maps.js"
import { formatCell, formatNumber } from "./number_format.js"

/** @import { ChannelArithmetic, Contribution, EquationPart } from "./arithmetic.js" */
/** @import { Color } from "./color_map.js" */

/**
 * @typedef {object} MapPanel A feature map with a title, an outlined box and a note.
 * @property {HTMLElement} root
 * @property {HTMLElement} title
 * @property {HTMLElement} map
 * @property {HTMLCanvasElement} canvas
 * @property {HTMLElement} box
 * @property {HTMLElement} note
 */

/** @typedef {[top: number, left: number, bottom: number, right: number]} Box Bottom and right are exclusive. */

/**
 * @typedef {object} CellGrid Numbers in colored cells.
 * @property {string} title
 * @property {number[]} values
 * @property {number} columns
 * @property {(value: number) => Color} colorOf
 * @property {boolean[]} [isInside] false for cells in the padding
 * @property {number} [maxIndex] index of the outlined cell
 */

/** CSS pixels of the longer side of a map. */
export const MAP_SIZE = 150
const MIN_MAP_SIDE = 12
/** CSS pixels of the signs and gaps beside patch, kernel and products. */
const SIGNS_WIDTH = 108
const MAX_CELLS_READ_ALOUD = 49
const POSITIVE_BAR = "rgb(200 95 45)"
const NEGATIVE_BAR = "rgb(60 125 190)"

/**
 * Create a map panel at the end of `parent`.
 * @param {HTMLElement} parent
 * @param {string} title
 * @returns {MapPanel}
 */
export function createMapPanel(parent, title) {
  const root = addElement(parent, "div", "stage")
  const titleNode = addElement(root, "div", "name", title)
  const map = addElement(root, "div", "map")
  const canvas = addElement(map, "canvas")
  const box = addElement(map, "div", "box")
  const note = addElement(root, "div", "note")
  return { root, title: titleNode, map, canvas, box, note }
}

/**
 * Paint a feature map, one pixel per value; the style sheet scales it up.
 * @param {MapPanel} panel
 * @param {Float32Array} values height × width
 * @param {[height: number, width: number]} shape
 * @param {{ table: Uint8Array, low: number, high: number, size?: number }} scale color table, its range, and the CSS
 *   pixels of the longer side
 * @returns {void}
 */
export function paintMap({ canvas, map }, values, [height, width], { size = MAP_SIZE, ...colors }) {
  paintSingleMap(canvas, values, [height, width], colors)
  const scale = size / Math.max(height, width)
  map.style.width = `${Math.max(MIN_MAP_SIDE, Math.round(width * scale))}px`
  map.style.height = `${Math.max(MIN_MAP_SIDE, Math.round(height * scale))}px`
}

/**
 * Outline a box of values on a map; hide the outline of an empty box.
 * @param {MapPanel} panel
 * @param {Box} box
 * @param {[height: number, width: number]} shape
 * @returns {void}
 */
export function outlineBox({ box: node }, [top, left, bottom, right], [height, width]) {
  node.hidden = bottom <= top || right <= left
  Object.assign(node.style, {
    top: `${(top / height) * 100}%`,
    left: `${(left / width) * 100}%`,
    width: `calc(${((right - left) / width) * 100}% - 4px)`,
    height: `calc(${((bottom - top) / height) * 100}% - 4px)`,
    minWidth: "1px",
    minHeight: "1px",
  })
}

/**
 * Compute the columns and the cell size in pixels with which cells fill a square; a long row of cells is wrapped.
 * @param {number} count
 * @param {number} columns
 * @param {number} size side of the square in pixels
 * @returns {{ columns: number, cell: number }}
 */
export function layOutCells(count, columns, size) {
  const isLongRow = columns === count && columns > 8
  const wrapped = isLongRow ? Math.ceil(Math.sqrt(count)) : columns
  const rows = Math.ceil(count / wrapped)
  return { columns: wrapped, cell: Math.max(3, Math.min(38, Math.floor(size / Math.max(wrapped, rows)) - 1)) }
}

/**
 * Choose the font size for numbers in cells of a size in pixels.
 * @param {number} cell
 * @returns {string}
 */
function cellFontSize(cell) {
  if (cell >= 34) return "11px"
  return cell >= 28 ? "9.5px" : "8px"
}

/**
 * Append a grid of cells; numbers are written where the cells are large enough.
 * @param {HTMLElement} parent
 * @param {CellGrid} grid
 * @param {number} viewWidth CSS pixels; patch, kernel and products share one row on a phone
 * @returns {void}
 */
function addCellGrid(parent, { title, values, columns, colorOf, isInside, maxIndex }, viewWidth) {
  const root = addElement(parent, "div", "stage")
  addElement(root, "div", "name", title)
  const layout = layOutCells(values.length, columns, Math.min(MAP_SIZE, (viewWidth - SIGNS_WIDTH) / 3))
  const cells = addElement(root, "div", "cells")
  cells.style.gridTemplateColumns = `repeat(${layout.columns}, var(--cell))`
  cells.style.setProperty("--cell", `${layout.cell}px`)
  cells.style.setProperty("--font", cellFontSize(layout.cell))
  cells.role = "img"
  cells.ariaLabel = `${title}: ${values.slice(0, MAX_CELLS_READ_ALOUD).map(formatCell).join(", ")}`
  for (const [index, value] of values.entries()) {
    const isPadding = isInside !== undefined && !isInside[index]
    const node = addElement(cells, "span", joinClasses(isPadding && "out", !isPadding && index === maxIndex && "best"))
    const color = colorOf(value)
    node.style.background = cssColor(color)
    node.style.color = textColorOn(color)
    if (layout.cell >= 24) node.textContent = formatCell(value)
    node.title = isPadding ? "padding: 0" : String(value)
  }
}

/**
 * Show patch, kernel and products of one input channel; nothing for a rule that has no window.
 * @param {HTMLElement} parent its content is replaced
 * @param {ChannelArithmetic["rule"]} rule
 * @param {Contribution} contribution
 * @param {{ table: Uint8Array, inputLimit: number, weightLimit: number | null, viewWidth: number }} look diverging color
 *   table, largest magnitudes of the inputs and of the weights, CSS pixels of the whole view
 * @returns {void}
 */
export function showProducts(parent, rule, { cells, columns, maxIndex }, look) {
  const { table, inputLimit, weightLimit, viewWidth } = look
  parent.replaceChildren()
  if (["same", "function", "scale", "add"].includes(rule)) return
  const isInside = cells.map((cell) => cell.isInside)
  /** @type {(limit: number) => (value: number) => Color} */
  const colorsUpTo = (limit) => (value) => lookupColor(table, -limit, limit, value)
  const patch = { title: "patch", values: cells.map((cell) => cell.value), columns, isInside }
  const outlined = rule === "largest" ? { maxIndex } : {}
  addCellGrid(parent, { ...patch, ...outlined, colorOf: colorsUpTo(inputLimit) }, viewWidth)
  if (weightLimit !== null) {
    const kernel = { title: "kernel", values: cells.map((cell) => cell.weight), columns }
    addElement(parent, "div", "sign", "×")
    addCellGrid(parent, { ...kernel, colorOf: colorsUpTo(weightLimit) }, viewWidth)
    const values = cells.map((cell) => cell.product)
    // At least a tenth of the largest possible product: small products stay pale.
    const colorOf = colorsUpTo(Math.max(maxMagnitude(values), inputLimit * weightLimit * 0.1))
    addElement(parent, "div", "sign", "=")
    addCellGrid(parent, { title: "products", values, columns, isInside, colorOf }, viewWidth)
  }
  addElement(parent, "div", "sign", "→")
}

/**
 * Show one bar per contribution, upward for positive totals; bars are changed in place.
 * @param {HTMLElement} parent
 * @param {Contribution[]} contributions
 * @param {{ names: string[], selected: number, onSelect: (inputChannel: number) => void }} options
 * @returns {void}
 */
export function showBars(parent, contributions, { names, selected, onSelect }) {
  const largest = Math.max(1e-12, ...contributions.map(({ total }) => Math.abs(total)))
  while (parent.children.length > contributions.length) parent.lastElementChild?.remove()
  while (parent.children.length < contributions.length) addElement(addElement(parent, "button"), "i")
  const buttons = parent.querySelectorAll("button")
  contributions.forEach(({ total }, index) => {
    const button = buttons[index]
    button.type = "button"
    button.className = index === selected ? "on" : ""
    button.title = `${names[index]}: ${formatNumber(total)}`
    button.ariaLabel = button.title
    button.onclick = () => onSelect(index)
    const share = (Math.abs(total) / largest) * 50
    const bar = /** @type {HTMLElement} */ (button.firstElementChild)
    bar.style.height = `${share}%`
    bar.style.top = total >= 0 ? `${50 - share}%` : "50%"
    bar.style.background = total >= 0 ? POSITIVE_BAR : NEGATIVE_BAR
  })
}

/**
 * Write an equation; `data-value` holds the exact numbers.
 * @param {HTMLElement} parent
 * @param {EquationPart[]} parts
 * @returns {void}
 */
export function showEquation(parent, parts) {
  parent.replaceChildren()
  for (const part of parts) {
    if ("text" in part) addElement(parent, "span", "", part.text)
    else addElement(parent, "b", part.name, formatNumber(part.value)).dataset.value = String(part.value)
  }
}
