/**
 * Rasterize drawings: `node rasterize_strokes.mjs FOLDER` reads `drawings.json` and writes the images, float32 values one
 * after the other, to `images`.
 */

import { readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { CanvasRasterizer } from "../../playground/web/canvas/rasterize.js"
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
 */

const [folder] = process.argv.slice(2)
/** @type {Drawing[]} */
const drawings = JSON.parse(readFileSync(`${folder}/drawings.json`, "utf8"))
const rasterizer = new CanvasRasterizer()
const images = drawings.map(({ strokes, canvasSize, penWidth, preprocessing, shape }) => {
  const image = rasterizer.rasterize(strokes, canvasSize, penWidth, preprocessing)
  return new Uint8Array(new ImageResizer(28, shape).resize(image).slice().buffer)
})
writeFileSync(`${folder}/images`, Buffer.concat(images))
