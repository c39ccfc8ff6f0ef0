import { addButton, addElement, joinClasses } from "../../web/views/dom.js"

/** @import { ComponentArgs } from "./lib/streamlit.js" */

/**
 * @typedef {object} ConfusionMatrixData What components/confusion_matrix.py sends.
 * @property {number[][]} counts true class × predicted class
 * @property {string[]} names of the classes
 * @property {[label: number, prediction: number] | null} selected
 */

/** @typedef {{ root: HTMLElement, cells: HTMLButtonElement[][], names: string }} Matrix */

const MAX_SHORT_NAME = 3
const MAX_WIDE_COLUMNS = 12
const ERROR_COLOR = "#d9622b"

/** @type {WeakMap<Node, Matrix>} */
const matrices = new WeakMap()

/**
 * Create the table: one row per true class, one column per predicted class.
 * @param {HTMLElement | ShadowRoot} parent
 * @param {string[]} names
 * @returns {Matrix}
 */
function createMatrix(parent, names) {
  const hasLongNames = names.some((name) => name.length > MAX_SHORT_NAME)
  const isTight = names.length > MAX_WIDE_COLUMNS
  const root = addElement(parent, "div", joinClasses("matrix", hasLongNames && "named", isTight && "tight"))
  root.style.gridTemplateColumns = `max-content repeat(${names.length}, minmax(26px, 1fr))`
  addElement(root, "span", "axis")
  addElement(root, "span", "axis", "predicted").style.gridColumn = `span ${names.length}`
  addElement(root, "span", "axis", "true")
  for (const name of names) addElement(root, "span", "head column", name)
  const cells = names.map((label) => {
    addElement(root, "span", "head", label)
    return names.map(() => addButton(root))
  })
  return { root, cells, names: names.join() }
}

/**
 * Find the largest number of errors in one cell, at least 1.
 * @param {number[][]} counts
 * @returns {number}
 */
export function largestError(counts) {
  return Math.max(1, ...counts.flatMap((row, label) => row.filter((_, prediction) => prediction !== label)))
}

/**
 * Compute the strength of a cell's color in percent: on the diagonal by the share of the row, elsewhere by the count
 * relative to the largest error, from 18 so that a single error shows.
 * @param {number} count
 * @param {{ isCorrect: boolean, rowTotal: number, largest: number }} scale
 * @returns {number}
 */
export function cellStrength(count, { isCorrect, rowTotal, largest }) {
  if (count === 0) return 0
  return isCorrect ? (count / rowTotal) * 45 : 18 + (count / largest) * 62
}

/**
 * Show a confusion matrix; a click on a cell sends its true and predicted class.
 * @param {ComponentArgs<ConfusionMatrixData>} args
 * @returns {void}
 */
export default function renderConfusionMatrix({ data, parentElement, setTriggerValue }) {
  const { counts, names, selected } = data
  let matrix = matrices.get(parentElement)
  if (matrix?.names !== names.join()) {
    matrix?.root.remove()
    matrix = createMatrix(parentElement, names)
    matrices.set(parentElement, matrix)
  }
  const { cells } = matrix
  const largest = largestError(counts)
  counts.forEach((row, label) => {
    const rowTotal = Math.max(
      1,
      row.reduce((sum, count) => sum + count, 0),
    )
    row.forEach((count, prediction) => {
      const button = cells[label][prediction]
      const isCorrect = label === prediction
      const isSelected = selected?.[0] === label && selected[1] === prediction
      const title = `True ${names[label]}, predicted ${names[prediction]}`
      const color = isCorrect ? "var(--st-primary-color)" : ERROR_COLOR
      const strength = cellStrength(count, { isCorrect, rowTotal, largest })
      button.className = joinClasses(isCorrect && "right", isSelected && "chosen", count === 0 && "none")
      button.textContent = count === 0 ? "·" : String(count)
      button.disabled = count === 0
      button.style.background =
        count === 0 ? "" : `color-mix(in srgb, ${color} ${strength}%, var(--st-background-color))`
      button.ariaLabel = `${title}: ${count}`
      button.title = `${title}: ${count} of ${rowTotal} (${((count / rowTotal) * 100).toFixed(1)} %)`
      button.onclick = () => setTriggerValue("clicked", [label, prediction])
    })
  })
}
