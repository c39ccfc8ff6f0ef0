/** @typedef {[red: number, green: number, blue: number]} Color Components from 0 to 255. */

const MIN_RANGE = 1e-12
const MAX_MAGNITUDE = 1e30

/**
 * Replace values that a color scale cannot place: NaN by 0, large magnitudes by the largest one that is safe to subtract.
 * @param {number} value
 * @returns {number}
 */
function clampFinite(value) {
  return Number.isNaN(value) ? 0 : Math.min(MAX_MAGNITUDE, Math.max(-MAX_MAGNITUDE, value))
}

/**
 * Look up the color of a value as `charts/images.py` does: `low` is the first of 256 entries, `high` the last.
 * @param {Uint8Array} table 256 × 3 bytes
 * @param {number} low
 * @param {number} high
 * @param {number} value
 * @returns {Color}
 */
export function lookupColor(table, low, high, value) {
  const scaled = ((clampFinite(value) - low) * 255) / Math.max(high - low, MIN_RANGE)
  const index = 3 * Math.round(Math.min(255, Math.max(0, scaled)))
  return [table[index], table[index + 1], table[index + 2]]
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
