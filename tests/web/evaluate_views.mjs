/**
 * Describe predictions, paint feature maps and images: `node evaluate_views.mjs FOLDER` reads `views.json` and writes the
 * texts to `texts.json` and the pixels of the maps and images, RGBA, to `pixels`.
 */

import { readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { describeRemark } from "../../playground/ui/components/lib/live_view.js"
import { FeatureMapPainter, paintImage } from "../../playground/web/views/feature_maps.js"

/** @import { Remark } from "../../playground/ui/components/lib/live_view.js" */

/** @typedef {{ probabilities: number[], names: string[], remark: Remark }} Described */

class FakeImageData {
  /**
   * @param {number} width
   * @param {number} height
   */
  constructor(width, height) {
    this.width = width
    this.height = height
    this.data = new Uint8ClampedArray(4 * width * height)
  }
}
Object.assign(globalThis, { ImageData: FakeImageData })

const [folder] = process.argv.slice(2)
const { predictions, maps, images, colors } = JSON.parse(readFileSync(`${folder}/views.json`, "utf8"))

const texts = predictions.map((/** @type {Described} */ { probabilities, names, remark }) =>
  describeRemark(remark, probabilities, names),
)
writeFileSync(`${folder}/texts.json`, JSON.stringify(texts))

const painter = new FeatureMapPainter({
  sequential: Uint8Array.from(colors.sequential),
  diverging: Uint8Array.from(colors.diverging),
  gap: colors.gap,
})
/** @type {Buffer[]} */
const painted = []
const context = { putImageData: (/** @type {FakeImageData} */ image) => painted.push(Buffer.from(image.data)) }

/**
 * Create a canvas that keeps the pixels that are painted on it.
 * @returns {HTMLCanvasElement}
 */
function createCanvas() {
  return /** @type {HTMLCanvasElement} */ (/** @type {unknown} */ ({ getContext: () => context }))
}

for (const { values, shape, layout } of maps) {
  painter.paint(createCanvas(), Float32Array.from(values), shape, layout)
}
for (const { values, shape, size } of images) paintImage(createCanvas(), Float32Array.from(values), shape, size)
writeFileSync(`${folder}/pixels`, Buffer.concat(painted))
