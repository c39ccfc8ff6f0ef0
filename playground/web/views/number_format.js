const MINUS = "−"

/**
 * Format a number with four decimals below 10, two above, and an exponent for very small and very large magnitudes.
 * @param {number} value
 * @returns {string}
 */
export function formatNumber(value) {
  const magnitude = Math.abs(value)
  let text = value.toFixed(magnitude < 10 ? 4 : 2)
  if (!Number.isFinite(value)) text = String(value)
  else if (magnitude !== 0 && (magnitude < 0.001 || magnitude >= 1e5)) text = value.toExponential(2)
  return text.replaceAll("-", MINUS)
}

/**
 * Format a number for a cell of a few characters: two decimals below 10, one below 100, none above.
 * @param {number} value
 * @returns {string}
 */
export function formatCell(value) {
  const magnitude = Math.abs(value)
  let decimals = 2
  if (magnitude >= 100) decimals = 0
  else if (magnitude >= 10) decimals = 1
  return value.toFixed(decimals).replace("-", MINUS)
}
