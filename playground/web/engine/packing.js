/** Rows of a weight matrix that the kernels compute together. */
export const ROW_BLOCK = 4

/** Output positions of a convolution that the kernels compute together. */
export const PANEL_WIDTH = 8

/** Scratch values behind a panel, for outputs of an incomplete last panel. */
export const PANEL_EXTRA = ROW_BLOCK * PANEL_WIDTH

/**
 * Pack a matrix (rows, columns) for the kernels: blocks of four rows column by column, then the remaining rows.
 * @param {Float32Array} matrix
 * @param {number} rows
 * @param {number} columns
 * @param {Float32Array} target of the same size
 * @returns {void}
 */
export function packRows(matrix, rows, columns, target) {
  const blockedRows = rows - (rows % ROW_BLOCK)
  let next = 0
  for (let first = 0; first < blockedRows; first += ROW_BLOCK) {
    for (let column = 0; column < columns; column++) {
      for (let row = first; row < first + ROW_BLOCK; row++) target[next++] = matrix[row * columns + column]
    }
  }
  target.set(matrix.subarray(blockedRows * columns, rows * columns), next)
}
