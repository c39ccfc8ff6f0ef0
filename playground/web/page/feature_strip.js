import { addButton, addElement } from "../views/dom.js"
import { arrangeMaps, computeZeroShare, layOutMaps, paintImage } from "../views/feature_maps.js"
import { findGridValue } from "../views/map_positions.js"
import { findTopTwo, formatPercent } from "../views/prediction_text.js"

/** @import { EngineResult } from "../engine/engine_client.js" */
/** @import { FeatureMapPainter } from "../views/feature_maps.js" */
/** @import { Selection } from "../views/map_grid.js" */
/** @import { ShownLayer } from "./shown_layers.js" */

/** @typedef {{ button: HTMLButtonElement, canvas: HTMLCanvasElement | null, text: HTMLElement, caption: HTMLElement }} Column */

const LAYOUT = { maxMaps: 32, size: 120, gap: 2 }
const LONG_NAME = 3

/** Feature maps of every layer from left to right; a click on a value, or the Enter key on a layer, selects it. */
export class FeatureStrip {
  /** @type {HTMLCanvasElement} */
  #input
  /** @type {Column[]} */
  #columns
  #layers
  #inputShape
  #classNames
  #onSelect

  /**
   * @param {HTMLElement} parent replaced content
   * @param {{ layers: readonly ShownLayer[], inputShape: readonly number[], classNames: readonly string[] }} network
   * @param {(layer: ShownLayer, place: Selection | null) => void} onSelect null: no value was pointed at
   */
  constructor(parent, { layers, inputShape, classNames }, onSelect) {
    this.#layers = layers
    this.#inputShape = inputShape
    this.#classNames = classNames
    this.#onSelect = onSelect
    parent.replaceChildren()
    const input = addElement(parent, "div", "layer")
    addElement(input, "span", "title", "Input")
    this.#input = addElement(addElement(input, "span", "figure"), "canvas")
    addElement(input, "span", "caption", inputShape.join("×"))
    this.#columns = layers.map((layer) => this.#addLayer(parent, layer))
  }

  /**
   * Add the column of a layer.
   * @param {HTMLElement} parent
   * @param {ShownLayer} layer
   * @returns {Column}
   */
  #addLayer(parent, layer) {
    addElement(parent, "span", "arrow", "→").ariaHidden = "true"
    const button = addButton(parent, "layer")
    button.ariaLabel = `${layer.name}: show the arithmetic of its values`
    addElement(button, "span", "title", layer.name)
    const figure = addElement(button, "span", "figure")
    const canvas = layer.isOutput ? null : addElement(figure, "canvas")
    const text = addElement(figure, "b")
    button.addEventListener("click", (event) => this.#onSelect(layer, canvas && findValueUnder(event, canvas, layer)))
    return { button, canvas, text, caption: addElement(button, "span", "caption") }
  }

  /**
   * Mark the layer that is explained below.
   * @param {ShownLayer} selected
   * @returns {void}
   */
  mark(selected) {
    this.#columns.forEach(({ button }, index) => {
      button.ariaPressed = String(this.#layers[index] === selected)
    })
  }

  /**
   * Paint all layers.
   * @param {EngineResult} result
   * @param {FeatureMapPainter} painter
   * @returns {void}
   */
  paint({ values, image, probabilities }, painter) {
    paintImage(this.#input, image, this.#inputShape, 1)
    this.#layers.forEach((layer, index) => {
      const { canvas, text, caption, button } = this.#columns[index]
      if (canvas === null) {
        const [top] = findTopTwo(probabilities)
        text.textContent = this.#classNames[top]
        text.className = this.#classNames[top].length > LONG_NAME ? "long" : ""
        caption.textContent = formatPercent(probabilities[top])
      } else {
        const output = layer.getOutput(values)
        painter.paint(canvas, output, layer.shape, LAYOUT)
        caption.textContent = describeValues(output, layer.shape)
      }
      button.ariaDescription = `${text.textContent} ${caption.textContent}`.trim()
    })
  }
}

/**
 * Describe the values of a layer in two lines.
 * @param {Float32Array} values
 * @param {readonly number[]} shape
 * @returns {string}
 */
function describeValues(values, shape) {
  const some = arrangeMaps(shape)[0] > LAYOUT.maxMaps ? `${LAYOUT.maxMaps} of ` : ""
  return `${some}${shape.join("×")}\n${formatPercent(computeZeroShare(values))} zeros`
}

/**
 * Find the value under the pointer; null for a click by the keyboard, and between the maps.
 * @param {MouseEvent} event
 * @param {HTMLCanvasElement} canvas
 * @param {ShownLayer} layer
 * @returns {Selection | null}
 */
function findValueUnder(event, canvas, { shape }) {
  if (event.detail === 0) return null
  const { left, top, width, height } = canvas.getBoundingClientRect()
  const x = ((event.clientX - left) * canvas.width) / width
  const y = ((event.clientY - top) * canvas.height) / height
  return findGridValue(layOutMaps(shape, LAYOUT), x, y)
}
