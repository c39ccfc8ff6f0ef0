import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { chooseMapScale } from "../../../playground/web/views/feature_maps.js"

describe("colors of feature maps", () => {
  const shape = [2, 1, 2]

  test("are sequential from 0 without negative values", () => {
    const values = Float32Array.of(1, 2, 3, 5)
    assert.deepEqual(chooseMapScale(values, shape, 2), { palette: "sequential", low: 0, high: 5 })
  })

  test("are diverging and symmetric around 0 with a negative value, also where it is not shown", () => {
    assert.deepEqual(chooseMapScale(Float32Array.of(1, 2, -4, 0), shape, 2), { palette: "diverging", low: -4, high: 4 })
    assert.deepEqual(chooseMapScale(Float32Array.of(1, 2, -4, 0), shape, 1), { palette: "diverging", low: -2, high: 2 })
  })

  test("span the maps that are shown", () => {
    assert.equal(chooseMapScale(Float32Array.of(1, 2, 3, 5), shape, 1).high, 2)
    assert.equal(chooseMapScale(Float32Array.of(1, 2, 3, 5), [4], 1).high, 5)
  })

  test("have a range for zeros and NaN", () => {
    assert.deepEqual(chooseMapScale(Float32Array.of(0, Number.NaN), [2], 1), {
      palette: "sequential",
      low: 0,
      high: 1e-12,
    })
  })
})
