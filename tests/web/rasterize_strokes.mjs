/**
 * Rasterize drawings: `node rasterize_strokes.mjs FOLDER` reads `drawings.json` and writes the images, float32 values one
 * after the other, to `images`.
 */

import { readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { ImageOverlay } from "../../playground/web/canvas/overlay.js"
import { CanvasRasterizer, IMAGE_SIZE } from "../../playground/web/canvas/rasterize.js"
import { ImageResizer } from "../../playground/web/canvas/resize.js"

/** @import { Stroke } from "../../playground/web/canvas/line_renderer.js" */
/** @import { Preprocessing } from "../../playground/web/canvas/rasterize.js" */

/**
 * @typedef {object} Drawing
 * @property {Stroke[]} strokes
 * @property {number} canvasSize
 * @property {number} penWidth
 * @property {Preprocessing} preprocessing
 * @property {number[]} shape of the network's input
 * @property {Stroke[]} eraserStrokes
 * @property {number} eraserWidth
 * @property {number[]} imageShape shape of the image that is drawn on
 * @property {number[] | null} image without one, the strokes are preprocessed
 */

const [folder] = process.argv.slice(2)
/** @type {Drawing[]} */
const drawings = JSON.parse(readFileSync(`${folder}/drawings.json`, "utf8"))
const rasterizer = new CanvasRasterizer()
const images = drawings.map((drawing) => {
  const { strokes, canvasSize, penWidth, preprocessing, shape, imageShape } = drawing
  const image = drawing.image
    ? new ImageOverlay(imageShape).draw(Float32Array.from(drawing.image), drawing)
    : rasterizer.rasterize(strokes, canvasSize, penWidth, preprocessing)
  const resizer = new ImageResizer(drawing.image ? imageShape : [1, IMAGE_SIZE, IMAGE_SIZE], shape)
  return new Uint8Array(resizer.resize(image).slice().buffer)
})
writeFileSync(`${folder}/images`, Buffer.concat(images))
