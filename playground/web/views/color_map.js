/** @typedef {[red: number, green: number, blue: number]} Color Components from 0 to 255. */

/** Colors of a color table. */
export const LEVELS = 256
/** Smallest difference between the ends of a color scale. */
export const MIN_RANGE = 1e-12
const MAX_MAGNITUDE = 1e30
const OPAQUE = 255

/**
 * Replace values that a color scale cannot place: NaN by 0, large magnitudes by the largest one that is safe to subtract.
 * @param {number} value
 * @returns {number}
 */
export function clampFinite(value) {
  return Number.isNaN(value) ? 0 : Math.min(MAX_MAGNITUDE, Math.max(-MAX_MAGNITUDE, value))
}

/**
 * Compute the levels per unit of a color scale, as `charts/images.py` does: `low` is level 0, `high` level 255.
 * @param {number} low
 * @param {number} high
 * @returns {number}
 */
export function computeLevelsPerUnit(low, high) {
  return (LEVELS - 1) / Math.max(high - low, MIN_RANGE)
}

/**
 * Compute the level of a value, from 0 to 255.
 * @param {number} value
 * @param {number} low value of level 0
 * @param {number} levelsPerUnit
 * @returns {number}
 */
export function computeLevel(value, low, levelsPerUnit) {
  return Math.round(Math.min(LEVELS - 1, Math.max(0, (clampFinite(value) - low) * levelsPerUnit)))
}

/**
 * Look up the color of a value.
 * @param {Uint8Array} table 256 × 3 bytes
 * @param {number} low
 * @param {number} high
 * @param {number} value
 * @returns {Color}
 */
export function lookupColor(table, low, high, value) {
  const index = 3 * computeLevel(value, low, computeLevelsPerUnit(low, high))
  return [table[index], table[index + 1], table[index + 2]]
}

/**
 * Pack colors as the opaque pixels of an ImageData, one number each.
 * @param {Uint8Array} colors red, green and blue of each
 * @returns {Uint32Array}
 */
export function packColors(colors) {
  const bytes = new Uint8Array((4 * colors.length) / 3).fill(OPAQUE)
  for (let index = 0; index < colors.length; index++) bytes[Math.floor(index / 3) * 4 + (index % 3)] = colors[index]
  return new Uint32Array(bytes.buffer)
}

/**
 * Compute the largest magnitude, at least 1e-12 so that it can be divided by.
 * @param {Iterable<number>} values
 * @returns {number}
 */
export function maxMagnitude(values) {
  let largest = MIN_RANGE
  for (const value of values) largest = Math.max(largest, Math.abs(clampFinite(value)))
  return largest
}

/**
 * Format a color as CSS.
 * @param {Color} color
 * @returns {string}
 */
export function cssColor([red, green, blue]) {
  return `rgb(${red} ${green} ${blue})`
}

/**
 * Choose black or white text for a background by its luma (ITU-R BT.601).
 * @param {Color} background
 * @returns {string}
 */
export function textColorOn([red, green, blue]) {
  return red * 0.299 + green * 0.587 + blue * 0.114 > 140 ? "#111" : "#fff"
}
