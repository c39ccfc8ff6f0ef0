import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { decodeBytes, decodeFloats } from "../../../playground/web/base64.js"
import { cssColor, lookupColor, maxMagnitude, textColorOn } from "../../../playground/web/views/color_map.js"
import { joinClasses } from "../../../playground/web/views/dom.js"
import { formatCell, formatNumber } from "../../../playground/web/views/number_format.js"

describe("number format", () => {
  test("has four decimals below 10 and two above", () => {
    assert.equal(formatNumber(0), "0.0000")
    assert.equal(formatNumber(9.999_94), "9.9999")
    assert.equal(formatNumber(10), "10.00")
    assert.equal(formatNumber(99_999.5), "99999.50")
  })

  test("has an exponent below 0.001 and from 100,000", () => {
    assert.equal(formatNumber(0.001), "0.0010")
    assert.equal(formatNumber(0.000_999), "9.99e−4")
    assert.equal(formatNumber(-123_456), "−1.23e+5")
  })

  test("writes values that are not finite as words", () => {
    assert.equal(formatNumber(Number.NaN), "NaN")
    assert.equal(formatNumber(Number.NEGATIVE_INFINITY), "−Infinity")
  })

  test("of a cell loses decimals as the number grows", () => {
    assert.equal(formatCell(-1.234), "−1.23")
    assert.equal(formatCell(12.34), "12.3")
    assert.equal(formatCell(-123.4), "−123")
  })
})

describe("color map", () => {
  /** Entry i has the color (i, 255 - i, 7). */
  const table = Uint8Array.from({ length: 768 }, (_, index) => {
    const entry = Math.floor(index / 3)
    return [entry, 255 - entry, 7][index % 3]
  })

  test("spreads the range over 256 entries", () => {
    assert.deepEqual(lookupColor(table, -1, 1, -1), [0, 255, 7])
    assert.deepEqual(lookupColor(table, -1, 1, 1), [255, 0, 7])
    assert.deepEqual(lookupColor(table, 0, 255, 100.4), [100, 155, 7])
    assert.deepEqual(lookupColor(table, 0, 255, 100.6), [101, 154, 7])
  })

  test("clamps values beyond the range", () => {
    assert.deepEqual(lookupColor(table, 0, 1, -5), [0, 255, 7])
    assert.deepEqual(lookupColor(table, 0, 1, Number.POSITIVE_INFINITY), [255, 0, 7])
  })

  test("shows NaN as zero and accepts an empty range", () => {
    assert.deepEqual(lookupColor(table, 0, 1, Number.NaN), [0, 255, 7])
    assert.deepEqual(lookupColor(table, 3, 3, 3), [0, 255, 7])
  })

  test("takes its limit from the largest magnitude", () => {
    assert.equal(maxMagnitude([1, -3, 2]), 3)
    assert.equal(maxMagnitude([0, Number.NaN]), 1e-12)
    assert.equal(maxMagnitude([Number.NEGATIVE_INFINITY]), 1e30)
  })

  test("writes black on light colors and white on dark ones", () => {
    assert.equal(textColorOn([255, 255, 0]), "#111")
    assert.equal(textColorOn([0, 0, 255]), "#fff")
    assert.equal(cssColor([1, 2, 3]), "rgb(1 2 3)")
  })
})

describe("base64", () => {
  test("gives bytes", () => {
    assert.deepEqual(decodeBytes("Af8A"), Uint8Array.of(1, 255, 0))
  })

  test("gives float32 values", () => {
    assert.deepEqual(decodeFloats("AACAPwAAAMA="), Float32Array.of(1, -2))
    assert.equal(decodeFloats("").length, 0)
  })
})

test("class names that do not apply are left out", () => {
  assert.equal(joinClasses("tile", false, null, undefined, "", "chosen"), "tile chosen")
})
