import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { PencilStroke } from "../../../playground/web/canvas/pencil_stroke.js"

describe("pencil stroke", () => {
  test("a click is a dot", () => {
    assert.deepEqual(new PencilStroke(100, 40, 240, 18).toStroke(), [[100, 40]])
  })

  test("a repeated point changes nothing", () => {
    const stroke = new PencilStroke(10, 10, 240, 18)
    assert.equal(stroke.addPoint(50, 10), true)
    assert.equal(stroke.addPoint(50, 10), false)
  })

  test("a straight line keeps its ends and its direction", () => {
    const stroke = new PencilStroke(20, 60, 240, 18)
    for (let x = 25; x <= 200; x += 5) stroke.addPoint(x, 60)
    const points = stroke.toStroke()
    assert.deepEqual(points[0], [19.98, 60])
    assert.deepEqual(points.at(-1), [200.02, 60])
    assert.ok(points.every(([, y]) => y === 60))
    assert.ok(points.slice(1).every(([x], index) => x > points[index][0]))
  })

  test("points outside of the canvas stay within half a pen's width", () => {
    const stroke = new PencilStroke(120, 120, 240, 20)
    for (const [x, y] of [
      [200, 200],
      [400, 500],
    ]) {
      stroke.addPoint(x, y)
    }
    assert.deepEqual(stroke.toStroke().at(-1), [250, 250])
  })

  test("the stroke can be read at any time and goes on", () => {
    const stroke = new PencilStroke(20, 20, 240, 18)
    stroke.addPoint(40, 20)
    const { length } = stroke.toStroke()
    stroke.addPoint(90, 60)
    assert.ok(stroke.toStroke().length > length)
  })
})
