import assert from "node:assert/strict"
import { beforeEach, describe, test } from "node:test"
import { MapGrid } from "../../../playground/web/views/map_grid.js"
import { FakeElement, installDocument } from "./fake_document.mjs"

/** @import { Selection } from "../../../playground/web/views/map_grid.js" */

describe("map grid", () => {
  // Two maps of 2 × 2 values side by side; a value has 10 pixels, the gap 5.
  const layout = {
    columns: 2,
    tileWidth: 25,
    tileHeight: 20,
    block: 10,
    mapRows: 2,
    mapColumns: 2,
    count: 2,
    first: 3,
    isVector: false,
    width: 45,
    height: 20,
  }
  /** @type {Selection[]} */
  let selected
  /** @type {FakeElement} */
  let grid
  /** @type {MapGrid} */
  let view

  beforeEach(() => {
    const root = installDocument()
    selected = []
    const surface = new FakeElement("img")
    surface.area = { left: 0, top: 0, width: 90, height: 40 } // twice the size
    view = new MapGrid(root, /** @type {any} */ (surface), (selection) => selected.push(selection))
    view.update(layout, Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7))
    ;[grid] = root.querySelectorAll(".inner")
  })

  test("a click selects a value, also where the image is scaled; a gap selects none", () => {
    grid.fire("click", { clientX: 70, clientY: 25 })
    grid.fire("click", { clientX: 45, clientY: 25 })
    assert.deepEqual(selected, [{ channel: 4, row: 1, column: 1 }])
  })

  test("the tip names the value under the pointer", () => {
    const [tip] = grid.querySelectorAll(".tip")
    grid.fire("pointermove", { clientX: 70, clientY: 25 })
    assert.equal(tip.textContent, "channel 5, row 2, column 2: 7.0000")
    grid.fire("pointerleave")
    assert.equal(tip.hidden, true)
    view.update(layout, null)
    grid.fire("pointermove", { clientX: 1, clientY: 1 })
    assert.equal(tip.textContent, "channel 4, row 1, column 1")
  })

  test("the selected value is outlined while its channel is shown", () => {
    const [marker] = grid.querySelectorAll(".box")
    view.mark({ channel: 4, row: 1, column: 0 })
    assert.equal(marker.hidden, false)
    assert.equal(marker.style.left, `${(100 * 30) / 45}%`)
    assert.equal(marker.style.top, "75%")
    view.mark({ channel: 5, row: 0, column: 0 })
    assert.equal(marker.hidden, true)
  })
})
