import { FeatureMapPainter } from "../views/feature_maps.js"
import { DrawingPad } from "./drawing_pad.js"
import { findElement } from "./elements.js"
import { ExamplePicker } from "./example_picker.js"
import { FeatureStrip } from "./feature_strip.js"
import { LayerPanel } from "./layer_panel.js"
import { ModelInput } from "./model_input.js"
import { getExample } from "./page_data.js"
import { PredictionPanel } from "./prediction_panel.js"
import { listShownLayers } from "./shown_layers.js"

/** @import { EngineClient, EngineResult } from "../engine/engine_client.js" */
/** @import { ExplanationReply } from "../engine/messages.js" */
/** @import { NetworkDescription } from "../engine/types.js" */
/** @import { PageData } from "./page_data.js" */

const DARK_QUERY = "(prefers-color-scheme: dark)"

/** Say the prediction to screen readers, at the end of a stroke. */
function announcePrediction() {
  const [guess, words] = [findElement("guess"), findElement("words")]
  findElement("announcement").textContent = `${guess.textContent}: ${words.textContent}`
}

/** The page: pad, test images, prediction, feature maps and arithmetic of one network. */
export class NetworkPage {
  #data
  #description
  #client
  #isDark = matchMedia(DARK_QUERY)
  /** @type {number | null} test image under the strokes */
  #exampleIndex = null
  /** @type {Float32Array | null} */
  #example = null
  #input
  #pad
  #examples
  #prediction
  #strip
  #panel
  /** @type {FeatureMapPainter} */
  #painter
  /** @type {EngineResult | null} the last one; its values are replaced by the next */
  #result = null
  #frame = 0

  /**
   * @param {PageData} data
   * @param {NetworkDescription} description
   * @param {EngineClient} client with the network loaded
   */
  constructor(data, description, client) {
    this.#data = data
    this.#description = description
    this.#client = client
    this.#input = new ModelInput(description.inputShape, data.hasStrokes)
    this.#pad = new DrawingPad(/** @type {HTMLCanvasElement} */ (findElement("pad")), {
      onBegin: () => this.#beginStroke(),
      onChange: () => this.#compute(),
      onEnd: announcePrediction,
    })
    const nodes = { guess: findElement("guess"), words: findElement("words"), bars: findElement("bars") }
    this.#prediction = new PredictionPanel(nodes, data.classNames)
    const layers = listShownLayers(description, data.layers)
    const { classNames } = data
    const { inputShape } = description
    this.#strip = new FeatureStrip(findElement("strip"), { layers, inputShape, classNames }, (layer, selection) =>
      this.#panel.select(layer, selection),
    )
    const panelNodes = {
      name: findElement("layer-name"),
      channel: findElement("channel"),
      maps: findElement("maps"),
      arithmetic: findElement("arithmetic"),
    }
    this.#panel = new LayerPanel(panelNodes, { layer: layers[0], inputShape, classNames }, client, () =>
      this.#scheduleFrame(),
    )
    this.#painter = this.#createPainter()
    this.#examples = new ExamplePicker(findElement("examples"), data, description.inputShape, (index) =>
      this.#showExample(index),
    )
    this.#connect()
    if (data.exampleLabels.length > 0) this.#showExample(0)
    else this.#showBlank()
    findElement("network").hidden = false
  }

  /** Connect the buttons and the color scheme. */
  #connect() {
    findElement("undo").addEventListener("click", () => this.#undo())
    findElement("clear").addEventListener("click", () => this.#showBlank())
    this.#isDark.addEventListener("change", () => {
      this.#painter = this.#createPainter()
      this.#scheduleFrame()
    })
    addEventListener("resize", () => this.#scheduleFrame())
  }

  /** Color tables of the current color scheme. */
  get #tables() {
    const { ink, sequential, diverging, diverging_dark: dark } = this.#data.colors
    return { ink, sequential, diverging: this.#isDark.matches ? dark : diverging }
  }

  /** True if there is neither a drawing nor a test image. */
  get #isInputEmpty() {
    return this.#pad.strokes.length === 0 && this.#example === null
  }

  /** @returns {FeatureMapPainter} */
  #createPainter() {
    const gap = this.#data.gapColors[this.#isDark.matches ? "dark" : "light"]
    return new FeatureMapPainter({ ...this.#tables, gap })
  }

  /**
   * Show a test image and compute it.
   * @param {number} index
   * @returns {void}
   */
  #showExample(index) {
    this.#exampleIndex = index
    this.#example = getExample(this.#data, index)
    this.#examples.select(index)
    this.#pad.reset({ values: this.#example, shape: this.#description.inputShape })
    this.#compute()
  }

  /** Show black paper. */
  #showBlank() {
    this.#removeExample()
    this.#pad.reset(null)
    this.#compute()
  }

  /** Forget the test image. */
  #removeExample() {
    this.#exampleIndex = null
    this.#example = null
    this.#examples.select(null)
  }

  /** Remove the last stroke. */
  #undo() {
    this.#pad.undo()
    this.#compute()
  }

  /** Prepare the pad for a stroke: a drawing that is preprocessed cannot lie over a test image. */
  #beginStroke() {
    if (this.#example === null || !this.#data.hasStrokes) return
    this.#removeExample()
    this.#pad.reset(null)
  }

  /** Compute the current input. */
  #compute() {
    this.#client.run(this.#input.build(this.#pad.strokes, this.#example))
  }

  /**
   * Receive the values of all layers.
   * @param {EngineResult} result
   * @returns {void}
   */
  receiveResult(result) {
    this.#result = result
    this.#panel.receiveResult(result)
    this.#scheduleFrame()
  }

  /**
   * Receive the explanation of a channel.
   * @param {ExplanationReply} reply
   * @returns {void}
   */
  receiveExplanation(reply) {
    this.#panel.receiveExplanation(reply)
  }

  /** Paint once in the next frame. */
  #scheduleFrame() {
    if (this.#frame !== 0) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#paint()
    })
  }

  /** Paint everything that depends on the last result and the selection. */
  #paint() {
    if (this.#result === null) return
    if (this.#isInputEmpty) this.#prediction.showEmpty("Draw on the canvas, or choose a test image.")
    else {
      const label = this.#exampleIndex === null ? null : this.#data.exampleLabels[this.#exampleIndex]
      this.#prediction.show(this.#result.probabilities, label)
    }
    this.#strip.paint(this.#result, this.#painter)
    this.#strip.mark(this.#panel.layer)
    this.#panel.paint(this.#painter, this.#tables)
  }
}
