import { clampFinite, computeLevel, computeLevelsPerUnit, LEVELS, MIN_RANGE, packColors } from "./color_map.js"

/** @import { GridLayout } from "./map_positions.js" */

/**
 * @typedef {object} MapColors Colors of feature maps, 256 × 3 bytes per palette.
 * @property {Uint8Array} sequential
 * @property {Uint8Array} diverging
 * @property {readonly number[]} gap red, green and blue between the maps
 */

/**
 * @typedef {object} MapLayout
 * @property {number} maxMaps
 * @property {number} size pixels of the longer side of the grid, about
 * @property {number} gap pixels between the maps
 */

/** @typedef {{ palette: "sequential" | "diverging", low: number, high: number }} MapScale Colors of values. */

/** Paints the feature maps of layers on canvases as `render_feature_maps` in charts/images.py does. */
export class FeatureMapPainter {
  #palettes
  #gap

  /** @param {MapColors} colors */
  constructor(colors) {
    const { sequential, diverging, gap } = colors
    this.colors = colors
    this.#palettes = { sequential: packColors(sequential), diverging: packColors(diverging) }
    this.#gap = packColors(Uint8Array.from(gap))[0]
  }

  /**
   * Paint the first maps of a layer side by side; a vector becomes one nearly square map.
   * @param {HTMLCanvasElement} canvas
   * @param {Float32Array} values
   * @param {readonly number[]} shape (channels, height, width) or (features,)
   * @param {MapLayout} layout
   * @returns {void}
   */
  paint(canvas, values, shape, layout) {
    const { columns, tileWidth, tileHeight, block, mapRows, mapColumns, count, isVector } = layOutMaps(shape, layout)
    const shown = isVector ? 1 : count
    const between = tileWidth - mapColumns * block
    const rows = Math.ceil(shown / columns)
    const image = prepareImage(canvas, columns * tileWidth - between, rows * tileHeight - between)
    const pixels = new Uint32Array(image.data.buffer)
    pixels.fill(this.#gap)
    const { palette, low, high } = chooseMapScale(values, shape, layout.maxMaps)
    const scale = { low, levelsPerUnit: computeLevelsPerUnit(low, high), palette: this.#palettes[palette] }
    const place = { ...scale, cell: block, stride: image.width, height: mapRows, width: mapColumns }
    for (let map = 0; map < shown; map++) {
      const corner = Math.floor(map / columns) * tileHeight * image.width + (map % columns) * tileWidth
      paintMap(pixels, values, { ...place, corner, start: map * mapRows * mapColumns })
    }
    canvas.getContext("2d")?.putImageData(image, 0, 0)
  }
}

/**
 * Paint an image with values from 0 to 1 as `render_image` in charts/images.py does: three channels in color, else the
 * first in gray.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} values
 * @param {readonly number[]} shape (channels, height, width)
 * @param {number} size pixels of its longer side, about
 * @returns {void}
 */
export function paintImage(canvas, values, shape, size) {
  const [channels, height, width] = shape
  const cell = Math.max(1, Math.floor(size / Math.max(height, width)))
  const image = prepareImage(canvas, width * cell, height * cell)
  const pixels = new Uint32Array(image.data.buffer)
  const area = height * width
  const channelStride = channels < 3 ? 0 : area
  const bytes = Uint8Array.from({ length: 3 * area }, (_, index) =>
    computeLevel(values[Math.floor(index / 3) + (index % 3) * channelStride], 0, LEVELS - 1),
  )
  for (const [index, color] of packColors(bytes).entries()) {
    const first = Math.floor(index / width) * cell * image.width + (index % width) * cell
    for (let y = 0; y < cell; y++) pixels.fill(color, first + y * image.width, first + y * image.width + cell)
  }
  canvas.getContext("2d")?.putImageData(image, 0, 0)
}

/**
 * @typedef {object} MapPlace
 * @property {number} low value of the palette's first color
 * @property {number} levelsPerUnit
 * @property {Uint32Array} palette
 * @property {number} cell pixels of one value
 * @property {number} stride pixels of a row of the image
 * @property {number} corner index of the map's first pixel
 * @property {number} start index of the map's first value
 * @property {number} height
 * @property {number} width
 */

/**
 * Paint one map.
 * @param {Uint32Array} pixels
 * @param {Float32Array} values
 * @param {MapPlace} place
 * @returns {void}
 */
function paintMap(pixels, values, { low, levelsPerUnit, palette, cell, stride, corner, start, height, width }) {
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const value = values[start + row * width + column] ?? 0 // a vector does not fill its map
      const color = palette[computeLevel(value, low, levelsPerUnit)]
      const first = corner + row * cell * stride + column * cell
      for (let y = 0; y < cell; y++) pixels.fill(color, first + y * stride, first + y * stride + cell)
    }
  }
}

/**
 * Compute the arrangement of a layer's values as maps.
 * @param {readonly number[]} shape
 * @returns {[count: number, height: number, width: number]}
 */
export function arrangeMaps(shape) {
  if (shape.length === 3) return [shape[0], shape[1], shape[2]]
  const width = Math.ceil(Math.sqrt(shape[0]))
  return [1, Math.ceil(shape[0] / width), width]
}

/**
 * Lay out the first maps of a layer side by side, each value as a block of pixels.
 * @param {readonly number[]} shape
 * @param {MapLayout} layout
 * @returns {GridLayout}
 */
export function layOutMaps(shape, { maxMaps, size, gap }) {
  const isVector = shape.length === 1
  const [maps, mapRows, mapColumns] = arrangeMaps(shape)
  const shown = Math.min(maps, maxMaps)
  const columns = Math.ceil(Math.sqrt(shown))
  const between = shown === 1 ? 0 : gap
  const block = Math.max(1, Math.floor(Math.floor(size / columns) / Math.max(mapRows, mapColumns)))
  return {
    columns,
    tileWidth: mapColumns * block + between,
    tileHeight: mapRows * block + between,
    block,
    mapRows,
    mapColumns,
    count: isVector ? shape[0] : shown,
    first: 0,
    isVector,
  }
}

/**
 * Count the values of the maps that are shown.
 * @param {readonly number[]} shape
 * @param {number} maxMaps
 * @returns {number}
 */
function countShown(shape, maxMaps) {
  const [count, height, width] = arrangeMaps(shape)
  return Math.min(count, maxMaps) * height * width
}

/**
 * Compute the share of values that are 0.
 * @param {Float32Array} values
 * @returns {number}
 */
export function computeZeroShare(values) {
  let zeros = 0
  for (const value of values) if (value === 0) zeros++
  return zeros / values.length
}

/**
 * Choose the palette of a layer's maps by all values, and its range by those that are shown, as `select_palette` and
 * `compute_value_range` in charts/images.py do.
 * @param {Float32Array} values
 * @param {readonly number[]} shape
 * @param {number} maxMaps
 * @returns {MapScale}
 */
export function chooseMapScale(values, shape, maxMaps) {
  const count = Math.min(values.length, countShown(shape, maxMaps))
  const low = findLow(values, count)
  let high = 0
  for (let index = 0; index < count; index++) high = Math.max(high, clampFinite(values[index]))
  if (findLow(values, values.length) >= 0) return { palette: "sequential", low, high: Math.max(high, low + MIN_RANGE) }
  const extent = Math.max(-low, high, MIN_RANGE)
  return { palette: "diverging", low: -extent, high: extent }
}

/**
 * Find the lowest of the first values, at most 0.
 * @param {Float32Array} values
 * @param {number} count
 * @returns {number}
 */
function findLow(values, count) {
  let low = 0
  for (let index = 0; index < count; index++) low = Math.min(low, clampFinite(values[index]))
  return low
}

/**
 * Paint one map, a pixel per value.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} values
 * @param {readonly [height: number, width: number]} shape
 * @param {{ table: Uint8Array, low: number, high: number }} scale color table and its range
 * @returns {void}
 */
export function paintSingleMap(canvas, values, [height, width], { table, low, high }) {
  const image = prepareImage(canvas, width, height)
  const scale = { low, levelsPerUnit: computeLevelsPerUnit(low, high), palette: packColors(table) }
  const place = { cell: 1, stride: width, corner: 0, start: 0, height, width }
  paintMap(new Uint32Array(image.data.buffer), values, { ...scale, ...place })
  canvas.getContext("2d")?.putImageData(image, 0, 0)
}

/** @type {WeakMap<HTMLCanvasElement, ImageData>} */
const images = new WeakMap()

/**
 * Return the image of a canvas, which is reused while its size stays.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {ImageData}
 */
function prepareImage(canvas, width, height) {
  const known = images.get(canvas)
  if (known?.width === width && known.height === height) return known
  canvas.width = width
  canvas.height = height
  const image = new ImageData(width, height)
  images.set(canvas, image)
  return image
}
