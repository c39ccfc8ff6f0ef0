import { ArithmeticView } from "../views/arithmetic_view.js"
import { addButton, addElement } from "../views/dom.js"
import { chooseMapScale, layOutMaps } from "../views/feature_maps.js"
import { MapGrid } from "../views/map_grid.js"
import { findLargest } from "./selection.js"

/** @import { EngineClient, EngineResult } from "../engine/engine_client.js" */
/** @import { ExplanationReply } from "../engine/messages.js" */
/** @import { ChannelExplanation } from "../engine/types.js" */
/** @import { ColorTables, ShownChannel } from "../views/arithmetic_view.js" */
/** @import { FeatureMapPainter } from "../views/feature_maps.js" */
/** @import { Selection } from "../views/map_grid.js" */
/** @import { ShownLayer } from "./shown_layers.js" */

/**
 * @typedef {object} PanelNodes
 * @property {HTMLElement} name of the layer
 * @property {HTMLElement} channel name of the channel, between buttons
 * @property {HTMLElement} maps
 * @property {HTMLElement} arithmetic
 */

const LAYOUT = { maxMaps: 64, size: 340, gap: 2 }

/** All feature maps of the selected layer, and the arithmetic of the selected value. */
export class LayerPanel {
  /** @type {ShownLayer} */
  #layer
  /** @type {Selection | null} null until the first result */
  #selection = null
  /** @type {Selection | null} selection that the arithmetic does not show yet */
  #target = null
  /** @type {EngineResult | null} the last one; its values are replaced by the next */
  #result = null
  /** @type {{ layer: ShownLayer, channel: number, shown: ShownChannel } | null} the last explanation */
  #explained = null
  #client
  #classNames
  #inputShape
  #onChange
  #canvas = document.createElement("canvas")
  #nodes
  #grid
  #view

  /**
   * @param {PanelNodes} nodes
   * @param {{ layer: ShownLayer, classNames: readonly string[], inputShape: readonly number[] }} network the layer that
   *   is selected first
   * @param {EngineClient} client
   * @param {() => void} onChange something has to be painted
   */
  constructor({ name, channel, maps, arithmetic }, { layer, classNames, inputShape }, client, onChange) {
    this.#layer = layer
    this.#classNames = classNames
    this.#inputShape = inputShape
    this.#client = client
    this.#onChange = onChange
    for (const node of [channel, maps, arithmetic]) node.replaceChildren()
    this.#canvas.role = "img"
    this.#nodes = { name, ...this.#createStepper(channel) }
    this.#grid = new MapGrid(maps, this.#canvas, (selection) => this.select(this.#layer, selection))
    this.#view = new ArithmeticView(arithmetic, {
      onMove: (position) => this.#grid.mark({ channel: this.#channel, ...position }),
      onPin: () => undefined,
    })
  }

  get layer() {
    return this.#layer
  }

  get #channel() {
    return this.#selection?.channel ?? 0
  }

  /**
   * Create the buttons that select the neighbors of the channel.
   * @param {HTMLElement} parent
   * @returns {{ channel: HTMLElement }}
   */
  #createStepper(parent) {
    const previous = addButton(parent, "step", "‹")
    const channel = addElement(parent, "span")
    const next = addButton(parent, "step", "›")
    previous.ariaLabel = "Previous channel"
    next.ariaLabel = "Next channel"
    const go = (/** @type {number} */ step) => {
      const [count] = this.#layer.shape
      this.select(this.#layer, { ...this.#view.position, channel: (this.#channel + count + step) % count })
    }
    previous.addEventListener("click", () => go(-1))
    next.addEventListener("click", () => go(1))
    return { channel }
  }

  /**
   * Select a value.
   * @param {ShownLayer} layer
   * @param {Selection | null} selection null: the layer's largest value
   * @returns {void}
   */
  select(layer, selection) {
    if (this.#result === null) return
    const isExplained = layer === this.#layer && selection?.channel === this.#selection?.channel
    this.#layer = layer
    this.#selection = selection ?? findLargest(layer.getOutput(this.#result.values), layer.shape)
    this.#target = this.#selection
    this.#view.stop()
    if (!isExplained) this.#client.explain(layer.index, this.#channel)
    this.#onChange()
  }

  /**
   * Receive the values of all layers, and ask for the explanation of the selected channel.
   * @param {EngineResult} result
   * @returns {void}
   */
  receiveResult(result) {
    this.#result = result
    if (this.#selection === null) {
      this.#selection = findLargest(this.#layer.getOutput(result.values), this.#layer.shape)
      this.#target = this.#selection
    }
    this.#client.explain(this.#layer.index, this.#channel)
  }

  /**
   * Receive the explanation of a channel; it belongs to the last result.
   * @param {ExplanationReply} reply
   * @returns {void}
   */
  receiveExplanation({ layerIndex, channel, explanation }) {
    if (this.#result === null || layerIndex !== this.#layer.index || channel !== this.#channel) return
    this.#explained = { layer: this.#layer, channel, shown: this.#describeChannel(explanation, this.#result) }
    this.#onChange()
  }

  /**
   * Paint the feature maps, and the arithmetic if the explanation of the channel has arrived.
   * @param {FeatureMapPainter} painter
   * @param {ColorTables} tables
   * @returns {void}
   */
  paint(painter, tables) {
    if (this.#result === null || this.#selection === null) return
    const layer = this.#layer
    const values = layer.getOutput(this.#result.values)
    painter.paint(this.#canvas, values, layer.shape, LAYOUT)
    this.#canvas.ariaLabel = `${layer.name}: ${layer.shape.join("×")} values`
    this.#grid.update({ ...layOutMaps(layer.shape, LAYOUT), ...getSize(this.#canvas) }, values)
    this.#nodes.name.textContent = layer.name
    this.#nodes.channel.textContent = this.#nameChannel()
    if (this.#explained?.layer === layer && this.#explained.channel === this.#channel) {
      this.#view.show(this.#explained.shown, tables, this.#target ?? this.#view.position)
      this.#target = null
      this.#grid.mark({ channel: this.#channel, ...this.#view.position })
    } else this.#grid.mark(this.#selection)
  }

  /**
   * Name the selected channel: the class of an output, else its number.
   * @returns {string}
   */
  #nameChannel() {
    const { isOutput, shape } = this.#layer
    const [count] = shape
    if (isOutput && count === this.#classNames.length) return `class ${this.#classNames[this.#channel]}`
    return `${shape.length === 1 ? "value" : "channel"} ${this.#channel + 1} of ${count}`
  }

  /**
   * Describe the channel for the arithmetic. Values are copied: they are shown until the next explanation, and the next
   * result comes before that.
   * @param {ChannelExplanation} explanation
   * @param {EngineResult} result
   * @returns {ShownChannel}
   */
  #describeChannel(explanation, { values, image }) {
    const layer = this.#layer
    const [channels, height, width] = this.#inputShape
    const all = layer.getOutput(values)
    const count = layer.mapShape[0] * layer.mapShape[1]
    const output = all.slice(this.#channel * count, (this.#channel + 1) * count)
    return {
      layer: String(layer.index),
      title: layer.mapShape.join() === "1,1" ? "value" : `${layer.name}, channel ${this.#channel + 1}`,
      explanation,
      activation: layer.activation,
      source: { title: layer.inputName, imageChannels: layer.readsImage ? channels : null },
      shape: layer.mapShape,
      output,
      displayed: output,
      scale: chooseMapScale(all, layer.shape, LAYOUT.maxMaps),
      receptiveField: {
        image: image.slice(0, height * width),
        imageShape: [height, width],
        ...layer.receptiveField,
      },
    }
  }
}

/**
 * Get the size of a canvas in pixels.
 * @param {HTMLCanvasElement} canvas
 * @returns {{ width: number, height: number }}
 */
function getSize({ width, height }) {
  return { width, height }
}
