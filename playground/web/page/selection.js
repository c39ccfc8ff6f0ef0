/** @import { Selection } from "../views/map_grid.js" */

/**
 * Find the largest value of a layer.
 * @param {Float32Array} values
 * @param {readonly number[]} shape (channels, height, width) or (features,)
 * @returns {Selection}
 */
export function findLargest(values, [, height = 1, width = 1]) {
  let largest = 0
  for (let index = 1; index < values.length; index++) if (values[index] > values[largest]) largest = index
  const inMap = largest % (height * width)
  return {
    channel: Math.floor(largest / (height * width)),
    row: Math.floor(inMap / width),
    column: inMap % width,
  }
}
