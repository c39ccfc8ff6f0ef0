import { decodeFloats } from "../../web/base64.js"
import { ArithmeticView } from "../../web/views/arithmetic_view.js"
import { addElement } from "../../web/views/dom.js"
import { MapGrid } from "../../web/views/map_grid.js"
import { decodeChannel, decodePalettes } from "./lib/arithmetic_data.js"

/** @import { Selection } from "../../web/views/map_grid.js" */
/** @import { ArithmeticData } from "./lib/arithmetic_data.js" */
/** @import { ComponentArgs } from "./lib/streamlit.js" */

/** The feature maps of a layer and the arithmetic of the selected value. Only another channel needs the server. */
class LayerView {
  /** @type {ArithmeticData | null} */
  #data = null
  /** The position that the server sent last and that was shown. */
  #serverPosition = ""
  #view
  #hint
  #image
  #grid

  /** @param {HTMLElement | ShadowRoot} parent */
  constructor(parent) {
    /** @type {(selection: Selection) => void} */
    this.onSelect = () => undefined
    const root = addElement(parent, "div", "scope")
    this.#view = new ArithmeticView(root, {
      onMove: () => this.#grid.mark(this.#selection),
      onPin: () => this.onSelect(this.#selection),
    })
    this.#hint = addElement(root, "div", "note")
    this.#image = document.createElement("img")
    this.#image.draggable = false
    this.#grid = new MapGrid(root, this.#image, (selection) => {
      this.#view.stop()
      if (selection.channel === this.#data?.channel) {
        this.#view.pin(selection)
        this.#grid.mark(selection)
      }
      this.onSelect(selection)
    })
  }

  /** @returns {Selection} the value whose arithmetic is shown */
  get #selection() {
    return { channel: this.#data?.channel ?? 0, ...this.#view.position }
  }

  /**
   * Show new data; the selected position stays while the server has not chosen another one.
   * @param {ArithmeticData} data
   * @returns {void}
   */
  update(data) {
    if (this.#data?.token === data.token) this.#view.render()
    else this.#load(data)
  }

  /** Stop stepping through the positions. */
  stop() {
    this.#view.stop()
  }

  /**
   * Show the feature maps and the channel.
   * @param {ArithmeticData} data
   * @returns {void}
   */
  #load(data) {
    const previous = this.#data
    this.#data = data
    const { grid, titles } = data
    Object.assign(this.#image, { src: grid.png, alt: grid.alt, width: grid.width, height: grid.height })
    this.#hint.textContent = titles.grid
    this.#grid.update(grid, grid.values === null ? null : decodeFloats(grid.values))
    const isOtherChannel = previous?.layer !== data.layer || previous.channel !== data.channel
    const isMovedByServer = data.position.join() !== this.#serverPosition
    const [channel, tables] = [decodeChannel(data), decodePalettes(data.palettes)]
    if (isOtherChannel || (isMovedByServer && !this.#view.isPlaying)) {
      this.#view.stop()
      this.#serverPosition = data.position.join()
      const [row, column] = data.position
      this.#view.show(channel, tables, { row, column })
    } else this.#view.show(channel, tables)
    this.#grid.mark(this.#selection)
  }
}

/** @type {WeakMap<Node, LayerView>} */
const views = new WeakMap()

/**
 * Show the arithmetic of a layer's values.
 * @param {ComponentArgs<ArithmeticData>} args
 * @returns {() => void}
 */
export default function renderArithmeticView({ data, parentElement, setStateValue }) {
  const view = views.get(parentElement) ?? new LayerView(parentElement)
  views.set(parentElement, view)
  view.onSelect = ({ channel, row, column }) => setStateValue("position", [channel, row, column])
  view.update(data)
  return () => view.stop()
}
