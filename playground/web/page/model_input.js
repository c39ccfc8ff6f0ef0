import { ImageOverlay } from "../canvas/overlay.js"
import { CanvasRasterizer, IMAGE_SIZE } from "../canvas/rasterize.js"
import { ImageResizer } from "../canvas/resize.js"
import { PAD_SIZE, PEN_WIDTH } from "./drawing_pad.js"

/** @import { Stroke } from "../canvas/line_renderer.js" */

/** Makes the input of the network from strokes on the pad and the image under them. */
export class ModelInput {
  #rasterizer = new CanvasRasterizer()
  #hasStrokes
  #resizer
  #overlay
  #blank

  /**
   * @param {readonly number[]} shape (channels, height, width) of the network's input
   * @param {boolean} hasStrokes strokes are preprocessed to look like the images that the network was trained on
   */
  constructor(shape, hasStrokes) {
    this.#hasStrokes = hasStrokes
    this.#resizer = new ImageResizer([1, IMAGE_SIZE, IMAGE_SIZE], shape)
    this.#overlay = new ImageOverlay(shape)
    this.#blank = new Float32Array(shape.reduce((product, side) => product * side, 1))
  }

  /**
   * Make the input.
   * @param {readonly Stroke[]} strokes
   * @param {Float32Array | null} image of the input's shape; no strokes are on it if drawings are preprocessed
   * @returns {Float32Array} valid until the next call
   */
  build(strokes, image) {
    if (strokes.length === 0) return image ?? this.#blank
    if (this.#hasStrokes) return this.#resizer.resize(this.#rasterizer.rasterize(strokes, PAD_SIZE, PEN_WIDTH))
    return this.#overlay.draw(image ?? this.#blank, {
      strokes,
      penWidth: PEN_WIDTH,
      eraserStrokes: [],
      eraserWidth: 0,
      canvasSize: PAD_SIZE,
    })
  }
}
