import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { CanvasRasterizer } from "../../../playground/web/canvas/rasterize.js"
import { computeFilters, ImageResizer, roundHalfEven } from "../../../playground/web/canvas/resize.js"

describe("rasterization", () => {
  test("without any point the image is empty", () => {
    const rasterizer = new CanvasRasterizer()
    rasterizer.rasterize([[[10, 10]]], 280, 18)
    for (const strokes of [[], [[]]]) {
      assert.ok(rasterizer.rasterize(strokes, 280, 18).every((value) => value === 0))
    }
  })

  test("the image lies in the same memory for every drawing", () => {
    const rasterizer = new CanvasRasterizer()
    assert.equal(rasterizer.rasterize([[[10, 10]]], 280, 18), rasterizer.rasterize([[[90, 10]]], 280, 18))
  })

  test("a drawing is centered wherever it is on the canvas", () => {
    const rasterizer = new CanvasRasterizer()
    const left = rasterizer.rasterize([[[16, 16], [32, 128]]], 256, 18).slice() // biome-ignore format: one point a pair
    const right = rasterizer.rasterize([[[208, 48], [224, 160]]], 256, 18) // biome-ignore format: one point a pair
    assert.deepEqual(left, right)
    assert.ok(left.some((value) => value > 0.9))
  })
})

describe("resizing", () => {
  test("halves are rounded to the even number", () => {
    assert.deepEqual([0.5, 1.5, 2.5, 2.4999, 2.5001, 3].map(roundHalfEven), [0, 2, 2, 2, 3, 3])
  })

  test("the weights of a pixel add up to 1", () => {
    for (const [input, output] of [
      [28, 13],
      [28, 28],
      [28, 64],
    ]) {
      for (const { first, weights } of computeFilters(input, output)) {
        assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-12)
        assert.ok(first >= 0 && first + weights.length <= input)
      }
    }
  })

  test("an image of the network's size is returned unchanged", () => {
    const image = new Float32Array(784).fill(0.123)
    assert.equal(new ImageResizer([1, 28, 28], [1, 28, 28]).resize(image), image)
  })
})
