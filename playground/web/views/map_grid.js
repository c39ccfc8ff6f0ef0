import { addElement } from "./dom.js"
import { findGridValue, gridPixel } from "./map_positions.js"
import { formatNumber } from "./number_format.js"

/** @import { Position } from "./arithmetic.js" */
/** @import { GridLayout } from "./map_positions.js" */

/** @typedef {GridLayout & { width: number, height: number }} SizedGrid A layout and the pixels of the whole image. */

/** @typedef {Position & { channel: number }} Selection A value of a layer; row and column are 0 in a vector. */

const TIP_DISTANCE = [12, 16]

/** The image of a layer's feature maps: the selected value is outlined, a tip names the value under the pointer. */
export class MapGrid {
  /** @type {SizedGrid | null} */
  #layout = null
  /** @type {Float32Array | null} */
  #values = null
  #root
  #surface
  #marker
  #tip

  /**
   * @param {HTMLElement} parent
   * @param {HTMLImageElement | HTMLCanvasElement} surface
   * @param {(selection: Selection) => void} onSelect a value was clicked
   */
  constructor(parent, surface, onSelect) {
    this.#root = addElement(addElement(parent, "div", "grid"), "div", "inner")
    this.#surface = surface
    this.#root.append(surface)
    this.#marker = addElement(this.#root, "div", "box center")
    this.#tip = addElement(this.#root, "div", "tip")
    this.#tip.hidden = true
    this.#root.onpointermove = (event) => this.#showTip(event)
    this.#root.onpointerleave = () => {
      this.#tip.hidden = true
    }
    this.#root.onclick = (event) => {
      const found = this.#findValue(event)
      if (found) onSelect({ channel: found.channel, row: found.row, column: found.column })
    }
  }

  /**
   * Use the layout and the values of what is on the surface now; without values the tip only names the position.
   * @param {SizedGrid} layout
   * @param {Float32Array | null} values
   * @returns {void}
   */
  update(layout, values) {
    this.#layout = layout
    this.#values = values
    this.#root.style.width = `${layout.width}px`
  }

  /**
   * Outline a value, if its channel is shown.
   * @param {Selection} selection
   * @returns {void}
   */
  mark(selection) {
    if (this.#layout === null) return
    const { block, width, height } = this.#layout
    const pixel = gridPixel(this.#layout, selection.channel, selection)
    this.#marker.hidden = pixel === null
    if (pixel === null) return
    Object.assign(this.#marker.style, {
      left: `${(100 * (pixel[0] + block / 2)) / width}%`,
      top: `${(100 * (pixel[1] + block / 2)) / height}%`,
      width: `${(100 * block) / width}%`,
      height: `${(100 * block) / height}%`,
    })
  }

  /**
   * Find the value under the pointer.
   * @param {MouseEvent} event
   * @returns {ReturnType<typeof findGridValue>}
   */
  #findValue({ clientX, clientY }) {
    if (this.#layout === null) return null
    const { left, top, width, height } = this.#surface.getBoundingClientRect()
    const x = ((clientX - left) / width) * this.#layout.width
    const y = ((clientY - top) / height) * this.#layout.height
    return findGridValue(this.#layout, x, y)
  }

  /**
   * Show channel, position and value under the pointer.
   * @param {PointerEvent} event
   * @returns {void}
   */
  #showTip(event) {
    const found = this.#findValue(event)
    this.#tip.hidden = found === null
    if (found === null) return
    const { channel, row, column, index } = found
    const name = this.#layout?.isVector
      ? `value ${channel + 1}`
      : `channel ${channel + 1}, row ${row + 1}, column ${column + 1}`
    this.#tip.textContent = this.#values === null ? name : `${name}: ${formatNumber(this.#values[index])}`
    const area = this.#root.getBoundingClientRect()
    const [across, down] = TIP_DISTANCE
    const x = Math.min(event.clientX - area.left + across, area.width - this.#tip.offsetWidth)
    this.#tip.style.left = `${Math.max(0, x)}px`
    this.#tip.style.top = `${event.clientY - area.top + down}px`
  }
}
