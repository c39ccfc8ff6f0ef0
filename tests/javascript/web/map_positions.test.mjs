import assert from "node:assert/strict"
import { describe, test } from "node:test"
import {
  clampPosition,
  findGridValue,
  gridPixel,
  moveByKey,
  nextPosition,
  positionAt,
} from "../../../playground/web/views/map_positions.js"

/** @type {[number, number]} */
const SHAPE = [3, 4]

describe("keyboard navigation", () => {
  const position = { row: 1, column: 1 }

  test("arrow keys move by one", () => {
    assert.deepEqual(moveByKey("ArrowUp", position, SHAPE), { row: 0, column: 1 })
    assert.deepEqual(moveByKey("ArrowDown", position, SHAPE), { row: 2, column: 1 })
    assert.deepEqual(moveByKey("ArrowLeft", position, SHAPE), { row: 1, column: 0 })
    assert.deepEqual(moveByKey("ArrowRight", position, SHAPE), { row: 1, column: 2 })
  })

  test("arrow keys stop at the edges", () => {
    assert.deepEqual(moveByKey("ArrowUp", { row: 0, column: 2 }, SHAPE), { row: 0, column: 2 })
    assert.deepEqual(moveByKey("ArrowRight", { row: 0, column: 3 }, SHAPE), { row: 0, column: 3 })
  })

  test("other keys are left to the browser", () => {
    assert.equal(moveByKey("Tab", position, SHAPE), null)
    assert.equal(moveByKey("Enter", position, SHAPE), null)
  })
})

describe("positions", () => {
  test("are limited to the map", () => {
    assert.deepEqual(clampPosition({ row: 9, column: -1 }, SHAPE), { row: 2, column: 0 })
  })

  test("follow each other row by row, the first one after the last", () => {
    assert.deepEqual(nextPosition({ row: 0, column: 2 }, SHAPE), { row: 0, column: 3 })
    assert.deepEqual(nextPosition({ row: 0, column: 3 }, SHAPE), { row: 1, column: 0 })
    assert.deepEqual(nextPosition({ row: 2, column: 3 }, SHAPE), { row: 0, column: 0 })
  })

  test("are found by shares of the map's sides", () => {
    assert.deepEqual(positionAt(0, 0, SHAPE), { row: 0, column: 0 })
    assert.deepEqual(positionAt(0.5, 0.5, SHAPE), { row: 1, column: 2 })
    assert.deepEqual(positionAt(1, 1.2, SHAPE), { row: 2, column: 3 })
  })
})

describe("grid of maps", () => {
  // Five maps of 2 × 3 values, three maps per row; a value has 10 pixels, a gap 4.
  const grid = {
    columns: 3,
    tileWidth: 34,
    tileHeight: 24,
    block: 10,
    mapRows: 2,
    mapColumns: 3,
    count: 5,
    first: 16,
    isVector: false,
  }

  test("a pixel gives channel, position and the index among all values", () => {
    assert.deepEqual(findGridValue(grid, 0, 0), { channel: 16, row: 0, column: 0, index: 0 })
    assert.deepEqual(findGridValue(grid, 34 + 25, 24 + 15), { channel: 20, row: 1, column: 2, index: 4 * 6 + 5 })
  })

  test("gaps, missing maps and pixels outside give nothing", () => {
    assert.equal(findGridValue(grid, 31, 5), null)
    assert.equal(findGridValue(grid, 5, 22), null)
    assert.equal(findGridValue(grid, 2 * 34 + 5, 24 + 5), null)
    assert.equal(findGridValue(grid, -1, 5), null)
    assert.equal(findGridValue(grid, 3 * 34 + 5, 5), null)
  })

  test("the pixel of a value leads back to the value", () => {
    const pixel = gridPixel(grid, 19, { row: 1, column: 2 })
    assert.deepEqual(pixel, [20, 34])
    assert.deepEqual(findGridValue(grid, 20, 34), { channel: 19, row: 1, column: 2, index: 3 * 6 + 5 })
  })

  test("channels that are not shown have no pixel", () => {
    assert.equal(gridPixel(grid, 15, { row: 0, column: 0 }), null)
    assert.equal(gridPixel(grid, 21, { row: 0, column: 0 }), null)
  })

  const vector = {
    ...grid,
    columns: 1,
    tileWidth: 44,
    tileHeight: 34,
    mapColumns: 4,
    count: 6,
    first: 0,
    isVector: true,
  }

  test("a vector is wrapped into rows, one channel per value", () => {
    assert.deepEqual(findGridValue(vector, 15, 12), { channel: 5, row: 0, column: 0, index: 5 })
    assert.equal(findGridValue(vector, 25, 12), null)
    assert.deepEqual(gridPixel(vector, 5, { row: 0, column: 0 }), [10, 10])
  })
})
