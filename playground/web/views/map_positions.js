/** @import { Position } from "./arithmetic.js" */

/** @typedef {[height: number, width: number]} Shape */

/**
 * @typedef {object} GridLayout Image of a layer's feature maps side by side, or of a vector wrapped into rows.
 * @property {number} columns maps per row
 * @property {number} tileWidth pixels from one map to the next
 * @property {number} tileHeight
 * @property {number} block pixels per value
 * @property {number} mapRows values per map
 * @property {number} mapColumns
 * @property {number} count maps shown; for a vector, its values
 * @property {number} first channel of the first map
 * @property {boolean} isVector
 */

/** @type {Record<string, [rows: number, columns: number]>} */
const ARROW_KEYS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }

/**
 * Limit a position to a feature map.
 * @param {Position} position
 * @param {Shape} shape
 * @returns {Position}
 */
export function clampPosition({ row, column }, [height, width]) {
  return { row: Math.min(height - 1, Math.max(0, row)), column: Math.min(width - 1, Math.max(0, column)) }
}

/**
 * Move one step in the direction of an arrow key, stopping at the edges; null for any other key.
 * @param {string} key `KeyboardEvent.key`
 * @param {Position} position
 * @param {Shape} shape
 * @returns {Position | null}
 */
export function moveByKey(key, { row, column }, shape) {
  const step = ARROW_KEYS[key]
  return step ? clampPosition({ row: row + step[0], column: column + step[1] }, shape) : null
}

/**
 * Move to the next position row by row, from the last one back to the first.
 * @param {Position} position
 * @param {Shape} shape
 * @returns {Position}
 */
export function nextPosition({ row, column }, [height, width]) {
  const index = (row * width + column + 1) % (height * width)
  return { row: Math.floor(index / width), column: index % width }
}

/**
 * Find the position under a point of a map drawn over the unit square; points outside give the nearest position.
 * @param {number} x from 0 (left) to 1
 * @param {number} y from 0 (top) to 1
 * @param {Shape} shape
 * @returns {Position}
 */
export function positionAt(x, y, [height, width]) {
  return clampPosition({ row: Math.floor(y * height), column: Math.floor(x * width) }, [height, width])
}

/**
 * Find the value under a pixel of a grid image; null in a gap and beyond the last map. `index` counts the grid's values.
 * @param {GridLayout} grid
 * @param {number} x
 * @param {number} y
 * @returns {(Position & { channel: number, index: number }) | null}
 */
export function findGridValue(grid, x, y) {
  const tileColumn = Math.floor(x / grid.tileWidth)
  const tileRow = Math.floor(y / grid.tileHeight)
  const row = Math.floor((y - tileRow * grid.tileHeight) / grid.block)
  const column = Math.floor((x - tileColumn * grid.tileWidth) / grid.block)
  if (x < 0 || y < 0 || tileColumn >= grid.columns || row >= grid.mapRows || column >= grid.mapColumns) return null
  if (grid.isVector) {
    const index = row * grid.mapColumns + column
    return index < grid.count ? { channel: index, row: 0, column: 0, index } : null
  }
  const map = tileRow * grid.columns + tileColumn
  if (map >= grid.count) return null
  const index = (map * grid.mapRows + row) * grid.mapColumns + column
  return { channel: grid.first + map, row, column, index }
}

/**
 * Compute the top left pixel of a value in a grid image; null if its channel is not shown.
 * @param {GridLayout} grid
 * @param {number} channel
 * @param {Position} position
 * @returns {[x: number, y: number] | null}
 */
export function gridPixel(grid, channel, { row, column }) {
  const index = grid.isVector ? channel : channel - grid.first
  if (index < 0 || index >= grid.count) return null
  if (grid.isVector) return [(index % grid.mapColumns) * grid.block, Math.floor(index / grid.mapColumns) * grid.block]
  return [
    (index % grid.columns) * grid.tileWidth + column * grid.block,
    Math.floor(index / grid.columns) * grid.tileHeight + row * grid.block,
  ]
}
