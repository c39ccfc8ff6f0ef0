import { computeContributions, describeEquation } from "./arithmetic.js"
import {
  createMapPanel,
  MAP_SIZE,
  outlineBox,
  paintMap,
  showBars,
  showEquation,
  showProducts,
} from "./arithmetic_panels.js"
import { nameInputChannel } from "./channel_names.js"
import { maxMagnitude } from "./color_map.js"
import { addElement } from "./dom.js"
import { InputPanel } from "./input_panel.js"
import { connectMap } from "./map_pointer.js"
import { clampPosition, nextPosition } from "./map_positions.js"
import { PositionPlayer } from "./position_player.js"

/** @import { ChannelExplanation } from "../engine/types.js" */
/** @import { Contribution, Position } from "./arithmetic.js" */
/** @import { InputSource } from "./channel_names.js" */
/** @import { MapScale } from "./feature_maps.js" */
/** @import { Shape } from "./map_positions.js" */

/** @typedef {Record<"ink" | "sequential" | "diverging", Uint8Array>} ColorTables 256 × 3 bytes each. */

/**
 * @typedef {object} ReceptiveField The image, and the part of it that each row and column of a map depends on.
 * @property {Float32Array} image values 0 to 1
 * @property {Shape} imageShape
 * @property {readonly [start: number, stop: number][]} rows
 * @property {readonly [start: number, stop: number][]} columns
 */

/**
 * @typedef {object} ShownChannel A channel of a layer and what is shown of it.
 * @property {string} layer identifies the layer: the selected input channel is kept while it stays
 * @property {string} title
 * @property {ChannelExplanation} explanation by the browser engine, or by the server
 * @property {string | null} activation title of the activation function; null without one
 * @property {InputSource} source
 * @property {Shape} shape of the channel's map; (1, 1) for a value of a vector
 * @property {Float32Array} output the channel's values
 * @property {Float32Array} displayed values of the map: `output`, or those before the activation function
 * @property {MapScale} scale colors of the map
 * @property {ReceptiveField | null} receptiveField null: the image is not shown
 */

/** @typedef {{ input: number, weights: number | null }} Limits Largest magnitudes. */

/**
 * @typedef {object} ViewEvents What the user does in the view.
 * @property {(position: Position) => void} onMove the arithmetic of another position is shown
 * @property {(position: Position) => void} onPin a position was clicked, after `onMove`
 */

const SINGLE_VALUE_SIZE = 44

/** The arithmetic of one value: window, kernel, products, sum over the input channels, bias and activation. */
export class ArithmeticView {
  /** @type {Position} */
  #position = { row: 0, column: 0 }
  /** @type {Position} the position returns here when the pointer leaves the map */
  #pinned = this.#position
  #inputChannel = 0
  /** @type {{ channel: ShownChannel, tables: ColorTables, limits: Limits } | null} */
  #shown = null
  #nodes
  #player
  #events

  /**
   * @param {HTMLElement} parent
   * @param {ViewEvents} events
   */
  constructor(parent, events) {
    this.#events = events
    const row = addElement(parent, "div", "bench")
    this.#nodes = {
      root: parent,
      image: createMapPanel(row, "input"),
      imageArrow: addElement(row, "div", "sign", "→"),
      input: new InputPanel(row, (step) => this.#stepInput(step)),
      products: addElement(row, "div", "bench"),
      output: createMapPanel(row, ""),
      barsTitle: addElement(parent, "div", "note"),
      bars: addElement(parent, "div", "bars"),
      equation: addElement(parent, "div", "sum"),
    }
    this.#nodes.equation.role = "status"
    this.#nodes.image.note.textContent = "receptive field"
    this.#player = new PositionPlayer(parent, () => this.#moveTo(nextPosition(this.#position, this.#shape)))
    this.#connectOutput()
  }

  get position() {
    return this.#position
  }

  get isPlaying() {
    return this.#player.isPlaying
  }

  /** @returns {Shape} shape of the channel's map */
  get #shape() {
    return this.#shown?.channel.shape ?? [1, 1]
  }

  /** Stop stepping through the positions. */
  stop() {
    this.#player.stop()
  }

  /**
   * Show a channel.
   * @param {ShownChannel} channel
   * @param {ColorTables} tables
   * @param {Position} [position] the current one by default
   * @returns {void}
   */
  show(channel, tables, position = this.#position) {
    const { input, weights } = channel.explanation
    if (this.#shown?.channel.layer !== channel.layer) this.#inputChannel = 0
    this.#shown = { channel, tables, limits: { input: maxMagnitude(input), weights: weights && maxMagnitude(weights) } }
    this.#pinned = clampPosition(position, channel.shape)
    this.#position = this.#pinned
    this.#paintFixedMaps(channel, tables)
    this.render()
  }

  /**
   * Select a position, which stays when the pointer leaves the map.
   * @param {Position} position
   * @returns {void}
   */
  pin({ row, column }) {
    this.#player.stop()
    this.#pinned = { row, column }
    this.#position = this.#pinned
    this.render()
  }

  /** Show the arithmetic of the selected position. */
  render() {
    if (this.#shown === null) return
    const { channel, tables, limits } = this.#shown
    const { explanation, shape, output, activation } = channel
    const { row, column } = this.#position
    const contributions = computeContributions(explanation, this.#position)
    this.#inputChannel = Math.min(this.#inputChannel, contributions.length - 1)
    this.#renderReceptiveField(channel)
    this.#renderInput(this.#shown)
    outlineBox(this.#nodes.output, [row, column, row + 1, column + 1], shape)
    this.#player.show(this.#position, shape)
    showProducts(this.#nodes.products, explanation.rule, contributions[this.#inputChannel], {
      table: tables.diverging,
      inputLimit: limits.input,
      weightLimit: limits.weights,
      viewWidth: this.#nodes.root.clientWidth,
    })
    this.#renderBars(channel, contributions)
    showEquation(
      this.#nodes.equation,
      describeEquation(explanation, contributions, { output: output[row * shape[1] + column], activation }),
    )
  }

  /**
   * Follow the pointer, a key or the timer.
   * @param {Position} position
   * @returns {void}
   */
  #moveTo(position) {
    this.#position = position
    this.render()
    this.#events.onMove(position)
  }

  /**
   * Paint the image and the channel's map.
   * @param {ShownChannel} channel
   * @param {ColorTables} tables
   * @returns {void}
   */
  #paintFixedMaps({ title, shape, displayed, scale, source, receptiveField }, tables) {
    const { image, output } = this.#nodes
    image.root.hidden = receptiveField === null || source.imageChannels !== null
    if (receptiveField)
      paintMap(image, receptiveField.image, receptiveField.imageShape, { table: tables.ink, low: 0, high: 1 })
    const hasOneValue = shape[0] * shape[1] === 1
    paintMap(output, displayed, shape, {
      table: tables[scale.palette],
      low: scale.low,
      high: scale.high,
      size: hasOneValue ? SINGLE_VALUE_SIZE : MAP_SIZE,
    })
    output.title.textContent = title
    output.map.ariaLabel = `${title}: arrow keys move the selection`
    output.note.textContent = hasOneValue ? "" : "Point at a value or click it"
  }

  /**
   * Outline the receptive field in the image.
   * @param {ShownChannel} channel
   * @returns {void}
   */
  #renderReceptiveField({ receptiveField }) {
    if (receptiveField === null) return
    const [top, bottom] = receptiveField.rows[this.#position.row]
    const [left, right] = receptiveField.columns[this.#position.column]
    outlineBox(this.#nodes.image, [top, left, bottom, right], receptiveField.imageShape)
  }

  /**
   * Show the selected input channel and the window in it.
   * @param {{ channel: ShownChannel, tables: ColorTables, limits: Limits }} shown
   * @returns {void}
   */
  #renderInput({ channel, tables, limits }) {
    const { input, image, imageArrow } = this.#nodes
    input.show(channel, this.#inputChannel, tables, limits.input)
    input.outline(channel.explanation, this.#position)
    imageArrow.hidden = input.isHidden || image.root.hidden
  }

  /**
   * Show the contributions of the input channels, if there are several.
   * @param {ShownChannel} channel
   * @param {Contribution[]} contributions
   * @returns {void}
   */
  #renderBars({ explanation, source }, contributions) {
    const { bars, barsTitle } = this.#nodes
    bars.hidden = contributions.length === 1
    barsTitle.hidden = bars.hidden
    if (bars.hidden) return
    barsTitle.textContent =
      explanation.rule === "add"
        ? "Contributions of the main branch and the shortcut"
        : `Contributions of the ${contributions.length} input channels. Click one to see its patch.`
    showBars(bars, contributions, {
      names: contributions.map((_, index) => nameInputChannel(explanation, source, index)),
      selected: this.#inputChannel,
      onSelect: (inputChannel) => this.#selectInput(inputChannel),
    })
  }

  /**
   * Show the patch of the next or the previous input channel.
   * @param {1 | -1} step
   * @returns {void}
   */
  #stepInput(step) {
    const count = this.#shown?.channel.explanation.inputShape[0] ?? 1
    this.#selectInput((this.#inputChannel + count + step) % count)
  }

  /**
   * Show an input channel's patch.
   * @param {number} inputChannel
   * @returns {void}
   */
  #selectInput(inputChannel) {
    this.#inputChannel = inputChannel
    this.render()
  }

  /** Let pointer and arrow keys select values of the channel. */
  #connectOutput() {
    const { map } = this.#nodes.output
    map.classList.add("live")
    map.tabIndex = 0
    map.role = "application"
    connectMap(map, {
      getPosition: () => this.#position,
      getShape: () => this.#shape,
      onPoint: (position) => {
        if (!this.isPlaying) this.#moveTo(position)
      },
      onLeave: () => {
        if (!this.isPlaying) this.#moveTo(this.#pinned)
      },
      onClick: (position) => {
        this.pin(position)
        this.#events.onMove(position)
        this.#events.onPin(position)
      },
      onKey: (position) => {
        this.#pinned = position
        this.#moveTo(position)
      },
    })
  }
}
